//! What claims may take: the heads of the lanes asked for, merged in the order of `Rank`. What another node has locked is
//! passed over.
//!
//! Claims that ask for the same are one group, whose heads are read together. Of queues without controls so many are read
//! as all claims so far may take; of each lane of a queue with controls as many, since only then it is known how many of
//! them may start.

use std::collections::HashSet;
use std::sync::LazyLock;

use tokio_postgres::Row;

use super::Resident;
use super::columns::Value;
use super::error::Result;
use super::link::{Pipeline, Place};
use super::load::{Loading, as_int};
use super::operations::{COLUMNS, lane_of};
use crate::limits;
use crate::operation::{Rank, Seq};
use crate::store::queue::{ByQueue, startable};
use crate::store::turn::{Touches, Want};

/// Of the heads of all lanes the first ones.
const MERGED: &str = "ORDER BY o.urgency, o.ready_at, o.seq LIMIT $4";
/// Queues with controls, or that get some in this turn.
const HAS_CONTROLS: &str = "(l.queue = ANY ($5) OR EXISTS \
     (SELECT 1 FROM longrun.queue q WHERE q.tenant = l.tenant AND q.name = l.queue))";
/// Where lanes begin of which that is known: see [`super::starts`].
const STARTS: &str = "LEFT JOIN unnest($7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) \
     AS s (lane, urgency, ready_at, seq) ON s.lane = l.id";
const BEGUN: &str = "AND (o.urgency, o.ready_at, o.seq) >= (coalesce(s.urgency, -1000), \
     coalesce(s.ready_at, -9223372036854775808), coalesce(s.seq, -9223372036854775808))";
static ALL: LazyLock<String> = LazyLock::new(|| heads((STARTS, BEGUN), MERGED));
static FREE: LazyLock<String> =
    LazyLock::new(|| heads((STARTS, BEGUN), &format!("AND NOT {HAS_CONTROLS} {MERGED}")));
/// Of those it may be that none of the first ones may start.
static CONTROLLED: LazyLock<String> = LazyLock::new(|| heads(("", ""), &format!("AND {HAS_CONTROLS}")));

/// The first ones that are ready in each lane asked for.
fn heads((starts, begun): (&str, &str), rest: &str) -> String {
    // What is ready is under no lease: its columns are there, and null.
    let columns = COLUMNS.replace("le.", "NULL::bigint AS ");
    format!(
        "SELECT {columns} FROM longrun.lane l {starts} CROSS JOIN LATERAL \
         (SELECT * FROM longrun.operation o WHERE o.lane = l.id AND o.status = 0 AND o.hold = 0 \
          {begun} AND o.seq <> ALL ($6) ORDER BY o.urgency, o.ready_at, o.seq LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED) o \
         WHERE l.tenant = $1 AND ($2::text[] IS NULL OR l.queue = ANY ($2)) \
         AND ($3::text[] IS NULL OR l.operation_type = ANY ($3)) {rest}"
    )
}

/// Whose heads a group reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of every queue, where none has controls.
    All,
    /// Of queues without controls.
    Free,
    /// Of those with controls.
    Controlled,
}

/// Claims of a turn that ask for the same.
pub(super) struct Group<'a> {
    want: &'a Want,
    /// Queues whose controls the turn changes.
    changing: Vec<&'a str>,
    kind: Kind,
    /// At most so many of them are read.
    limit: usize,
    /// What was read, in order.
    heads: Vec<Rank>,
    /// There is nothing after those.
    ended: bool,
}

/// What the claims of a turn ask for.
pub(super) struct Wants<'a> {
    groups: Vec<Group<'a>>,
    /// For each claim of the turn, then for each one that waits, the groups of what is free and of what is controlled.
    places: Vec<[Option<usize>; 2]>,
}

impl<'a> Wants<'a> {
    /// Whether anything is asked for of which it is remembered where it begins.
    pub(super) fn has_starts(&self) -> bool {
        self.groups.iter().any(Group::has_starts)
    }

