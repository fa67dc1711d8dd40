//! Loads a turn: one round trip for what commands name and claims ask for, and one before it where time may have acted.
//!
//! Locks are taken in one order by every node, so that turns wait for each other and never in a circle: what is due (passed
//! over where another node has it), operations that are named, by number, deposits (passed over, too), queues by name, what is
//! ready (passed over, too);
//! the order of events comes last, with the commit. A statement that has waited for a row sees that row as it is now, but
//! what it joins as it was when the statement began: so what is locked by one statement is read by the next.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tokio_postgres::Row;

use super::claim::Wants;
use super::columns::{Value, fields, fields_after};
use super::error::Result;
use super::link::{Answers, Begin, Link, Pipeline, Place};
use super::numbers::Numbers;
use super::operations::{self, COLUMNS, FROM, UNDER_CLAIMS};
use super::sweep::LEASE_BYTES;
use super::{Resident, inbox, prune, queues, starts};
use crate::limits;
use crate::operation::{Lane, Seq, TenantId, Timestamp};
use crate::store::stored::damage::sound;
use crate::store::stored::{row, text};
use crate::store::turn::{Touches, WorkingSet};

/// How every transaction begins. Whatever waits longer than this is tried again; a node that hangs in the middle of one
/// keeps the others waiting no longer than that.
pub(super) static BEGIN: LazyLock<Begin> = LazyLock::new(|| {
    let waits =
        [("lock_timeout", "2s"), ("statement_timeout", "10s"), ("idle_in_transaction_session_timeout", "5s")];
    Begin::new("BEGIN", &waits)
});

/// Under a lock, since a node that ends gives back what it has not used.
pub(super) const LOCK_BLOCKS: &str = "SELECT pg_advisory_xact_lock(7804106201)";
const NEXT_BLOCK: &str = "SELECT nextval('longrun.operation_seq')";

pub(super) const REST: &str = "UPDATE longrun.lease SET until = $1 + LEAST(seconds, $2) * 10000000 \
     WHERE until < $1 + LEAST(seconds, $2) * 10000000";

const DUE_LEASES: &str = "SELECT o.seq FROM longrun.lease le JOIN longrun.operation o USING (seq) \
     WHERE LEAST(le.until, le.pending_until) <= $1 AND o.seq <> ALL ($3) \
     ORDER BY LEAST(le.until, le.pending_until), o.seq LIMIT $2 FOR UPDATE OF o SKIP LOCKED";
const DUE_ROWS: &str = "SELECT seq FROM longrun.operation WHERE wake_at IS NOT NULL AND wake_at <= $1 \
     AND seq <> ALL ($3) ORDER BY wake_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED";

static LOCK_NAMED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT o.seq FROM longrun.operation o {} ORDER BY o.seq FOR NO KEY UPDATE OF o",
        operations::by_id([1, 2])
    )
});
static BY_ID: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {}, named.tenant, named.id FROM {FROM} {}", *COLUMNS, operations::by_id([1, 2]))
});
static BY_KEY: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {}, named.tenant, named.key FROM {FROM} {}", *COLUMNS, operations::by_key([1, 2]))
});
static BY_CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])) AS named (tenant, worker, claim) \
         {UNDER_CLAIMS} JOIN longrun.operation o ON o.seq = le.seq AND o.tenant = named.tenant ORDER BY o.seq",
        *COLUMNS
    )
});
static BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM {FROM} WHERE o.seq = ANY ($1)", *COLUMNS));

pub(super) const KNOWN_LANES: &str = "SELECT l.id, l.tenant, l.queue, l.operation_type FROM longrun.lane l \
     JOIN unnest($1::text[], $2::text[], $3::text[]) AS named (tenant, queue, operation_type) \
     USING (tenant, queue, operation_type)";
const LANES_OF: &str = "SELECT tenant, count(*) FROM longrun.lane WHERE tenant = ANY ($1) GROUP BY tenant";

/// The time, the transaction's id, and whether any queue has controls.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 10000000)::bigint, pg_current_xact_id()::text, \
     EXISTS (SELECT 1 FROM longrun.queue)::int";

/// A transaction that is open.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// By which it is asked, should the connection be lost, what became of it.
    pub(super) transaction: String,
    /// Something was written already: leases rest.
    pub(super) wrote: bool,
}

