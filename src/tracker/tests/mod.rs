//! The loop over the memory store, with a clock of the tests.

mod busy;
mod claims;
mod nodes;
mod payloads;
mod queues;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::{Claim, Denied, Exchange, Exchanged, Order, ReportOutcome, Reported, Submit, Submitted};
use super::{Handed, Options, Tracker};
use crate::operation::names::Tag;
use crate::operation::{
    Actor, Command, Failure, Lane, LeaseToken, Name, Opening, Operation, OperationId, Progress, Report,
    ReportKind, Spec, Submission, TenantId, Timestamp, Via,
};
use crate::store::Store;
use crate::store::clock::Manual;
use crate::store::memory::{self, MemoryDisk, MemoryStore};
use crate::store::turn::Want;

/// A tracker, and its clock.
pub(super) struct Rig {
    pub(super) tracker: Tracker,
    pub(super) clock: Arc<Manual>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::over(|store, _| Box::new(store)).await
    }

    /// Over what the test makes of the store and its clock.
    pub(super) async fn over(make: impl FnOnce(MemoryStore, Arc<Manual>) -> Box<dyn Store>) -> Self {
        let clock = a_clock();
        let (store, reader) = memory::open(clock.clone());
        let store = make(store, clock.clone());
        let (tracker, _) = Tracker::open(store, reader, Options::default()).await.unwrap();
        Self { tracker, clock }
    }

    /// One node of several over a disk.
    pub(super) async fn join(disk: &MemoryDisk, clock: &Arc<Manual>) -> Self {
        let (store, reader) = disk.join(clock.clone());
        let options = Options { many: true, ..Options::default() };
        let (tracker, _) = Tracker::open(Box::new(store), reader, options).await.unwrap();
        Self { tracker, clock: clock.clone() }
    }

    pub(super) async fn submit(&self, submit: Submit) -> Result<Submitted, Denied> {
        self.tracker.submit(submit).await
    }

    /// Submits an operation of a type; its id.
    pub(super) async fn submitted(&self, operation_type: &str) -> OperationId {
        self.submit(submit(operation_type)).await.unwrap().operation.spec.id
    }

    pub(super) async fn exchange(
        &self,
        worker: &str,
        reports: Vec<Reported>,
        claim: Option<Claim>,
    ) -> (Exchanged, Vec<Handed>) {
        let exchange = exchange(worker, reports, claim);
        self.tracker.exchange(exchange).await.unwrap()
    }

    /// Claims one operation of a type at once.
    pub(super) async fn claimed(&self, worker: &str, operation_type: &str) -> (OperationId, LeaseToken) {
        let (_, handed) = self.exchange(worker, Vec::new(), Some(claim("once", operation_type))).await;
        let [handed] = &handed[..] else { panic!("one operation, not {}", handed.len()) };
        (handed.claimed.operation.spec.id, handed.claimed.token)
    }

    pub(super) async fn order(&self, id: OperationId, command: Command) -> Result<Operation, Denied> {
        let actor = Actor { name: Arc::from("tester"), via: Via::Http };
        self.tracker.order(Order { tenant: TenantId::default(), id, command, expected: None, actor }).await
    }

    pub(super) async fn get(&self, id: OperationId) -> Arc<Operation> {
        self.tracker.get(&TenantId::default(), id).await.unwrap()
    }
}

pub(super) fn a_clock() -> Arc<Manual> {
    Arc::new(Manual::at(Timestamp::parse("2026-01-01T00:00:00Z").unwrap()))
}

pub(super) fn exchange(worker: &str, reports: Vec<Reported>, claim: Option<Claim>) -> Exchange {
    let worker = Tag::parse(worker).unwrap();
    Exchange { tenant: TenantId::default(), worker, address: None, own: false, within: None, reports, claim }
}

pub(super) fn submit(operation_type: &str) -> Submit {
    let lane = Lane {
        tenant: TenantId::default(),
        queue: Name::parse("default").unwrap(),
        operation_type: Name::parse(operation_type).unwrap(),
    };
    let spec = Spec {
        id: OperationId::fresh(),
        lane: Arc::new(lane),
        external: false,
        key: None,
        fingerprint: None,
        created: Timestamp::MIN,
        received: Timestamp::MIN,
        input: None,
        priority: 0,
        timeout_seconds: None,
        max_attempts: 3,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("tester"),
    };
    let submission = Submission {
        spec,
        last_action: None,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    };
    let actor = Actor { name: Arc::from("tester"), via: Via::Http };
    Submit { submission, id_chosen: false, actor, deposit: None }
}

pub(super) fn claim(id: &str, operation_type: &str) -> Claim {
    Claim {
        id: Tag::parse(id).unwrap(),
        want: Want {
            tenant: TenantId::default(),
            queues: None,
            operation_types: Some(Arc::from([Name::parse(operation_type).unwrap()])),
            limit: 1,
        },
        lease_seconds: 30,
        wait_until: None,
    }
}

/// The same, waiting for as long as a test may take.
pub(super) fn patient(claim: Claim) -> Claim {
    Claim { wait_until: Some(Instant::now() + Duration::from_secs(30)), ..claim }
}

pub(super) fn completed(id: OperationId, token: LeaseToken) -> Reported {
    let kind = ReportKind::Completed { result: None, resource_location: None };
    Reported { id, token, report: Report { kind, checkpoint: None, progress: None } }
}

pub(super) fn failed(id: OperationId, token: LeaseToken) -> Reported {
    let failure = Arc::new(Failure::new("broken", "It broke."));
    let kind = ReportKind::Failed { failure, retryable: true, retry_after: None };
    Reported { id, token, report: Report { kind, checkpoint: None, progress: None } }
}

pub(super) fn accepted(outcome: &ReportOutcome) -> bool {
    matches!(outcome, ReportOutcome::Accepted { .. })
}
