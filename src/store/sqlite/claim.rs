//! What claims may take: the heads of the lanes asked for, merged in the order of `Rank`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use rusqlite::{Connection, Row};

use super::Resident;
use super::columns::{Prepared, fields};
use super::error::Result;
use super::lanes::{LaneId, Lanes};
use super::load::{self, Loading};
use crate::limits;
use crate::operation::{QueueName, Rank, Seq, Timestamp};
use crate::store::queue::{ByQueue, startable};
use crate::store::stored::Bind;
use crate::store::stored::damage::sound;
use crate::store::turn::{Touches, Want};

/// The next ranks of a lane. Answered from the ready index alone; the literal conditions are those of the index. Without
/// the collation SQLite would not seek by the third part, since a row's number has none of its own.
pub(super) const NEXT: &str = "SELECT urgency, ready_at, seq FROM operation \
     WHERE lane = ?1 AND status = 0 AND hold = 0 AND (urgency, ready_at, seq) > (?2, ?3, ?4 COLLATE BINARY) \
     ORDER BY urgency, ready_at, seq LIMIT ?5";

/// How far the open turn has read into the lanes. Kept over all of its claims, so that an operation goes to one only.
#[derive(Default)]
struct Heads {
    scans: HashMap<LaneId, Scan>,
}

struct Scan {
    /// Read and not taken yet.
    keys: VecDeque<Rank>,
    /// The last one read: what follows comes after it.
    after: Rank,
    /// The head was read.
    began: bool,
    /// Nothing follows.
    ended: bool,
    reads: u32,
}

impl Scan {
    /// From that rank on, itself included.
    fn from(bound: Rank) -> Self {
        let after = Rank { seq: Seq(bound.seq.0 - 1), ..bound };
        Self { keys: VecDeque::new(), after, began: false, ended: false, reads: 0 }
    }

    /// What its next operation cannot be before; none when there is none.
    fn next(&self) -> Option<Rank> {
        self.keys.front().copied().or((!self.ended).then_some(self.after))
    }
}

impl Heads {
    /// The first operations of some lanes, of which it is known what their heads cannot be before. Of each lane no more is
    /// read than its share of what is still missing, and twice as much each further time; a lane whose bound comes after
    /// everything taken is not read at all.
    fn take(
        &mut self,
        connection: &Connection,
        resident: &mut Resident,
        asked: &[(Rank, LaneId)],
        limit: usize,
    ) -> Result<Vec<Rank>> {
        let share = (limit / asked.len().max(1)).max(1);
        let mut heap: BinaryHeap<Reverse<(Rank, LaneId)>> = asked
            .iter()
            .filter_map(|(bound, id)| {
                let next = self.scans.entry(*id).or_insert_with(|| Scan::from(*bound)).next();
                next.map(|rank| Reverse((rank, *id)))
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(Reverse((rank, id))) = heap.pop() else { break };
            let Some(scan) = self.scans.get_mut(&id) else { continue };
            if scan.keys.front() == Some(&rank) {
                scan.keys.pop_front();
                taken.push(rank);
            } else {
                let missing = limit - taken.len();
                let chunk = share.saturating_mul(1 << scan.reads.min(10)).min(missing);
                read(connection, resident, id, scan, chunk)?;
            }
            if let Some(next) = scan.next() {
                heap.push(Reverse((next, id)));
            }
        }
        Ok(taken)
    }
}

/// What was put aside is passed over for good: the head that the lane remembers is the first that may be taken.
fn read(
    connection: &Connection,
    resident: &mut Resident,
    id: LaneId,
    scan: &mut Scan,
    chunk: usize,
) -> Result<()> {
    load::open(connection)?;
    let mut statement = Prepared::of(connection, NEXT)?;
    let limit = i64::try_from(chunk).unwrap_or(i64::MAX);
    let mut bound = statement.row();
    bound.put(id);
    bound.put(scan.after.urgency);
    bound.time(Some(scan.after.ready_at));
    bound.put(scan.after.seq.0);
    bound.put(limit);
    bound.bound()?;
    let mut rows = statement.found();
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let seq = Seq(row.get(2)?);
        let Some(rank) = sound(resident.damage.heard_of("operation", seq, rank(row, seq)))? else {
            // Its urgency is beyond all that there are, and so is that of whatever comes after it.
            scan.ended = true;
            break;
        };
        if !resident.aside.contains(&seq) {
            scan.keys.push_back(rank);
        }
        scan.after = rank;
    }
    scan.ended |= seen < chunk;
    if !scan.began {
        resident.lanes.found(id, scan.next());
        scan.began = !scan.keys.is_empty();
    }
    scan.reads += 1;
    #[cfg(test)]
    resident.lanes.looked(seen);
    Ok(())
}

