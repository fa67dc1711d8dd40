//! Turns: repeats, time, and what is read afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Rig, accepted, claim, completed, failed, submit};
use crate::limits;
use crate::operation::{Command, Lane, Outcome, Refusal, State, Status, TenantId};
use crate::store::{AllTenants, Whose};
use crate::tracker::entry::{Denied, Entry, Order, ReportOutcome};
use crate::tracker::inbox::{Door, Inbox};
use crate::tracker::{Tracker, Waiting};

fn keyed(key: &str, body: u8) -> super::Submit {
    let mut wish = submit("t");
    wish.submission.spec.key = Some(Arc::from(key));
    wish.submission.spec.fingerprint = Some([body; 32]);
    wish
}

#[tokio::test]
async fn the_same_key_makes_one_operation_and_another_body_is_refused() {
    let rig = Rig::new().await;
    let first = rig.submit(keyed("k", 1)).await.unwrap();
    assert!(!first.replayed);
    let again = rig.submit(keyed("k", 1)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.operation.spec.id, first.operation.spec.id);
    assert!(matches!(rig.submit(keyed("k", 2)).await, Err(Denied::KeyReused)));
}

#[tokio::test]
async fn a_client_s_id_is_a_key_of_its_own() {
    let rig = Rig::new().await;
    let mut wish = keyed("k", 1);
    wish.id_chosen = true;
    let id = wish.submission.spec.id;
    rig.submit(wish).await.unwrap();
    let with_id = |body| {
        let mut wish = submit("t");
        (wish.id_chosen, wish.submission.spec.id) = (true, id);
        wish.submission.spec.fingerprint = Some([body; 32]);
        wish
    };
    assert!(rig.submit(with_id(1)).await.unwrap().replayed);
    assert!(matches!(rig.submit(with_id(2)).await, Err(Denied::IdExists)));
    rig.submit(keyed("other", 1)).await.unwrap();
    let mut both = with_id(1);
    both.submission.spec.key = Some(Arc::from("other"));
    assert!(matches!(rig.submit(both).await, Err(Denied::KeyAndIdDiffer)));
}

#[test]
fn what_nobody_heard_goes_back_even_while_the_door_closes() {
    let inbox = Inbox::new(1);
    inbox.close();
    let entry = Entry::Submit(Box::new(submit("t")), oneshot::channel().0);
    assert!(matches!(inbox.hand(entry), Err(Denied::ShuttingDown)));
    inbox.hand(Entry::Return(Vec::new())).unwrap();
    let batch = inbox.drain(Instant::now());
    assert_eq!((batch.entries.len(), batch.closed), (1, false));
    assert!(inbox.drain(Instant::now()).closed);
}

#[tokio::test]
async fn a_tenant_gets_so_many_lanes_and_may_use_each_for_ever() {
    let rig = Rig::new().await;
    let names: Vec<String> = (0..limits::LANES_MAX).map(|number| format!("t{number}")).collect();
    for some in names.chunks(1000) {
        let submits = some.iter().map(|name| {
            let (tracker, submit) = (rig.tracker.clone(), submit(name));
            async move { tracker.submit(submit).await }
        });
        let submitted = submits.collect::<tokio::task::JoinSet<_>>().join_all().await;
        assert!(submitted.iter().all(Result::is_ok));
    }
    assert!(matches!(rig.submit(submit("one-more")).await, Err(Denied::TooManyLanes)));
    rig.submitted("t0").await;
    let mut neighbour = submit("one-more");
    let lane =
        Lane { tenant: TenantId::parse("neighbour").unwrap(), ..(*neighbour.submission.spec.lane).clone() };
    neighbour.submission.spec.lane = Arc::new(lane);
    assert!(rig.submit(neighbour).await.is_ok());
}

#[tokio::test]
async fn a_report_is_accepted_once_repeated_for_ever_and_refused_when_stale() {
    let rig = Rig::new().await;
    rig.submitted("t").await;
    let (id, token) = rig.claimed("w", "t").await;
    let (told, _) = rig.exchange("w", vec![completed(id, token), completed(id, token)], None).await;
    assert!(accepted(&told.outcomes[0]));
    assert_eq!(told.outcomes[1], ReportOutcome::Repeated);
    let (told, _) = rig.exchange("w", vec![completed(id, token), failed(id, token)], None).await;
    assert_eq!(told.outcomes, [ReportOutcome::Repeated, ReportOutcome::Refused(Refusal::LeaseLost)]);
    assert_eq!(rig.get(id).await.status(), Status::Completed);
}

