//! When all leases are looked at, for those that have ended.

use std::time::{Duration, Instant};

/// Bytes of leases for each second until they are looked at again: those that are held take far less.
const SWEPT_BYTES: u64 = 16 << 20;

/// How large their table is.
pub(super) const LEASE_BYTES: &str = "SELECT pg_relation_size('longrun.lease')";

/// When all leases are looked at.
#[derive(Debug)]
pub(super) struct Sweep {
    next: Instant,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { next: Instant::now() }
    }
}

impl Sweep {
    /// Whether it is time for one.
    pub(super) fn is_due(&self) -> bool {
        self.next <= Instant::now()
    }

    /// It looked through so many bytes. What ended is not removed while anybody holds a snapshot from before, and a large
    /// table is looked through more seldom: it takes some percent of the time.
    pub(super) fn looked_through(&mut self, bytes: i64) {
        let pause = Duration::from_secs(bytes.unsigned_abs() / SWEPT_BYTES);
        self.next = Instant::now() + pause;
    }
}
