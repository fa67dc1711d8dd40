//! The reading half: a few connections, each call one round trip or two.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tokio_postgres::Row;

use super::columns::{Value, fields};
use super::error::{Fault, Result};
use super::hints::Hints;
use super::lanes::Lanes;
use super::link::{Begin, Lent};
use super::load::seqs;
use super::operations::{self, BARE_COLUMNS, FROM, WHOLE, WHOLE_FROM};
use super::points::{self, Points};
use super::{counts, history, inbox, list};
use crate::limits;
use crate::metrics::Metrics;
use crate::operation::{Attempt, LeaseToken, Operation, OperationId, QueueName, Seq, TenantId, Timestamp};
use crate::store::clock::{Clock, ClockState};
use crate::store::query::{Listing, Query};
use crate::store::stored::damage::sound;
use crate::store::stored::{Damage, Damaged, registry, row, text};
use crate::store::turn::DepositNumber;
use crate::store::{
    AllTenants, Deposit, Events, Held, History, Payloads, QueueDepth, Reader, Registry, SharedReader,
    StoreError, Whose,
};

const READ_ONLY: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How a transaction begins that reads what is named.
pub(super) static READ: LazyLock<Begin> =
    LazyLock::new(|| Begin::new(READ_ONLY, &[("statement_timeout", "5s")]));
/// How one begins that looks through much.
pub(super) static LIST: LazyLock<Begin> = LazyLock::new(|| {
    let longest = format!("{}ms", limits::SCAN_MAX.as_millis());
    Begin::new(READ_ONLY, &[("statement_timeout", &longest)])
});

static BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM {WHOLE_FROM} WHERE o.seq = ANY ($1)", *WHOLE));
static BARE_BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM {FROM} WHERE o.seq = ANY ($1)", *BARE_COLUMNS));
const CLAIMED: &str = "SELECT v.seq, o.input_bytes, p.json, c.json FROM unnest($1::bigint[]) WITH ORDINALITY AS v (seq, place) \
     LEFT JOIN longrun.operation o USING (seq) LEFT JOIN longrun.payload p ON p.slot = v.seq * 2 \
     LEFT JOIN longrun.checkpoint c USING (seq) ORDER BY v.place";
static ATTEMPTS: LazyLock<String> = LazyLock::new(|| {
    let columns = registry::ATTEMPT[1..].join(", ");
    format!("SELECT {columns} FROM longrun.attempt WHERE seq = $1 ORDER BY token")
});
const HELD: &str = "SELECT le.worker, o.id, o.lane, le.token, le.until FROM longrun.lease le \
     JOIN longrun.operation o USING (seq) WHERE o.tenant = $1 ORDER BY le.worker, le.seq";

fn all_of(table: &str, columns: &[&str], order: &str) -> String {
    format!("SELECT {} FROM longrun.{table} ORDER BY {order}", columns.join(", "))
}
static WORKERS: LazyLock<String> = LazyLock::new(|| all_of("worker", &registry::WORKER, "tenant, id"));
const LINK_KEY: &str = "SELECT value FROM longrun.secret WHERE name = 'links'";
static CREDENTIALS: LazyLock<String> = LazyLock::new(|| all_of("credential", &registry::CREDENTIAL, "id"));
static QUEUES: LazyLock<String> = LazyLock::new(|| all_of("queue", &registry::QUEUE, "tenant, name"));

/// Reads the store.
pub struct PostgresReader {
    pub(super) pool: Pool,
    pub(super) clock: Arc<Clock>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) damage: Arc<Damage>,
    pub(super) epoch: u32,
    pub(super) hints: Arc<Hints>,
    pub(super) points: Points,
    pub(super) metrics: Arc<Metrics>,
}

