//! What became of operations, by queue.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::limits;
use crate::operation::{Outcome, QueueName};

/// How an operation may end.
const ENDS: [&str; 6] = [
    COMPLETED,
    Outcome::Failed.as_str(),
    Outcome::Canceled.as_str(),
    Outcome::Expired.as_str(),
    Outcome::TimedOut.as_str(),
    Outcome::LeaseExpired.as_str(),
];
/// How an attempt may end.
const ATTEMPT_ENDS: [&str; 6] = [
    COMPLETED,
    Outcome::Failed.as_str(),
    Outcome::Canceled.as_str(),
    Outcome::TimedOut.as_str(),
    Outcome::LeaseExpired.as_str(),
    Outcome::Released.as_str(),
];
const COMPLETED: &str = "completed";
/// All queues beyond those that are told apart.
const OTHER: &str = "other";

/// Upper ends of the buckets, in seconds: from an idle worker's answer to work of days.
const SPANS: [f64; 15] =
    [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0];

/// What became of operations at this node.
#[derive(Debug)]
pub struct Operations {
    families: Families,
    queues: RwLock<HashMap<QueueName, Arc<OfQueue>>>,
    other: Arc<OfQueue>,
}

/// Those of one queue's name, in whichever tenant.
#[derive(Debug)]
pub struct OfQueue {
    /// What stands for it in labels.
    pub label: String,
    /// Submitted.
    pub created: Counter,
    /// Attempts that began.
    pub started: Counter,
    /// Back in their queue for another attempt.
    pub retried: Counter,
    /// How long operations waited from when they might start, in seconds.
    pub waited: Histogram,
    took: Histogram,
    ended: Vec<(&'static str, Counter)>,
    attempts_ended: Vec<(&'static str, Counter)>,
}

impl OfQueue {
    /// An operation has ended; how, unless well.
    pub fn has_ended(&self, how: Option<Outcome>) {
        count(&self.ended, how);
    }

    /// An attempt has ended after so long; how, unless well.
    pub fn attempt_has_ended(&self, how: Option<Outcome>, took: Duration) {
        count(&self.attempts_ended, how);
        self.took.observe(took.as_secs_f64());
    }
}

fn count(counters: &[(&'static str, Counter)], how: Option<Outcome>) {
    let word = how.map_or(COMPLETED, Outcome::as_str);
    if let Some((_, counter)) = counters.iter().find(|(known, _)| *known == word) {
        counter.inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    queue: String,
    outcome: &'static str,
}

type Spans = Family<Queue, Histogram, fn() -> Histogram>;

fn spans() -> Spans {
    Family::new_with_constructor(|| Histogram::new(SPANS))
}

#[derive(Debug)]
struct Families {
    created: Family<Queue, Counter>,
    started: Family<Queue, Counter>,
    retried: Family<Queue, Counter>,
    ended: Family<Ended, Counter>,
    attempts_ended: Family<Ended, Counter>,
    waited: Spans,
    took: Spans,
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "operations_created",
            "Operations that were submitted through this node",
            self.created.clone(),
        );
        registry.register("operations_started", "Attempts that began", self.started.clone());
        registry.register(
            "operations_retried",
            "Operations put back into their queue for another attempt, by backoff or by a person",
            self.retried.clone(),
        );
        registry.register(
            "operations_finished",
            "Operations that ended, by how: completed, failed, canceled, expired before their start, timedOut, or \
             leaseExpired since their workers went silent",
            self.ended.clone(),
        );
        registry.register(
            "attempts_finished",
            "Attempts that ended, by how: as operations, or released by their worker",
            self.attempts_ended.clone(),
        );
        registry.register(
            "operation_wait_seconds",
            "How long operations waited for a worker, from when they might start",
            self.waited.clone(),
        );
        registry.register("attempt_seconds", "How long attempts took that have ended", self.took.clone());
    }

    fn of(&self, label: &str) -> OfQueue {
        let queue = Queue { queue: label.to_owned() };
        let by = |family: &Family<Ended, Counter>, words: [&'static str; 6]| {
            let one = |outcome| {
                let counter = family.get_or_create_owned(&Ended { queue: label.to_owned(), outcome });
                (outcome, counter)
            };
            words.into_iter().map(one).collect()
        };
        OfQueue {
            label: label.to_owned(),
            created: self.created.get_or_create_owned(&queue),
            started: self.started.get_or_create_owned(&queue),
            retried: self.retried.get_or_create_owned(&queue),
            waited: self.waited.get_or_create_owned(&queue),
            took: self.took.get_or_create_owned(&queue),
            ended: by(&self.ended, ENDS),
            attempts_ended: by(&self.attempts_ended, ATTEMPT_ENDS),
        }
    }
}

impl Operations {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Families {
            created: Family::default(),
            started: Family::default(),
            retried: Family::default(),
            ended: Family::default(),
            attempts_ended: Family::default(),
            waited: spans(),
            took: spans(),
        };
        families.register(registry);
        let other = Arc::new(families.of(OTHER));
        Self { families, queues: RwLock::default(), other }
    }

    /// Those of a queue. Its name is told apart from now on, if there is room for another.
    pub fn of(&self, queue: &QueueName) -> Arc<OfQueue> {
        let known = |queues: &HashMap<QueueName, Arc<OfQueue>>| match queues.get(queue) {
            Some(known) => Some(known.clone()),
            None if queues.len() >= limits::METRIC_QUEUES_MAX => Some(self.other.clone()),
            None => None,
        };
        if let Some(known) = known(&self.queues.read().unwrap_or_else(PoisonError::into_inner)) {
            return known;
        }
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known(&queues) {
            return known;
        }
        // A queue of that very name is counted among the others.
        let fresh = if queue.as_str() == OTHER {
            self.other.clone()
        } else {
            Arc::new(self.families.of(queue.as_str()))
        };
        queues.insert(queue.clone(), fresh.clone());
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_names_are_told_apart() {
        let operations = Operations::new(&mut Registry::default());
        let label =
            |number: usize| operations.of(&QueueName::parse(&format!("q{number}")).unwrap()).label.clone();
        for number in 0..limits::METRIC_QUEUES_MAX {
            assert_eq!(label(number), format!("q{number}"));
        }
        assert_eq!(label(limits::METRIC_QUEUES_MAX), "other");
        assert_eq!(label(0), "q0");
        assert!(
            operations.families.created.get(&Queue { queue: label(limits::METRIC_QUEUES_MAX) }).is_some()
        );
        let beyond = format!("q{}", limits::METRIC_QUEUES_MAX);
        assert!(operations.families.created.get(&Queue { queue: beyond }).is_none());
    }
}
