//! The reading half: a few connections that only read, each call one short read transaction on a thread that may block.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, Row, Transaction};
use tokio::sync::Semaphore;

use super::columns::{RowColumns, fields};
use super::error::Result;
use super::lanes::LaneId;
use super::{counts, history, leases, open, payload, registry};
use crate::operation::{
    Attempt, Lane, Operation, OperationId, Payload, QueueName, Seq, State, TenantId, Timestamp,
};
use crate::store::clock::{Clock, ClockState};
use crate::store::query::{Listing, Query};
use crate::store::stored::damage::{Damage, sound};
use crate::store::stored::{Damaged, Fields, row};
use crate::store::{
    AllTenants, Events, Held, History, Payloads, QueueDepth, Reader, Registry, StoreError, Whose,
};

/// Reads that may go on at once.
const CONNECTIONS: usize = 6;
/// Those among them that look for what a list asks for: beside them and watchers that catch up some stay free for short
/// reads.
const SCANS: usize = 2;
/// Events that one read transaction looks at, so that it stays short even where most are another tenant's.
const EVENT_ROWS: usize = 2048;

/// How long a read transaction may last.
const LONGEST: Duration = Duration::from_secs(1);
/// Steps of SQLite's machine between two looks at the time.
const STEPS: std::ffi::c_int = 10_000;

static BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operation WHERE tenant = ?1 AND id = ?2", row::OPERATION));
static BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operation WHERE seq = ?1", row::OPERATION));
static BARE_BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operation WHERE seq = ?1", row::OPERATION_BARE));
const LANE: &str = "SELECT tenant, queue, operation_type FROM lane WHERE id = ?1";

/// Reads the store. It shows only what is durable: SQLite shows a commit to other connections after its sync.
#[derive(Debug)]
pub struct SqliteReader {
    inner: Arc<Inner>,
    clock: Arc<Clock>,
    epoch: u32,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) file: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
    scans: Semaphore,
    /// Lanes seen so far. What a committed row names never changes, so each is read once.
    lanes: RwLock<HashMap<LaneId, Arc<Lane>>>,
    pub(super) damage: Arc<Damage>,
    /// Open until no connection is: closing it drops the locks that SQLite has on the file.
    _synced: Arc<File>,
}

impl SqliteReader {
    pub(super) fn open(
        file: PathBuf,
        synced: Arc<File>,
        clock: Arc<Clock>,
        epoch: u32,
        damage: Arc<Damage>,
    ) -> Result<Self> {
        let idle = (0..CONNECTIONS).map(|_| open::reading(&file)).collect::<Result<Vec<_>>>()?;
        let inner = Inner {
            file,
            idle: Mutex::new(idle),
            turns: Arc::new(Semaphore::new(CONNECTIONS)),
            scans: Semaphore::new(SCANS),
            lanes: RwLock::default(),
            damage,
            _synced: synced,
        };
        Ok(Self { inner: Arc::new(inner), clock, epoch })
    }

    /// Reads in one short transaction, on a thread that may block.
    pub(super) async fn snapshot<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Inner, &Connection) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let closed = |_| StoreError::Busy("the reader is closing".to_owned());
        let turn = self.inner.turns.clone().acquire_owned().await.map_err(closed)?;
        let inner = self.inner.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match idle {
                Some(connection) => connection,
                // One was lost to a panic.
                None => open::reading(&inner.file)?,
            };
            let outcome = moment(&mut connection).and_then(|moment| read(&inner, &moment));
            inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            outcome
        });
        match reading.await {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(error) => Err(StoreError::Busy(error.to_string())),
        }
    }

    /// The same for one look of a scan. Scans take turns by the look, so that a short one never waits for a long one.
    pub(super) async fn scan<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Inner, &Connection) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, StoreError> {
        let closed = |_| StoreError::Busy("the reader is closing".to_owned());
        let _turn = self.inner.scans.acquire().await.map_err(closed)?;
        self.snapshot(look).await
    }
}

/// A read transaction, interrupted before it keeps the log from being copied back for long.
fn moment(connection: &mut Connection) -> Result<Transaction<'_>> {
    let began = Instant::now();
    connection.progress_handler(STEPS, Some(move || began.elapsed() > LONGEST))?;
    Ok(connection.transaction()?)
}

