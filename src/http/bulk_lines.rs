//! How many lines of bulk requests go to the store at a time: a good part of a turn, and few while others submit one operation
//! at a time, who wait for the turns before theirs.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::limits;

/// Their places, which all bulk requests share.
#[derive(Debug)]
pub(super) struct BulkLines {
    places: Semaphore,
    began: Instant,
    /// Until when others are heeded, in milliseconds after that.
    heeded_until: AtomicU64,
}

impl Default for BulkLines {
    fn default() -> Self {
        Self {
            places: Semaphore::new(limits::BULK_LINES_MAX),
            began: Instant::now(),
            heeded_until: AtomicU64::new(0),
        }
    }
}

impl BulkLines {
    /// Somebody submits a single operation.
    pub(super) fn heed_another(&self) {
        let until = self.began.elapsed() + limits::BULK_HEEDS_OTHERS;
        self.heeded_until.store(millis(until), Ordering::Relaxed);
    }

    /// How many may be on their way.
    pub(super) fn at_once(&self) -> usize {
        let heeds = millis(self.began.elapsed()) < self.heeded_until.load(Ordering::Relaxed);
        if heeds { limits::BULK_LINES_BESIDE_OTHERS_MAX } else { limits::BULK_LINES_MAX }
    }

    /// Waits for the places of so many: those of one request do not overtake those of another.
    pub(super) async fn places(&self, lines: usize) -> SemaphorePermit<'_> {
        let places = (lines * (limits::BULK_LINES_MAX / self.at_once())).min(limits::BULK_LINES_MAX);
        let places = u32::try_from(places).expect("there are few");
        self.places.acquire_many(places).await.expect("it is never closed")
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn few_lines_go_to_the_store_at_a_time_while_others_submit() {
        let (lines, few) = (BulkLines::default(), limits::BULK_LINES_BESIDE_OTHERS_MAX);
        assert_eq!(lines.at_once(), limits::BULK_LINES_MAX);
        let one = lines.places(few).await;
        let other = lines.places(limits::BULK_LINES_MAX - few).await;
        assert!(lines.places(1).now_or_never().is_none());
        drop((one, other));

        lines.heed_another();
        assert_eq!(lines.at_once(), few);
        let all = lines.places(few).await;
        assert!(lines.places(1).now_or_never().is_none());
        drop(all);
        // A batch from before that is larger than what may go now goes alone.
        let all = lines.places(limits::BULK_LINES_MAX).await;
        assert!(lines.places(1).now_or_never().is_none());
        drop(all);

        tokio::time::advance(limits::BULK_HEEDS_OTHERS).await;
        assert_eq!(lines.at_once(), limits::BULK_LINES_MAX);
    }
}
