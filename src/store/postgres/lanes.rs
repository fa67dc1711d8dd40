//! The lanes that this node has met: what a committed row names never changes, so each is read once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::columns::{Value, fields};
use super::error::Result;
use super::link::{Link, Pipeline};
use crate::operation::Lane;
use crate::store::stored::damage::sound;
use crate::store::stored::{Damage, Damaged, row};

/// Number of a lane in the database.
pub(super) type LaneId = i64;

const BY_ID: &str = "SELECT id, tenant, queue, operation_type FROM longrun.lane WHERE id = ANY($1)";

/// The lanes, both ways. Shared by the halves of a store.
#[derive(Debug, Default)]
pub(super) struct Lanes(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    of_id: HashMap<LaneId, Arc<Lane>>,
    ids: HashMap<Arc<Lane>, LaneId>,
}

impl Lanes {
    /// The lane of a number. Those of rows just read are known after [`Lanes::meet`].
    pub(super) fn get(&self, id: LaneId) -> std::result::Result<Arc<Lane>, Damaged> {
        self.read(|known| known.of_id.get(&id).cloned()).ok_or(Damaged("a row is of no known lane"))
    }

    /// Those that this node has met and that are asked for.
    pub(super) fn all(&self, is_asked_for: impl Fn(&Lane) -> bool) -> Vec<LaneId> {
        self.read(|known| {
            known.ids.iter().filter(|(lane, _)| is_asked_for(lane)).map(|(_, id)| *id).collect()
        })
    }

    /// The number of a lane, if this node has met it.
    pub(super) fn id(&self, lane: &Lane) -> Option<LaneId> {
        self.read(|known| known.ids.get(lane).copied())
    }

    /// From now on this node knows it. Only for what is durable.
    pub(super) fn keep(&self, id: LaneId, lane: Arc<Lane>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.ids.insert(lane.clone(), id);
        known.of_id.insert(id, lane);
    }

    /// Reads those among these that this node has not met yet.
    pub(super) async fn meet(
        &self,
        link: Link<'_>,
        damage: &Damage,
        ids: impl IntoIterator<Item = LaneId>,
    ) -> Result<()> {
        let unknown: Vec<LaneId> =
            self.read(|known| ids.into_iter().filter(|id| !known.of_id.contains_key(id)).collect());
        if unknown.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::new(link);
        let found = pipeline.call(BY_ID, vec![Value::ints(unknown)]);
        let answers = pipeline.run().await?;
        for found in answers.of(found) {
            let mut fields = fields(found);
            let id = fields.int()?;
            if let Some(lane) = sound(damage.heard("lane", id, row::lane(&mut fields)))? {
                self.keep(id, Arc::new(lane));
            }
        }
        Ok(())
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