/// Loads one turn.
pub(super) struct Loading<'a> {
    pub(super) link: Link<'a>,
    pub(super) resident: &'a mut Resident,
    pub(super) touches: &'a Touches,
    pub(super) set: WorkingSet,
    /// What the wants passed over.
    pub(super) expired: Vec<Seq>,
}

/// The statements of the main round trip, to find their answers by.
struct Asked {
    named: Option<Place>,
    keyed: Option<Place>,
    claimed: Option<Place>,
    due: Option<Place>,
    lanes: Option<(Place, Place)>,
    deposits: Option<Place>,
    queues: queues::Asked,
    news: Option<Place>,
    heads: Vec<Place>,
    stale: Option<prune::Asked>,
    block: Option<Place>,
    clock: Place,
}

impl<'a> Loading<'a> {
    pub(super) fn new(link: Link<'a>, resident: &'a mut Resident, touches: &'a Touches) -> Self {
        let set = WorkingSet::new(resident.clock.now(), Seq(resident.numbers.next));
        Self { link, resident, touches, set, expired: Vec::new() }
    }

    /// Begins the transaction and loads. None: a queue has controls by now, and nothing was asked about it.
    pub(super) async fn all(mut self) -> Result<Option<(WorkingSet, Open)>> {
        let mut pipeline = Pipeline::new(self.link);
        pipeline.begin(&BEGIN);
        let mut wrote = false;
        if self.touches.rest_leases || self.touches.due > 0 {
            wrote = self.fall_due(pipeline).await?;
            pipeline = Pipeline::new(self.link);
        }
        let controls = self.resident.controls || !self.touches.queues.is_empty();
        let mut wants = Wants::of(self.touches, controls);
        self.resident.starts.begin();
        let asked = self.ask(&mut pipeline, &wants, controls);
        let began = Instant::now();
        let answers = pipeline.run().await?;
        if wants.has_starts() {
            self.resident.starts.read(began.elapsed());
        }
        self.meet_lanes(&answers).await?;
        let transaction = self.take_clock(&answers, asked.clock)?;
        self.take_block(&answers, asked.block)?;
        // The block is this node's, whatever becomes of the transaction.
        if self.resident.controls && !controls {
            return Ok(None);
        }
        self.take_named(&answers, &asked)?;
        self.take_lanes(&answers, asked.lanes)?;
        for row in asked.deposits.map_or(&[][..], |place| answers.of(place)) {
            self.set.deposits.insert(fields(row).int()?);
        }
        self.take_queues(&answers, &asked.queues)?;
        if self.resident.starts.hear(asked.news.map_or(&[][..], |place| answers.of(place)))? {
            let mut pipeline = Pipeline::new(self.link);
            let heads = self.ask_heads(&mut pipeline, &wants);
            let answers = pipeline.run().await?;
            self.meet_lanes(&answers).await?;
            self.take_heads(&mut wants, heads.iter().map(|place| answers.of(*place)))?;
        } else {
            self.take_heads(&mut wants, asked.heads.iter().map(|place| answers.of(*place)))?;
        }
        self.take_wanted(&mut wants).await?;
        self.take_expired();
        if let Some(stale) = &asked.stale {
            self.take_stale(&answers, stale)?;
        }
        Ok(Some((self.set, Open { transaction, wrote })))
    }

    /// Lets leases rest, and finds what time has acted on: leases first, since somebody's work hangs on them.
    async fn fall_due(&mut self, mut pipeline: Pipeline<'a>) -> Result<bool> {
        let now = self.set.now.ticks();
        if self.touches.rest_leases {
            let most = i64::from(limits::LEASE_REST_SECONDS_MAX);
            pipeline.call(REST, vec![Value::Int(now), Value::Int(most)]);
        }
        let limit = as_int(self.touches.due);
        let sweeps = self.resident.sweep.is_due();
        let values = || vec![Value::Int(now), Value::Int(limit), self.resident.aside()];
        let leases =
            sweeps.then(|| (pipeline.call(DUE_LEASES, values()), pipeline.call(LEASE_BYTES, Vec::new())));
        let rows = pipeline.call(DUE_ROWS, values());
        let answers = pipeline.run().await?;
        let mut due = Vec::new();
        if let Some((leases, bytes)) = leases {
            due.extend(answers.of(leases));
            if let Some(row) = answers.of(bytes).first() {
                self.resident.sweep.looked_through(fields(row).int()?);
            }
        }
        due.extend(answers.of(rows));
        let due = due.into_iter().take(self.touches.due);
        self.set.due = due.map(operations::seq_of).collect::<Result<_>>()?;
        Ok(self.touches.rest_leases)
    }

