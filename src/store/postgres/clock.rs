//! The database's clock, which all nodes share, as it is told with each turn; in between time goes on by the machine's.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::operation::Timestamp;
use crate::store::clock::TimeSource;

/// What the database last said, and when that was.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    began: Instant,
    told: Mutex<(Timestamp, Instant)>,
}

impl DatabaseClock {
    /// From its first word.
    pub(super) fn new(now: Timestamp) -> Self {
        let at = Instant::now();
        Self { began: at, told: Mutex::new((now, at)) }
    }

    /// It was told just now.
    pub(super) fn tells(&self, now: Timestamp) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = (now, Instant::now());
    }
}

impl TimeSource for DatabaseClock {
    fn wall(&self) -> Timestamp {
        let (now, at) = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        now.plus(at.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }
}
