//! What the intake loop does: turns, and what they cost.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Upper ends of the buckets of what takes from part of a millisecond to seconds.
pub(super) const SHORT: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Of the one thread through which every change goes.
#[derive(Debug)]
pub struct Turns {
    /// Turns that were begun and ended well: each may have read the store.
    pub begun: Counter,
    /// Those that were made durable with something in them: each was one sync.
    pub committed: Counter,
    /// Turns tried again at once, since the store was busy or another node was faster.
    pub tried_again: Counter,
    /// Turns that the store refused: what was in them was not done, or that is not known.
    pub refused: Counter,
    /// How long the store took to load what a turn touches.
    pub load: Histogram,
    /// How long the store took to write a turn and make it durable.
    pub commit: Histogram,
    /// Operations that one commit changed.
    pub batch: Histogram,
    /// Calls of workers that wait for something to do.
    pub claims_waiting: Gauge,
}

impl Turns {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let turns = Self {
            begun: Counter::default(),
            committed: Counter::default(),
            tried_again: Counter::default(),
            refused: Counter::default(),
            load: Histogram::new(SHORT),
            commit: Histogram::new(SHORT),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            claims_waiting: Gauge::default(),
        };
        turns.register(registry);
        turns
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("turns", "Turns of the intake loop that ended well", self.begun.clone());
        registry.register(
            "commits",
            "Turns that were made durable with something in them, with one sync each",
            self.committed.clone(),
        );
        registry.register(
            "turns_tried_again",
            "Turns that were tried again at once: the store was busy, or another node was faster",
            self.tried_again.clone(),
        );
        registry.register("turns_refused", "Turns that the store refused", self.refused.clone());
        registry.register(
            "load_seconds",
            "How long the store took to load what a turn touches",
            self.load.clone(),
        );
        registry.register(
            "commit_seconds",
            "How long the store took to write a turn and make it durable; over a database with the wait for the event lock",
            self.commit.clone(),
        );
        registry.register("commit_operations", "Operations that one commit changed", self.batch.clone());
        registry.register(
            "claims_waiting",
            "Calls of workers that wait for something to do",
            self.claims_waiting.clone(),
        );
    }
}
