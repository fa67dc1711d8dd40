//! The leases, resident: bounded by running work, read once at start, and changed only after a commit. So the table needs
//! no index, and finding what is due or held under a claim reads nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, Row};

use super::columns::{Prepared, RowColumns, fields};
use super::error::{Fault, Result};
use super::lanes::{LaneId, Lanes};
use crate::limits;
use crate::operation::{ClaimId, Lane, Lease, LeaseToken, QueueName, Seq, TenantId, Timestamp, WorkerId};
use crate::store::queue::ByQueue;
use crate::store::stored::damage::{Damage, sound};
use crate::store::stored::lease::{self, Fate};
use crate::store::stored::text::tag;
use crate::store::stored::{Bind, Damaged, Fields, row};
use crate::store::turn::Touched;
use crate::store::{self};

static ALL: LazyLock<String> = LazyLock::new(|| {
    let columns = lease::LEASE.map(|column| format!("lease.{column}")).join(", ");
    format!("SELECT lease.seq, operation.lane, {columns} FROM lease JOIN operation USING (seq)")
});
static ADD: LazyLock<String> = LazyLock::new(|| {
    let holes = ["?"; lease::LEASE.len() + 1].join(", ");
    format!("INSERT INTO lease (seq, {}) VALUES ({holes})", lease::LEASE.join(", "))
});
const MOVE: &str = "UPDATE lease SET until = ?1, cap = ?2, pending_until = ?3, pending_percent = ?4, \
     pending_detail = ?5 WHERE seq = ?6 AND token = ?7";
const END: &str = "DELETE FROM lease WHERE seq = ?1 AND token = ?2";
/// The lease of one operation, for the reading half.
static OF: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM lease WHERE seq = ?1", lease::LEASE.join(", ")));
/// Those of a tenant, for the reading half.
const OF_TENANT: &str = "SELECT worker, id, lane, lease.token, until FROM lease JOIN operation USING (seq) \
     WHERE tenant = ?1 ORDER BY worker, seq";
const RESUME: &str = "UPDATE lease SET until = min(until, ?1 + seconds * 10000000)";
const END_OWN: &str = "UPDATE lease SET until = ?1 WHERE own = 1";
/// Named `max`, but for a lease that ends later nothing changes.
const REST: &str = "UPDATE lease SET until = ?1 + min(seconds, ?2) * 10000000 \
     WHERE until < ?1 + min(seconds, ?2) * 10000000 AND (own = 0 OR ?3)";

struct Held {
    lane: Arc<Lane>,
    lease: Lease,
}

type ClaimKey = (TenantId, WorkerId, ClaimId);

/// All leases of the file.
#[derive(Default)]
pub(super) struct Leases {
    held: HashMap<Seq, Held>,
    due: BTreeSet<(Timestamp, Seq)>,
    claims: HashMap<ClaimKey, BTreeSet<Seq>>,
    /// How many there are of the queues that are limited.
    counted: ByQueue<usize>,
    /// As they were before the open turn let them rest.
    rested: Vec<(Seq, Lease)>,
}

impl Leases {
    /// What a start does to them: none lasts longer than it was asked for (the clock may have stood apart), those of the
    /// last process's own tasks end at once, and the others rest, so that live workers speak first.
    pub(super) fn resume(connection: &Connection, now: Timestamp) -> Result<()> {
        connection.execute(RESUME, [now.ticks()])?;
        connection.execute(END_OWN, [now.ticks()])?;
        connection.execute(REST, (now.ticks(), limits::LEASE_REST_SECONDS_MAX, false))?;
        Ok(())
    }

