//! Several nodes over one store. Their clock stands still unless a test moves it, so that no node looks of its own accord:
//! whatever one hears of, the tail of the events told it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use super::{Rig, a_clock, claim, completed, patient, submit};
use crate::operation::{Command, ControlsChange, Event, EventKind, Name, OperationId, Status, TenantId};
use crate::store::memory::MemoryDisk;
use crate::store::{AllTenants, Deposit, Whose};
use crate::tracker::entry::{Denied, NoticeKind, QueueOrder, Submit};
use crate::tracker::{Handed, Waiting, Watcher};

/// So many nodes over a fresh store.
async fn nodes<const N: usize>() -> [Arc<Rig>; N] {
    let (disk, clock) = (MemoryDisk::default(), a_clock());
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(Arc::new(Rig::join(&disk, &clock).await));
    }
    nodes.try_into().unwrap_or_else(|_| unreachable!())
}

fn whole() -> Whose {
    Whose::Tenant(TenantId::default())
}

/// A claim that waits at a node by the time this returns.
async fn waiter(node: &Arc<Rig>, worker: &'static str) -> JoinHandle<Vec<Handed>> {
    let waiting = tokio::spawn({
        let node = node.clone();
        async move { node.exchange(worker, Vec::new(), Some(patient(claim(worker, "t")))).await.1 }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // A turn of its own, so that the claim waits before anything else comes.
    node.exchange("other", Vec::new(), Some(claim("o", "u"))).await;
    waiting
}

fn ids(handed: &[Handed]) -> Vec<OperationId> {
    handed.iter().map(|handed| handed.claimed.operation.spec.id).collect()
}

async fn watcher(node: &Rig, whose: Whose) -> Watcher {
    let mut watcher = node.tracker.watch(whose);
    let last = node.tracker.reader().history().await.unwrap().last;
    watcher.place(last, last);
    watcher
}

/// What it sees until there are so many.
async fn sees(mut watcher: Watcher, count: usize) -> Vec<Event> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(watcher.next().await.unwrap().iter().map(|told| told.event.clone()));
    }
    seen
}

async fn set_max_running(node: &Rig, max: u32) {
    let change = ControlsChange { paused: None, max_running: Some(Some(max)), max_waiting: None };
    let (tenant, name) = (TenantId::default(), Name::parse("default").unwrap());
    node.tracker.control(QueueOrder { tenant, name, change }).await.unwrap();
}

/// Works at a node until so many operations were completed by everybody.
async fn work(node: Arc<Rig>, worker: String, done: Arc<tokio::sync::Semaphore>) {
    let mut reports = Vec::new();
    loop {
        let (_, handed) = node.exchange(&worker, reports, Some(claim("c", "t"))).await;
        reports = handed
            .iter()
            .map(|handed| completed(handed.claimed.operation.spec.id, handed.claimed.token))
            .collect();
        if reports.is_empty() {
            tokio::task::yield_now().await;
        } else if let Ok(place) = done.try_acquire() {
            place.forget();
        }
        if done.available_permits() == 0 {
            node.exchange(&worker, reports, None).await;
            return;
        }
    }
}

#[tokio::test]
async fn a_claim_that_waits_at_one_node_has_what_another_takes_in() {
    let [a, b] = nodes().await;
    for _ in 0..20 {
        let waits = waiter(&a, "w").await;
        let id = b.submitted("t").await;
        let handed = waits.await.unwrap();
        assert_eq!(ids(&handed), [id]);
        b.exchange("w", vec![completed(id, handed[0].claimed.token)], None).await;
        assert_eq!(a.get(id).await.status(), Status::Completed);
    }
}

#[tokio::test]
async fn what_several_nodes_wait_for_one_of_them_has() {
    let [a, b, c] = nodes().await;
    let mut waiting = vec![waiter(&a, "x").await, waiter(&b, "y").await];
    for left in [2, 1] {
        let id = c.submitted("t").await;
        let (handed, place, _) = futures_util::future::select_all(&mut waiting).await;
        assert_eq!((ids(&handed.unwrap()), waiting.len()), (vec![id], left));
        waiting.remove(place);
    }
}

