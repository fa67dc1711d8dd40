//! Stores of any size, made through the store's own door.

use std::path::Path;
use std::sync::Arc;

use super::load::LoadError;
use crate::operation::{
    self, Actor, Command, Context, EventKind, Failure, Lane, Name, Opening, Operation, OperationId, Progress,
    Report, ReportKind, Seq, Spec, Step, Submission, TenantId, Timestamp, Via, names::Tag,
};
use crate::store::clock::Machine;
use crate::store::sqlite::{self, SqliteReader, SqliteStore};
use crate::store::turn::{Changes, Recorded, Touched, Touches};
use crate::store::{Store, StoreError};

/// Operations that one commit of the making carries.
const BATCH: usize = 5000;

/// One operation of a store that is made.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) queue: String,
    pub(super) operation_type: &'static str,
    pub(super) priority: i8,
    /// Seconds until its start.
    pub(super) delay_seconds: u32,
    /// How far its life has gone.
    pub(super) stage: Stage,
}

/// How far a life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Running,
    Completed,
    Failed,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            queue: "default".to_owned(),
            operation_type: "bench",
            priority: 0,
            delay_seconds: 0,
            stage: Stage::Waiting,
        }
    }
}

/// Opens a store as a server does.
pub(super) fn open(directory: &Path) -> Result<(SqliteStore, Arc<SqliteReader>), LoadError> {
    let options = sqlite::Options {
        directory: directory.to_owned(),
        min_free_bytes: 0,
        time: Arc::new(Machine::default()),
    };
    sqlite::open(options).map_err(|error| LoadError::Other(error.to_string()))
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

/// Adds operations to a store.
pub(super) fn fill(store: &mut dyn Store, wishes: impl IntoIterator<Item = Wish>) -> Result<(), LoadError> {
    let mut wishes = wishes.into_iter().peekable();
    while wishes.peek().is_some() {
        let batch: Vec<Wish> = wishes.by_ref().take(BATCH).collect();
        let set = store.begin(&Touches::default())?;
        let mut changes = Changes::default();
        for (wish, seq) in batch.iter().zip(set.first_seq.0..) {
            live(&mut changes, wish, Seq(seq), set.now)?;
        }
        store.commit(&mut changes)?;
    }
    Ok(())
}

fn name(text: &str) -> Result<Name, LoadError> {
    Name::parse(text).map_err(|error| LoadError::Other(error.to_string()))
}

fn tag(text: &str) -> Result<Tag, LoadError> {
    Tag::parse(text).map_err(|error| LoadError::Other(error.to_string()))
}

/// Takes an operation as far as is wished.
fn live(changes: &mut Changes, wish: &Wish, seq: Seq, now: Timestamp) -> Result<(), LoadError> {
    let context = Context { now, jitter: 0.5 };
    let created = operation::submit(&submission(wish, now)?, seq, context);
    let place = changes.operations.len();
    let mut record = |kind, before: Option<&Operation>, after: &Operation| {
        let actor = Actor { name: Arc::from("bench"), via: Via::Cli };
        let status_before = before.map(Operation::status);
        changes.events.push(Recorded::new(place, kind, actor, status_before, after.clone(), now));
    };
    record(EventKind::Created, None, &created);
    let mut operation = created;
    for command in commands(wish)? {
        let step = operation::apply(&operation, &command, context);
        if let Ok(Step::Changed { operation: after, event, .. }) = step {
            record(event, Some(&operation), &after);
            operation = *after;
        }
    }
    changes.operations.push(Touched { before: None, after: Some(operation), cursor: 0 });
    Ok(())
}

fn commands(wish: &Wish) -> Result<Vec<Command>, LoadError> {
    let kind = match wish.stage {
        Stage::Waiting => return Ok(Vec::new()),
        Stage::Running => None,
        Stage::Completed => Some(ReportKind::Completed { result: None, resource_location: None }),
        Stage::Failed => {
            let failure = Arc::new(Failure::new("bench", "It was made so."));
            Some(ReportKind::Failed { failure, retryable: false, retry_after: None })
        }
    };
    let claim =
        Command::Claim { worker: tag("bench:1")?, claim: tag("made")?, own: false, lease_seconds: 3600 };
    let report = kind.map(|kind| Command::Report {
        token: operation::LeaseToken(1),
        report: Report { kind, checkpoint: None, progress: None },
    });
    Ok(std::iter::once(claim).chain(report).collect())
}

fn submission(wish: &Wish, now: Timestamp) -> Result<Submission, LoadError> {
    let lane = Lane {
        tenant: TenantId::default(),
        queue: name(&wish.queue)?,
        operation_type: name(wish.operation_type)?,
    };
    Ok(Submission {
        spec: Spec {
            id: OperationId::fresh(),
            lane: Arc::new(lane),
            external: false,
            key: None,
            fingerprint: None,
            created: now,
            received: now,
            input: None,
            priority: wish.priority,
            timeout_seconds: None,
            max_attempts: 3,
            retry: None,
            labels: None,
            traceparent: None,
            submitted_by: Arc::from("bench"),
        },
        last_action: None,
        start_at: (wish.delay_seconds > 0).then(|| now.plus_seconds(wish.delay_seconds)),
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    })
}
