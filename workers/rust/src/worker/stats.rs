//! What became of the operations of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the worker began. An end counts once the server has confirmed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Operations taken under a lease.
    pub claimed: u64,
    /// Ended well.
    pub completed: u64,
    /// Attempts that failed, to be tried again or not.
    pub failed: u64,
    /// Handed back.
    pub released: u64,
    /// Whose lease ended without this worker's doing, or whose report the server refused.
    pub lost: u64,
}

/// A view of the counts of a worker that runs.
#[derive(Clone, Debug, Default)]
pub struct StatsHandle {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    claimed: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    released: AtomicU64,
    lost: AtomicU64,
}

impl StatsHandle {
    /// The counts now; each is exact, together they may be of slightly different moments.
    pub fn snapshot(&self) -> Stats {
        Stats {
            claimed: self.counts.claimed.load(Relaxed),
            completed: self.counts.completed.load(Relaxed),
            failed: self.counts.failed.load(Relaxed),
            released: self.counts.released.load(Relaxed),
            lost: self.counts.lost.load(Relaxed),
        }
    }

    pub(super) fn claimed(&self) {
        self.counts.claimed.fetch_add(1, Relaxed);
    }

    pub(super) fn completed(&self) {
        self.counts.completed.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.counts.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn released(&self) {
        self.counts.released.fetch_add(1, Relaxed);
    }

    pub(super) fn lost(&self) {
        self.counts.lost.fetch_add(1, Relaxed);
    }
}
