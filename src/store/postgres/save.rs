//! Writes a turn: each changed operation once, and what belongs to it, in one round trip that ends with the commit.
//!
//! Whatever is written is guarded by what was loaded: a statement that finds another number of rows ends the turn. A turn
//! with events first takes its place in the order of all commits, and keeps it until it is durable: so cursors are in the
//! order of commits, and two turns that bring the same key meet one after the other, not crosswise.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::columns::{Value, Values, fields};
use super::error::Result;
use super::lanes::LaneId;
use super::link::{Answers, Link, Pipeline, Place};
use super::load::{KNOWN_LANES, as_int, lane_values, seqs};
use super::{Resident, writes};
use crate::limits;
use crate::operation::{Lane, Payload, Seq, State};
use crate::store::stored::{Bind, Damaged, codes, event, lease, registry, row};
use crate::store::turn::{Changes, count_deltas};

/// The first of the numbers that stand for cursors until the turn has its place: see `longrun.placed` of the schema.
pub(super) const UNPLACED: i64 = 1 << 62;

/// Lanes that this turn is the first to use, at this node.
pub(super) type FreshLanes = HashMap<Arc<Lane>, LaneId>;

/// Writes the lanes that this node has not met, and reads their numbers.
pub(super) async fn add_lanes(link: Link<'_>, resident: &Resident, changes: &Changes) -> Result<FreshLanes> {
    // Whatever is new is told by an event.
    let recorded = changes.events.iter().map(|recorded| &recorded.event.operation.spec.lane);
    let fresh: HashSet<&Arc<Lane>> = recorded.filter(|lane| resident.lanes.id(lane).is_none()).collect();
    let mut added = FreshLanes::new();
    if fresh.is_empty() {
        return Ok(added);
    }
    let named: Vec<&Lane> = fresh.iter().map(|lane| &***lane).collect();
    let mut pipeline = Pipeline::new(link);
    pipeline.call(writes::ADD_LANES, lane_values(&named));
    let found = pipeline.call(KNOWN_LANES, lane_values(&named));
    for found in pipeline.run().await?.of(found) {
        let mut fields = fields(found);
        let id = fields.int()?;
        added.insert(Arc::new(row::lane(&mut fields)?), id);
    }
    Ok(added)
}

/// Everything that a turn writes. The events are numbered from [`UNPLACED`] on.
pub(super) struct Writing<'a> {
    pub(super) resident: &'a Resident,
    pub(super) fresh: &'a FreshLanes,
    pub(super) changes: &'a Changes,
    /// Numbers in `meta` that go along; they only grow.
    pub(super) meta: Vec<(&'static str, i64)>,
}

/// The statements that give a turn its place in the order of commits.
pub(super) struct Order {
    lock: Place,
    last: Place,
}

impl Order {
    /// The last cursor before those of the turn, and how long it waited for the lock.
    pub(super) fn read(&self, answers: &Answers) -> Result<(i64, Duration)> {
        let (Some(lock), Some(last)) = (answers.of(self.lock).first(), answers.of(self.last).first()) else {
            return Err(Damaged("a turn has no place").into());
        };
        let (asked, got): (i64, i64) = (lock.try_get(0)?, lock.try_get(2)?);
        let waited = Duration::from_micros(u64::try_from(got - asked).unwrap_or(0));
        Ok((fields(last).int()?, waited))
    }
}

impl<'a> Writing<'a> {
    fn lane(&self, lane: &Lane) -> Result<LaneId> {
        let known = self.resident.lanes.id(lane).or_else(|| self.fresh.get(lane).copied());
        Ok(known.ok_or(Damaged("a lane was not written"))?)
    }

    /// Adds all of it to the pipeline; tells where the turn's place in the order of commits will be found, if it has events.
    pub(super) fn add(&self, pipeline: &mut Pipeline<'a>) -> Result<Option<Order>> {
        let changes = self.changes;
        // What was deleted goes first: its id and key are free again for the same turn's submits.
        self.add_deleted(pipeline);
        let order = (!changes.events.is_empty()).then(|| Order {
            lock: pipeline.call(writes::ORDER, Vec::new()),
            last: pipeline.call(writes::LAST_CURSOR, vec![Value::Int(self.resident.cursor)]),
        });
        self.add_operations(pipeline)?;
        self.add_payloads(pipeline);
        self.add_leases(pipeline)?;
        self.add_counts(pipeline);
        self.add_events(pipeline)?;
        self.add_registry(pipeline);
        if !changes.deposits.is_empty() {
            let count = Value::Int(as_int(changes.deposits.len()));
            let numbers = Value::ints(changes.deposits.iter().copied());
            pipeline.call(&writes::DELETE_DEPOSITS, vec![numbers, count]);
        }
        Ok(order)
    }

