//! Queues that are paused or limited.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Rig, accepted, claim, completed, exchange, failed, patient, submit};
use crate::limits;
use crate::operation::{
    Command, Controls, ControlsChange, LeaseToken, Name, OperationId, Refusal, Status, TenantId,
};
use crate::store::QueueDepth;
use crate::tracker::entry::{Claim, Denied, QueueOrder, Submit};
use crate::tracker::{Handed, Waiting};

const NOTHING: ControlsChange = ControlsChange { paused: None, max_running: None, max_waiting: None };

fn pause(paused: bool) -> ControlsChange {
    ControlsChange { paused: Some(paused), ..NOTHING }
}

fn max_running(max: u32) -> ControlsChange {
    ControlsChange { max_running: Some(Some(max)), ..NOTHING }
}

fn max_waiting(max: u32) -> ControlsChange {
    ControlsChange { max_waiting: Some(Some(max)), ..NOTHING }
}

async fn set(rig: &Rig, queue: &str, change: ControlsChange) -> Result<QueueDepth, Denied> {
    let name = Name::parse(queue).unwrap();
    rig.tracker.control(QueueOrder { tenant: TenantId::default(), name, change }).await
}

async fn waiting(rig: &Rig, id: OperationId) -> Option<Waiting> {
    rig.tracker.waiting(&*rig.get(id).await).await.unwrap()
}

fn up_to(limit: usize, claim: Claim) -> Claim {
    Claim { want: crate::store::turn::Want { limit, ..claim.want }, ..claim }
}

