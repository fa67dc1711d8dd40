//! What a node meets at a database that it shares with others.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::turns::SHORT;

/// Of the connections to a shared database.
#[derive(Debug)]
pub struct Database {
    /// How long turns with events waited, inside the database, for their place in the order of commits.
    pub event_lock_wait: Histogram,
    /// How long reads waited for one of the connections, a new one included.
    pub connection_wait: Histogram,
    /// 1 while notifications of other nodes' commits arrive.
    pub listener_up: Gauge,
    /// How often it was found that none arrive.
    pub listener_deaf: Counter,
    /// How often the connection that hears them was lost, or could not be made.
    pub listener_lost: Counter,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            event_lock_wait: Histogram::new(SHORT),
            connection_wait: Histogram::new(SHORT),
            listener_up: Gauge::default(),
            listener_deaf: Counter::default(),
            listener_lost: Counter::default(),
        }
    }
}

impl Database {
    pub(super) fn register(&self, registry: &mut Registry, listens: bool) {
        registry.register(
            "event_lock_wait_seconds",
            "How long commits with events waited in the database for the lock that orders all commits, as it measured itself",
            self.event_lock_wait.clone(),
        );
        registry.register(
            "database_connection_wait_seconds",
            "How long reads waited for one of this node's connections, making a new one included",
            self.connection_wait.clone(),
        );
        if !listens {
            return;
        }
        registry.register(
            "listener_up",
            "1 while notifications of other nodes' commits arrive; at 0 this node looks every second",
            self.listener_up.clone(),
        );
        registry.register(
            "listener_deaf",
            "How often no notification arrived at all, as behind a pooler: this node then looks every second",
            self.listener_deaf.clone(),
        );
        registry.register(
            "listener_lost",
            "How often the connection that hears notifications was lost or could not be made",
            self.listener_lost.clone(),
        );
    }
}