    fn add_deleted(&self, pipeline: &mut Pipeline<'a>) {
        let gone = self.changes.operations.iter().filter(|touched| touched.after.is_none());
        let gone: Vec<(i64, i64)> = gone
            .filter_map(|touched| touched.before.as_ref())
            .map(|before| (before.seq.0, before.version))
            .collect();
        if gone.is_empty() {
            return;
        }
        let numbers = || Value::ints(gone.iter().map(|(seq, _)| *seq));
        let versions = Value::ints(gone.iter().map(|(_, version)| *version));
        let count = Value::Int(i64::try_from(gone.len()).unwrap_or(i64::MAX));
        pipeline.call(&writes::DELETE, vec![numbers(), versions, count]);
        pipeline.call(writes::DELETE_PAYLOADS, vec![numbers()]);
        pipeline.call(writes::DELETE_CHECKPOINTS, vec![numbers()]);
        pipeline.call(writes::DELETE_ATTEMPTS, vec![numbers()]);
    }

    fn add_operations(&self, pipeline: &mut Pipeline<'a>) -> Result<()> {
        let (mut old, mut new) = (Values::default(), Values::default());
        for touched in self.changes.operations.iter().filter(|touched| touched.row_changed()) {
            let Some(after) = &touched.after else { continue };
            let values = if touched.before.is_some() { old.row() } else { new.row() };
            row::bind_standing(values, after);
            row::bind_place(values, row::place(after));
            values.time(after.wake_at());
            if let Some(before) = &touched.before {
                values.put(after.seq.0);
                values.put(before.version);
            } else {
                row::bind_spec(values, after, self.lane(&after.spec.lane)?);
            }
        }
        call_guarded(pipeline, &writes::UPDATE, old);
        call(pipeline, &writes::INSERT, new);
        Ok(())
    }

