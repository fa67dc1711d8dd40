//! What a turn needs to know: the operations that are named by id, by key or by claim.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, Statement};

use super::Resident;
use super::columns::{RowColumns, fields};
use super::error::Result;
use crate::operation::{Operation, Seq, Timestamp};
use crate::store::stored::damage::sound;
use crate::store::stored::{Fields, row};
use crate::store::turn::{Touches, WorkingSet};

static BY_SEQ: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operation WHERE seq = ?1", row::OPERATION));
static BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operation WHERE tenant = ?1 AND id = ?2", row::OPERATION));
static BY_KEY: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operation WHERE tenant = ?1 AND key = ?2", row::OPERATION));

/// Begins the turn's transaction, once.
pub(super) fn open(connection: &Connection) -> Result<()> {
    if connection.is_autocommit() {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    }
    Ok(())
}

/// Loads one turn. The transaction begins with the first thing that has to be read: a turn that needs nothing of the
/// file costs nothing.
pub(super) struct Loading<'a> {
    pub(super) connection: &'a Connection,
    pub(super) resident: &'a mut Resident,
    pub(super) set: WorkingSet,
    /// What the wants passed over.
    pub(super) expired: Vec<Seq>,
}

impl<'a> Loading<'a> {
    pub(super) fn new(connection: &'a Connection, resident: &'a mut Resident, now: Timestamp) -> Self {
        let set = WorkingSet::new(now, Seq(resident.next_seq));
        Self { connection, resident, set, expired: Vec::new() }
    }

    pub(super) fn all(mut self, touches: &Touches) -> Result<WorkingSet> {
        if touches.rest_leases && !self.resident.leases.is_empty() {
            open(self.connection)?;
            self.resident.leases.rest(self.connection, self.set.now)?;
        }
        self.named(touches)?;
        self.keyed(touches)?;
        self.claimed(touches)?;
        self.due(touches.due)?;
        self.queues(touches)?;
        self.wanted(touches)?;
        let due: HashSet<Seq> = self.set.due.iter().copied().collect();
        self.expired.sort_unstable();
        self.set.due.extend(self.expired.drain(..).filter(|seq| !due.contains(seq)));
        if let Some(prune) = &touches.prune {
            self.stale(prune)?;
        }
        self.new_lanes(touches);
        Ok(self.set)
    }

    fn named(&mut self, touches: &Touches) -> Result<()> {
        if touches.ids.is_empty() {
            return Ok(());
        }
        open(self.connection)?;
        let mut statement = self.connection.prepare_cached(&BY_ID)?;
        for named in &touches.ids {
            let bound = (named.0.as_str(), named.1.0.as_bytes().as_slice());
            if let Some(seq) = self.fetch(&mut statement, bound)? {
                self.set.by_id.insert(named.clone(), seq);
            }
        }
        Ok(())
    }

    fn keyed(&mut self, touches: &Touches) -> Result<()> {
        if touches.keys.is_empty() {
            return Ok(());
        }
        open(self.connection)?;
        let mut statement = self.connection.prepare_cached(&BY_KEY)?;
        for keyed in &touches.keys {
            if let Some(seq) = self.fetch(&mut statement, (keyed.0.as_str(), &*keyed.1))? {
                self.set.by_key.insert(keyed.clone(), seq);
            }
        }
        Ok(())
    }

    fn claimed(&mut self, touches: &Touches) -> Result<()> {
        for claim in &touches.claims {
            let held = self.numbered(self.resident.leases.under(claim))?;
            if !held.is_empty() {
                self.set.by_claim.insert(claim.clone(), held);
            }
        }
        Ok(())
    }

    fn new_lanes(&mut self, touches: &Touches) {
        let lanes = &self.resident.lanes;
        for lane in touches.lanes.iter().filter(|lane| !lanes.knows(lane)) {
            self.set.lanes_of.insert(lane.tenant.clone(), lanes.of_tenant(&lane.tenant));
            self.set.new_lanes.insert(lane.clone());
        }
    }

    /// Loads those not loaded yet, and leaves out what cannot be read.
    pub(super) fn numbered(&mut self, mut operations: Vec<Seq>) -> Result<Vec<Seq>> {
        if operations.is_empty() {
            return Ok(operations);
        }
        open(self.connection)?;
        let mut statement = self.connection.prepare_cached(&BY_SEQ)?;
        for seq in &operations {
            if !self.set.operations.contains_key(seq) {
                self.fetch(&mut statement, [seq.0])?;
            }
        }
        if !self.set.damaged.is_empty() {
            operations.retain(|seq| !self.set.damaged.contains(seq));
        }
        Ok(operations)
    }

    fn fetch(&mut self, statement: &mut Statement<'_>, bound: impl rusqlite::Params) -> Result<Option<Seq>> {
        let mut rows = statement.query(bound)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let mut fields = fields(row);
        let seq = Seq(fields.int()?);
        let read = self.resident.damage.heard_of("operation", seq, decode(&mut fields, seq, self.resident));
        if let Some(operation) = sound(read)?.filter(|_| !self.resident.aside.contains(&seq)) {
            self.set.operations.entry(seq).or_insert_with(|| Arc::new(operation));
        } else {
            self.resident.put_aside();
            self.set.damaged.insert(seq);
        }
        Ok(Some(seq))
    }
}

/// The parts of a row after its number.
fn decode(fields: &mut Fields<RowColumns<'_>>, seq: Seq, resident: &Resident) -> Result<Operation> {
    let lane = resident.lanes.get(fields.int()?)?;
    row::operation(fields, seq, lane, || resident.leases.get(seq))
}
