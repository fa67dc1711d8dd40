//! The table of transitions, a sentence a row; what holds of every row stands in `properties`.

mod cancel;
mod ending;
mod external;
mod leases;
mod progress;
mod properties;
mod reports;
mod retry;
mod submitting;
mod waiting;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    Attempt, Command, Context, EventKind, Failure, Hold, Json, Lane, Lease, LeaseToken, Name, Opening,
    Operation, OperationId, Outcome, Patch, Progress, Refusal, Report, ReportKind, RetryPolicy, Seq, Spec,
    State, Status, Step, Submission, TenantId, Timestamp, apply, submit,
};
use crate::operation::names::Tag;

/// When the tests begin.
const START: i64 = 17_000_000_000_000_000;

/// So many seconds after the tests begin.
fn at(seconds: f64) -> Timestamp {
    Timestamp::from_ticks(START).plus(Duration::from_secs_f64(seconds))
}

fn json(text: &str) -> Json {
    Arc::from(RawValue::from_string(text.to_owned()).unwrap())
}

/// A submission as bare as can be.
fn submission() -> Submission {
    let name = |text| Name::parse(text).unwrap();
    let lane = Lane { tenant: TenantId::default(), queue: name("default"), operation_type: name("noop") };
    let spec = Spec {
        id: OperationId(Uuid::from_u128(1)),
        lane: Arc::new(lane),
        external: false,
        key: None,
        fingerprint: None,
        created: at(0.0),
        received: at(0.0),
        input: None,
        priority: 0,
        timeout_seconds: None,
        max_attempts: 3,
        retry: Some(RetryPolicy { jitter: 0.0, ..RetryPolicy::default() }),
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

/// What a command did, as the tests look at it.
#[derive(Debug, PartialEq)]
enum Did {
    Changed(EventKind),
    Touched,
    Pruned,
    Unchanged,
}

/// One operation and the time it lives in.
#[derive(Debug, Clone)]
struct Life {
    operation: Operation,
    now: Timestamp,
    jitter: f64,
    /// The attempts that ended badly.
    attempts: Vec<Attempt>,
}

impl Life {
    fn of(submission: &Submission) -> Self {
        let context = Context { now: at(0.0), jitter: 0.0 };
        let operation = submit(submission, Seq(1), context);
        Self { operation, now: at(0.0), jitter: 0.0, attempts: Vec::new() }
    }

    /// Submitted bare, with changes.
    fn with(change: impl FnOnce(&mut Submission)) -> Self {
        let mut submission = submission();
        change(&mut submission);
        Self::of(&submission)
    }

    /// Submitted with changes, and claimed at once for 30 s.
    fn running(change: impl FnOnce(&mut Submission)) -> Self {
        let mut life = Self::with(change);
        life.claim();
        life
    }

    fn external(change: impl FnOnce(&mut Submission)) -> Self {
        Self::with(|submission| {
            submission.spec.external = true;
            change(submission);
        })
    }

    fn at(&mut self, seconds: f64) -> &mut Self {
        self.now = at(seconds);
        self
    }

    fn attempt(&mut self, command: &Command) -> Result<Did, Refusal> {
        let context = Context { now: self.now, jitter: self.jitter };
        Ok(match apply(&self.operation, command, context)? {
            Step::Changed { operation, event, attempt } => {
                self.operation = *operation;
                self.attempts.extend(attempt);
                Did::Changed(event)
            }
            Step::Touched(operation) => {
                self.operation = *operation;
                Did::Touched
            }
            Step::Unchanged => Did::Unchanged,
            Step::Pruned => Did::Pruned,
        })
    }

    #[track_caller]
    fn does(&mut self, command: &Command) -> Did {
        self.attempt(command).expect("the command is not refused")
    }

    #[track_caller]
    fn refuses(&mut self, command: &Command) -> Refusal {
        self.attempt(command).expect_err("the command is refused")
    }

    #[track_caller]
    fn claim(&mut self) {
        assert_eq!(self.does(&claim(30)), Did::Changed(EventKind::Started));
    }

    /// A report of the running attempt, or of the last one.
    #[track_caller]
    fn reports(&mut self, kind: ReportKind) -> Did {
        self.does(&report(self.operation.token, kind))
    }

    fn tick(&mut self) -> Did {
        self.does(&Command::Tick)
    }

    fn status(&self) -> Status {
        self.operation.status()
    }

    #[track_caller]
    fn lease(&self) -> &Lease {
        self.operation.lease().expect("it has a lease")
    }

    fn hold(&self) -> Option<Hold> {
        match self.operation.state {
            State::Waiting { hold, .. } => hold,
            _ => None,
        }
    }

    /// How it failed, and the code of its error.
    fn failed_as(&self) -> Option<(Outcome, &str)> {
        match &self.operation.state {
            State::Failed { outcome, failure, .. } => Some((*outcome, &*failure.code)),
            _ => None,
        }
    }
}

fn claim(lease_seconds: u32) -> Command {
    let tag = |text| Tag::parse(text).unwrap();
    Command::Claim { worker: tag("w1"), claim: tag("c1"), own: false, lease_seconds }
}

fn report(token: LeaseToken, kind: ReportKind) -> Command {
    Command::Report { token, report: Report { kind, checkpoint: None, progress: None } }
}

fn progress(token: LeaseToken, percent: u8) -> Command {
    let progress = Some(Progress { percent: Some(percent), detail: None });
    Command::Report { token, report: Report { kind: ReportKind::Running, checkpoint: None, progress } }
}

fn completed() -> ReportKind {
    ReportKind::Completed { result: Some(json("{\"pages\":12}")), resource_location: None }
}

fn failed(retryable: bool) -> ReportKind {
    let failure = Arc::new(Failure::new("upstream", "It did not answer."));
    ReportKind::Failed { failure, retryable, retry_after: None }
}

fn failure(code: &str) -> Arc<Failure> {
    Arc::new(Failure::new(code, "Its owner says so."))
}

fn patch_to(status: Status) -> Patch {
    Patch { status: Some(status), ..Patch::default() }
}
