//! Takes in what users hand in inside their own transactions (`longrun.submit` of the shared store): each deposit becomes an
//! ordinary submit, and goes with the commit that makes its operation. Every node does it; a deposit is one node's by the
//! turn that finds it there. Hints say when to look; it is looked every second all the same,
//! and more often while there is something.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::http;
use crate::limits;
use crate::operation::{OperationId, QueueName, TenantId};
use crate::store::{AllTenants, Deposit, Reader, SharedReader, StoreError};
use crate::tracker::Tracker;
use crate::tracker::entry::{Denied, Submit};

/// Where there was something there is soon more, of which no hint tells while the inbox is not empty. Then, ever less often.
const SOON: Duration = Duration::from_millis(20);
/// The inbox is read for this part of the time at most, whatever waits in it for room in its queue, or lies there dead because
/// somebody keeps an old snapshot.
const SHARE: u32 = 4;

/// Takes in deposits at one node.
pub struct Adoption {
    tracker: Tracker,
    reader: Arc<dyn Reader>,
}

/// What one look has found.
#[derive(Default)]
struct Look {
    /// Something was taken in.
    found: bool,
    /// How long the inbox was read.
    reading: Duration,
    /// Queues in which as many operations wait as may: what else is for them waits where it is.
    full: HashSet<(TenantId, QueueName)>,
}

/// What became of a deposit.
enum Fate {
    /// It is an operation, or another node's.
    Gone,
    /// It waits until its queue has room.
    Waits(TenantId, QueueName),
}

impl std::fmt::Debug for Adoption {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Adoption").finish_non_exhaustive()
    }
}

impl Adoption {
    /// That of a node.
    pub fn new(tracker: Tracker, reader: Arc<dyn Reader>) -> Self {
        Self { tracker, reader }
    }

    /// Goes on for as long as it is polled. What was begun when it ends is durable or was never there.
    pub async fn follow(self) {
        let Some(store) = self.reader.shared() else { return };
        let (mut hints, mut pause) = (store.deposit_hints(), limits::LOOK_EVERY);
        loop {
            // What is committed from here on is heard of, whether the look sees it or not.
            hints.mark_unchanged();
            let mut look = Look::default();
            if let Err(denied) = self.look(store, &mut look).await {
                tracing::debug!(%denied, "what was handed in cannot be taken in just now");
            }
            sleep(look.reading * (SHARE - 1)).await;
            pause = if look.found { SOON } else { limits::LOOK_EVERY.min(pause * 2) };
            // No hint is no error: it is looked all the same.
            let _ = timeout(pause, hints.changed()).await;
        }
    }

    /// From the first deposit to the last.
    async fn look(&self, store: &dyn SharedReader, look: &mut Look) -> Result<(), Denied> {
        let mut after = 0;
        loop {
            let began = Instant::now();
            let deposits = store.deposits(AllTenants, after).await?;
            look.reading += began.elapsed();
            let Some(last) = deposits.last() else { return Ok(()) };
            after = last.number;
            self.take(&deposits, look).await?;
        }
    }

    /// Takes these in together, each by itself: none is in the way of another.
    async fn take(&self, deposits: &[Deposit], look: &mut Look) -> Result<(), Denied> {
        let now = self.reader.now();
        let submits = deposits.iter().map(|deposit| (deposit, http::submit_of(deposit, now)));
        let may = submits.filter(|(_, submit)| !look.full.contains(&queue_of(submit)));
        for fate in join_all(may.map(|(deposit, submit)| self.adopt(deposit, submit))).await {
            match fate? {
                Fate::Gone => look.found = true,
                Fate::Waits(tenant, queue) => drop(look.full.insert((tenant, queue))),
            }
        }
        Ok(())
    }

    async fn adopt(&self, deposit: &Deposit, submit: Submit) -> Result<Fate, Denied> {
        let (tenant, queue) = queue_of(&submit);
        match self.tracker.submit_bare(submit).await {
            Ok(_) | Err(Denied::Elsewhere) => Ok(Fate::Gone),
            Err(Denied::QueueFull) => Ok(Fate::Waits(tenant, queue)),
            Err(why @ (Denied::IdExists | Denied::TooManyLanes | Denied::Store(StoreError::Damaged))) => {
                self.refuse(deposit, &why).await
            }
            Err(denied) => Err(denied),
        }
    }

    /// What a request would be told now, an operation says: of an id that is another one's, under one of its own.
    async fn refuse(&self, deposit: &Deposit, why: &Denied) -> Result<Fate, Denied> {
        tracing::warn!(id = %deposit.id, tenant = deposit.tenant, %why, "what was handed in is refused");
        let now = self.reader.now();
        let refused = if let Denied::TooManyLanes = why {
            // It goes where all go that say nothing.
            let bare = Deposit { tenant: deposit.tenant.clone(), body: None, ..*deposit };
            http::refused(&bare, deposit.id, now, &why.to_string())
        } else {
            http::refused(deposit, OperationId::fresh(), now, &format!("id: {}: {why}", deposit.id))
        };
        let (tenant, queue) = queue_of(&refused);
        match self.tracker.submit_bare(refused).await {
            Ok(_) | Err(Denied::Elsewhere) => Ok(Fate::Gone),
            // Not even for this there is a place.
            Err(Denied::TooManyLanes) => Ok(Fate::Waits(tenant, queue)),
            Err(denied) => Err(denied),
        }
    }
}

fn queue_of(submit: &Submit) -> (TenantId, QueueName) {
    let lane = &submit.submission.spec.lane;
    (lane.tenant.clone(), lane.queue.clone())
}