    fn add_payloads(&self, pipeline: &mut Pipeline<'a>) {
        let (mut payloads, mut checkpoints, mut over) = (Values::default(), Values::default(), Vec::new());
        for touched in &self.changes.operations {
            let Some(after) = &touched.after else { continue };
            let apart = |payload: Option<&'a Payload>| {
                payload.and_then(Payload::inline).filter(|json| row::stands_apart(json))
            };
            let mut put = |slot: i64, payload: Option<&'a Payload>| {
                if let Some(json) = apart(payload) {
                    let values = payloads.row();
                    values.put(slot);
                    values.blob(Some(json.get().as_bytes()));
                }
            };
            if touched.row_changed() {
                if touched.before.is_none() {
                    put(after.seq.0 * 2, after.spec.input.as_ref());
                }
                if touched.before.as_ref().is_none_or(|before| before.result().is_none()) {
                    put(after.seq.0 * 2 + 1, after.result());
                }
            }
            if let State::Completed { .. } = after.state {
                over.extend(touched.before.as_ref().map(|before| before.seq));
            } else if let Some(checkpoint) = &after.checkpoint {
                let values = checkpoints.row();
                values.put(after.seq.0);
                values.blob(Some(checkpoint.get().as_bytes()));
            }
        }
        call(pipeline, &writes::PAYLOAD, payloads);
        call(pipeline, &writes::CHECKPOINT, checkpoints);
        if !over.is_empty() {
            pipeline.call(writes::DELETE_CHECKPOINTS, vec![seqs(&over)]);
        }
    }

    fn add_leases(&self, pipeline: &mut Pipeline<'a>) -> Result<()> {
        let (mut moved, mut ends, mut begins) = (Values::default(), Values::default(), Values::default());
        for touched in &self.changes.operations {
            let Some(seq) = touched.seq() else { continue };
            match lease::fate(touched) {
                lease::Fate::Same => {}
                lease::Fate::Moved(lease) => {
                    let values = moved.row();
                    values.time(Some(lease.until));
                    lease::bind_rest(values, lease);
                    values.put(seq.0);
                    values.put(lease.token.0);
                }
                lease::Fate::Changed { ended, begun } => {
                    if let Some(ended) = ended {
                        let values = ends.row();
                        values.put(seq.0);
                        values.put(ended.token.0);
                    }
                    if let (Some(begun), Some(after)) = (begun, &touched.after) {
                        let values = begins.row();
                        values.put(self.lane(&after.spec.lane)?);
                        lease::bind(values, seq, begun);
                    }
                }
            }
        }
        call_guarded(pipeline, &writes::MOVE_LEASES, moved);
        call_guarded(pipeline, &writes::END_LEASES, ends);
        call(pipeline, &writes::ADD_LEASES, begins);
        Ok(())
    }

    fn add_counts(&self, pipeline: &mut Pipeline<'a>) {
        let mut counts = Values::default();
        for (key, delta) in count_deltas(&self.changes.operations) {
            let values = counts.row();
            values.text(Some(key.tenant.as_str().to_owned().into()));
            values.text(Some(key.queue.as_str().to_owned().into()));
            values.put(codes::status(key.status));
            values.put(key.held);
            values.put(key.external);
            values.put(delta);
        }
        call(pipeline, &writes::COUNTER, counts);
    }

    fn add_events(&self, pipeline: &mut Pipeline<'a>) -> Result<()> {
        let mut events = Values::default();
        for (recorded, gone) in event::kept(self.changes) {
            let lane = self.lane(&recorded.event.operation.spec.lane)?;
            event::bind(events.row(), recorded, lane, gone);
        }
        call(pipeline, &writes::EVENT, events);
        Ok(())
    }

    fn add_registry(&self, pipeline: &mut Pipeline<'a>) {
        let Changes { attempts, workers, workers_forgotten, credentials, queues, .. } = self.changes;
        let gone = deleted(self.changes);
        let (mut ended, mut forgotten) = (Values::default(), Values::default());
        for attempt in attempts.iter().filter(|attempt| !gone.contains(&attempt.seq)) {
            registry::bind_attempt(ended.row(), attempt);
            if attempt.token.0 > limits::ATTEMPTS_KEPT_MAX {
                let values = forgotten.row();
                values.put(attempt.seq.0);
                values.put(limits::ATTEMPTS_KEPT_MAX - 1);
            }
        }
        call(pipeline, &writes::ATTEMPT, ended);
        call(pipeline, writes::FORGET_ATTEMPTS, forgotten);
        let mut out = Values::default();
        for (tenant, worker) in workers_forgotten {
            let values = out.row();
            values.put_text(tenant.as_str());
            values.put_text(worker.as_str());
        }
        call(pipeline, writes::FORGET_WORKERS, out);
        let latest: HashMap<_, _> = workers.iter().map(|seen| ((&seen.tenant, &seen.worker), seen)).collect();
        let mut seen = Values::default();
        for worker in latest.values() {
            registry::bind_worker(seen.row(), worker);
        }
        call(pipeline, &writes::WORKER, seen);
        let latest: HashMap<_, _> =
            credentials.iter().map(|credential| (&credential.id, credential)).collect();
        let mut kept = Values::default();
        for credential in latest.values() {
            registry::bind_credential(kept.row(), credential);
        }
        call(pipeline, &writes::CREDENTIAL, kept);
        let mut used = Values::default();
        for (token, at) in &self.changes.tokens_used {
            let values = used.row();
            values.put_text(token);
            values.time(Some(*at));
        }
        call(pipeline, writes::USED, used);
        let latest: HashMap<_, _> =
            queues.iter().map(|queue| ((&queue.tenant, &queue.name), queue)).collect();
        let (mut set, mut out) = (Values::default(), Values::default());
        for queue in latest.values() {
            if queue.controls.is_none() {
                let values = out.row();
                values.put_text(queue.tenant.as_str());
                values.put_text(queue.name.as_str());
            } else {
                registry::bind_queue(set.row(), queue);
            }
        }
        call(pipeline, &writes::QUEUE, set);
        call(pipeline, writes::FORGET_QUEUES, out);
        if !self.meta.is_empty() {
            let keys = Value::texts(self.meta.iter().map(|(key, _)| *key));
            pipeline.call(&writes::META, vec![keys, Value::ints(self.meta.iter().map(|(_, value)| *value))]);
        }
    }
}

/// The operations that are gone with this turn. One that also came with it is known by its events alone.
fn deleted(changes: &Changes) -> HashSet<Seq> {
    let gone = changes.events.iter().filter(|recorded| changes.operations[recorded.touched].after.is_none());
    gone.map(|recorded| recorded.event.operation.seq).collect()
}

/// Adds a statement, if there are rows for it.
fn call<'a>(pipeline: &mut Pipeline<'a>, sql: &'a str, values: Values<'a>) {
    if !values.is_empty() {
        pipeline.call(sql, values.columns());
    }
}

/// The same with how many rows there are, as the last parameter.
fn call_guarded<'a>(pipeline: &mut Pipeline<'a>, sql: &'a str, values: Values<'a>) {
    if !values.is_empty() {
        let count = Value::Int(values.len());
        let mut values = values.columns();
        values.push(count);
        pipeline.call(sql, values);
    }
}