/// A claim that waits by the time this returns.
async fn waiter(rig: &Arc<Rig>, id: &'static str) -> tokio::task::JoinHandle<Vec<Handed>> {
    let waiting = tokio::spawn({
        let rig = rig.clone();
        async move { rig.exchange(id, Vec::new(), Some(patient(claim(id, "t")))).await.1 }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // A turn of its own, so that the claim waits before anything else comes.
    rig.exchange("other", Vec::new(), Some(claim("o", "u"))).await;
    waiting
}

fn only(handed: &[Handed]) -> (OperationId, LeaseToken) {
    let [handed] = handed else { panic!("one operation, not {}", handed.len()) };
    (handed.claimed.operation.spec.id, handed.claimed.token)
}

#[tokio::test]
async fn nothing_is_claimed_from_a_paused_queue_while_what_runs_goes_on_and_more_is_taken_in() {
    let rig = Rig::new().await;
    let (first, second) = (rig.submitted("t").await, rig.submitted("t").await);
    let (id, token) = rig.claimed("w", "t").await;
    assert_eq!(id, first);
    let told = set(&rig, "default", pause(true)).await.unwrap();
    assert!(told.controls.paused && told.ready == 1 && told.running == 1);
    assert!(rig.exchange("w", Vec::new(), Some(claim("c", "t"))).await.1.is_empty());
    let third = rig.submitted("t").await;
    for id in [second, third] {
        assert_eq!(waiting(&rig, id).await, Some(Waiting::QueuePaused));
    }
    let (told, _) = rig.exchange("w", vec![completed(id, token)], None).await;
    assert!(accepted(&told.outcomes[0]));
    set(&rig, "default", pause(false)).await.unwrap();
    assert_eq!(waiting(&rig, second).await, Some(Waiting::Ready));
    assert_eq!(rig.claimed("x", "t").await.0, second);
}

#[tokio::test]
async fn a_waiting_claim_is_woken_in_the_commit_that_resumes_its_queue_or_raises_its_limit() {
    for (before, after) in [(pause(true), pause(false)), (max_running(0), max_running(1))] {
        let rig = Arc::new(Rig::new().await);
        set(&rig, "default", before).await.unwrap();
        let id = rig.submitted("t").await;
        let waits = waiter(&rig, "w").await;
        let (_, commits) = rig.tracker.turns_and_commits();
        set(&rig, "default", after).await.unwrap();
        assert_eq!(only(&waits.await.unwrap()).0, id);
        assert_eq!(rig.tracker.turns_and_commits().1, commits + 1);
    }
}

#[tokio::test]
async fn when_one_of_a_limited_queue_ends_a_waiting_claim_has_the_next_in_that_commit() {
    let rig = Arc::new(Rig::new().await);
    set(&rig, "default", max_running(1)).await.unwrap();
    let ids = [rig.submitted("t").await, rig.submitted("t").await, rig.submitted("t").await];
    let (id, token) = rig.claimed("w", "t").await;
    assert_eq!(id, ids[0]);
    assert_eq!(waiting(&rig, ids[1]).await, Some(Waiting::QueueLimit(1)));
    let waits = waiter(&rig, "v").await;
    let (_, commits) = rig.tracker.turns_and_commits();
    rig.exchange("w", vec![completed(id, token)], None).await;
    let next = only(&waits.await.unwrap());
    assert_eq!(next.0, ids[1]);
    assert_eq!(rig.tracker.turns_and_commits().1, commits + 1);
    // The same for a worker's own next claim, beside its report.
    let (_, handed) = rig.exchange("v", vec![completed(next.0, next.1)], Some(claim("n", "t"))).await;
    assert_eq!(only(&handed).0, ids[2]);
}

#[tokio::test]
async fn a_fresh_operation_of_a_paused_or_full_queue_reaches_no_waiting_claim() {
    for (closed, open) in [(pause(true), pause(false)), (max_running(0), max_running(1))] {
        let rig = Arc::new(Rig::new().await);
        set(&rig, "default", closed).await.unwrap();
        let waits = waiter(&rig, "w").await;
        let id = rig.submitted("t").await;
        assert_eq!(rig.get(id).await.status(), Status::NotStarted);
        assert!(!waits.is_finished());
        set(&rig, "default", open).await.unwrap();
        assert_eq!(only(&waits.await.unwrap()).0, id);
    }
}

#[tokio::test]
async fn whatever_ends_a_lease_makes_room_for_a_waiting_claim() {
    let rig = Arc::new(Rig::new().await);
    set(&rig, "default", max_running(1)).await.unwrap();
    let mut wish = submit("t");
    wish.submission.spec.max_attempts = 1;
    let doomed = rig.submit(wish).await.unwrap().operation.spec.id;
    let next = rig.submitted("t").await;
    assert_eq!(rig.claimed("w", "t").await.0, doomed);
    let waits = waiter(&rig, "v").await;
    for _ in 0..31 {
        rig.clock.advance(std::time::Duration::from_secs(1));
        rig.exchange("other", Vec::new(), Some(claim("o", "u"))).await;
    }
    assert_eq!(rig.get(doomed).await.status(), Status::Failed, "its only lease is over");
    assert_eq!(only(&waits.await.unwrap()).0, next);
}

#[tokio::test]
async fn many_claims_at_once_take_no_more_of_a_limited_queue_than_may_run() {
    let rig = Rig::new().await;
    set(&rig, "default", max_running(3)).await.unwrap();
    for _ in 0..30 {
        rig.submitted("t").await;
    }
    for round in 0..3_usize {
        let calls = (0..20).map(|n| {
            let own = n % 2 == 0;
            let claim = up_to(1 + n % 4, claim(&format!("c{round}-{n}"), "t"));
            let call = exchange(&format!("w{n}"), Vec::new(), Some(claim));
            rig.tracker.exchange(crate::tracker::entry::Exchange { own, ..call })
        });
        let handed: Vec<Handed> =
            join_all(calls).await.into_iter().flat_map(|answer| answer.unwrap().1).collect();
        assert_eq!(handed.len(), 3, "in round {round}");
        for handed in &handed {
            let operation = &handed.claimed.operation;
            let worker = operation.lease().unwrap().worker.as_str().to_owned();
            let report = completed(operation.spec.id, handed.claimed.token);
            rig.exchange(&worker, vec![report], None).await;
        }
    }
}

#[tokio::test]
async fn a_full_queue_hides_no_other_one_from_a_claim() {
    let rig = Rig::new().await;
    set(&rig, "default", max_running(2)).await.unwrap();
    for _ in 0..9 {
        rig.submitted("t").await;
    }
    let mut elsewhere = Vec::new();
    for _ in 0..3 {
        let mut wish = submit("t");
        let lane = Arc::make_mut(&mut wish.submission.spec.lane);
        lane.queue = Name::parse("elsewhere").unwrap();
        elsewhere.push(rig.submit(wish).await.unwrap().operation.spec.id);
    }
    let (_, handed) = rig.exchange("w", Vec::new(), Some(up_to(4, claim("c", "t")))).await;
    let ids: Vec<_> = handed.iter().map(|handed| handed.claimed.operation.spec.id).collect();
    assert_eq!(ids[2..], elsewhere[..2]);
}

#[tokio::test]
async fn a_full_queue_refuses_new_operations_and_retries_but_no_repeats_and_no_external_ones() {
    let rig = Rig::new().await;
    let broken = rig.submitted("t").await;
    let (_, token) = rig.claimed("w", "t").await;
    let mut report = failed(broken, token);
    if let crate::operation::ReportKind::Failed { retryable, .. } = &mut report.report.kind {
        *retryable = false;
    }
    rig.exchange("w", vec![report], None).await;

    set(&rig, "default", max_waiting(2)).await.unwrap();
    let keyed = || {
        let mut wish = submit("t");
        wish.submission.spec.key = Some(Arc::from("k"));
        wish.submission.spec.fingerprint = Some([1; 32]);
        wish
    };
    let first = rig.submit(keyed()).await.unwrap().operation.spec.id;
    let second = rig.submitted("t").await;
    let refused = |result: Result<_, Denied>| matches!(result, Err(Denied::QueueFull));
    assert!(refused(rig.submit(submit("t")).await.map(drop)));
    assert!(refused(rig.submit(submit("another")).await.map(drop)));
    assert!(refused(rig.order(broken, Command::Retry).await.map(drop)));
    let conflict = rig.order(second, Command::Retry).await;
    assert!(matches!(conflict, Err(Denied::Refused(Refusal::Conflict(_)))), "of one that has not failed");
    let repeat = rig.submit(keyed()).await.unwrap();
    assert!(repeat.replayed && repeat.operation.spec.id == first);
    let mut external = submit("t");
    external.submission.spec.external = true;
    rig.submit(external).await.unwrap();

    assert_eq!(rig.claimed("w", "t").await.0, first);
    rig.order(broken, Command::Retry).await.unwrap();
    assert!(refused(rig.submit(submit("t")).await.map(drop)));
    set(&rig, "default", ControlsChange { max_waiting: Some(None), ..NOTHING }).await.unwrap();
    rig.submitted("t").await;
}

#[tokio::test]
async fn many_submits_at_once_fill_a_queue_to_its_limit_and_not_beyond() {
    let rig = Rig::new().await;
    set(&rig, "default", max_waiting(7)).await.unwrap();
    let mut wishes: Vec<Submit> = (0..40).map(|_| submit("t")).collect();
    wishes[3].submission.start_at = Some(rig.tracker.reader().now().plus_seconds(60));
    let results = join_all(wishes.into_iter().map(|wish| rig.submit(wish))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 7);
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(Denied::QueueFull))));
    let told = set(&rig, "default", NOTHING).await.unwrap();
    assert_eq!((told.ready, told.held), (6, 1));
}

#[tokio::test]
async fn so_many_queues_may_have_controls_and_clearing_one_makes_room() {
    let rig = Rig::new().await;
    for n in 0..limits::QUEUES_CONTROLLED_MAX {
        set(&rig, &format!("q{n}"), pause(true)).await.unwrap();
    }
    assert!(matches!(set(&rig, "more", max_running(1)).await, Err(Denied::TooManyQueues)));
    let kept = set(&rig, "q7", max_running(1)).await.unwrap().controls;
    assert_eq!(kept, Controls { paused: true, max_running: Some(1), max_waiting: None });
    let cleared = ControlsChange { paused: Some(false), max_running: Some(None), max_waiting: Some(None) };
    set(&rig, "q7", cleared).await.unwrap();
    set(&rig, "more", max_running(1)).await.unwrap();
}