/// Lets the clock pass a moment and the loop see it.
async fn pass(rig: &Rig, span: Duration) {
    rig.clock.advance(span);
    rig.tracker.put_credential(credential()).await.unwrap();
}

fn credential() -> crate::store::credential::Credential {
    crate::store::credential::Credential {
        id: Arc::from("nobody"),
        tenant: crate::operation::TenantId::default(),
        name: Arc::from("nobody"),
        scopes: Vec::new(),
        queues: None,
        hash: [0; 32],
        created: crate::operation::Timestamp::MIN,
        revoked: true,
        expires: None,
        used: None,
    }
}

#[tokio::test]
async fn a_delayed_operation_starts_when_its_time_comes_and_not_before() {
    let rig = Rig::new().await;
    let start = rig.tracker.reader().now().plus(Duration::from_secs(2));
    let mut wish = submit("t");
    wish.submission.start_at = Some(start);
    let id = rig.submit(wish).await.unwrap().operation.spec.id;
    assert_eq!(rig.tracker.waiting(&*rig.get(id).await).await.unwrap(), Some(Waiting::Delayed(start)));
    assert!(rig.exchange("w", Vec::new(), Some(claim("a", "t"))).await.1.is_empty());
    pass(&rig, Duration::from_millis(1999)).await;
    assert!(rig.exchange("w", Vec::new(), Some(claim("b", "t"))).await.1.is_empty());
    pass(&rig, Duration::from_millis(1)).await;
    assert_eq!(rig.tracker.waiting(&*rig.get(id).await).await.unwrap(), Some(Waiting::Ready));
    assert_eq!(rig.claimed("w", "t").await.0, id);
}

