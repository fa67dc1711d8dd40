//! A store that is busy: for a moment, which nobody notices; for longer, which is an outage to the workers as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Rig, accepted, completed, submit};
use crate::operation::{LeaseToken, OperationId, Status, Timestamp};
use crate::store::clock::Manual;
use crate::store::memory::MemoryStore;
use crate::store::turn::{Changes, Touches, WorkingSet};
use crate::store::{Store, StoreError};
use crate::tracker::entry::Denied;

/// It is busy so many times, and time passes meanwhile.
struct Busy {
    inner: MemoryStore,
    clock: Arc<Manual>,
    times: Arc<AtomicU32>,
    each: Duration,
}

impl Store for Busy {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        let left = self.times.load(Ordering::Relaxed);
        if left == 0 {
            return self.inner.begin(touches);
        }
        self.times.store(left - 1, Ordering::Relaxed);
        self.clock.advance(self.each);
        Err(StoreError::Busy("somebody looks at the file".to_owned()))
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        self.inner.commit(changes)
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due()
    }

    fn has_room(&mut self) -> bool {
        true
    }

    fn release_reserve(&mut self) {}
}

/// Its first commit goes through, but nobody hears of it.
struct Lost {
    inner: MemoryStore,
    commits: u32,
}

impl Store for Lost {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        self.inner.begin(touches)
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        self.inner.commit(changes)?;
        self.commits += u32::from(!changes.is_empty());
        if self.commits == 1 && !changes.is_empty() {
            return Err(StoreError::Unknown("the connection is gone".to_owned()));
        }
        Ok(())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due()
    }

    fn has_room(&mut self) -> bool {
        true
    }

    fn release_reserve(&mut self) {}
}

/// Two workers hold an operation each, of which the first has one more second; then the store is busy.
struct Work {
    rig: Rig,
    times: Arc<AtomicU32>,
    held: [(OperationId, LeaseToken); 2],
}

impl Work {
    async fn new(each: Duration) -> Self {
        let times = Arc::new(AtomicU32::new(0));
        let rig = {
            let times = times.clone();
            Rig::over(move |inner, clock| Box::new(Busy { inner, clock, times, each })).await
        };
        rig.submitted("a").await;
        rig.submitted("b").await;
        let first = rig.claimed("w", "a").await;
        for _ in 0..29 {
            rig.clock.advance(Duration::from_secs(1));
            rig.submitted("other").await;
        }
        let second = rig.claimed("v", "b").await;
        Self { rig, times, held: [first, second] }
    }

    /// The store is busy for longer than a turn tries.
    async fn is_refused(&self) {
        self.times.store(u32::MAX, Ordering::Relaxed);
        let denied = self.rig.submit(submit("other")).await;
        assert!(matches!(denied, Err(Denied::Store(StoreError::Busy(_)))), "{denied:?}");
        self.times.store(0, Ordering::Relaxed);
    }

    async fn ends_what_it_holds(&self) {
        for (id, token) in self.held {
            let operation = self.rig.get(id).await;
            assert_eq!((operation.status(), operation.attempts), (Status::Running, 1));
            let (told, _) = self.rig.exchange("w", vec![completed(id, token)], None).await;
            assert!(accepted(&told.outcomes[0]), "{:?}", told.outcomes);
        }
    }
}

#[tokio::test]
async fn a_turn_that_waits_for_a_busy_store_lets_the_leases_rest_that_end_meanwhile() {
    let work = Work::new(Duration::from_secs(3)).await;
    work.times.store(15, Ordering::Relaxed);
    // What is due by then belongs to the very turn that has to wait.
    work.rig.clock.advance(Duration::from_secs(1));
    work.rig.submitted("other").await;
    assert_eq!(work.times.load(Ordering::Relaxed), 0);
    work.ends_what_it_holds().await;
}

#[tokio::test]
async fn a_turn_that_fails_for_good_does_not_forget_that_it_was_late() {
    let work = Work::new(Duration::from_millis(400)).await;
    work.is_refused().await;
    work.rig.submitted("other").await;
    work.ends_what_it_holds().await;
}

#[tokio::test]
async fn what_workers_said_to_a_busy_store_in_vain_costs_them_no_lease() {
    // Each turn is short, so that none of them is late by itself.
    let work = Work::new(Duration::from_millis(5)).await;
    for _ in 0..2 {
        work.is_refused().await;
        work.rig.clock.advance(Duration::from_secs(1));
    }
    work.rig.submitted("other").await;
    work.ends_what_it_holds().await;
}

#[tokio::test]
async fn a_commit_of_which_nobody_knows_what_became_is_not_tried_again() {
    let rig = Rig::over(|inner, _| Box::new(Lost { inner, commits: 0 })).await;
    let denied = rig.submit(submit("t")).await;
    assert!(matches!(denied, Err(Denied::Store(StoreError::Unknown(_)))), "{denied:?}");
    let made = rig.claimed("w", "t").await.0;
    let (_, none) = rig.exchange("w", Vec::new(), Some(super::claim("again", "t"))).await;
    assert!(none.is_empty(), "{made} was made once");
}
