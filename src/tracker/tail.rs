//! Where several nodes write the store, this publishes what happened to those who watch at this node, in the one order that
//! all nodes see, whoever wrote it: what this node wrote from memory ([`super::own`]), what others did as the store tells it.
//! What other nodes made ready, or asked to end, it passes on to the loop.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::entry::{Notice, NoticeKind, Want};
use super::inbox::Inbox;
use super::intake::Intake;
use super::own::{Commit, Next};
use super::recent::Told;
use super::shared::Shared;
use crate::limits;
use crate::operation::{Event, EventKind, Lane, QueueName, Seq, Status, TenantId, WorkerId};
use crate::store::{AllTenants, Events, Held, Reader, SharedReader, Whose};

/// After the store could not be read.
const PAUSE: Duration = Duration::from_millis(200);

/// What an event says that may concern those who wait at this node.
#[derive(Debug)]
pub(super) enum News {
    /// Something may be there to be taken.
    Free(Free),
    /// A worker should know something.
    Notice(TenantId, WorkerId, Notice),
}

/// Where something may be there to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Free {
    /// An operation is ready in this lane.
    Ready(Arc<Lane>),
    /// One of a limited queue ended, so that another one may start, of whatever type.
    Place(TenantId, QueueName),
}

impl Free {
    /// Whether a claim asks for it.
    pub(super) fn is_for(&self, want: &Want) -> bool {
        match self {
            Self::Ready(lane) => want.tenant == lane.tenant && want.covers(&lane.queue, &lane.operation_type),
            Self::Place(tenant, queue) => {
                want.tenant == *tenant && want.queues.as_ref().is_none_or(|queues| queues.contains(queue))
            }
        }
    }
}

impl Intake {
    /// Takes what other nodes did, by the cursors of their events, and tells the workers whose calls wait here. Whether there
    /// may be something for claims that wait. What this node did is known by now: it is heard between turns.
    pub(super) fn hear(&mut self, news: Vec<(i64, News)>) -> bool {
        let mut free = HashSet::new();
        let mut noticed = false;
        for (cursor, news) in news {
            if self.shared.own.is_own(cursor) {
                continue;
            }
            match news {
                News::Free(place) => drop(free.insert(place)),
                News::Notice(tenant, worker, notice) => {
                    self.claims.notify(&tenant, &worker, notice);
                    noticed = true;
                }
            }
        }
        if noticed {
            self.tell_notified();
        }
        !free.is_empty() && self.claims.ask_for(&free)
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
        let reader = self.reader.clone();
        let Some(reader) = reader.shared() else { return };
        let mut hints = reader.commit_hints();
        loop {
            let go_on = async {
                match self.shared.own.next(self.cursor) {
                    Next::Mine(Commit { upto, told, .. }) => self.publish(upto, &told),
                    // What lies between was lost, or is not there yet where it is read.
                    Next::Others if !self.read(reader).await => tokio::time::sleep(PAUSE).await,
                    Next::Others => {}
                    Next::Unknown => tokio::select! {
                        () = self.shared.own.grown() => {}
                        // Whatever hints got lost: at least this often.
                        _ = timeout(limits::LOOK_EVERY, hints.changed()) => {
                            if self.read(reader).await {
                                // There may be more.
                                hints.mark_changed();
                            }
                        }
                    },
                }
            };
            tokio::select! {
                () = go_on => {}
                _ = ended.wait_for(|ended| *ended) => return,
            }
        }
    }

    /// Publishes everything after the cursor, up to another one.
    fn publish(&mut self, upto: i64, told: &[Arc<Told>]) {
        let from = told.partition_point(|told| told.event.cursor <= self.cursor);
        let after = std::mem::replace(&mut self.cursor, upto);
        self.shared.watch.publish(after, upto, &told[from..]);
    }

    /// Reads on in the store, and tells the loop what others did. Whether there was anything, or that cannot be said.
    async fn read(&mut self, reader: &dyn SharedReader) -> bool {
        let Events { events, upto } = match reader.tail(AllTenants, self.cursor, limits::EVENTS_CHUNK).await {
            Ok(events) => events,
            Err(error) => {
                tracing::debug!(%error, "the end of the events cannot be read just now");
                tokio::time::sleep(PAUSE).await;
                return true;
            }
        };
        if upto == self.cursor {
            return false;
        }
        let news = self.news(&events);
        let asked = events.iter().filter(|event| event.kind == EventKind::Canceling);
        let asked: Vec<Asked> = asked.map(Asked::of).collect();
        let told: Vec<Arc<Told>> = events.into_iter().map(Told::from).map(Arc::new).collect();
        self.publish(upto, &told);
        if !news.is_empty() {
            self.inbox.hear(news);
        }
        let notices = self.notices(asked).await;
        if !notices.is_empty() {
            self.inbox.hear(notices);
        }
        true
    }

    /// What these events left to be taken.
    fn news(&self, events: &[Event]) -> Vec<(i64, News)> {
        // What was ready and is taken already concerns nobody: mostly by the very commit that made it.
        let last: HashMap<Seq, i64> =
            events.iter().map(|event| (event.operation.seq, event.cursor)).collect();
        let is_last = |event: &Event| last.get(&event.operation.seq) == Some(&event.cursor);
        let mut news = Vec::new();
        for event in events {
            let lane = &event.operation.spec.lane;
            if event.operation.ready_since().is_some() && is_last(event) {
                news.push((event.cursor, News::Free(Free::Ready(lane.clone()))));
            }
            if event.status_before == Some(Status::Running)
                && event.operation.status() != Status::Running
                && self.shared.controlled.of(&lane.tenant, &lane.queue).max_running.is_some()
            {
                let place = Free::Place(lane.tenant.clone(), lane.queue.clone());
                news.push((event.cursor, News::Free(place)));
            }
        }
        news
    }

    /// What the holders of operations should know whose end was asked for. Where the store does not say who they are, they
    /// learn it from what it answers to their reports.
    async fn notices(&self, asked: Vec<Asked>) -> Vec<(i64, News)> {
        let mut held: HashMap<TenantId, Vec<Held>> = HashMap::new();
        let mut notices = Vec::new();
        for Asked { cursor, tenant, notice } in asked {
            if !held.contains_key(&tenant) {
                held.insert(tenant.clone(), self.reader.held(&tenant).await.unwrap_or_default());
            }
            let is_it = |held: &&Held| held.id == notice.id && held.token == notice.token;
            let holder = held.get(&tenant).and_then(|held| held.iter().find(is_it));
            notices.extend(holder.map(|held| (cursor, News::Notice(tenant, held.worker.clone(), notice))));
        }
        notices
    }
}

/// The end of an operation that runs was asked for.
struct Asked {
    cursor: i64,
    tenant: TenantId,
    notice: Notice,
}

impl Asked {
    fn of(event: &Event) -> Self {
        let Event { cursor, operation, .. } = event;
        let notice = Notice { id: operation.spec.id, token: operation.token, kind: NoticeKind::Cancel };
        Self { cursor: *cursor, tenant: operation.tenant().clone(), notice }
    }
}

impl super::watch::Watch {
    /// Tells of everything that happened after one cursor up to another, by whichever node.
    fn publish(&self, after: i64, upto: i64, told: &[Arc<Told>]) {
        let tenants = self.keep(after, upto, told);
        for told in told {
            let event = &told.event;
            let whose = || Whose::Operation(event.operation.tenant().clone(), event.operation.spec.id);
            self.ring(whose, event.cursor);
        }
        for (tenant, cursor) in tenants {
            self.ring(|| Whose::Tenant(tenant), cursor);
        }
    }
}