#[tokio::test]
async fn what_becomes_due_while_claims_wait_is_theirs_whichever_node_looks_first() {
    let [a, b] = nodes().await;
    let mut wish = submit("t");
    wish.submission.start_at = Some(b.tracker.reader().now().plus_seconds(1));
    let waits = waiter(&a, "w").await;
    let id = b.submit(wish).await.unwrap().operation.spec.id;
    for _ in 0..100 {
        a.clock.advance(Duration::from_secs(1));
        for node in [&b, &a] {
            node.exchange("other", Vec::new(), Some(claim("o", "u"))).await;
        }
        if waits.is_finished() {
            break;
        }
    }
    assert_eq!(ids(&waits.await.unwrap()), [id]);
}

#[tokio::test]
async fn a_place_that_is_freed_at_one_node_is_filled_at_another() {
    let [a, b] = nodes().await;
    set_max_running(&a, 1).await;
    let (first, second) = (a.submitted("t").await, a.submitted("t").await);
    // A node learns of controls when it looks at what is kept beside operations.
    b.tracker.learn(&b.tracker.reader().registry(crate::store::AllTenants).await.unwrap());
    let (id, token) = a.claimed("w", "t").await;
    assert_eq!(id, first);
    let waits = waiter(&b, "v").await;
    a.exchange("w", vec![completed(id, token)], None).await;
    assert_eq!(ids(&waits.await.unwrap()), [second]);
}

#[tokio::test]
async fn what_is_acknowledged_at_one_node_is_read_at_every_other() {
    let [a, b, c] = nodes().await;
    for _ in 0..100 {
        let id = a.submitted("t").await;
        assert_eq!(b.get(id).await.status(), Status::NotStarted);
        b.order(id, Command::Cancel).await.unwrap();
        assert_eq!(c.get(id).await.status(), Status::Failed);
        c.order(id, Command::Delete).await.unwrap();
        assert!(a.tracker.get(&TenantId::default(), id).await.is_err());
    }
}

#[tokio::test]
async fn controls_that_were_set_at_one_node_are_told_and_kept_at_another_at_once() {
    let [a, b] = nodes().await;
    set_max_running(&a, 0).await;
    let id = b.submitted("t").await;
    let told = b.tracker.waiting(&*b.get(id).await).await.unwrap();
    assert_eq!(told, Some(Waiting::QueueLimit(0)));
    assert!(b.exchange("w", Vec::new(), Some(claim("c", "t"))).await.1.is_empty());
}

#[tokio::test]
async fn who_follows_an_operation_at_one_node_hears_what_another_does_to_it() {
    let [a, b] = nodes().await;
    for _ in 0..100 {
        let id = b.submitted("t").await;
        let mut follow = a.tracker.follow(&TenantId::default(), id);
        let cancels = tokio::spawn({
            let b = b.clone();
            async move { b.order(id, Command::Cancel).await.unwrap() }
        });
        while a.get(id).await.status() != Status::Failed {
            follow.changed().await;
        }
        cancels.await.unwrap();
    }
}