impl std::fmt::Debug for PostgresReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PostgresReader").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl PostgresReader {
    pub(super) async fn client(&self) -> Result<Lent> {
        let began = Instant::now();
        let client = self.pool.get().await;
        self.metrics.database.connection_wait.observe(began.elapsed().as_secs_f64());
        Ok(Lent { client: client?, is_session: self.hints.are_sessions() })
    }

    /// Connections in use, and those at rest.
    pub(super) fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.available)
    }

    /// One statement.
    pub(super) async fn ask<'v>(&self, sql: &'v str, values: Vec<Value<'v>>) -> Result<Vec<Row>> {
        let client = self.client().await?;
        let mut pipeline = client.reading(&READ);
        let asked = pipeline.call(sql, values);
        Ok(pipeline.over().await?.take(asked))
    }

    /// The operations of these numbers that are there and can be read.
    pub(super) async fn numbered(&self, client: &Lent, of: &[Seq], payloads: bool) -> Result<Vec<Operation>> {
        let (sql, read) = if payloads {
            (&*BY_SEQ, operations::whole as fn(&Row, &Lanes, &Damage) -> _)
        } else {
            (&*BARE_BY_SEQ, operations::read as _)
        };
        let mut pipeline = client.reading(&READ);
        let found = pipeline.call(sql, vec![seqs(of)]);
        let answers = pipeline.over().await?;
        let rows = answers.of(found);
        self.lanes.meet(client.link(), &self.damage, rows.iter().filter_map(operations::lane_of)).await?;
        let sound = |row| sound(read(row, &self.lanes, &self.damage)).transpose();
        rows.iter().filter_map(sound).collect()
    }

    async fn claimed(&self, operations: &[Seq]) -> Result<Vec<Payloads>> {
        let rows = self.ask(CLAIMED, vec![seqs(operations)]).await?;
        let read = |row: &Row| {
            let mut fields = fields(row);
            let seq = Seq(fields.int()?);
            let apart = fields.maybe_int()?.is_some();
            let input = fields.maybe_blob()?.map(text::json).transpose()?;
            if apart && input.is_none() {
                return Err(Damaged("its input is not there"));
            }
            Ok(Payloads { seq, input, checkpoint: fields.maybe_blob()?.map(text::json).transpose()? })
        };
        let heard = |row: &Row| {
            let seq = operations::seq_of(row)?;
            Ok(sound(self.damage.heard_of("payload", seq, read(row)))?)
        };
        rows.iter().filter_map(|row| heard(row).transpose()).collect()
    }

    async fn ended(&self, operation: Seq) -> Result<Vec<Attempt>> {
        let rows = self.ask(&ATTEMPTS, vec![Value::Int(operation.0)]).await?;
        let read = |row: &Row| Ok(registry::attempt(&mut fields(row), operation)?);
        self.damage.heard("attempt", operation.0, rows.iter().map(read).collect())
    }

    async fn leases(&self, tenant: &TenantId) -> Result<Vec<Held>> {
        let client = self.client().await?;
        let mut pipeline = client.reading(&READ);
        let found = pipeline.call(HELD, vec![Value::Text(tenant.as_str().into())]);
        let answers = pipeline.over().await?;
        let lanes = answers.of(found).iter().filter_map(|row| row.try_get(2).ok());
        self.lanes.meet(client.link(), &self.damage, lanes).await?;
        let read = |row: &Row| {
            let mut fields = fields(row);
            Ok(Held {
                worker: text::tag(fields.text()?)?,
                id: row::id(&mut fields)?,
                lane: self.lanes.get(fields.int()?)?,
                token: LeaseToken(fields.int()?),
                until: fields.time()?,
            })
        };
        let sound = |row: &Row| sound(read(row)).transpose();
        answers
            .of(found)
            .iter()
            .filter_map(sound)
            .map(|read: std::result::Result<_, Damaged>| Ok(read?))
            .collect()
    }

    async fn small_tables(&self) -> Result<Registry> {
        let client = self.client().await?;
        let mut pipeline = client.reading(&READ);
        let workers = pipeline.call(&WORKERS, Vec::new());
        let credentials = pipeline.call(&CREDENTIALS, Vec::new());
        let queues = pipeline.call(&QUEUES, Vec::new());
        let link_key = pipeline.call(LINK_KEY, Vec::new());
        let answers = pipeline.over().await?;
        let mut registry = Registry::default();
        for row in answers.of(workers) {
            let read = registry::worker(&mut fields(row));
            registry.workers.extend(sound(self.damage.heard("worker", name(row), read))?);
        }
        for row in answers.of(queues) {
            let read = registry::queue(&mut fields(row));
            registry.queues.extend(sound(self.damage.heard("queue", name(row), read))?);
        }
        for row in answers.of(credentials) {
            registry.credentials.push(registry::credential(&mut fields(row))?);
        }
        let link_key = answers.of(link_key).first();
        registry.link_key = link_key.map(|row| registry::link_key(&mut fields(row))).transpose()?;
        Ok(registry)
    }
}

/// A row's second column, to tell which one is damaged.
fn name(row: &Row) -> String {
    row.try_get::<_, Option<String>>(1).ok().flatten().unwrap_or_default()
}

/// The error as callers know it.
async fn told<T>(read: impl Future<Output = Result<T>>) -> std::result::Result<T, StoreError> {
    read.await.map_err(|fault: Fault| fault.into())
}

#[async_trait]
impl Reader for PostgresReader {
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
        points::get(self, tenant, id).await
    }

    async fn payloads(&self, operations: &[Seq]) -> std::result::Result<Vec<Payloads>, StoreError> {
        told(self.claimed(operations)).await
    }

    async fn attempts(&self, operation: Seq) -> std::result::Result<Vec<Attempt>, StoreError> {
        told(self.ended(operation)).await
    }

    async fn history(&self) -> std::result::Result<History, StoreError> {
        told(history::ends(self)).await
    }

    async fn events(&self, of: &Whose, after: i64, limit: usize) -> std::result::Result<Events, StoreError> {
        told(history::events(self, of, after, limit)).await
    }

    async fn list(&self, query: &Query) -> std::result::Result<Listing, StoreError> {
        told(list::page(self, query)).await
    }

    async fn queues(
        &self,
        tenant: &TenantId,
        only: Option<&QueueName>,
    ) -> std::result::Result<Vec<QueueDepth>, StoreError> {
        told(counts::queues(self, tenant, only)).await
    }

    async fn held(&self, tenant: &TenantId) -> std::result::Result<Vec<Held>, StoreError> {
        told(self.leases(tenant)).await
    }

    async fn registry(&self, _: AllTenants) -> std::result::Result<Registry, StoreError> {
        told(self.small_tables()).await
    }

    fn shared(&self) -> Option<&dyn SharedReader> {
        Some(self)
    }
}

#[async_trait]
impl SharedReader for PostgresReader {
    async fn tail(&self, _: AllTenants, after: i64, limit: usize) -> std::result::Result<Events, StoreError> {
        told(history::forward(self, None, after, limit)).await
    }

    fn commit_hints(&self) -> tokio::sync::watch::Receiver<()> {
        self.hints.heard()
    }

    async fn deposits(
        &self,
        _: AllTenants,
        after: DepositNumber,
    ) -> std::result::Result<Vec<Deposit>, StoreError> {
        told(inbox::after(self, after)).await
    }

    fn deposit_hints(&self) -> tokio::sync::watch::Receiver<()> {
        self.hints.deposits()
    }
}
