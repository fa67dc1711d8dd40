//! The operation: what was submitted ([`Spec`], never changes) and what became of it ([`Operation`]).
//! States carry their data, so that a `Running` one without a carrier or a `Failed` one without an error cannot be written.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::labels::Labels;
use super::names::{ClaimId, Lane, LeaseToken, OperationId, Seq, TenantId, WorkerId};
use super::retry::RetryPolicy;
use super::status::{Outcome, Status};
use super::time::Timestamp;
use super::traceparent::Traceparent;

/// A user's JSON, kept as the bytes that were sent.
pub type Json = Arc<RawValue>;

/// A user's JSON that may be large.
#[derive(Clone, Debug)]
pub enum Payload {
    /// At hand.
    Inline(Json),
    /// In the store, this many bytes, to be read when somebody asks for it.
    Stored {
        /// Its length as JSON text.
        bytes: usize,
    },
}

impl Payload {
    /// Its length in bytes, as JSON text.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Inline(json) => json.get().len(),
            Self::Stored { bytes } => *bytes,
        }
    }

    /// The JSON, when it is at hand.
    pub fn inline(&self) -> Option<&Json> {
        match self {
            Self::Inline(json) => Some(json),
            Self::Stored { .. } => None,
        }
    }
}

/// Why an operation ended as `Failed`, or its last attempt did: the origin document's `{code, message, …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short word for programs.
    pub code: Arc<str>,
    /// A sentence for people.
    pub message: Arc<str>,
    /// The whole object as JSON, when a worker or owner sent more than the two.
    pub full: Option<Arc<str>>,
}

impl Failure {
    /// A failure of a code and a message.
    pub fn new(code: &str, message: &str) -> Self {
        Self { code: Arc::from(code), message: Arc::from(message), full: None }
    }
}

/// Why a waiting operation may not start yet. Whatever has one is not in the ready index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hold {
    /// Its `startDateTime` has not come.
    Delayed,
    /// Its next attempt has to wait.
    RetryBackoff,
    /// It is never in a queue: its owner advances it.
    External,
}

/// The right to carry one attempt out.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Its fencing token.
    pub token: LeaseToken,
    /// Who holds it.
    pub worker: WorkerId,
    /// Under which claim it was given.
    pub claim: ClaimId,
    /// Whether the holder is one of this server's own worker tasks.
    pub own: bool,
    /// What a heartbeat extends it by.
    pub seconds: u32,
    /// When it ends: after silence, or at the attempt's timeout.
    pub until: Timestamp,
    /// The end that no heartbeat moves: the attempt's timeout, or the grace after a cancel request.
    pub cap: Option<Timestamp>,
    /// Progress that came too soon after the last change; it becomes one at `.1`, or with the next transition.
    pub pending: Option<(Progress, Timestamp)>,
}

impl Lease {
    /// The earliest moment at which time itself acts on it.
    pub fn due(&self) -> Timestamp {
        match &self.pending {
            Some((_, window_end)) => self.until.min(*window_end),
            None => self.until,
        }
    }
}

/// Who carries a `Running` operation out.
#[derive(Clone, Debug, PartialEq)]
pub enum Carrier {
    /// A worker, under a lease.
    Worker(Lease),
    /// Its owner; `PATCH` advances it.
    Owner,
}

/// Where an operation stands, with what belongs there.
#[derive(Clone, Debug)]
pub enum State {
    /// `NotStarted`.
    Waiting {
        /// Why it may not start yet; without one a claim may take it.
        hold: Option<Hold>,
        /// Since when it may start, or from when on it will.
        ready_at: Timestamp,
    },
    /// `Running`.
    Running(Carrier),
    /// `Completed`.
    Completed {
        /// What it made.
        result: Option<Payload>,
        /// Where that is.
        resource_location: Option<Arc<str>>,
        /// When.
        at: Timestamp,
    },
    /// `Failed`; the error stands in [`Operation::failure`].
    Failed {
        /// Why.
        failure: Arc<Failure>,
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
}

/// How far an attempt says it is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// 0 to 100.
    pub percent: Option<u8>,
    /// One line for a person.
    pub detail: Option<Arc<str>>,
}

/// What was submitted. Nothing in it ever changes.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its public identifier.
    pub id: OperationId,
    /// Whose it is, where it waits, which handler carries it out.
    pub lane: Arc<Lane>,
    /// Carried out elsewhere, never queued, advanced by its owner's `PATCH`.
    pub external: bool,
    /// The `Idempotency-Key` it came with.
    pub key: Option<Arc<str>>,
    /// SHA-256 of the canonical request; kept where a repeat can be recognised, by key or by a client's id.
    pub fingerprint: Option<[u8; 32]>,
    /// What the client says of its creation; for display and sorting only.
    pub created: Timestamp,
    /// When this server received it.
    pub received: Timestamp,
    /// What the handler works on.
    pub input: Option<Payload>,
    /// −100 to 100, higher first.
    pub priority: i8,
    /// For one attempt; of an external one the longest silence of its owner.
    pub timeout_seconds: Option<u32>,
    /// How many attempts it gets.
    pub max_attempts: u16,
    /// How long to wait between them; the default where the client said nothing.
    pub retry: Option<RetryPolicy>,
    /// To find it by.
    pub labels: Option<Labels>,
    /// Where in a trace it was submitted.
    pub traceparent: Option<Traceparent>,
    /// Name of the token that submitted it.
    pub submitted_by: Arc<str>,
}

