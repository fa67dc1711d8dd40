//! Where the ready operations of a lane begin, as far as this node knows.
//!
//! What was claimed leaves an entry in the index that cannot be removed while anybody holds a snapshot from before, and a
//! claim that begins at the front reads all of those. So a node remembers up to where everything was taken. It is told
//! where that is so no longer: by its own turns, and by the events of other nodes', which every turn with claims reads from
//! where the last one ended. What no event tells of, as of an operation that another node had locked and let go, is found
//! by reading from the front now and then.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio_postgres::Row;

use super::columns::{Value, fields};
use super::error::Result;
use super::lanes::{LaneId, Lanes};
use crate::limits;
use crate::operation::{Rank, Seq, Timestamp};
use crate::store::queue::{ByQueue, Standing};
use crate::store::stored::narrow;
use crate::store::turn::{Changes, Touched, Want};

/// Lanes of which it is remembered: a claim names them to the database, which looks for each of its lanes among them.
const LANES_MAX: usize = 64;
/// Events that one turn reads; with more, all lanes are forgotten.
const NEWS_MAX: i64 = 1024;
/// Reading from the front takes this part of the time at most.
const PART: u32 = 20;
/// Beyond everything that can be ready.
const END: Rank = Rank { urgency: i8::MAX, ready_at: Timestamp::MAX, seq: Seq(i64::MAX) };

/// What is ready by events after a cursor, each with its event's; and the last cursor.
pub(super) const NEWS: &str = "SELECT e.cursor, o.lane, o.urgency, o.ready_at, o.seq, \
         (SELECT max(cursor) FROM longrun.event WHERE cursor > $1) \
     FROM (SELECT cursor, seq FROM longrun.event WHERE cursor > $1 ORDER BY cursor LIMIT $2) e \
     LEFT JOIN LATERAL (SELECT * FROM longrun.operation o WHERE o.seq = e.seq AND o.status = 0 AND o.hold = 0 OFFSET 0) o \
         ON true";

#[derive(Debug)]
pub(super) struct Starts {
    of_lane: HashMap<LaneId, Rank>,
    /// Up to this cursor it is known what others did.
    seen: i64,
    /// Until then nothing is read from the front.
    until: Instant,
    /// What the turn has found ready; where it found nothing, [`END`].
    found: Vec<(LaneId, Rank)>,
    /// The turn has read from the front.
    whole: bool,
}

impl Default for Starts {
    fn default() -> Self {
        Self { of_lane: HashMap::new(), seen: 0, until: Instant::now(), found: Vec::new(), whole: false }
    }
}

impl Starts {
    /// A turn with claims begins.
    pub(super) fn begin(&mut self) {
        self.found.clear();
        self.whole = self.until <= Instant::now();
        if self.whole {
            self.of_lane.clear();
        }
    }

    /// It has read, which took so long.
    pub(super) fn read(&mut self, took: Duration) {
        if self.whole {
            self.until = Instant::now() + limits::LOOK_EVERY.max(took * PART);
        }
    }

    /// The parameters of [`NEWS`].
    pub(super) fn asked<'v>(&self) -> Vec<Value<'v>> {
        vec![Value::Int(self.seen), Value::Int(NEWS_MAX)]
    }

    /// Takes what other nodes made ready; whether a lane begins earlier than was known.
    pub(super) fn hear(&mut self, news: &[Row]) -> Result<bool> {
        let Some(last) = news.first() else { return Ok(false) };
        self.seen = last.try_get::<_, Option<i64>>(5)?.unwrap_or(self.seen);
        if i64::try_from(news.len()).is_ok_and(|many| many >= NEWS_MAX) {
            let knew = !self.of_lane.is_empty();
            self.of_lane.clear();
            return Ok(knew);
        }
        let mut earlier = false;
        for row in news {
            let mut fields = fields(row);
            let (_, Some(lane)) = (fields.int()?, fields.maybe_int()?) else { continue };
            let rank =
                Rank { urgency: narrow(fields.int()?)?, ready_at: fields.time()?, seq: Seq(fields.int()?) };
            earlier |= self.not_after(lane, rank);
        }
        Ok(earlier)
    }

    /// Where those lanes begin that a claim asks for and of which it is known: their numbers, and the parts of each rank.
    pub(super) fn of<'v>(&self, want: &Want, lanes: &Lanes) -> [Value<'v>; 4] {
        let asked_for = |(id, _): &(&LaneId, &Rank)| {
            lanes.get(**id).is_ok_and(|lane| {
                lane.tenant == want.tenant && want.covers(&lane.queue, &lane.operation_type)
            })
        };
        let known: Vec<(LaneId, Rank)> =
            self.of_lane.iter().filter(asked_for).map(|(id, rank)| (*id, *rank)).collect();
        [
            Value::ints(known.iter().map(|(id, _)| *id)),
            Value::ints(known.iter().map(|(_, rank)| i64::from(rank.urgency))),
            Value::ints(known.iter().map(|(_, rank)| rank.ready_at.ticks())),
            Value::ints(known.iter().map(|(_, rank)| rank.seq.0)),
        ]
    }

    /// The turn has found this one ready, and of its lane all before it.
    pub(super) fn found(&mut self, lane: LaneId, rank: Rank) {
        self.found.push((lane, rank));
    }

    /// Of what is asked for the turn has found these lanes, and nothing in all others of queues without controls.
    pub(super) fn found_no_more(&mut self, want: &Want, controlled: &ByQueue<Standing>, lanes: &Lanes) {
        if self.whole {
            let all = lanes.all(|lane| {
                lane.tenant == want.tenant
                    && want.covers(&lane.queue, &lane.operation_type)
                    && controlled.get(&lane.tenant, &lane.queue).is_none()
            });
            self.found.extend(all.into_iter().map(|lane| (lane, END)));
        }
    }

    /// The turn is durable; before its events the last cursor was this.
    pub(super) fn committed(&mut self, lanes: &Lanes, changes: &Changes, before: i64) {
        let touched: HashMap<Seq, &Touched> =
            changes.operations.iter().filter_map(|touched| Some((touched.seq()?, touched))).collect();
        let is_ready = |seq: Seq| {
            touched
                .get(&seq)
                .is_none_or(|touched| touched.after.as_ref().is_some_and(|after| after.rank().is_some()))
        };
        self.found.sort_unstable_by_key(|(_, rank)| *rank);
        let mut ready: HashSet<LaneId> = HashSet::new();
        for (lane, rank) in self.found.drain(..) {
            let has_room = self.of_lane.len() < LANES_MAX || self.of_lane.contains_key(&lane);
            // Where all were taken a lane begins with the last one, or nowhere: what comes to be ready is told.
            if has_room && !ready.contains(&lane) {
                self.of_lane.insert(lane, rank);
            }
            if is_ready(rank.seq) {
                ready.insert(lane);
            }
        }
        for after in touched.values().filter_map(|touched| touched.after.as_ref()) {
            if let (Some(rank), Some(lane)) = (after.rank(), lanes.id(&after.spec.lane)) {
                self.not_after(lane, rank);
            }
        }
        if let Some(last) = changes.events.last().filter(|_| before <= self.seen) {
            self.seen = last.event.cursor;
        }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        *self = Self { seen: self.seen, ..Self::default() };
    }

    /// A lane begins with this one at the latest; whether it was thought to begin later.
    fn not_after(&mut self, lane: LaneId, rank: Rank) -> bool {
        match self.of_lane.get_mut(&lane) {
            Some(start) if rank < *start => {
                *start = rank;
                true
            }
            _ => false,
        }
    }
}
