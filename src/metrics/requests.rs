//! What is asked over HTTP.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper ends of the buckets, in seconds: the last ones are of calls that wait.
const SPANS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

/// Of all listeners of one server.
#[derive(Debug)]
pub struct Requests {
    answered: Family<Answered, Counter>,
    took: Family<Asked, Histogram, fn() -> Histogram>,
    cut: Family<Why, Counter>,
    /// Open connections.
    pub connections: Gauge,
    watchers_cut: Counter,
    /// Requests that are held until an operation changes (`Prefer: wait`).
    pub waiting: Gauge,
    /// Of requests that no route took.
    unrouted: Arc<String>,
}

/// Why a connection or a stream of one was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its client sent a head too slowly.
    SlowHead,
    /// Its client left an answer unread.
    Unread,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: Arc<String>,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: Arc<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

impl Requests {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let requests = Self {
            answered: Family::default(),
            took: Family::new_with_constructor(|| Histogram::new(SPANS)),
            cut: Family::default(),
            connections: Gauge::default(),
            watchers_cut: Counter::default(),
            waiting: Gauge::default(),
            unrouted: Arc::new("none".to_owned()),
        };
        for cut in [Cut::SlowHead, Cut::Unread] {
            requests.cut.get_or_create(&cut.into()).inc_by(0);
        }
        registry.register(
            "http_requests",
            "Requests that were answered, by method, route and status; route none: no route took it",
            requests.answered.clone(),
        );
        registry.register(
            "http_request_seconds",
            "How long it took until an answer began; a call that waits included",
            requests.took.clone(),
        );
        registry.register("http_connections", "Open connections", requests.connections.clone());
        registry.register(
            "http_connections_cut",
            "Connections, or streams of HTTP/2, that were cut: their client sent a head too slowly or left an answer unread",
            requests.cut.clone(),
        );
        registry.register(
            "watchers_cut",
            "Streams of events that were cut, or their connection: their client left them unread",
            requests.watchers_cut.clone(),
        );
        registry.register(
            "http_requests_waiting",
            "Requests that wait for a change of an operation (Prefer: wait)",
            requests.waiting.clone(),
        );
        requests
    }

    /// A request was answered, by the route of that path.
    pub fn answered(&self, method: &Method, route: Option<Arc<String>>, status: StatusCode, took: Duration) {
        let (method, route) = (word(method), route.unwrap_or_else(|| self.unrouted.clone()));
        let answered = Answered { method, route: route.clone(), status: u32::from(status.as_u16()) };
        self.answered.get_or_create(&answered).inc();
        self.took.get_or_create(&Asked { method, route }).observe(took.as_secs_f64());
    }

    /// A connection or a stream was cut, and with it so many streams of events.
    pub fn cut(&self, why: Cut, watchers: usize) {
        self.watchers_cut.inc_by(watchers as u64);
        self.cut.get_or_create(&why.into()).inc();
    }
}

impl From<Cut> for Why {
    fn from(cut: Cut) -> Self {
        let reason = match cut {
            Cut::SlowHead => "slowHead",
            Cut::Unread => "unread",
        };
        Self { reason }
    }
}

/// The word for a method, `other` for one that is not known: anybody may send any.
pub fn word(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
    ];
    const WORDS: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"];
    KNOWN.iter().position(|known| known == method).map_or("other", |place| WORDS[place])
}