    /// The groups of a turn's claims, where queues may have controls or none has.
    pub(super) fn of(touches: &'a Touches, controls: bool) -> Self {
        let free_kind = if controls { Kind::Free } else { Kind::All };
        let mut wants = Self { groups: Vec::new(), places: Vec::new() };
        let mut sum = 0;
        let claims = touches.wants.iter().map(|want| (want, true));
        // Of queues without controls nothing is ready that a waiting claim would not have been given: but for what
        // other nodes did.
        let waiting = touches.waiting.iter().map(|want| (want, touches.peek));
        for (want, free) in claims.chain(waiting) {
            sum += want.limit;
            let free = free.then(|| wants.group(touches, want, free_kind, sum));
            let controlled = controls.then(|| wants.group(touches, want, Kind::Controlled, sum));
            wants.places.push([free, controlled]);
        }
        wants
    }

    fn group(&mut self, touches: &'a Touches, want: &'a Want, kind: Kind, limit: usize) -> usize {
        let same = |group: &Group<'_>| {
            group.kind == kind
                && group.want.tenant == want.tenant
                && group.want.queues == want.queues
                && group.want.operation_types == want.operation_types
        };
        if let Some(place) = self.groups.iter().position(same) {
            self.groups[place].limit = limit;
            return place;
        }
        let mine = touches.queues.iter().filter(|(tenant, _)| *tenant == want.tenant);
        let changing = mine.map(|(_, queue)| queue.as_str()).collect();
        self.groups.push(Group { want, changing, kind, limit, heads: Vec::new(), ended: false });
        self.groups.len() - 1
    }
}

impl<'a> Group<'a> {
    /// Whether it is remembered where its lanes begin.
    fn has_starts(&self) -> bool {
        self.kind != Kind::Controlled
    }

    fn ask(&self, pipeline: &mut Pipeline<'a>, resident: &Resident) -> Place {
        fn names(names: Option<&std::sync::Arc<[crate::operation::Name]>>) -> Value<'_> {
            Value::Texts(names.map(|names| names.iter().map(crate::operation::Name::as_str).collect()))
        }
        let mut values = vec![
            Value::Text(self.want.tenant.as_str().into()),
            names(self.want.queues.as_ref()),
            names(self.want.operation_types.as_ref()),
            Value::Int(as_int(self.limit)),
            Value::Texts(Some(self.changing.clone())),
            resident.aside(),
        ];
        if self.has_starts() {
            values.extend(resident.starts.of(self.want, &resident.lanes));
        }
        let heads = match self.kind {
            Kind::All => &ALL,
            Kind::Free => &FREE,
            Kind::Controlled => &CONTROLLED,
        };
        pipeline.call(heads, values)
    }
}

impl<'a> Loading<'a> {
    /// Asks for the heads of all groups.
    pub(super) fn ask_heads(&self, pipeline: &mut Pipeline<'a>, wants: &Wants<'a>) -> Vec<Place> {
        wants.groups.iter().map(|group| group.ask(pipeline, self.resident)).collect()
    }

