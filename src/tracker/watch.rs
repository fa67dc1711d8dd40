//! Who follows what, and the bell that rings for them at each change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use tokio::sync::{Semaphore, watch};

use super::recent::{Recent, Told};
use crate::limits;
use crate::operation::TenantId;
use crate::store::Whose;
use crate::store::turn::Changes;

/// The followers of operations and tenants, and the events of late for those of them that read events.
#[derive(Debug)]
pub struct Watch {
    followed: DashMap<Whose, watch::Sender<i64>>,
    watchers: AtomicUsize,
    /// Events since somebody watches.
    pub(super) recent: Recent,
    /// Watchers that read the store at the same time.
    pub(super) catch_ups: Semaphore,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            followed: DashMap::default(),
            watchers: AtomicUsize::default(),
            recent: Recent::default(),
            catch_ups: Semaphore::new(limits::CATCH_UPS_MAX),
        }
    }
}

/// A place among the followers of one operation or tenant, left when dropped. It hears of every change after it was taken.
#[derive(Debug)]
pub struct Follow {
    watch: Arc<Watch>,
    whose: Whose,
    bell: Option<watch::Receiver<i64>>,
}

impl Watch {
    /// Takes a place. To miss nothing: first follow, then read, then wait.
    pub fn follow(self: &Arc<Self>, whose: Whose) -> Follow {
        let bell = self.followed.entry(whose.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Follow { watch: self.clone(), whose, bell: Some(bell) }
    }

    /// For the commit path: something changed, by the event of that cursor.
    pub(super) fn ring(&self, whose: impl FnOnce() -> Whose, cursor: i64) {
        if self.followed.is_empty() {
            return;
        }
        if let Some(bell) = self.followed.get(&whose()) {
            bell.send_replace(cursor);
        }
    }

    /// For the commit path: takes the turn's events for those who watch, and rings for whole tenants. Nobody watches:
    /// nothing is kept.
    pub(super) fn record(&self, changes: &mut Changes) {
        if self.watchers.load(Ordering::SeqCst) == 0 {
            self.recent.clear();
            return;
        }
        for (tenant, cursor) in self.recent.push(changes) {
            self.ring(|| Whose::Tenant(tenant), cursor);
        }
    }

    /// The same for events of which several nodes wrote some: all that there are after one cursor, up to another.
    pub(super) fn keep(&self, after: i64, upto: i64, told: &[Arc<Told>]) -> BTreeMap<TenantId, i64> {
        if self.watchers.load(Ordering::SeqCst) == 0 {
            self.recent.clear();
            return BTreeMap::new();
        }
        self.recent.extend(after, upto, told)
    }

    /// One more reads events: from the next turn on they are kept.
    pub(super) fn arrives(&self) {
        self.watchers.fetch_add(1, Ordering::SeqCst);
    }

    /// How many read events.
    pub(super) fn watchers(&self) -> usize {
        self.watchers.load(Ordering::SeqCst)
    }

    pub(super) fn leaves(&self) {
        self.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Follow {
    /// Waits for the next change since the last call.
    pub async fn changed(&mut self) {
        if let Some(bell) = &mut self.bell {
            // The sender lives in the map for as long as anybody follows.
            let _ = bell.changed().await;
        }
    }

    /// Cursor of the last change that was heard of; 0: none.
    pub(super) fn heard(&self) -> i64 {
        self.bell.as_ref().map_or(0, |bell| *bell.borrow())
    }

    /// What is followed.
    pub(super) fn whose(&self) -> &Whose {
        &self.whose
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.bell = None;
        self.watch.followed.remove_if(&self.whose, |_, bell| bell.receiver_count() == 0);
    }
}
