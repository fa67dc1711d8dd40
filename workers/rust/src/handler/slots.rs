//! How many handlers run at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::Shared;

/// The right of so many handlers to run at a time. Workers of one process may share them: a clone is the same
/// slots.
#[derive(Clone, Debug)]
pub struct Slots {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    size: usize,
    /// A permit is the right to run a handler. Permits are forgotten when taken and added when given back, so
    /// that [`Held`](super::Held) can do both from anywhere.
    permits: Semaphore,
    /// Whose part these are: each of them is one of those as well.
    whole: Option<Slots>,
    /// Whoever runs handlers in them, or in a part of them.
    workers: Mutex<Vec<Weak<Shared>>>,
}

impl Slots {
    /// So many slots.
    pub fn new(size: usize) -> Self {
        Self::of(size, None)
    }

    /// At most so many of these slots at a time, for example for a handler of which a machine bears only few.
    #[must_use]
    pub fn part(&self, size: usize) -> Self {
        Self::of(size, Some(self.clone()))
    }

    fn of(size: usize, whole: Option<Self>) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        let pool = Pool { size, permits: Semaphore::new(size), whole, workers: Mutex::default() };
        Self { pool: Arc::new(pool) }
    }

    pub(crate) fn size(&self) -> usize {
        self.pool.whole.as_ref().map_or(self.pool.size, |whole| whole.size().min(self.pool.size))
    }

    pub(crate) fn free(&self) -> usize {
        let own = self.pool.permits.available_permits();
        self.pool.whole.as_ref().map_or(own, |whole| whole.free().min(own))
    }

    /// Tells a worker from now on when the last slot is taken, and when one is free again.
    pub(crate) fn join(&self, worker: &Arc<Shared>) {
        let mut workers = self.root().workers();
        workers.retain(|other| other.strong_count() > 0);
        workers.push(Arc::downgrade(worker));
    }

    /// Whether another worker may take slots.
    pub(crate) fn is_shared(&self) -> bool {
        self.root().workers().len() > 1
    }

    pub(crate) fn try_take(&self) -> bool {
        let Ok(permit) = self.pool.permits.try_acquire() else { return false };
        if self.pool.whole.as_ref().is_some_and(|whole| !whole.try_take()) {
            return false;
        }
        permit.forget();
        self.tell_if_full();
        true
    }

    /// Waits for a slot. Nothing is taken when this is dropped before.
    pub(crate) fn take(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Never closed.
            let permit = self.pool.permits.acquire().await;
            if let Some(whole) = &self.pool.whole {
                whole.take().await;
            }
            if let Ok(permit) = permit {
                permit.forget();
            }
            self.tell_if_full();
        })
    }

    pub(crate) fn give(&self) {
        let was_full = self.pool.permits.available_permits() == 0;
        self.pool.permits.add_permits(1);
        match &self.pool.whole {
            Some(whole) => whole.give(),
            None if was_full => self.tell(),
            None => {}
        }
    }

    fn tell_if_full(&self) {
        if self.pool.whole.is_none() && self.pool.permits.available_permits() == 0 {
            self.tell();
        }
    }

    /// One worker alone sees by itself what becomes of its slots.
    fn tell(&self) {
        let workers = self.workers();
        if workers.len() > 1 {
            workers.iter().filter_map(Weak::upgrade).for_each(|worker| worker.nudge());
        }
    }

    fn root(&self) -> &Self {
        self.pool.whole.as_ref().map_or(self, |whole| whole.root())
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Weak<Shared>>> {
        // Pushing and looking leave the list whole.
        self.pool.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        let whole = Slots::new(3);
        let part = whole.part(2);
        assert_eq!((part.size(), whole.part(5).size()), (2, 3));
        assert!(part.try_take() && part.try_take() && !part.try_take());
        assert_eq!((whole.free(), part.free()), (1, 0));
        assert!(whole.try_take());
        part.give();
        assert_eq!((whole.free(), part.free()), (1, 1));
        assert!(whole.try_take() && !part.try_take());
        assert_eq!(part.pool.permits.available_permits(), 1, "what could not be taken whole is given back");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_nothing() {
        let whole = Slots::new(1);
        let part = whole.part(1);
        whole.take().await;
        let waited = tokio::time::timeout(std::time::Duration::ZERO, part.take()).await;
        assert!(waited.is_err());
        assert_eq!(part.pool.permits.available_permits(), 1);
        whole.give();
        part.take().await;
        assert_eq!((whole.free(), part.free()), (0, 0));
    }

    #[tokio::test]
    async fn whoever_shares_slots_hears_when_the_last_is_taken_and_when_one_is_free() {
        let slots = Slots::new(1);
        let workers = [slots.clone(), slots.part(1)].map(|slots| Arc::new(Shared::new(slots)));
        for worker in &workers {
            worker.slots.join(worker);
        }
        assert!(slots.is_shared() && slots.try_take());
        workers[1].notified().await;
        slots.give();
        workers[1].notified().await;
    }
}
