//! Claims: those that wait, that come again, that nobody hears, and what workers are told.

use std::sync::Arc;

use super::{Rig, accepted, claim, completed, exchange, patient, submit};
use crate::operation::{Command, Status};
use crate::tracker::entry::NoticeKind;

/// Lets the other tasks of the test run until one of them has handed its entry in: a later entry stands behind it.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_fresh_operation_reaches_a_waiting_claim_in_the_commit_that_stores_it() {
    let rig = Arc::new(Rig::new().await);
    let waiting = tokio::spawn({
        let rig = rig.clone();
        async move { rig.exchange("w", Vec::new(), Some(patient(claim("c", "t")))).await }
    });
    settle().await;
    // A turn of its own, so that the claim waits before the submit comes.
    rig.exchange("other", Vec::new(), Some(claim("o", "u"))).await;
    let (_, commits) = rig.tracker.turns_and_commits();
    let made = rig.submit(submit("t")).await.unwrap();
    assert_eq!((made.operation.status(), made.operation.version), (Status::NotStarted, 1));
    let (_, handed) = waiting.await.unwrap();
    assert_eq!(handed[0].claimed.operation.spec.id, made.operation.spec.id);
    assert_eq!(handed[0].claimed.operation.version, 2);
    assert_eq!(rig.tracker.turns_and_commits().1, commits + 1);
}

#[tokio::test]
async fn a_repeated_claim_gets_what_it_still_holds_and_nothing_new() {
    let rig = Rig::new().await;
    let (first, second) = (rig.submitted("t").await, rig.submitted("t").await);
    let take = || rig.exchange("w", Vec::new(), Some(claim("c", "t")));
    let (_, handed) = take().await;
    let token = handed[0].claimed.token;
    assert_eq!(handed[0].claimed.operation.spec.id, first);
    let (_, again) = take().await;
    assert_eq!((again[0].claimed.operation.spec.id, again[0].claimed.token), (first, token));
    rig.exchange("w", vec![completed(first, token)], None).await;
    let (_, fresh) = take().await;
    assert_eq!(fresh[0].claimed.operation.spec.id, second);
    let (_, other_worker) = rig.exchange("x", Vec::new(), Some(claim("c", "t"))).await;
    assert!(other_worker.is_empty());
}

#[tokio::test]
async fn an_older_call_with_the_same_claim_is_answered_empty() {
    let rig = Arc::new(Rig::new().await);
    let wait = || {
        let rig = rig.clone();
        tokio::spawn(async move { rig.exchange("w", Vec::new(), Some(patient(claim("c", "t")))).await })
    };
    let older = wait();
    settle().await;
    let newer = wait();
    assert!(older.await.unwrap().1.is_empty());
    let id = rig.submitted("t").await;
    assert_eq!(newer.await.unwrap().1[0].claimed.operation.spec.id, id);
}

#[tokio::test]
async fn what_a_claim_took_for_nobody_goes_back_uncounted() {
    let rig = Rig::new().await;
    let mut gone = 0;
    for n in 0..20 {
        let id = rig.submitted("t").await;
        let call = rig.tracker.exchange(exchange("w", Vec::new(), Some(claim(&format!("w{n}"), "t"))));
        // Polled once, so that the entry is handed in, and then gone: unless the loop was faster than that one poll.
        let heard = tokio::select! {
            biased;
            answer = call => Some(answer.unwrap().1),
            () = std::future::ready(()) => None,
        };
        let (worker, handed) = if let Some(handed) = heard {
            ("w", handed)
        } else {
            gone += 1;
            ("x", rig.exchange("x", Vec::new(), Some(patient(claim(&format!("x{n}"), "t")))).await.1)
        };
        let operation = &handed[0].claimed.operation;
        assert_eq!((operation.spec.id, operation.attempts, operation.releases), (id, 1, 0));
        rig.exchange(worker, vec![completed(id, handed[0].claimed.token)], None).await;
    }
    assert!(gone > 0, "nobody was gone in time");
}

#[tokio::test]
async fn the_more_urgent_goes_first_and_then_the_older() {
    let rig = Rig::new().await;
    let mut ids = Vec::new();
    for priority in [0, 5, 5, -1] {
        let mut wish = submit("t");
        wish.submission.spec.priority = priority;
        ids.push(rig.submit(wish).await.unwrap().operation.spec.id);
    }
    let mut all = claim("c", "t");
    all.want.limit = 10;
    let (_, handed) = rig.exchange("w", Vec::new(), Some(all)).await;
    let order: Vec<_> = handed.iter().map(|handed| handed.claimed.operation.spec.id).collect();
    assert_eq!(order, [ids[1], ids[2], ids[0], ids[3]]);
}

#[tokio::test]
async fn a_cancel_is_told_to_the_worker_at_once_if_it_waits_and_once_only() {
    let rig = Arc::new(Rig::new().await);
    rig.submitted("t").await;
    let (id, token) = rig.claimed("w", "t").await;
    let waiting = tokio::spawn({
        let rig = rig.clone();
        async move { rig.exchange("w", Vec::new(), Some(patient(claim("next", "t")))).await }
    });
    settle().await;
    let canceling = rig.order(id, Command::Cancel).await.unwrap();
    assert!(canceling.cancel_requested && canceling.status() == Status::Running);
    let (told, handed) = waiting.await.unwrap();
    assert!(handed.is_empty());
    let [notice] = &told.notices[..] else { panic!("one notice") };
    assert_eq!((notice.id, notice.token, notice.kind), (id, token, NoticeKind::Cancel));
    let (later, _) = rig.exchange("w", vec![completed(id, token)], None).await;
    assert!(later.notices.is_empty() && accepted(&later.outcomes[0]));
}
