//! What the suite over all stores cannot see of this one. `House` drives a store as the tracker does, one command a turn.

mod claims;
mod damage;
mod events;
mod files;
mod lists;
mod turns;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use tempfile::TempDir;

use super::{Options, SqliteReader, SqliteStore, open};
use crate::operation::{
    Actor, ClaimId, Command, Context, Json, Lane, LeaseToken, Name, Opening, Operation, OperationId, Payload,
    Progress, Report, ReportKind, Seq, Spec, Step, Submission, TenantId, Timestamp, Via, WorkerId, apply,
    submit,
};
use crate::store::Store;
use crate::store::clock::Manual;
use crate::store::turn::{Changes, Recorded, Touched, Touches, Want, WorkingSet};

pub(super) struct House {
    pub(super) store: Option<SqliteStore>,
    pub(super) reader: Arc<SqliteReader>,
    pub(super) time: Arc<Manual>,
    pub(super) directory: TempDir,
}

pub(super) fn options(directory: &Path, time: Arc<Manual>) -> Options {
    Options { directory: directory.to_owned(), min_free_bytes: 0, time }
}

pub(super) fn json(text: &str) -> Json {
    Arc::from(RawValue::from_string(text.to_owned()).unwrap())
}

pub(super) fn submission(queue: &str, operation_type: &str, priority: i8) -> Submission {
    let name = |text| Name::parse(text).unwrap();
    let lane = Lane { tenant: TenantId::default(), queue: name(queue), operation_type: name(operation_type) };
    let spec = Spec {
        id: OperationId::fresh(),
        lane: Arc::new(lane),
        external: false,
        key: None,
        fingerprint: None,
        created: Timestamp::MIN,
        received: Timestamp::MIN,
        input: Some(Payload::Inline(json(r#"{"n":1}"#))),
        priority,
        timeout_seconds: None,
        max_attempts: 3,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("test"),
    };
    Submission {
        spec,
        last_action: None,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    }
}

pub(super) fn want(limit: usize) -> Want {
    Want { tenant: TenantId::default(), queues: None, operation_types: None, limit }
}

pub(super) fn completed(token: LeaseToken, result: Option<Json>) -> Command {
    let kind = ReportKind::Completed { result, resource_location: None };
    Command::Report { token, report: Report { kind, checkpoint: None, progress: None } }
}

pub(super) fn claim_command() -> Command {
    Command::Claim {
        worker: WorkerId::parse("w1").unwrap(),
        claim: ClaimId::parse("c1").unwrap(),
        own: false,
        lease_seconds: 30,
    }
}

pub(super) fn actor() -> Actor {
    Actor { name: Arc::from("test"), via: Via::Http }
}

/// Adds to the turn what a command does to an operation of its working set.
pub(super) fn advance(set: &WorkingSet, changes: &mut Changes, seq: Seq, command: &Command) {
    let before = set.operations[&seq].clone();
    let context = Context { now: set.now, jitter: 0.0 };
    let (after, kind) = match apply(&before, command, context).unwrap() {
        Step::Changed { operation, event, attempt } => {
            changes.attempts.extend(attempt);
            (*operation, Some(event))
        }
        Step::Touched(operation) => (*operation, None),
        Step::Unchanged | Step::Pruned => return,
    };
    let touched = changes.operations.len();
    let cursor = before.cursor;
    if let Some(kind) = kind {
        let status = Some(before.status());
        changes.events.push(Recorded::new(touched, kind, actor(), status, after.clone(), set.now));
    }
    let after = (!matches!(command, Command::Delete)).then_some(after);
    changes.operations.push(Touched { before: Some(before), after, cursor });
}

/// Adds a new operation to the turn.
pub(super) fn create(
    set: &WorkingSet,
    changes: &mut Changes,
    number: i64,
    submission: &Submission,
) -> Operation {
    let context = Context { now: set.now, jitter: 0.0 };
    let operation = submit(submission, Seq(set.first_seq.0 + number), context);
    let touched = changes.operations.len();
    let kind = crate::operation::EventKind::Created;
    changes.events.push(Recorded::new(touched, kind, actor(), None, operation.clone(), set.now));
    changes.operations.push(Touched { before: None, after: Some(operation.clone()), cursor: 0 });
    operation
}

impl House {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let time = Arc::new(Manual::at(Timestamp::parse("2026-01-01T00:00:00Z").unwrap()));
        let (store, reader) = open(options(directory.path(), time.clone())).unwrap();
        Self { store: Some(store), reader, time, directory }
    }

    pub(super) fn store(&mut self) -> &mut SqliteStore {
        self.store.as_mut().unwrap()
    }

    /// Ends the server and starts it again, `off` later.
    pub(super) fn restart(&mut self, off: Duration) {
        self.store = None;
        self.time.advance(off);
        let (store, reader) = open(options(self.directory.path(), self.time.clone())).unwrap();
        self.store = Some(store);
        self.reader = reader;
    }

    pub(super) fn turn(
        &mut self,
        touches: &Touches,
        act: impl FnOnce(&WorkingSet, &mut Changes),
    ) -> WorkingSet {
        let set = self.store().begin(touches).unwrap();
        let mut changes = Changes::default();
        act(&set, &mut changes);
        self.store().commit(&mut changes).unwrap();
        set
    }

    pub(super) fn submit(&mut self, submissions: &[Submission]) -> Vec<Operation> {
        let mut made = Vec::new();
        let touches = Touches::default();
        self.turn(&touches, |set, changes| {
            for (number, submission) in (0..).zip(submissions) {
                made.push(create(set, changes, number, submission));
            }
        });
        made
    }

    /// Takes up to so many of every lane.
    pub(super) fn claim(&mut self, limit: usize) -> Vec<Seq> {
        let touches = Touches { wants: vec![want(limit)], ..Touches::default() };
        let set = self.turn(&touches, |set, changes| {
            for seq in &set.ready[0] {
                advance(set, changes, *seq, &claim_command());
            }
        });
        set.ready[0].clone()
    }

    pub(super) fn command(&mut self, id: OperationId, command: &Command) {
        let touches = Touches { ids: vec![(TenantId::default(), id)], ..Touches::default() };
        self.turn(&touches, |set, changes| {
            let seq = *set.operations.keys().next().expect("the operation is there");
            advance(set, changes, seq, command);
        });
    }

    pub(super) fn complete(&mut self, operation: &Operation, token: i64) {
        self.command(operation.spec.id, &completed(LeaseToken(token), Some(json("7"))));
    }

    /// As the writer loads it.
    pub(super) fn load(&mut self, id: OperationId) -> Option<Arc<Operation>> {
        let touches = Touches { ids: vec![(TenantId::default(), id)], ..Touches::default() };
        let set = self.store().begin(&touches).unwrap();
        set.operations.values().next().cloned()
    }

    /// Applies what time commands, and tells to whom.
    pub(super) fn tick(&mut self) -> Vec<Seq> {
        let set = self.turn(&Touches { due: 100, ..Touches::default() }, |set, changes| {
            for seq in &set.due {
                advance(set, changes, *seq, &Command::Tick);
            }
        });
        set.due
    }

    pub(super) fn time_now(&self) -> Timestamp {
        crate::store::clock::TimeSource::wall(&*self.time)
    }

    /// Every operation that waits.
    pub(super) fn all(&mut self) -> Vec<Arc<Operation>> {
        let set =
            self.store().begin(&Touches { wants: vec![want(usize::MAX)], ..Touches::default() }).unwrap();
        set.operations.into_values().collect()
    }

    /// Asks the file itself.
    pub(super) fn count(&self, sql: &str) -> i64 {
        let file = self.directory.path().join(super::open::FILE);
        rusqlite::Connection::open(file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
