//! The settings of a worker, and their bounds.

use std::time::Duration;

use super::WorkerError;
use crate::handler::Slots;

const TYPES_MAX: usize = 64;
const QUEUES_MAX: usize = 16;
const WORKER_ID_BYTES_MAX: usize = 128;
/// Shorter, and answers of a loaded server would be taken for lost.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_secs(15);
const HOST_BYTES_MAX: usize = 80;

/// Settings, checked.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) worker_id: String,
    pub(super) queues: Vec<String>,
    pub(super) operation_types: Vec<String>,
    pub(super) slots: Slots,
    pub(super) lease_seconds: u32,
    pub(super) wait_seconds: u32,
    pub(super) grace: Duration,
}

impl Options {
    /// How long an answer may take. What does not come in a third of a lease may never come, and there is still
    /// time to try again.
    pub(super) fn patience(&self) -> Duration {
        (Duration::from_secs(self.lease_seconds.into()) / 3).clamp(PATIENCE_MIN, PATIENCE_MAX)
    }

    pub(super) fn check(&self) -> Result<(), WorkerError> {
        let id = &self.worker_id;
        let printable = id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let rules = [
            (
                (1..=WORKER_ID_BYTES_MAX).contains(&id.len()) && printable,
                "a worker id has 1 to 128 printable ASCII characters",
            ),
            (
                (1..=TYPES_MAX).contains(&self.operation_types.len()),
                "a worker has handlers for 1 to 64 operation types",
            ),
            (self.queues.len() <= QUEUES_MAX, "a worker serves at most 16 queues"),
            (self.slots.size() > 0, "a worker's concurrency is at least 1"),
            ((1..=3600).contains(&self.lease_seconds), "a lease has 1 to 3600 seconds"),
            (self.wait_seconds <= 30, "a claim waits at most 30 seconds"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(WorkerError::Setting((*rule).to_owned())),
            None => Ok(()),
        }
    }
}

/// A worker id that no other process start has: a reused one would be handed the leases of the dead.
pub(super) fn fresh_worker_id() -> String {
    let host =
        std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/etc/hostname")).unwrap_or_default();
    let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(HOST_BYTES_MAX).collect();
    let host = if host.is_empty() { "worker" } else { &host };
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(8).collect();
    format!("{host}:{}:{random}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            worker_id: fresh_worker_id(),
            queues: Vec::new(),
            operation_types: vec!["noop".to_owned()],
            slots: Slots::new(1),
            lease_seconds: 30,
            wait_seconds: 20,
            grace: Duration::from_secs(10),
        }
    }

    #[test]
    fn the_bounds_of_the_protocol_are_kept() {
        assert!(options().check().is_ok());
        let wrong = [
            Options { worker_id: "ä".to_owned(), ..options() },
            Options { worker_id: String::new(), ..options() },
            Options { operation_types: Vec::new(), ..options() },
            Options { queues: vec!["media".to_owned(); QUEUES_MAX + 1], ..options() },
            Options { slots: Slots::new(0), ..options() },
            Options { lease_seconds: 3601, ..options() },
            Options { wait_seconds: 31, ..options() },
        ];
        for options in wrong {
            assert!(options.check().is_err(), "{options:?}");
        }
    }

    #[test]
    fn every_start_has_an_id_of_its_own() {
        assert_ne!(fresh_worker_id(), fresh_worker_id());
    }
}
