//! What claims may take: the heads of the lanes asked for, merged in the order of `Rank`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use rusqlite::Connection;

use super::columns::{Fields, Prepared};
use super::error::Result;
use super::lanes::{LaneId, Lanes};
use super::load;
use crate::operation::{Rank, Seq};
use crate::store::turn::Want;

/// The next ranks of a lane. Answered from the ready index alone; the literal conditions are those of the index. Without
/// the collation SQLite would not seek by the third part, since a row's number has none of its own.
pub(super) const NEXT: &str = "SELECT urgency, ready_at, seq FROM operation \
     WHERE lane = ?1 AND status = 0 AND hold = 0 AND (urgency, ready_at, seq) > (?2, ?3, ?4 COLLATE BINARY) \
     ORDER BY urgency, ready_at, seq LIMIT ?5";

/// How far the open turn has read into the lanes. Kept over all of its claims, so that an operation goes to one only.
#[derive(Default)]
pub(super) struct Heads {
    scans: HashMap<LaneId, Scan>,
}

struct Scan {
    /// Read and not taken yet.
    keys: VecDeque<Rank>,
    /// The last one read: what follows comes after it.
    after: Rank,
    /// Nothing follows.
    ended: bool,
    reads: u32,
}

impl Scan {
    /// From that rank on, itself included.
    fn from(bound: Rank) -> Self {
        let after = Rank { seq: Seq(bound.seq.0 - 1), ..bound };
        Self { keys: VecDeque::new(), after, ended: false, reads: 0 }
    }

    /// What its next operation cannot be before; none when there is none.
    fn next(&self) -> Option<Rank> {
        self.keys.front().copied().or((!self.ended).then_some(self.after))
    }
}

impl Heads {
    /// The first operations that a want may take. Of each lane no more is read than its share of what is still missing,
    /// and twice as much each further time; a lane whose bound comes after everything taken is not read at all.
    pub(super) fn take(
        &mut self,
        connection: &Connection,
        lanes: &mut Lanes,
        want: &Want,
    ) -> Result<Vec<Seq>> {
        let asked = lanes.asked(want);
        let share = (want.limit / asked.len().max(1)).max(1);
        let mut heap: BinaryHeap<Reverse<(Rank, LaneId)>> = asked
            .into_iter()
            .filter_map(|(bound, id)| {
                let next = self.scans.entry(id).or_insert_with(|| Scan::from(bound)).next();
                next.map(|rank| Reverse((rank, id)))
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < want.limit {
            let Some(Reverse((rank, id))) = heap.pop() else { break };
            let Some(scan) = self.scans.get_mut(&id) else { continue };
            if scan.keys.front() == Some(&rank) {
                scan.keys.pop_front();
                taken.push(rank.seq);
            } else {
                let missing = want.limit - taken.len();
                let chunk = share.saturating_mul(1 << scan.reads.min(10)).min(missing);
                read(connection, lanes, id, scan, chunk)?;
            }
            if let Some(next) = scan.next() {
                heap.push(Reverse((next, id)));
            }
        }
        Ok(taken)
    }
}

fn read(connection: &Connection, lanes: &mut Lanes, id: LaneId, scan: &mut Scan, chunk: usize) -> Result<()> {
    load::open(connection)?;
    let mut statement = Prepared::of(connection, NEXT)?;
    let limit = i64::try_from(chunk).unwrap_or(i64::MAX);
    let mut bound = statement.row();
    bound.put(id)?.put(scan.after.urgency)?.time(scan.after.ready_at)?.put(scan.after.seq.0)?.put(limit)?;
    let mut rows = statement.found();
    while let Some(row) = rows.next()? {
        let mut fields = Fields::of(row);
        let rank = Rank { urgency: fields.small()?, ready_at: fields.time()?, seq: Seq(fields.int()?) };
        scan.keys.push_back(rank);
        scan.after = rank;
    }
    scan.ended = scan.keys.len() < chunk;
    if scan.reads == 0 {
        lanes.found(id, scan.keys.front().copied());
    }
    scan.reads += 1;
    #[cfg(test)]
    lanes.looked(scan.keys.len());
    Ok(())
}