    /// Reads them all.
    pub(super) fn load(connection: &Connection, lanes: &Lanes, damage: &Damage) -> Result<Self> {
        let mut leases = Self::default();
        let mut statement = connection.prepare(&ALL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut fields = fields(row);
            let seq = Seq(fields.int()?);
            let held = |fields: &mut Fields<RowColumns<'_>>| -> Result<_> {
                Ok((lanes.get(fields.int()?)?, lease::read(fields)?))
            };
            if let Some((lane, lease)) = sound(damage.heard_of("lease", seq, held(&mut fields)))? {
                leases.insert(seq, lane, lease);
            }
        }
        Ok(leases)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The lease of an operation.
    pub(super) fn get(&self, seq: Seq) -> Result<Lease> {
        let held = self.held.get(&seq).ok_or(Damaged("a running operation has no lease"))?;
        Ok(held.lease.clone())
    }

    /// Those still held under a claim, in order of arrival.
    pub(super) fn under(&self, claim: &ClaimKey) -> Vec<Seq> {
        self.claims.get(claim).map_or_else(Vec::new, |held| held.iter().copied().collect())
    }

    /// How many there are on a queue's operations.
    pub(super) fn running(&self, tenant: &TenantId, queue: &QueueName) -> usize {
        self.counted.get(tenant, queue).copied().unwrap_or_else(|| self.counted_anew(tenant, queue))
    }

    /// Keeps their number at hand for a queue, or no longer.
    pub(super) fn count(&mut self, tenant: &TenantId, queue: &QueueName, keep: bool) {
        if !keep {
            self.counted.remove(tenant, queue);
        } else if self.counted.get(tenant, queue).is_none() {
            self.counted.insert(tenant, queue, self.counted_anew(tenant, queue));
        }
    }

    fn counted_anew(&self, tenant: &TenantId, queue: &QueueName) -> usize {
        let of_queue = |held: &&Held| held.lane.queue == *queue && held.lane.tenant == *tenant;
        self.held.values().filter(of_queue).count()
    }

    /// When the first of them is due.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Those due by now, at most so many.
    pub(super) fn due(&self, now: Timestamp, limit: usize) -> impl Iterator<Item = Seq> {
        self.due.iter().take_while(move |(due, _)| *due <= now).take(limit).map(|(_, seq)| *seq)
    }

    /// An outage is over: nothing ends for a while. Written in the open turn; [`Leases::undo`] takes it back.
    pub(super) fn rest(&mut self, connection: &Connection, now: Timestamp) -> Result<()> {
        let rests = |lease: &Lease| now.plus_seconds(lease.seconds.min(limits::LEASE_REST_SECONDS_MAX));
        let short: Vec<Seq> = self
            .held
            .iter()
            .filter(|(_, held)| held.lease.until < rests(&held.lease))
            .map(|(seq, _)| *seq)
            .collect();
        if short.is_empty() {
            return Ok(());
        }
        connection.prepare_cached(REST)?.execute((now.ticks(), limits::LEASE_REST_SECONDS_MAX, true))?;
        for seq in short {
            let before = self.get(seq)?;
            let lease = Lease { until: rests(&before), ..before.clone() };
            self.replace(seq, lease);
            self.rested.push((seq, before));
        }
        Ok(())
    }

    /// Whether the open turn has written any.
    pub(super) fn wrote(&self) -> bool {
        !self.rested.is_empty()
    }

    /// The turn was rolled back.
    pub(super) fn undo(&mut self) {
        for (seq, lease) in std::mem::take(&mut self.rested) {
            self.replace(seq, lease);
        }
    }

    /// The turn is durable.
    pub(super) fn settle(&mut self, operations: &[Touched]) {
        self.rested.clear();
        for touched in operations {
            let before = touched.before.as_ref().and_then(|before| before.lease());
            let after = touched.after.as_ref().and_then(|after| after.lease());
            let Some(seq) = touched.seq() else { continue };
            match (before, after, &touched.after) {
                (Some(before), Some(after), _) if before.token == after.token => {
                    if before != after {
                        self.replace(seq, after.clone());
                    }
                }
                (before, after, operation) => {
                    if before.is_some() {
                        self.remove(seq);
                    }
                    if let (Some(lease), Some(operation)) = (after, operation) {
                        self.insert(seq, operation.spec.lane.clone(), lease.clone());
                    }
                }
            }
        }
    }