    fn ask(&self, pipeline: &mut Pipeline<'a>, wants: &Wants<'a>, controls: bool) -> Asked {
        let Touches { ids, keys, claims, lanes, deposits, .. } = self.touches;
        let named = (!ids.is_empty()).then(|| {
            let named = || {
                vec![
                    tenants(ids),
                    Value::Blobs(ids.iter().map(|(_, id)| Some(&id.0.as_bytes()[..])).collect()),
                ]
            };
            pipeline.call(&LOCK_NAMED, named());
            pipeline.call(&BY_ID, named())
        });
        let keyed = (!keys.is_empty()).then(|| {
            pipeline.call(&BY_KEY, vec![tenants(keys), Value::texts(keys.iter().map(|(_, key)| &**key))])
        });
        let claimed = (!claims.is_empty()).then(|| {
            let values = vec![
                Value::texts(claims.iter().map(|(tenant, ..)| tenant.as_str())),
                Value::texts(claims.iter().map(|(_, worker, _)| worker.as_str())),
                Value::texts(claims.iter().map(|(.., claim)| claim.as_str())),
            ];
            pipeline.call(&BY_CLAIM, values)
        });
        let due = (!self.set.due.is_empty()).then(|| pipeline.call(&BY_SEQ, vec![seqs(&self.set.due)]));
        let unknown: Vec<&'a Lane> =
            lanes.iter().map(|lane| &**lane).filter(|lane| self.resident.lanes.id(lane).is_none()).collect();
        let lanes = (!unknown.is_empty()).then(|| {
            let named = pipeline.call(KNOWN_LANES, lane_values(&unknown));
            let of =
                pipeline.call(LANES_OF, vec![Value::texts(unknown.iter().map(|lane| lane.tenant.as_str()))]);
            (named, of)
        });
        let deposits = (!deposits.is_empty())
            .then(|| pipeline.call(inbox::TAKE, vec![Value::ints(deposits.iter().copied())]));
        let queues = queues::ask(pipeline, self.touches, &self.set.due, controls);
        let news = wants.has_starts().then(|| pipeline.call(starts::NEWS, self.resident.starts.asked()));
        let heads = self.ask_heads(pipeline, wants);
        let stale = self
            .touches
            .prune
            .as_ref()
            .map(|step| prune::ask(pipeline, step, [self.resident.aside(), self.resident.aside()]));
        let short = self.resident.numbers.left() < as_int(self.touches.lanes.len().max(1));
        let block = short.then(|| {
            pipeline.call(LOCK_BLOCKS, Vec::new());
            pipeline.call(NEXT_BLOCK, Vec::new())
        });
        let clock = pipeline.call(CLOCK, Vec::new());
        Asked { named, keyed, claimed, due, lanes, deposits, queues, news, heads, stale, block, clock }
    }

    /// All rows of operations name lanes; those that this node has not met are read before the rows are.
    pub(super) async fn meet_lanes(&self, answers: &Answers) -> Result<()> {
        let lanes = answers.all().filter_map(operations::lane_of);
        self.resident.lanes.meet(self.link, &self.resident.damage, lanes).await
    }

    /// The database's time is that of the turn.
    fn take_clock(&mut self, answers: &Answers, place: Place) -> Result<String> {
        let Some(row) = answers.of(place).first() else { return Ok(String::new()) };
        let mut fields = fields(row);
        self.resident.tells(Timestamp::from_ticks(fields.int()?));
        self.set.now = self.resident.clock.now().max(self.set.now);
        let transaction = fields.text()?.to_owned();
        self.resident.controls = fields.flag()?;
        Ok(transaction)
    }

    /// Another block of numbers is this node's.
    fn take_block(&mut self, answers: &Answers, place: Option<Place>) -> Result<()> {
        if let Some(row) = place.and_then(|place| answers.of(place).first()) {
            self.resident.numbers = Numbers::block(fields(row).int()?);
            self.set.first_seq = Seq(self.resident.numbers.next);
        }
        Ok(())
    }