/// Passes time in steps that are no outage.
async fn pass_slowly(rig: &Rig, seconds: u64) {
    for _ in 0..seconds {
        pass(rig, Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_is_told() {
    let rig = Rig::new().await;
    rig.submitted("t").await;
    let (id, token) = rig.claimed("w", "t").await;
    pass_slowly(&rig, 29).await;
    assert_eq!(rig.get(id).await.status(), Status::Running);
    pass_slowly(&rig, 1).await;
    let waiting = rig.get(id).await;
    assert_eq!((waiting.status(), waiting.attempts), (Status::NotStarted, 1));
    let (told, _) = rig.exchange("w", vec![completed(id, token)], None).await;
    assert_eq!(told.outcomes, [ReportOutcome::Refused(Refusal::LeaseLost)]);
    assert_eq!(told.notices.len(), 1);
    for _ in 0..2 {
        rig.claimed("w", "t").await;
        pass_slowly(&rig, 30).await;
    }
    let ended = rig.get(id).await;
    assert!(matches!(ended.state, State::Failed { outcome: Outcome::LeaseExpired, .. }));
    assert_eq!(rig.tracker.reader().attempts(ended.seq).await.unwrap().len(), 3);
}

#[tokio::test]
async fn after_an_outage_live_workers_speak_first() {
    let rig = Rig::new().await;
    rig.submitted("t").await;
    let (id, token) = rig.claimed("w", "t").await;
    pass(&rig, Duration::from_mins(1)).await;
    assert_eq!(rig.get(id).await.status(), Status::Running);
    let (told, _) = rig.exchange("w", vec![completed(id, token)], None).await;
    assert!(accepted(&told.outcomes[0]));
}

#[tokio::test]
async fn a_deleted_operation_is_gone_and_its_key_is_free() {
    let rig = Rig::new().await;
    let first = rig.submit(keyed("k", 1)).await.unwrap().operation.spec.id;
    assert!(matches!(rig.order(first, Command::Delete).await, Err(Denied::Refused(_))));
    rig.order(first, Command::Cancel).await.unwrap();
    rig.order(first, Command::Delete).await.unwrap();
    let tenant = crate::operation::TenantId::default();
    assert!(matches!(rig.tracker.get(&tenant, first).await, Err(Denied::NotFound)));
    let second = rig.submit(keyed("k", 2)).await.unwrap();
    assert!(!second.replayed);
    let page = rig.tracker.reader().events(&Whose::Tenant(tenant), 0, 100).await.unwrap();
    let words: Vec<_> = page.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(words, ["deleted", "created"]);
}

#[tokio::test]
async fn a_follower_hears_of_every_change() {
    let rig = Rig::new().await;
    let id = rig.submitted("t").await;
    let mut follow = rig.tracker.follow(&crate::operation::TenantId::default(), id);
    let before = rig.get(id).await.version;
    rig.claimed("w", "t").await;
    follow.changed().await;
    assert_eq!(rig.get(id).await.version, before + 1);
}

#[tokio::test]
async fn a_closed_tracker_takes_nothing_in_and_its_waiting_claims_are_answered() {
    let rig = Arc::new(Rig::new().await);
    let waiting = tokio::spawn({
        let rig = rig.clone();
        async move { rig.exchange("w", Vec::new(), Some(super::patient(claim("c", "t")))).await }
    });
    tokio::task::yield_now().await;
    let tracker: &Tracker = &rig.tracker;
    tracker.drain();
    assert!(waiting.await.unwrap().1.is_empty());
    tracker.close();
    assert!(matches!(rig.submit(submit("t")).await, Err(Denied::ShuttingDown)));
    assert!(tracker.reader().registry(AllTenants).await.unwrap().credentials.is_empty());
}

#[test]
fn a_tenant_that_floods_leaves_room_and_every_other_place_to_the_others() {
    const MOST: usize = 1024;
    let inbox = Inbox::new(MOST);
    let hand = |tenant: &str| {
        let mut wish = submit("t");
        let lane = Lane { tenant: TenantId::parse(tenant).unwrap(), ..(*wish.submission.spec.lane).clone() };
        wish.submission.spec.lane = Arc::new(lane);
        inbox.hand(Entry::Submit(Box::new(wish), oneshot::channel().0))
    };
    let fill = |tenant: &str| {
        let taken = (0..2 * MOST).take_while(|_| hand(tenant).is_ok()).count();
        assert!(matches!(hand(tenant), Err(Denied::Overloaded)), "{tenant}");
        taken
    };
    assert_eq!(fill("greedy"), MOST / 2);
    assert_eq!(fill("eager"), MOST / 4);
    for n in 0..10 {
        hand(&format!("modest-{n}")).expect("there is room for whoever asks for little");
    }
    assert_eq!(fill("greedy"), 0);
    // One turn takes of each in turn: of the modest all, of the others as many as of each other.
    let batch = inbox.drain(Instant::now());
    let of = |tenant: &str| {
        let is_of = |entry: &&Entry| matches!(entry, Entry::Submit(submit, _) if submit.submission.spec.lane.tenant.as_str().starts_with(tenant));
        batch.entries.iter().filter(is_of).count()
    };
    assert_eq!(batch.entries.len(), limits::TURN_SUBMITS_MAX);
    assert_eq!(of("modest"), 10);
    assert!(of("greedy").abs_diff(of("eager")) <= 1, "{} and {}", of("greedy"), of("eager"));
    let first: Vec<_> = batch.entries[..12]
        .iter()
        .map(|entry| match entry {
            Entry::Submit(submit, _) => submit.submission.spec.lane.tenant.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(
        (0..10).all(|n| first.contains(&format!("modest-{n}"))),
        "nobody waits for a whole line: {first:?}"
    );
}

#[test]
fn a_tenant_that_patches_without_end_holds_up_nobody_elses_reports_and_patches() {
    const MOST: usize = 1024;
    let inbox = Inbox::new(MOST);
    let hand = |tenant: &str| {
        let wish = submit("t");
        let tenant = TenantId::parse(tenant).unwrap();
        let (id, actor) = (wish.submission.spec.id, wish.actor);
        let order = Order { tenant, id, command: Command::EndLinks, expected: None, actor };
        inbox.hand(Entry::Command(order, oneshot::channel().0))
    };
    assert_eq!((0..2 * MOST).take_while(|_| hand("greedy").is_ok()).count(), MOST / 2);
    assert!(matches!(hand("greedy"), Err(Denied::Overloaded)));
    hand("modest").expect("there is room for whoever asks for little");
    inbox.hand(Entry::Return(Vec::new())).expect("what is bounded by the leases is never refused");
    let batch = inbox.drain(Instant::now());
    assert!(matches!(batch.entries[0], Entry::Return(_)), "it goes first");
    assert_eq!(batch.entries.len(), 1 + limits::TURN_ORDERS_MAX);
    let is_modest =
        |entry: &Entry| matches!(entry, Entry::Command(order, _) if order.tenant.as_str() == "modest");
    assert!(batch.entries[..3].iter().any(is_modest), "nobody waits for a whole line");
}