#[tokio::test]
async fn a_cancel_at_one_node_is_told_at_once_to_a_worker_that_waits_at_another() {
    let [a, b] = nodes().await;
    a.submitted("t").await;
    let (id, token) = a.claimed("w", "t").await;
    let waits = tokio::spawn({
        let a = a.clone();
        async move { a.exchange("w", Vec::new(), Some(patient(claim("next", "t")))).await }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    a.exchange("other", Vec::new(), Some(claim("o", "u"))).await;
    b.order(id, Command::Cancel).await.unwrap();
    let (told, handed) = waits.await.unwrap();
    let [notice] = &told.notices[..] else { panic!("one notice") };
    assert_eq!((notice.id, notice.token, notice.kind), (id, token, NoticeKind::Cancel));
    assert!(handed.is_empty());
}

#[tokio::test]
async fn a_node_tells_of_its_own_cancels_once() {
    let [a, b] = nodes().await;
    let mut told = 0;
    for _ in 0..50 {
        a.submitted("t").await;
        let (id, token) = a.claimed("w", "t").await;
        let mut watcher = watcher(&a, whole()).await;
        a.order(id, Command::Cancel).await.unwrap();
        let (heard, _) = a.exchange("w", Vec::new(), None).await;
        told += heard.notices.len();
        let (heard, _) = a.exchange("w", vec![completed(id, token)], None).await;
        told += heard.notices.len();
        let other = b.submitted("other").await;
        // By then the tail has come to the cancel.
        while !watcher.next().await.unwrap().iter().any(|told| told.event.operation.spec.id == other) {}
    }
    told += a.exchange("w", Vec::new(), None).await.0.notices.len();
    assert_eq!(told, 50);
}

#[tokio::test]
async fn whoever_watches_at_a_node_sees_what_all_nodes_do_in_order_and_once() {
    const EACH: usize = 250;
    let [a, b, c] = nodes().await;
    let all = [a.clone(), b.clone(), c.clone()];
    let events = all.len() * EACH * 3;
    let early: Vec<_> = join_all(all.iter().map(|node| watcher(node, whole()))).await;
    let early: Vec<_> = early.into_iter().map(|watcher| tokio::spawn(sees(watcher, events))).collect();
    let done = Arc::new(tokio::sync::Semaphore::new(all.len() * EACH));
    let mut parts = Vec::new();
    for (n, node) in all.iter().enumerate() {
        parts.push(tokio::spawn(work(node.clone(), format!("w{n}"), done.clone())));
        let node = node.clone();
        parts.push(tokio::spawn(async move {
            for _ in 0..EACH {
                node.submitted("t").await;
            }
        }));
    }
    for part in parts {
        part.await.unwrap();
    }
    let kept = a.tracker.reader().events(&whole(), 0, usize::MAX).await.unwrap().events;
    assert_eq!(kept.len(), events);
    let kept: Vec<i64> = kept.iter().map(|event| event.cursor).collect();
    for seen in early {
        let seen: Vec<i64> = seen.await.unwrap().iter().map(|event| event.cursor).collect();
        assert_eq!(seen, kept);
    }
}

#[tokio::test]
async fn what_another_node_does_at_once_is_seen_at_once_however_much_it_is() {
    const MANY: usize = 3000;
    let [a, b] = nodes().await;
    let seen = tokio::spawn(sees(watcher(&a, whole()).await, MANY));
    for made in join_all((0..MANY).map(|_| b.submit(submit("t")))).await {
        made.unwrap();
    }
    // Part after part, each a look later, it would take longer than this.
    let seen = tokio::time::timeout(Duration::from_secs(8), seen).await.expect("it is seen in time").unwrap();
    assert!(seen.is_sorted_by_key(|event| event.cursor) && seen.len() == MANY);
}

#[tokio::test]
async fn who_watches_one_operation_sees_what_each_node_did_to_it() {
    let [a, b, c] = nodes().await;
    for _ in 0..50 {
        let id = a.submitted("t").await;
        let watchers = [&a, &b, &c].map(|node| watcher(node, Whose::Operation(TenantId::default(), id)));
        let watchers = join_all(watchers).await;
        let (_, token) = b.claimed("w", "t").await;
        c.submitted("other").await;
        c.exchange("w", vec![completed(id, token)], None).await;
        for watcher in watchers {
            let kinds: Vec<EventKind> = sees(watcher, 2).await.iter().map(|event| event.kind).collect();
            assert_eq!(kinds, [EventKind::Started, EventKind::Completed]);
        }
    }
}

#[tokio::test]
async fn no_more_of_a_limited_queue_run_at_once_than_may_on_all_nodes_together() {
    const MAX: u32 = 3;
    const ALL: usize = 120;
    let [a, b, c] = nodes().await;
    set_max_running(&b, MAX).await;
    for _ in 0..ALL {
        a.submitted("t").await;
    }
    let done = Arc::new(tokio::sync::Semaphore::new(ALL));
    let workers = [&a, &b, &c, &a, &b, &c].into_iter().enumerate();
    join_all(workers.map(|(n, node)| work(node.clone(), format!("w{n}"), done.clone()))).await;
    let (mut running, mut most) = (0, 0);
    for event in a.tracker.reader().events(&whole(), 0, usize::MAX).await.unwrap().events {
        let is = event.operation.status() == Status::Running;
        running += i64::from(is) - i64::from(event.status_before == Some(Status::Running));
        most = most.max(running);
    }
    assert_eq!((running, most), (0, i64::from(MAX)));
}

#[tokio::test]
async fn one_key_at_two_nodes_at_once_makes_one_operation() {
    let [a, b] = nodes().await;
    let mut made: BTreeMap<OperationId, usize> = BTreeMap::new();
    for n in 0..100 {
        let wish = || {
            let mut wish = submit("t");
            wish.submission.spec.key = Some(Arc::from(format!("k{n}")));
            wish.submission.spec.fingerprint = Some([1; 32]);
            wish
        };
        let submit = |node: Arc<Rig>, wish: Submit| tokio::spawn(async move { node.submit(wish).await });
        let (one, other) = (submit(a.clone(), wish()), submit(b.clone(), wish()));
        let (one, other) = (one.await.unwrap().unwrap(), other.await.unwrap().unwrap());
        assert!(one.replayed != other.replayed, "one of them made it");
        for submitted in [one, other] {
            *made.entry(submitted.operation.spec.id).or_default() += 1;
        }
    }
    assert_eq!(made.len(), 100);
    assert!(made.values().all(|times| *times == 2));
}

fn deposited(number: i64) -> (Deposit, Submit) {
    let mut wish = submit("t");
    (wish.deposit, wish.id_chosen) = (Some(number), true);
    let spec = &mut wish.submission.spec;
    spec.fingerprint = Some([1; 32]);
    let (id, at) = (spec.id, spec.created);
    (Deposit { number, id, tenant: "default".to_owned(), at, body: None }, wish)
}

#[tokio::test]
async fn a_deposit_is_taken_in_by_one_of_the_nodes_that_try_and_goes_with_it() {
    let (disk, clock) = (MemoryDisk::default(), a_clock());
    let nodes = [Rig::join(&disk, &clock).await, Rig::join(&disk, &clock).await];
    let watcher = watcher(&nodes[0], whole()).await;
    for number in 1..=20 {
        let (deposit, wish) = deposited(number);
        disk.hand_in(deposit);
        let (one, other) = tokio::join!(nodes[0].submit(wish), nodes[1].submit(deposited(number).1));
        let elsewhere = |made: &Result<_, Denied>| matches!(made, Err(Denied::Elsewhere));
        assert!(elsewhere(&one) != elsewhere(&other), "{one:?} {other:?}");
        assert!(one.is_ok() || other.is_ok());
    }
    let reader = nodes[0].tracker.reader().shared().unwrap();
    assert_eq!(reader.deposits(AllTenants, 0).await.unwrap().len(), 0);
    assert_eq!(sees(watcher, 20).await.len(), 20);
}

#[tokio::test]
async fn a_deposit_that_is_a_repeat_goes_and_one_that_finds_its_queue_full_stays() {
    let (disk, clock) = (MemoryDisk::default(), a_clock());
    let node = Rig::join(&disk, &clock).await;
    let (deposit, wish) = deposited(1);
    let again =
        Submit { deposit: Some(2), submission: wish.submission.clone(), actor: wish.actor.clone(), ..wish };
    disk.hand_in(Deposit { number: 2, ..deposit.clone() });
    disk.hand_in(deposit);
    assert!(!node.submit(wish).await.unwrap().replayed);
    assert!(node.submit(again).await.unwrap().replayed);
    let change = ControlsChange { paused: None, max_running: None, max_waiting: Some(Some(1)) };
    let (tenant, name) = (TenantId::default(), Name::parse("default").unwrap());
    node.tracker.control(QueueOrder { tenant, name, change }).await.unwrap();
    let (deposit, wish) = deposited(3);
    disk.hand_in(deposit);
    assert!(matches!(node.submit(wish).await, Err(Denied::QueueFull)));
    let reader = node.tracker.reader().shared().unwrap();
    let left = reader.deposits(AllTenants, 0).await.unwrap();
    assert_eq!(left.iter().map(|deposit| deposit.number).collect::<Vec<_>>(), [3]);
}
