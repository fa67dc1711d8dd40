//! Where several nodes write the store, what happened is told by the store itself: this follows the end of its events and
//! publishes them to those who watch at this node, in the one order that all nodes see, whoever wrote them. What other nodes
//! made ready, or asked to end, it passes on to the loop.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::entry::{Notice, NoticeKind};
use super::inbox::{Inbox, News};
use super::intake::Shared;
use super::recent::Told;
use crate::limits;
use crate::operation::{Event, EventKind};
use crate::store::{AllTenants, Events, Reader, StoreError, Whose};

/// After the store could not be read.
const PAUSE: Duration = Duration::from_millis(200);

/// The cursors of this node's own commits of late, of which the loop needs no news.
#[derive(Debug, Default)]
pub(super) struct Own(Mutex<VecDeque<(i64, i64)>>);

impl Own {
    /// The loop has committed events with these cursors, both ends included.
    pub(super) fn committed(&self, first: i64, last: i64) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        own.push_back((first, last));
        if own.len() > limits::OWN_COMMITS_MAX {
            own.pop_front();
        }
    }

    /// Whether an event is one of those; older ones are forgotten.
    fn is_own(&self, cursor: i64) -> bool {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while own.front().is_some_and(|(_, last)| *last < cursor) {
            own.pop_front();
        }
        own.front().is_some_and(|(first, _)| *first <= cursor)
    }
}

/// Follows the end of the events.
pub(super) struct Tail {
    pub(super) reader: Arc<dyn Reader>,
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Arc<Inbox>,
    /// Everything up to it was published.
    pub(super) cursor: i64,
}

impl Tail {
    /// Goes on until the loop has ended. While the store is away it tries again; nothing is lost or told twice.
    pub(super) async fn follow(mut self) {
        let mut ended = self.shared.ended.subscribe();
        loop {
            let next = self.reader.tail(AllTenants, self.cursor, limits::EVENTS_CHUNK);
            let next = tokio::select! {
                next = next => next,
                _ = ended.wait_for(|ended| *ended) => return,
            };
            let passed = match next {
                Ok(events) => self.pass_on(events).await,
                Err(error) => Err(error),
            };
            if let Err(error) = passed {
                tracing::debug!(%error, "the end of the events cannot be read just now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn pass_on(&mut self, events: Events) -> Result<(), StoreError> {
        let Events { events, upto } = events;
        let news = self.news(&events).await;
        let after = std::mem::replace(&mut self.cursor, upto);
        self.shared.watch.publish(after, upto, events.into_iter().map(Told::from).map(Arc::new));
        let news = news?;
        if !news.is_empty() {
            self.inbox.hear(news);
        }
        Ok(())
    }

    /// What of these events is news to the loop.
    async fn news(&self, events: &[Event]) -> Result<News, StoreError> {
        let foreign: Vec<&Event> =
            events.iter().filter(|event| !self.shared.own.is_own(event.cursor)).collect();
        let ready = foreign.iter().filter(|event| event.operation.ready_since().is_some());
        let lanes: HashSet<_> = ready.map(|event| event.operation.spec.lane.clone()).collect();
        let mut notices = Vec::new();
        for event in foreign.iter().filter(|event| event.kind == EventKind::Canceling) {
            let tenant = event.operation.tenant();
            let (id, token) = (event.operation.spec.id, event.operation.token);
            let held = self.reader.held(tenant).await?;
            let holder = held.into_iter().find(|held| held.id == id && held.token == token);
            let notice = Notice { id, token, kind: NoticeKind::Cancel };
            notices.extend(holder.map(|held| (tenant.clone(), held.worker, notice)));
        }
        Ok(News { lanes, notices })
    }
}

impl super::watch::Watch {
    /// Tells of everything that happened after one cursor up to another, by whichever node.
    fn publish(&self, after: i64, upto: i64, told: impl Iterator<Item = Arc<Told>>) {
        let told: Vec<Arc<Told>> = told.collect();
        let tenants = self.keep(after, upto, &told);
        for told in &told {
            let event = &told.event;
            let whose = || Whose::Operation(event.operation.tenant().clone(), event.operation.spec.id);
            self.ring(whose, event.cursor);
        }
        for (tenant, cursor) in tenants {
            self.ring(|| Whose::Tenant(tenant), cursor);
        }
    }
}