    fn take_named(&mut self, answers: &Answers, asked: &Asked) -> Result<()> {
        let rows = |place: Option<Place>| place.map_or(&[][..], |place| answers.of(place));
        for row in rows(asked.named) {
            let seq = self.keep(row)?;
            let mut name = fields_after(row, operations::width());
            let name = (text::tenant(name.text()?)?, row::id(&mut name)?);
            self.set.by_id.insert(name, seq);
        }
        for row in rows(asked.keyed) {
            let seq = self.keep(row)?;
            let mut name = fields_after(row, operations::width());
            self.set.by_key.insert((text::tenant(name.text()?)?, Arc::from(name.text()?)), seq);
        }
        for row in rows(asked.claimed) {
            let seq = self.keep(row)?;
            let operation = self.set.operations.get(&seq);
            if let Some((operation, lease)) =
                operation.and_then(|operation| Some((operation, operation.lease()?)))
            {
                let claim = (operation.tenant().clone(), lease.worker.clone(), lease.claim.clone());
                self.set.by_claim.entry(claim).or_default().push(seq);
            }
        }
        for row in rows(asked.due) {
            self.keep(row)?;
        }
        let Self { set, .. } = self;
        set.due.retain(|seq| set.operations.contains_key(seq));
        Ok(())
    }

    /// Keeps what a row says, or that it cannot be read.
    pub(super) fn keep(&mut self, row: &Row) -> Result<Seq> {
        let seq = operations::seq_of(row)?;
        if self.set.operations.contains_key(&seq) || self.set.damaged.contains(&seq) {
            return Ok(seq);
        }
        match sound(operations::read(row, &self.resident.lanes, &self.resident.damage))? {
            Some(operation) if !self.resident.is_aside(seq) => {
                self.set.operations.insert(seq, Arc::new(operation));
            }
            _ => {
                self.resident.put_aside();
                self.set.damaged.insert(seq);
            }
        }
        Ok(seq)
    }

    fn take_lanes(&mut self, answers: &Answers, places: Option<(Place, Place)>) -> Result<()> {
        let Some((named, of)) = places else { return Ok(()) };
        for found in answers.of(named) {
            let mut fields = fields(found);
            let id = fields.int()?;
            self.resident.lanes.keep(id, Arc::new(row::lane(&mut fields)?));
        }
        let unknown = self.touches.lanes.iter().filter(|lane| self.resident.lanes.id(lane).is_none());
        self.set.new_lanes = unknown.cloned().collect();
        for lane in &self.set.new_lanes {
            self.set.lanes_of.insert(lane.tenant.clone(), 0);
        }
        for found in answers.of(of) {
            let mut fields = fields(found);
            let tenant = text::tenant(fields.text()?)?;
            let count = fields.small()?;
            if let Some(of_tenant) = self.set.lanes_of.get_mut(&tenant) {
                *of_tenant = count;
            }
        }
        Ok(())
    }

    /// Every operation that was loaded for another reason than that a claim may take it.
    pub(super) fn named(&self) -> HashSet<Seq> {
        let set = &self.set;
        let named = set.by_id.values().chain(set.by_key.values()).chain(set.by_claim.values().flatten());
        named.chain(&set.due).copied().collect()
    }

    fn take_expired(&mut self) {
        let Self { set, expired, .. } = self;
        expired.sort_unstable();
        let due: HashSet<Seq> = set.due.iter().copied().collect();
        set.due.extend(expired.drain(..).filter(|seq| !due.contains(seq)));
    }
}

/// Of each pair its tenant.
fn tenants<T>(named: &[(TenantId, T)]) -> Value<'_> {
    Value::texts(named.iter().map(|(tenant, _)| tenant.as_str()))
}

/// Numbers of operations.
pub(super) fn seqs(seqs: &[Seq]) -> Value<'static> {
    Value::ints(seqs.iter().map(|seq| seq.0))
}

/// Tenants, queues and types of lanes.
pub(super) fn lane_values<'v>(lanes: &[&'v Lane]) -> Vec<Value<'v>> {
    vec![
        Value::texts(lanes.iter().map(|lane| lane.tenant.as_str())),
        Value::texts(lanes.iter().map(|lane| lane.queue.as_str())),
        Value::texts(lanes.iter().map(|lane| lane.operation_type.as_str())),
    ]
}

/// A limit as the database takes it.
pub(super) fn as_int(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
