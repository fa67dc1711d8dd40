//! A collector of OpenTelemetry that keeps what it is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Router, serve};
use bytes::Bytes;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;
use tokio::net::TcpListener;

use super::until;

/// A span as it came.
#[derive(Clone, Debug)]
pub struct Span {
    /// What it calls itself.
    pub name: String,
    /// In lower-case hexadecimal digits.
    pub trace: String,
    /// The same, of the span that it is below.
    pub parent: String,
    /// How long it took.
    pub nanoseconds: u64,
    /// Whether it says that it failed.
    pub failed: bool,
    /// What it says, as text.
    pub attributes: BTreeMap<String, String>,
    /// Who sent it.
    pub service: String,
}

/// Listens on a port of its own until its test ends.
pub struct Collector {
    /// For `--otlp`.
    pub url: String,
    received: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    /// One that has been sent nothing yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Bytes>>>::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(received.clone());
        tokio::spawn(serve(listener, router).into_future());
        Self { url, received }
    }

    /// All that was sent, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.received.lock().unwrap().concat()
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap().clone();
        received.iter().flat_map(spans).collect()
    }

    /// Waits for so many spans of a trace, and gives them by their names.
    pub async fn trace(&self, trace: &str, count: usize) -> Vec<Span> {
        until("the spans of the trace", || async {
            let mut spans: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
            spans.sort_by(|a, b| a.name.cmp(&b.name));
            (spans.len() >= count).then_some(spans)
        })
        .await
    }
}

async fn take(State(received): State<Arc<Mutex<Vec<Bytes>>>>, body: Bytes) -> StatusCode {
    received.lock().unwrap().push(body);
    StatusCode::OK
}

fn spans(bytes: &Bytes) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(&**bytes).expect("OTLP");
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let own = resource.resource.map(|resource| texts(&resource.attributes)).unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                name: span.name,
                trace: hex(&span.trace_id),
                parent: hex(&span.parent_span_id),
                nanoseconds: span.end_time_unix_nano - span.start_time_unix_nano,
                failed: span.status.is_some_and(|status| status.code == 2),
                attributes: texts(&span.attributes),
                service: own["service.name"].clone(),
            });
        }
    }
    spans
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    };
    attributes.iter().filter_map(|attribute| Some((attribute.key.clone(), text(attribute)?))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
