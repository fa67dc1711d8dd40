//! The reading half. Whatever is on the disk is durable, so it shows all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::MemoryDisk;
use super::record::{Record, without_payloads};
use crate::operation::{
    Attempt, Controls, Event, Operation, OperationId, QueueName, Seq, Status, TenantId, Timestamp,
};
use crate::store::clock::{Clock, ClockState};
use crate::store::query::{Filling, Filter, Known, Listing, Order, Page, Position, Query};
use crate::store::queue::Queue;
use crate::store::turn::DepositNumber;
use crate::store::{
    AllTenants, Deposit, Events, Held, History, Payloads, QueueDepth, Reader, Registry, SharedReader,
    StoreError, Whose,
};

/// The reading half.
#[derive(Debug)]
pub struct MemoryReader {
    pub(super) disk: MemoryDisk,
    pub(super) clock: Arc<Clock>,
}

#[async_trait]
impl Reader for MemoryReader {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn clock(&self) -> ClockState {
        self.clock.state()
    }

    async fn get(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let kept = self.disk.kept();
        let mut records = kept.operations.values();
        let named = records.find(|record| record.row.tenant() == tenant && record.row.spec.id == id);
        Ok(named.map(Record::whole))
    }

    async fn payloads(&self, operations: &[Seq]) -> Result<Vec<Payloads>, StoreError> {
        let kept = self.disk.kept();
        let one = |seq: &Seq| {
            let record = kept.operations.get(seq);
            let input = record.and_then(|record| record.input.clone());
            let checkpoint = record.and_then(|record| record.checkpoint.clone());
            Payloads { seq: *seq, input, checkpoint }
        };
        Ok(operations.iter().map(one).collect())
    }

    async fn attempts(&self, operation: Seq) -> Result<Vec<Attempt>, StoreError> {
        let kept = self.disk.kept();
        Ok(kept.operations.get(&operation).map(|record| record.attempts.clone()).unwrap_or_default())
    }

    async fn history(&self) -> Result<History, StoreError> {
        let kept = self.disk.kept();
        Ok(History { epoch: kept.epoch, whole_after: kept.pruned_upto, last: kept.last_cursor })
    }

    async fn events(&self, of: &Whose, after: i64, limit: usize) -> Result<Events, StoreError> {
        let kept = self.disk.kept();
        let mine = |event: &Event| match of {
            Whose::Tenant(tenant) => event.operation.tenant() == tenant,
            Whose::Operation(tenant, id) => {
                event.operation.tenant() == tenant && event.operation.spec.id == *id
            }
        };
        Ok(kept.events_after(after, limit, mine))
    }

    async fn list(&self, query: &Query) -> Result<Listing, StoreError> {
        let kept = self.disk.kept();
        let is_asked_for = |record: &&Record| {
            let row = &record.row;
            let holds = |filter: &Filter| filter.holds(&Known::of(row)) == Some(true);
            *row.tenant() == query.tenant && query.filter.as_ref().is_none_or(holds)
        };
        let mut asked: Vec<&Record> = kept.operations.values().filter(is_asked_for).collect();
        asked.sort_by_key(|record| Position::of(&record.row));
        if query.order == Order::NewestFirst {
            asked.reverse();
        }
        let count = query.count.then_some(asked.len() as u64);
        let follows = |record: &Record| {
            query.after.is_none_or(|after| query.order.is_before(after, Position::of(&record.row)))
        };
        let mut page = Filling::new(query.limit);
        let mut following = asked.into_iter().filter(|record| follows(record)).peekable();
        while !page.is_full()
            && let Some(record) = following.next()
        {
            page.add(if query.payloads { record.whole() } else { without_payloads(record.whole()) });
        }
        let next = page.last().filter(|_| following.peek().is_some());
        Ok(Listing::Found(Page { operations: page.operations, next, count }))
    }

    async fn queues(
        &self,
        tenant: &TenantId,
        only: Option<&QueueName>,
    ) -> Result<Vec<QueueDepth>, StoreError> {
        let kept = self.disk.kept();
        let mut queues = BTreeMap::new();
        for ((_, queue), controls) in kept.queues.iter().filter(|((of, _), _)| of == tenant) {
            queues.insert(
                queue.clone(),
                QueueDepth { controls: *controls, ..QueueDepth::empty(queue.clone()) },
            );
        }
        for row in kept.rows().filter(|row| row.tenant() == tenant && !row.spec.external) {
            let queue = &row.spec.lane.queue;
            let depth = queues.entry(queue.clone()).or_insert_with(|| QueueDepth::empty(queue.clone()));
            let ready_since = row.ready_since();
            let count = match row.status() {
                Status::NotStarted if ready_since.is_some() => &mut depth.ready,
                Status::NotStarted => &mut depth.held,
                Status::Running => &mut depth.running,
                Status::Completed => &mut depth.completed,
                Status::Failed => &mut depth.failed,
            };
            *count += 1;
            let oldest = [depth.oldest_ready, ready_since].into_iter().flatten().min();
            depth.oldest_ready = oldest;
        }
        queues.retain(|queue, _| only.is_none_or(|only| only == queue));
        Ok(queues.into_values().collect())
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, StoreError> {
        let kept = self.disk.kept();
        let one = |row: &Arc<Operation>| {
            let lease = row.lease()?;
            Some(Held {
                worker: lease.worker.clone(),
                id: row.spec.id,
                lane: row.spec.lane.clone(),
                token: lease.token,
                until: lease.until,
            })
        };
        let mut held: Vec<Held> = kept.rows().filter(|row| row.tenant() == tenant).filter_map(one).collect();
        held.sort_by(|one, other| one.worker.cmp(&other.worker));
        Ok(held)
    }

    async fn registry(&self, _: AllTenants) -> Result<Registry, StoreError> {
        let kept = self.disk.kept();
        let queue = |((tenant, name), controls): (&(TenantId, QueueName), &Controls)| Queue {
            tenant: tenant.clone(),
            name: name.clone(),
            controls: *controls,
        };
        Ok(Registry {
            workers: kept.workers.values().cloned().collect(),
            credentials: kept.credentials.values().cloned().collect(),
            queues: kept.queues.iter().map(queue).collect(),
            link_key: kept.link_key,
        })
    }

    fn shared(&self) -> Option<&dyn SharedReader> {
        Some(self)
    }
}

#[async_trait]
impl SharedReader for MemoryReader {
    async fn tail(&self, _: AllTenants, after: i64, limit: usize) -> Result<Events, StoreError> {
        Ok(self.disk.kept().events_after(after, limit, |_| true))
    }

    fn commit_hints(&self) -> watch::Receiver<()> {
        self.disk.committed.subscribe()
    }

    async fn deposits(&self, _: AllTenants, after: DepositNumber) -> Result<Vec<Deposit>, StoreError> {
        Ok(self.disk.kept().deposits.range(after + 1..).map(|(_, deposit)| deposit.clone()).collect())
    }

    fn deposit_hints(&self) -> watch::Receiver<()> {
        self.disk.deposited.subscribe()
    }
}