impl Inner {
    pub(super) fn lane(&self, connection: &Connection, id: LaneId) -> Result<Arc<Lane>> {
        if let Some(lane) = self.lanes.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(lane.clone());
        }
        let mut statement = connection.prepare_cached(LANE)?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or(Damaged("a row is of no known lane"))?;
        let lane = Arc::new(self.damage.heard("lane", id, row::lane(&mut fields(row)))?);
        self.lanes.write().unwrap_or_else(PoisonError::into_inner).insert(id, lane.clone());
        Ok(lane)
    }

    fn operation(
        &self,
        connection: &Connection,
        tenant: &TenantId,
        id: OperationId,
    ) -> Result<Option<Operation>> {
        let mut statement = connection.prepare_cached(&BY_ID)?;
        let mut rows = statement.query((tenant.as_str(), id.0.as_bytes().as_slice()))?;
        rows.next()?.map(|row| self.whole(connection, row)).transpose()
    }

    /// One of a list, which is there.
    pub(super) fn listed(&self, connection: &Connection, seq: Seq, payloads: bool) -> Result<Operation> {
        let mut statement = connection.prepare_cached(if payloads { &BY_SEQ } else { &BARE_BY_SEQ })?;
        let mut rows = statement.query([seq.0])?;
        let row = rows.next()?.ok_or(Damaged("an index leads to no row"))?;
        self.whole(connection, row)
    }

    fn whole(&self, connection: &Connection, row: &Row<'_>) -> Result<Operation> {
        let mut fields = fields(row);
        let seq = Seq(fields.int()?);
        self.damage.heard_of("operation", seq, self.decode(connection, &mut fields, seq))
    }

    /// The parts of a row after its number, and what is kept apart from it.
    fn decode(
        &self,
        connection: &Connection,
        fields: &mut Fields<RowColumns<'_>>,
        seq: Seq,
    ) -> Result<Operation> {
        let lane = self.lane(connection, fields.int()?)?;
        let mut operation = row::operation(fields, seq, lane, || leases::of(connection, seq))?;
        if let Some(Payload::Stored { .. }) = operation.spec.input {
            let input = payload::input(connection, seq)?.ok_or(Damaged("its input is not there"))?;
            // Just made, so it is not copied.
            Arc::make_mut(&mut operation.spec).input = Some(Payload::Inline(input));
        }
        if let State::Completed { result: result @ Some(Payload::Stored { .. }), .. } = &mut operation.state {
            let kept = payload::result(connection, seq)?.ok_or(Damaged("its result is not there"))?;
            *result = Some(Payload::Inline(kept));
        }
        Ok(operation)
    }

    /// One chunk of the history: what of so many rows is the caller's.
    fn events(&self, moment: &Connection, of: &Whose, after: i64, limit: usize) -> Result<Events> {
        match of {
            Whose::Tenant(tenant) => {
                let mut mine =
                    |id, _| Ok(sound(self.lane(moment, id))?.filter(|lane| lane.tenant == *tenant));
                history::chunk(moment, &self.damage, after, EVENT_ROWS, limit, &mut mine)
            }
            Whose::Operation(tenant, id) => {
                let Some(operation) = self.operation(moment, tenant, *id)? else {
                    return Ok(Events { events: Vec::new(), upto: after });
                };
                let lane = &operation.spec.lane;
                let mut mine = |_, seq| Ok((seq == operation.seq).then(|| lane.clone()));
                let Some(cursors) = history::chain(moment, operation.cursor, after)? else {
                    return history::chunk(moment, &self.damage, after, EVENT_ROWS, limit, &mut mine);
                };
                let mut chunk = Events { events: Vec::new(), upto: after };
                for cursor in cursors.into_iter().take(limit) {
                    chunk
                        .events
                        .extend(history::chunk(moment, &self.damage, cursor - 1, 1, 1, &mut mine)?.events);
                    chunk.upto = cursor;
                }
                Ok(chunk)
            }
        }
    }
}

#[async_trait]
impl Reader for SqliteReader {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn clock(&self) -> ClockState {
        self.clock.state()
    }

    async fn get(
        &self,
        tenant: &TenantId,
        id: OperationId,
    ) -> std::result::Result<Option<Operation>, StoreError> {
        let tenant = tenant.clone();
        self.snapshot(move |inner, connection| inner.operation(connection, &tenant, id)).await
    }

    async fn payloads(&self, operations: &[Seq]) -> std::result::Result<Vec<Payloads>, StoreError> {
        let operations = operations.to_vec();
        let all = move |inner: &Inner, connection: &Connection| {
            let one = |seq: &Seq| {
                sound(inner.damage.heard_of("payload", *seq, payload::payloads(connection, *seq)))
            };
            operations.iter().filter_map(|seq| one(seq).transpose()).collect()
        };
        self.snapshot(all).await
    }

    async fn attempts(&self, operation: Seq) -> std::result::Result<Vec<Attempt>, StoreError> {
        let read = move |inner: &Inner, connection: &Connection| {
            inner.damage.heard("attempt", operation.0, registry::attempts(connection, operation))
        };
        self.snapshot(read).await
    }

    async fn history(&self) -> std::result::Result<History, StoreError> {
        let epoch = self.epoch;
        self.snapshot(move |_, connection| history::ends(connection, epoch)).await
    }

    async fn events(&self, of: &Whose, after: i64, limit: usize) -> std::result::Result<Events, StoreError> {
        let of = of.clone();
        self.snapshot(move |inner, connection| inner.events(connection, &of, after, limit)).await
    }

    async fn list(&self, query: &Query) -> std::result::Result<Listing, StoreError> {
        self.page(query).await
    }

    async fn queues(
        &self,
        tenant: &TenantId,
        only: Option<&QueueName>,
    ) -> std::result::Result<Vec<QueueDepth>, StoreError> {
        let (tenant, only) = (tenant.clone(), only.cloned());
        let queues = move |inner: &Inner, connection: &Connection| {
            counts::queues(connection, &inner.damage, &tenant, only.as_ref())
        };
        self.snapshot(queues).await
    }

    async fn held(&self, tenant: &TenantId) -> std::result::Result<Vec<Held>, StoreError> {
        let tenant = tenant.clone();
        let held = move |inner: &Inner, connection: &Connection| {
            leases::of_tenant(connection, &tenant, |id| inner.lane(connection, id))
        };
        self.snapshot(held).await
    }

    async fn registry(&self, _: AllTenants) -> std::result::Result<Registry, StoreError> {
        self.snapshot(|inner, connection| registry::all(connection, &inner.damage)).await
    }
}
