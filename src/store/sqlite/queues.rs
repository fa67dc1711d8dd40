//! What was set for queues, resident: few, and asked for by every turn. It changes only after a commit.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::columns::fields;
use super::counts;
use super::error::Result;
use super::leases::Leases;
use super::load::{self, Loading};
use super::registry::{put, replacing};
use crate::operation::{Controls, QueueName, TenantId};
use crate::store::queue::{ByQueue, Queue, Standing};
use crate::store::stored::damage::{Damage, sound};
use crate::store::stored::registry;
use crate::store::turn::{Changes, Touches};

static PUT: LazyLock<String> = LazyLock::new(|| replacing("queue", &registry::QUEUE));
const FORGET: &str = "DELETE FROM queue WHERE tenant = ?1 AND name = ?2";
static ALL: LazyLock<String> = LazyLock::new(|| format!("{} ORDER BY tenant, name", select()));
static OF_TENANT: LazyLock<String> = LazyLock::new(|| format!("{} WHERE tenant = ?1", select()));

fn select() -> String {
    format!("SELECT {} FROM queue", registry::QUEUE.join(", "))
}

/// The queues with controls.
#[derive(Default)]
pub(super) struct Queues(ByQueue<Controls>);

impl Queues {
    /// Reads them all, and has their leases counted.
    pub(super) fn load(connection: &Connection, leases: &mut Leases, damage: &Damage) -> Result<Self> {
        let mut queues = Self::default();
        for queue in all(connection, damage)? {
            queues.keep(&queue, leases);
        }
        Ok(queues)
    }

    /// The turn is durable, and what it did to the leases is settled.
    pub(super) fn settle(&mut self, changes: &Changes, leases: &mut Leases) {
        for queue in &changes.queues {
            self.keep(queue, leases);
        }
    }

    fn keep(&mut self, queue: &Queue, leases: &mut Leases) {
        let Queue { tenant, name, controls } = queue;
        if controls.is_none() {
            self.0.remove(tenant, name);
        } else {
            self.0.insert(tenant, name, *controls);
        }
        leases.count(tenant, name, controls.max_running.is_some());
    }
}

/// Writes a turn's changes.
pub(super) fn write(connection: &Connection, changes: &Changes) -> Result<()> {
    for queue in &changes.queues {
        if queue.controls.is_none() {
            connection.prepare_cached(FORGET)?.execute((queue.tenant.as_str(), queue.name.as_str()))?;
        } else {
            put(connection, &PUT, |row| registry::bind_queue(row, queue))?;
        }
    }
    Ok(())
}

/// All of them that can be read, by tenant and name.
pub(super) fn all(connection: &Connection, damage: &Damage) -> Result<Vec<Queue>> {
    read(connection, damage, &ALL, [])
}

/// Those of one tenant.
pub(super) fn of_tenant(connection: &Connection, damage: &Damage, tenant: &TenantId) -> Result<Vec<Queue>> {
    read(connection, damage, &OF_TENANT, [tenant.as_str()])
}

fn read(
    connection: &Connection,
    damage: &Damage,
    sql: &str,
    bound: impl rusqlite::Params,
) -> Result<Vec<Queue>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(bound)?;
    let mut queues = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        queues.extend(sound(damage.heard("queue", name, registry::queue(&mut fields(row))))?);
    }
    Ok(queues)
}

/// A queue that a turn concerns, and whether what waits in it is to be counted.
type Concerned = (TenantId, QueueName, Controls, bool);

impl Loading<'_> {
    /// How the queues stand that the turn concerns, as far as they have controls or get them. A turn that concerns none of
    /// those pays for a look at an empty map.
    pub(super) fn queues(&mut self, touches: &Touches) -> Result<()> {
        let known = &self.resident.queues.0;
        let of = |tenant: &TenantId, queue: &QueueName| known.get(tenant, queue).copied();
        let change = |(tenant, queue): &(TenantId, QueueName)| {
            (tenant.clone(), queue.clone(), of(tenant, queue).unwrap_or_default(), true)
        };
        let mut concerned: Vec<Concerned> = touches.queues.iter().map(change).collect();
        for (tenant, _) in &touches.queues {
            self.set.controlled_of.insert(tenant.clone(), known.count(tenant));
        }
        if !known.is_empty() {
            let named = self.set.operations.values().map(|operation| &operation.spec.lane);
            for lane in named.chain(&touches.lanes) {
                if let Some(controls) = of(&lane.tenant, &lane.queue) {
                    let counted = controls.max_waiting.is_some();
                    concerned.push((lane.tenant.clone(), lane.queue.clone(), controls, counted));
                }
            }
            for want in touches.wants.iter().chain(&touches.waiting) {
                let asked = |(queue, controls): (&QueueName, &Controls)| {
                    (want.tenant.clone(), queue.clone(), *controls, false)
                };
                if let Some(queues) = &want.queues {
                    let found = |queue| Some((queue, known.get(&want.tenant, queue)?));
                    concerned.extend(queues.iter().filter_map(found).map(asked));
                } else {
                    concerned.extend(known.of_tenant(&want.tenant).map(asked));
                }
            }
        }
        concerned.into_iter().try_for_each(|concerned| self.stand(concerned))
    }

    fn stand(&mut self, (tenant, queue, controls, counted): Concerned) -> Result<()> {
        if self.set.queues.get(&tenant, &queue).is_some() {
            return Ok(());
        }
        let waiting = if counted {
            load::open(self.connection)?;
            counts::waiting(self.connection, &tenant, &queue)?
        } else {
            0
        };
        let running = self.resident.leases.running(&tenant, &queue);
        self.set.queues.insert(&tenant, &queue, Standing { controls, running, waiting });
        Ok(())
    }
}