/// One without a start is damaged, but its place is known: the row itself will tell.
fn rank(row: &Row<'_>, seq: Seq) -> Result<Rank> {
    let mut fields = fields(row);
    let urgency = fields.small()?;
    Ok(Rank { urgency, ready_at: fields.maybe_time()?.unwrap_or(Timestamp::MIN), seq })
}

/// Lanes, each with what its head cannot be before, and how much may be taken of all of them together.
type Portion = (Vec<(Rank, LaneId)>, usize);

/// What a want may take: so much of queues without controls, and of each other one as much as may start.
fn portions(lanes: &Lanes, want: &Want, free: usize, most: &ByQueue<usize>) -> Vec<Portion> {
    let asked = lanes.asked(want);
    if most.is_empty() {
        return vec![(asked, free)];
    }
    let (mut of_free, mut of_queue) = (Vec::new(), HashMap::<&QueueName, Portion>::new());
    for (bound, id) in asked {
        let Some(lane) = lanes.find(id) else { continue };
        match most.get(&lane.tenant, &lane.queue) {
            None => of_free.push((bound, id)),
            Some(most) => {
                let portion = || (Vec::new(), want.limit.min(*most));
                of_queue.entry(&lane.queue).or_insert_with(portion).0.push((bound, id));
            }
        }
    }
    std::iter::once((of_free, free)).chain(of_queue.into_values()).collect()
}

impl Loading<'_> {
    /// What each claim may take, and what a waiting one may have now.
    pub(super) fn wanted(&mut self, touches: &Touches) -> Result<()> {
        let most = startable(&self.set, touches);
        let mut heads = Heads::default();
        for want in &touches.wants {
            let ready = self.ready(&mut heads, want, want.limit, &most)?;
            self.set.ready.push(ready);
        }
        if !most.is_empty() {
            for want in &touches.waiting {
                let woken = self.ready(&mut heads, want, 0, &most)?;
                self.set.woken.extend(woken);
            }
        }
        Ok(())
    }

    fn ready(
        &mut self,
        heads: &mut Heads,
        want: &Want,
        free: usize,
        most: &ByQueue<usize>,
    ) -> Result<Vec<Seq>> {
        let portions = portions(&self.resident.lanes, want, free, most);
        let mut ready: Vec<Rank> = Vec::new();
        for (asked, limit) in &portions {
            let full = ready.len() + limit;
            while ready.len() < full {
                let missing = full - ready.len();
                let taken = heads.take(self.connection, self.resident, asked, missing)?;
                if taken.is_empty() {
                    break;
                }
                self.numbered(taken.iter().map(|rank| rank.seq).collect())?;
                for rank in taken.into_iter().filter(|rank| !self.set.damaged.contains(&rank.seq)) {
                    if self.passes_over(rank.seq) { self.expired.push(rank.seq) } else { ready.push(rank) }
                }
            }
        }
        if portions.len() > 1 {
            ready.sort_unstable();
        }
        Ok(ready.into_iter().map(|rank| rank.seq).collect())
    }

    /// It has expired, and the tick has not come to it yet: a claim would be refused.
    fn passes_over(&self, seq: Seq) -> bool {
        let is_expired = self.set.operations.get(&seq).is_some_and(|it| it.is_expired(self.set.now));
        is_expired && self.expired.len() < limits::TURN_EXPIRED_MAX
    }
}
