//! Between an event and its row.

use std::borrow::Cow;
use std::sync::Arc;

use super::fields::{Bind, Columns, Fields};
use super::row::{self, Resting};
use super::{Damaged, Result, codes, record, text};
use crate::operation::{
    Actor, Carrier, Event, EventKind, Lane, Lease, LeaseToken, Operation, Progress, Seq, Spec, State, Status,
    Timestamp,
};
use crate::store::turn::{Changes, Recorded};

/// In the order in which [`bind`] binds it.
pub(in crate::store) const WRITTEN: [&str; 27] = [
    "cursor",
    "seq",
    "lane",
    "previous",
    "at",
    "kind",
    "via",
    "actor",
    "status_before",
    "version",
    "status",
    "hold",
    "attempts",
    "token",
    "ready_at",
    "last_action",
    "started",
    "finished",
    "percent",
    "detail",
    "resource_location",
    "outcome",
    "error",
    "cancel_requested",
    "start_at",
    "expires",
    "spec",
];

/// In the order in which [`Row::read`] and [`Row::event`] read it.
pub(in crate::store) const READ: &str = "cursor, lane, seq, previous, at, kind, via, actor, status_before, spec, \
     version, status, hold, attempts, token, ready_at, last_action, started, finished, percent, detail, \
     resource_location, outcome, error, cancel_requested, start_at, expires";

/// The events of a turn that are kept: of a deleted operation only that it was deleted.
pub(in crate::store) fn kept(changes: &Changes) -> impl Iterator<Item = (&Recorded, bool)> {
    let gone = |recorded: &Recorded| changes.operations[recorded.touched].after.is_none();
    let all = changes.events.iter().map(move |recorded| (recorded, gone(recorded)));
    all.filter(|(recorded, gone)| !gone || recorded.event.kind == EventKind::Deleted)
}

/// In the order of [`WRITTEN`]. What was submitted goes along when the operation is gone.
pub(in crate::store) fn bind<'v>(row: &mut impl Bind<'v>, recorded: &'v Recorded, lane: i64, gone: bool) {
    let Event { cursor, previous, at, kind, actor, status_before, operation } = &recorded.event;
    let (hold, ready_at) = match operation.state {
        State::Waiting { hold, ready_at } => (hold, Some(ready_at)),
        _ => (None, None),
    };
    let outcome = match operation.state {
        State::Failed { outcome, .. } => Some(codes::outcome(outcome)),
        _ => None,
    };
    let other = |moment: Option<Timestamp>| moment.filter(|moment| moment != at);
    row.put(*cursor);
    row.put(operation.seq.0);
    row.put(lane);
    row.put(*previous);
    row.time(Some(*at));
    row.put(codes::kind(*kind));
    row.put(codes::via(actor.via));
    row.put_text(&actor.name);
    row.int(status_before.map(codes::status));
    row.put(operation.version);
    row.put(codes::status(operation.status()));
    row.put(codes::hold(hold));
    row.put(operation.attempts);
    row.put(operation.token.0);
    row.time(other(ready_at));
    row.time(other(Some(operation.last_action)));
    row.time(operation.started);
    row.time(other(operation.completed()));
    row.int(operation.progress.percent.map(i64::from));
    row.text(operation.progress.detail.as_deref().map(Cow::Borrowed));
    row.text(operation.resource_location().map(|url| Cow::Borrowed(&**url)));
    row.int(outcome);
    row.text(operation.failure().map(|failure| Cow::Owned(text::failure_text(failure))));
    row.int(operation.cancel_requested.then_some(1));
    row.time(operation.start_at);
    row.time(operation.expires);
    row.text(gone.then(|| Cow::Owned(record::write(&operation.spec))));
}

/// The first parts of [`READ`] after the cursor, the lane and the number: all that is needed to find what was submitted.
pub(in crate::store) struct Head {
    previous: i64,
    at: Timestamp,
    kind: EventKind,
    actor: Actor,
    status_before: Option<Status>,
    /// Of a deleted operation.
    pub(in crate::store) spec: Option<Arc<Spec>>,
}

/// Reads the head.
pub(in crate::store) fn head<'r>(fields: &mut Fields<impl Columns<'r>>, lane: &Arc<Lane>) -> Result<Head> {
    let previous = fields.int()?;
    let at = fields.time()?;
    let kind = codes::kind_of(fields.int()?).ok_or(Damaged("an event's kind has no word"))?;
    let via = codes::via_of(fields.int()?).ok_or(Damaged("an event's door has no word"))?;
    let actor = Actor { name: Arc::from(fields.text()?), via };
    let status_before = fields.maybe_int()?.and_then(codes::status_of);
    let spec = fields.maybe_text()?.map(|text| record::read(text, lane.clone())).transpose()?;
    Ok(Head { previous, at, kind, actor, status_before, spec: spec.map(Arc::new) })
}

/// Reads the rest; without the result of an operation that completed.
pub(in crate::store) fn rest<'r>(
    fields: &mut Fields<impl Columns<'r>>,
    head: Head,
    cursor: i64,
    seq: Seq,
    spec: Arc<Spec>,
) -> Result<Event> {
    let Head { previous, at, kind, actor, status_before, .. } = head;
    let mut operation = row::blank(seq, spec);
    operation.cursor = cursor;
    operation.changed = at;
    stand(fields, &mut operation, &actor)?;
    Ok(Event { cursor, previous, at, kind, actor, status_before, operation })
}

/// Where the operation stood after the event. Instants that are its own are not written again.
fn stand<'r>(fields: &mut Fields<impl Columns<'r>>, operation: &mut Operation, actor: &Actor) -> Result<()> {
    let at = operation.changed;
    operation.version = fields.int()?;
    let status = fields.status()?;
    let hold = fields.hold()?;
    operation.attempts = fields.small()?;
    operation.token = LeaseToken(fields.int()?);
    let ready_at = Some(fields.maybe_time()?.unwrap_or(at));
    operation.last_action = fields.maybe_time()?.unwrap_or(at);
    operation.started = fields.maybe_time()?;
    let finished = Some(fields.maybe_time()?.unwrap_or(at));
    operation.progress =
        Progress { percent: fields.maybe_small()?, detail: fields.maybe_text()?.map(Arc::from) };
    let resource_location = fields.maybe_text()?.map(Arc::from);
    let outcome = fields.maybe_int()?;
    let error = fields.maybe_text()?.map(text::failure).transpose()?;
    operation.cancel_requested = fields.flag()?;
    operation.start_at = fields.maybe_time()?;
    operation.expires = fields.maybe_time()?;
    operation.last_failure.clone_from(&error);
    operation.state = match status {
        Status::Running if operation.spec.external => State::Running(Carrier::Owner),
        Status::Running => State::Running(Carrier::Worker(past_lease(actor, operation.token, at)?)),
        _ => {
            let result = None;
            row::resting(Resting {
                status,
                hold,
                ready_at,
                finished,
                outcome,
                error,
                result,
                resource_location,
            })?
        }
    };
    Ok(())
}

/// Leases of the past are kept nowhere and shown to nobody: only that there was one, and its token.
fn past_lease(actor: &Actor, token: LeaseToken, at: Timestamp) -> Result<Lease> {
    let nobody = || text::tag("-");
    let worker = text::tag(&actor.name).or_else(|_| nobody())?;
    Ok(Lease { token, worker, claim: nobody()?, own: false, seconds: 0, until: at, cap: None, pending: None })
}
