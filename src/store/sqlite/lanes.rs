//! The lanes, resident: interned both ways, each with the rank that its head cannot be before.
//!
//! That bound is what makes claims cheap: an empty lane is not read at all, and of a hundred lanes only those whose
//! bound says they may hold what goes first. It may lag behind the truth (rows leave a lane silently), never run ahead
//! of it, so it needs no undoing when a turn is rolled back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::Connection;

use super::columns::{Prepared, fields};
use super::error::Result;
use crate::operation::{Lane, Rank, Seq, TenantId, Timestamp};
use crate::store::stored::Damaged;
use crate::store::stored::damage::{Damage, sound};
use crate::store::stored::{Bind, row};
use crate::store::turn::Want;

/// Number of a lane in the file.
pub(super) type LaneId = i64;

/// Before every rank.
pub(super) const UNKNOWN: Rank = Rank { urgency: i8::MIN, ready_at: Timestamp::MIN, seq: Seq(0) };

const ALL: &str = "SELECT id, tenant, queue, operation_type FROM lane ORDER BY id";
const ADD: &str = "INSERT INTO lane (id, tenant, queue, operation_type) VALUES (?1, ?2, ?3, ?4)";

struct Resident {
    lane: Arc<Lane>,
    head: Option<Rank>,
}

/// All lanes of the file.
#[derive(Default)]
pub(super) struct Lanes {
    ids: HashMap<Arc<Lane>, LaneId>,
    resident: HashMap<LaneId, Resident>,
    /// How many each tenant has.
    of_tenant: HashMap<TenantId, usize>,
    /// Of each tenant, those that may hold something ready.
    waiting: HashMap<TenantId, BTreeSet<LaneId>>,
    last: LaneId,
    /// Interned by the turn that is open.
    fresh: Vec<LaneId>,
    /// Keys read by claims.
    #[cfg(test)]
    pub(super) keys_read: usize,
}

impl Lanes {
    /// Reads them all: they are bounded by the limits. What is in them is not looked at.
    pub(super) fn load(connection: &Connection, damage: &Damage) -> Result<Self> {
        let mut lanes = Self::default();
        let mut statement = connection.prepare(ALL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut fields = fields(row);
            let id = fields.int()?;
            lanes.last = id;
            if let Some(lane) = sound(damage.heard("lane", id, row::lane(&mut fields)))? {
                lanes.keep(id, Arc::new(lane), Some(UNKNOWN));
            }
        }
        Ok(lanes)
    }

    fn keep(&mut self, id: LaneId, lane: Arc<Lane>, head: Option<Rank>) {
        if head.is_some() {
            self.waiting.entry(lane.tenant.clone()).or_default().insert(id);
        }
        *self.of_tenant.entry(lane.tenant.clone()).or_default() += 1;
        self.ids.insert(lane.clone(), id);
        self.resident.insert(id, Resident { lane, head });
        self.last = self.last.max(id);
    }

    /// Whether an operation was ever in it.
    pub(super) fn knows(&self, lane: &Lane) -> bool {
        self.ids.contains_key(lane)
    }

    /// How many lanes the tenant has.
    pub(super) fn of_tenant(&self, tenant: &TenantId) -> usize {
        self.of_tenant.get(tenant).copied().unwrap_or(0)
    }

    /// The lane of that number, if there is one.
    pub(super) fn find(&self, id: LaneId) -> Option<&Arc<Lane>> {
        self.resident.get(&id).map(|resident| &resident.lane)
    }

    /// The lane of that number.
    pub(super) fn get(&self, id: LaneId) -> Result<Arc<Lane>> {
        self.find(id).cloned().ok_or(Damaged("a row is of no known lane").into())
    }

    /// Its number; a new lane is written first.
    pub(super) fn intern(&mut self, connection: &Connection, lane: &Arc<Lane>) -> Result<LaneId> {
        if let Some(id) = self.ids.get(lane) {
            return Ok(*id);
        }
        let id = self.last + 1;
        let mut add = Prepared::of(connection, ADD)?;
        let mut row = add.row();
        row.put(id);
        row.put_text(lane.tenant.as_str());
        row.put_text(lane.queue.as_str());
        row.put_text(lane.operation_type.as_str());
        row.run()?;
        self.keep(id, lane.clone(), None);
        self.fresh.push(id);
        Ok(id)
    }

    /// The turn is durable: its lanes stay.
    pub(super) fn settle(&mut self) {
        self.fresh.clear();
    }

    /// The turn was rolled back: its lanes never were.
    pub(super) fn undo(&mut self) {
        for id in self.fresh.drain(..) {
            if let Some(gone) = self.resident.remove(&id) {
                self.ids.remove(&gone.lane);
                if let Some(count) = self.of_tenant.get_mut(&gone.lane.tenant) {
                    *count -= 1;
                }
                if let Some(waiting) = self.waiting.get_mut(&gone.lane.tenant) {
                    waiting.remove(&id);
                }
            }
            self.last = self.last.min(id - 1);
        }
    }

    /// Something ready of that rank is being written to it.
    pub(super) fn arrives(&mut self, id: LaneId, rank: Rank) {
        let Some(resident) = self.resident.get_mut(&id) else { return };
        if resident.head.is_none() {
            self.waiting.entry(resident.lane.tenant.clone()).or_default().insert(id);
        }
        resident.head = Some(resident.head.map_or(rank, |head| head.min(rank)));
    }

    /// The file was looked at: this is its head, or nothing in it is ready.
    pub(super) fn found(&mut self, id: LaneId, head: Option<Rank>) {
        let Some(resident) = self.resident.get_mut(&id) else { return };
        resident.head = head;
        if head.is_none()
            && let Some(waiting) = self.waiting.get_mut(&resident.lane.tenant)
        {
            waiting.remove(&id);
        }
    }

    #[cfg(test)]
    pub(super) fn looked(&mut self, keys: usize) {
        self.keys_read += keys;
    }

    /// The lanes that this want covers and that may hold something, each with the rank its head cannot be before.
    pub(super) fn asked(&self, want: &Want) -> Vec<(Rank, LaneId)> {
        let Some(waiting) = self.waiting.get(&want.tenant) else { return Vec::new() };
        let head = |id: &LaneId| Some((self.resident.get(id)?.head?, *id));
        if let (Some(queues), Some(types)) = (&want.queues, &want.operation_types)
            && queues.len() * types.len() <= waiting.len()
        {
            let mut asked = BTreeSet::new();
            for queue in queues.iter() {
                for operation_type in types.iter() {
                    let lane = Lane {
                        tenant: want.tenant.clone(),
                        queue: queue.clone(),
                        operation_type: operation_type.clone(),
                    };
                    asked.extend(self.ids.get(&lane).and_then(head));
                }
            }
            return asked.into_iter().collect();
        }
        let covered = |id: &&LaneId| {
            self.resident.get(id).is_some_and(|it| want.covers(&it.lane.queue, &it.lane.operation_type))
        };
        waiting.iter().filter(covered).filter_map(head).collect()
    }
}