/// The last report that ended an attempt: repeating it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedBy {
    /// The attempt's token.
    pub token: LeaseToken,
    /// What was reported; `NotStarted` is a release.
    pub status: Status,
}

/// One piece of long-running work and its record.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its number in the store.
    pub seq: Seq,
    /// What was submitted.
    pub spec: Arc<Spec>,
    /// Counts its changes, from 1.
    pub version: i64,
    /// Cursor number of its last event.
    pub cursor: i64,
    /// Where it stands.
    pub state: State,
    /// `lastActionDateTime`: never runs backwards.
    pub last_action: Timestamp,
    /// The server's own time of the last change.
    pub changed: Timestamp,
    /// Attempts so far, the running one included.
    pub attempts: u16,
    /// Releases so far that gave their attempt back.
    pub releases: u16,
    /// The last token given.
    pub token: LeaseToken,
    /// The last report that ended an attempt.
    pub ended_by: Option<EndedBy>,
    /// Start of the latest attempt.
    pub started: Option<Timestamp>,
    /// The earliest start: the client's, or that of the next attempt.
    pub start_at: Option<Timestamp>,
    /// Still waiting by then, it fails.
    pub expires: Option<Timestamp>,
    /// How far it is.
    pub progress: Progress,
    /// Progress events so far, and the time of the last one; of an external one its owner's words instead.
    pub progress_told: Option<(u32, Timestamp)>,
    /// What an attempt leaves for the next: only in the change that brings it, since the store keeps it apart.
    pub checkpoint: Option<Json>,
    /// Why the last attempt ended badly.
    pub last_failure: Option<Arc<Failure>>,
    /// Somebody asked for its end.
    pub cancel_requested: bool,
    /// How often the links to it were ended: one that was made before the last time opens nothing.
    pub links_ended: u32,
}

impl Operation {
    /// The word of the wire for where it stands.
    pub fn status(&self) -> Status {
        match self.state {
            State::Waiting { .. } => Status::NotStarted,
            State::Running(_) => Status::Running,
            State::Completed { .. } => Status::Completed,
            State::Failed { .. } => Status::Failed,
        }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &TenantId {
        &self.spec.lane.tenant
    }

    /// Its lease, while a worker carries it out.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Running(Carrier::Worker(lease)) => Some(lease),
            _ => None,
        }
    }

    /// Since when a claim may take it; none while it may not.
    pub fn ready_since(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting { hold: None, ready_at } => Some(ready_at),
            _ => None,
        }
    }

    /// What a claim sorts by: priority first, then arrival.
    pub fn rank(&self) -> Option<Rank> {
        self.ready_since().map(|ready_at| Rank { urgency: -self.spec.priority, ready_at, seq: self.seq })
    }

    /// The earliest moment at which time itself acts on its row: a due start, an expiry, its owner's silence.
    /// A lease has its own ([`Lease::due`]).
    pub fn wake_at(&self) -> Option<Timestamp> {
        let earliest = |moments: [Option<Timestamp>; 2]| moments.into_iter().flatten().min();
        match &self.state {
            State::Waiting { hold: Some(Hold::External), .. } => earliest([self.expires, self.silent_at()]),
            State::Running(Carrier::Owner) => self.silent_at(),
            State::Waiting { hold: Some(_), ready_at } => earliest([self.expires, Some(*ready_at)]),
            State::Waiting { hold: None, .. } => self.expires,
            _ => None,
        }
    }

    /// When the owner of an external one will have been silent for too long.
    fn silent_at(&self) -> Option<Timestamp> {
        let spoke = self.progress_told.map_or(self.spec.received, |(_, spoke)| spoke);
        self.spec.timeout_seconds.map(|seconds| spoke.plus_seconds(seconds))
    }

    /// Whether its `expirationDateTime` has passed while it waits.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Waiting { .. }) && self.expires.is_some_and(|expires| expires <= now)
    }

    /// The error that its readers see: why it failed, or why its last attempt did while it waits for the next.
    pub fn failure(&self) -> Option<&Arc<Failure>> {
        match &self.state {
            State::Failed { failure, .. } => Some(failure),
            State::Waiting { .. } => self.last_failure.as_ref(),
            _ => None,
        }
    }

    /// When it ended.
    pub fn completed(&self) -> Option<Timestamp> {
        match self.state {
            State::Completed { at, .. } | State::Failed { at, .. } => Some(at),
            _ => None,
        }
    }

    /// What it made.
    pub fn result(&self) -> Option<&Payload> {
        match &self.state {
            State::Completed { result, .. } => result.as_ref(),
            _ => None,
        }
    }

    /// Where what it made is.
    pub fn resource_location(&self) -> Option<&Arc<str>> {
        match &self.state {
            State::Completed { resource_location, .. } => resource_location.as_ref(),
            _ => None,
        }
    }
}

/// The order in which a claim takes operations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rank {
    /// The priority, negated: smaller goes first.
    pub urgency: i8,
    /// Since when it waits.
    pub ready_at: Timestamp,
    /// Its number, where all else is equal.
    pub seq: Seq,
}
