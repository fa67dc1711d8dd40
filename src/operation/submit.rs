//! How an operation begins.

use std::sync::Arc;

use super::command::Context;
use super::model::{Carrier, Failure, Hold, Json, Operation, Payload, Progress, Spec, State};
use super::names::{LeaseToken, Seq};
use super::status::Outcome;
use super::time::Timestamp;

/// What a client hands in, read and checked, before it has a number.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What never changes.
    pub spec: Spec,
    /// The client's `lastActionDateTime`.
    pub last_action: Option<Timestamp>,
    /// The client's `startDateTime`.
    pub start_at: Option<Timestamp>,
    /// The client's `expirationDateTime`.
    pub expires: Option<Timestamp>,
    /// How far an external one already is.
    pub progress: Progress,
    /// Where it stands at the beginning.
    pub opening: Opening,
}

/// Where an operation stands when it is submitted; all but `Waiting` are external.
#[derive(Clone, Debug)]
pub enum Opening {
    /// `NotStarted`.
    Waiting,
    /// `Running`.
    Running,
    /// `Completed`.
    Completed {
        /// What it made.
        result: Option<Json>,
        /// Where that is.
        resource_location: Option<Arc<str>>,
    },
    /// `Failed`; without an error one that says so is filled in.
    Failed(Option<Arc<Failure>>),
}

impl Submission {
    /// Whether somebody else carries it out: whatever begins elsewhere than waiting has no lease.
    pub fn is_external(&self) -> bool {
        self.spec.external || !matches!(self.opening, Opening::Waiting)
    }
}

/// Makes the operation. Its event is [`super::EventKind::Created`].
pub fn submit(submission: &Submission, seq: Seq, context: Context) -> Operation {
    let now = context.now;
    let mut spec = submission.spec.clone();
    spec.received = now;
    spec.external = submission.is_external();
    let external = spec.external;
    let state = match &submission.opening {
        Opening::Waiting if external => State::Waiting { hold: Some(Hold::External), ready_at: now },
        Opening::Waiting => match submission.start_at.filter(|start| *start > now) {
            Some(start) => State::Waiting { hold: Some(Hold::Delayed), ready_at: start },
            None => State::Waiting { hold: None, ready_at: now },
        },
        Opening::Running => State::Running(Carrier::Owner),
        Opening::Completed { result, resource_location } => State::Completed {
            result: result.clone().map(Payload::Inline),
            resource_location: resource_location.clone(),
            at: now,
        },
        Opening::Failed(failure) => State::Failed {
            failure: failure.clone().unwrap_or_else(|| {
                Arc::new(Failure::new("unspecified", "Submitted as Failed without an error."))
            }),
            outcome: Outcome::Failed,
            at: now,
        },
    };
    Operation {
        seq,
        spec: Arc::new(spec),
        version: 1,
        cursor: 0,
        last_action: submission.last_action.unwrap_or(now),
        changed: now,
        attempts: 0,
        releases: 0,
        token: LeaseToken::default(),
        ended_by: None,
        started: matches!(state, State::Running(_)).then_some(now),
        start_at: submission.start_at,
        expires: submission.expires,
        progress: submission.progress.clone(),
        progress_told: None,
        checkpoint: None,
        last_failure: None,
        cancel_requested: false,
        links_ended: 0,
        state,
    }
}