    /// Keeps what was found of the groups, each in its order.
    pub(super) fn take_heads<'r>(
        &mut self,
        wants: &mut Wants<'a>,
        found: impl Iterator<Item = &'r [Row]>,
    ) -> Result<()> {
        for (group, rows) in wants.groups.iter_mut().zip(found) {
            self.take_group(group, rows)?;
        }
        Ok(())
    }

    fn take_group(&mut self, group: &mut Group<'a>, rows: &[Row]) -> Result<()> {
        group.heads.clear();
        for row in rows {
            let seq = self.keep(row)?;
            let rank = self.set.operations.get(&seq).and_then(|operation| operation.rank());
            group.heads.extend(rank);
            if let (Some(rank), Some(lane)) = (rank, lane_of(row).filter(|_| group.has_starts())) {
                self.resident.starts.found(lane, rank);
            }
        }
        group.heads.sort_unstable();
        // A lane that gave as many as it might can hold more.
        group.ended = rows.len() < group.limit;
        if group.ended && group.has_starts() {
            self.resident.starts.found_no_more(group.want, &self.set.queues, &self.resident.lanes);
        }
        Ok(())
    }

    /// What each claim may take, and what a waiting one may have now.
    pub(super) async fn take_wanted(&mut self, wants: &mut Wants<'a>) -> Result<()> {
        let most = startable(&self.set, self.touches);
        let mut taken = HashSet::new();
        let touches = self.touches;
        for (number, want) in touches.wants.iter().chain(&touches.waiting).enumerate() {
            let mine = self.take_want(wants, number, want, &most, &mut taken).await?;
            if number < touches.wants.len() {
                self.set.ready.push(mine);
            } else {
                self.set.woken.extend(mine);
            }
        }
        // What was read and is nobody's stays in its lane.
        let named: HashSet<Seq> = self.named();
        let Self { set, expired, .. } = self;
        let kept = |seq: &Seq| taken.contains(seq) || named.contains(seq) || expired.contains(seq);
        set.operations.retain(|seq, operation| operation.rank().is_none() || kept(seq));
        Ok(())
    }

    async fn take_want(
        &mut self,
        wants: &mut Wants<'a>,
        number: usize,
        want: &Want,
        most: &ByQueue<usize>,
        taken: &mut HashSet<Seq>,
    ) -> Result<Vec<Seq>> {
        let mut mine: Vec<Rank> = Vec::new();
        for place in wants.places[number].into_iter().flatten() {
            loop {
                let group = &wants.groups[place];
                let (found, short) = self.pick(group, want, most, taken);
                if !short || group.ended {
                    taken.extend(found.iter().map(|rank| rank.seq));
                    mine.extend(found);
                    break;
                }
                self.look_further(&mut wants.groups[place]).await?;
            }
        }
        mine.sort_unstable();
        let (expired, ready): (Vec<Rank>, Vec<Rank>) =
            mine.into_iter().partition(|rank| self.expired.contains(&rank.seq));
        drop(expired);
        Ok(ready.into_iter().map(|rank| rank.seq).collect())
    }

    /// What one claim takes of a group, and whether it could take more.
    fn pick(
        &mut self,
        group: &Group<'_>,
        want: &Want,
        most: &ByQueue<usize>,
        taken: &HashSet<Seq>,
    ) -> (Vec<Rank>, bool) {
        let mut counts: ByQueue<usize> = ByQueue::default();
        let (mut found, mut free, mut full) = (Vec::new(), 0, 0);
        let is_controlled = group.kind == Kind::Controlled;
        for rank in group.heads.iter().filter(|rank| !taken.contains(&rank.seq)) {
            let Some(operation) = self.set.operations.get(&rank.seq) else { continue };
            let lane = &operation.spec.lane;
            let (count, limit) = match most.get(&lane.tenant, &lane.queue).filter(|_| is_controlled) {
                Some(most) => (counts.entry(&lane.tenant, &lane.queue).or_default(), want.limit.min(*most)),
                None => (&mut free, want.limit),
            };
            if *count >= limit {
                full += 1;
                continue;
            }
            let is_expired = operation.is_expired(self.set.now);
            if is_expired
                && (self.expired.contains(&rank.seq) || self.expired.len() < limits::TURN_EXPIRED_MAX)
            {
                if !self.expired.contains(&rank.seq) {
                    self.expired.push(rank.seq);
                }
            } else {
                *count += 1;
            }
            found.push(*rank);
        }
        (found, want.limit > 0 && full == 0 && (is_controlled || free < want.limit))
    }

    /// Reads twice as far.
    async fn look_further(&mut self, group: &mut Group<'a>) -> Result<()> {
        group.limit *= 2;
        let mut pipeline = Pipeline::new(self.link);
        let place = group.ask(&mut pipeline, self.resident);
        let answers = pipeline.run().await?;
        self.meet_lanes(&answers).await?;
        self.take_group(group, answers.of(place))
    }
}