    fn insert(&mut self, seq: Seq, lane: Arc<Lane>, lease: Lease) {
        self.due.insert((lease.due(), seq));
        let key = (lane.tenant.clone(), lease.worker.clone(), lease.claim.clone());
        self.claims.entry(key).or_default().insert(seq);
        if let Some(count) = self.counted.get_mut(&lane.tenant, &lane.queue) {
            *count += 1;
        }
        self.held.insert(seq, Held { lane, lease });
    }

    /// The same lease, with another end.
    fn replace(&mut self, seq: Seq, lease: Lease) {
        let Some(held) = self.held.get_mut(&seq) else { return };
        if held.lease.due() != lease.due() {
            self.due.remove(&(held.lease.due(), seq));
            self.due.insert((lease.due(), seq));
        }
        held.lease = lease;
    }

    /// Its operation is put aside: its end is nobody's business any more.
    pub(super) fn forget(&mut self, seq: Seq) {
        self.remove(seq);
    }

    fn remove(&mut self, seq: Seq) {
        let Some(Held { lane, lease }) = self.held.remove(&seq) else { return };
        self.due.remove(&(lease.due(), seq));
        if let Some(count) = self.counted.get_mut(&lane.tenant, &lane.queue) {
            *count -= 1;
        }
        let key = (lane.tenant.clone(), lease.worker, lease.claim);
        if let Some(under) = self.claims.get_mut(&key) {
            under.remove(&seq);
            if under.is_empty() {
                self.claims.remove(&key);
            }
        }
    }
}

/// Writes what a turn did to the leases.
pub(super) fn write(connection: &Connection, operations: &[Touched]) -> Result<()> {
    let mut add = Prepared::of(connection, &ADD)?;
    let mut change = Prepared::of(connection, MOVE)?;
    let mut end = Prepared::of(connection, END)?;
    for touched in operations {
        let Some(seq) = touched.seq() else { continue };
        match lease::fate(touched) {
            Fate::Same => {}
            Fate::Moved(lease) => {
                let mut row = change.row();
                row.time(Some(lease.until));
                lease::bind_rest(&mut row, lease);
                row.put(seq.0);
                row.put(lease.token.0);
                guarded(row.run()?, seq)?;
            }
            Fate::Changed { ended, begun } => {
                if let Some(ended) = ended {
                    let mut row = end.row();
                    row.put(seq.0);
                    row.put(ended.token.0);
                    guarded(row.run()?, seq)?;
                }
                if let Some(begun) = begun {
                    let mut row = add.row();
                    lease::bind(&mut row, seq, begun);
                    row.run()?;
                }
            }
        }
    }
    Ok(())
}

fn guarded(rows: usize, seq: Seq) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Fault::Guard(seq.0)) }
}

/// The lease of one operation, for the reading half.
pub(super) fn of(connection: &Connection, seq: Seq) -> Result<Lease> {
    let mut statement = connection.prepare_cached(&OF)?;
    let mut rows = statement.query([seq.0])?;
    let row: &Row<'_> = rows.next()?.ok_or(Damaged("a running operation has no lease"))?;
    Ok(lease::read(&mut fields(row))?)
}

/// What a tenant's workers hold, by worker and arrival, for the reading half.
pub(super) fn of_tenant(
    connection: &Connection,
    tenant: &TenantId,
    lane: impl Fn(LaneId) -> Result<Arc<Lane>>,
) -> Result<Vec<store::Held>> {
    let mut statement = connection.prepare_cached(OF_TENANT)?;
    let mut rows = statement.query([tenant.as_str()])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let mut fields = fields(row);
        let mut one = || -> Result<store::Held> {
            Ok(store::Held {
                worker: tag(fields.text()?)?,
                id: row::id(&mut fields)?,
                lane: lane(fields.int()?)?,
                token: LeaseToken(fields.int()?),
                until: fields.time()?,
            })
        };
        // The start has told of one that is damaged.
        held.extend(sound(one())?);
    }
    Ok(held)
}
