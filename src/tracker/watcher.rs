//! One who watches: a place in the order of events, moved on as they are read. It holds no events itself, so that a watcher
//! who does not read costs nobody anything; one who fell behind those of late reads the store, in chunks.

use std::sync::Arc;

use super::recent::{Found, Told};
use super::watch::{Follow, Watch};
use crate::limits;
use crate::store::{Reader, StoreError, Whose};

/// A watcher of one operation or of a tenant, from a cursor on.
pub struct Watcher {
    watch: Arc<Watch>,
    reader: Arc<dyn Reader>,
    follow: Follow,
    cursor: i64,
    last: i64,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Watcher")
            .field("whose", self.follow.whose())
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Watcher {
    pub(super) fn new(watch: &Arc<Watch>, reader: &Arc<dyn Reader>, whose: Whose) -> Self {
        watch.arrives();
        let follow = watch.follow(whose);
        Self { watch: watch.clone(), reader: reader.clone(), follow, cursor: 0, last: 0 }
    }

    /// Where it stands: everything up to this cursor was read.
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// Places it after a cursor. `last` is the cursor of the last event that is known to be there.
    pub fn place(&mut self, cursor: i64, last: i64) {
        (self.cursor, self.last) = (cursor, last);
    }

    /// The next events, oldest first; waits until there are some. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Vec<Arc<Told>>, StoreError> {
        loop {
            self.last = self.last.max(self.follow.heard());
            if self.last > self.cursor {
                let found = match self.watch.recent.after(self.follow.whose(), self.cursor, self.last) {
                    Some(found) => found,
                    None => self.catch_up().await?,
                };
                let came = found.upto > self.cursor;
                self.cursor = found.upto;
                if !found.events.is_empty() {
                    return Ok(found.events);
                }
                // Where it came no further, those of late are not yet told up to there: they will ring.
                if came && self.last > self.cursor {
                    continue;
                }
            }
            self.follow.changed().await;
        }
    }

    async fn catch_up(&self) -> Result<Found, StoreError> {
        // It is never closed.
        let _turn = self.watch.catch_ups.acquire().await;
        let page = self.reader.events(self.follow.whose(), self.cursor, limits::EVENTS_CHUNK).await?;
        let events = page.events.into_iter().map(|event| Arc::new(Told::from(event))).collect();
        // Where there is no more, what was heard of is gone again.
        let upto = if page.upto == self.cursor { self.last } else { page.upto };
        Ok(Found { events, upto })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watch.leaves();
    }
}
