//! Leases are kept by heartbeats, and a handler without a lease does not go on.

use std::time::Duration;

use longrun_sdk::wire::{Notice, NoticeKind, Operation, OperationError, Outcome, Status};
use longrun_sdk::{Context, HandlerError, StopReason};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::{Fault, Running, Server, hear, start, stopped, worker};

/// What a handler saw: why it was to stop, and how much of the lease was left then.
type Saw = (StopReason, Duration);

/// A worker whose handler waits until it is told to stop, tells why, and returns `end`.
fn patient(server: &Server, end: fn(&Context) -> Result<(), HandlerError>) -> (Running, mpsc::Receiver<Saw>) {
    let (tell, told) = mpsc::channel(8);
    let handler = move |_: IgnoredAny, context: Context| {
        let tell = tell.clone();
        async move {
            let reason = stopped(&context).await;
            tell.send((reason, context.remaining())).await.unwrap();
            end(&context)
        }
    };
    (start(worker(server).handler("patient", handler)), told)
}

fn lease_lost() -> Outcome {
    let error = Some(OperationError::new("leaseLost", "another worker has it"));
    Outcome { error, ..Outcome::default() }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_goes_out_at_each_third_of_the_lease() {
    let server = Server::new();
    let (running, _told) = patient(&server, |_| Ok(()));
    let ids = [server.submit("patient", &json!(1)), server.submit("patient", &json!(2))];
    server.until("three heartbeats", |server| (server.reports(ids[0]).len() == 3).then_some(())).await;
    let beats: Vec<_> = server.log().into_iter().filter(|seen| !seen.request.reports.is_empty()).collect();
    for seen in &beats {
        assert_eq!(seen.request.reports.len(), 2, "one exchange for both");
        let report = &seen.request.reports[0];
        assert_eq!((report.status, report.percent_complete), (Status::Running, None));
    }
    for pair in beats.windows(2) {
        let between = pair[1].at - pair[0].at;
        assert!(between > Duration::from_secs(8) && between <= Duration::from_secs(11), "{between:?}");
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_under_way_holds_no_heartbeat_up() {
    let server = Server::new();
    server.slow_down(Status::Completed, Duration::from_mins(2));
    let patient = |_: IgnoredAny, context: Context| async move {
        stopped(&context).await;
        Ok::<_, HandlerError>(())
    };
    let running =
        start(worker(&server).handler("noop", longrun_sdk::handlers::noop).handler("patient", patient));
    let (large, held) = (server.submit("noop", &json!(1)), server.submit("patient", &json!(2)));
    server.report(large, Status::Completed).await;
    server.until("heartbeats", |server| (server.reports(held).len() >= 6).then_some(())).await;
    let beats: Vec<_> = server.log().into_iter().filter(|seen| !seen.request.reports.is_empty()).collect();
    let upload = beats.iter().find(|seen| seen.request.reports[0].id == large).unwrap().at;
    let beats: Vec<_> = beats.iter().filter(|seen| seen.request.reports[0].id == held).collect();
    assert!(beats[5].at < upload + Duration::from_mins(2), "they went out while that was under way");
    drop(running); // that is still under way
}

#[tokio::test(start_paused = true)]
async fn progress_counts_as_a_heartbeat() {
    async fn lively(_: IgnoredAny, context: Context) -> Result<(), HandlerError> {
        for percent in 1..=20 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            context.progress(percent, "lively");
        }
        Ok(())
    }
    let server = Server::new();
    let running = start(worker(&server).handler("lively", lively));
    let id = server.submit("lively", &json!(null));
    server.report(id, Status::Completed).await;
    let bare = server
        .reports(id)
        .iter()
        .filter(|r| r.status == Status::Running && r.percent_complete.is_none())
        .count();
    assert_eq!(bare, 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_the_handler_and_drops_its_result() {
    let server = Server::new();
    let (running, mut told) = patient(&server, |_| Ok(()));
    let id = server.submit("patient", &json!(null));
    server.answer(id, Status::Running, lease_lost());
    assert_eq!(hear(&mut told).await.0, StopReason::LeaseLost);
    let stats = running.stop().await;
    assert_eq!((stats.lost, stats.completed), (1, 0));
    assert!(server.reports(id).iter().all(|report| report.status == Status::Running));
}

#[tokio::test(start_paused = true)]
async fn a_report_that_comes_too_late_counts_as_lost() {
    let server = Server::new();
    let running = start(worker(&server).handler("noop", longrun_sdk::handlers::noop));
    server.idle().await;
    let id = server.submit("noop", &json!(null));
    server.answer(id, Status::Completed, lease_lost());
    server.report(id, Status::Completed).await;
    assert_eq!(running.stop().await.lost, 1);
    assert_eq!(server.reports(id).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_notice_of_a_lost_lease_stops_the_handler() {
    let server = Server::new();
    let (running, mut told) = patient(&server, |_| Ok(()));
    let id = server.submit("patient", &json!(null));
    server.until("its claim", |server| (server.log().len() == 2).then_some(())).await;
    server.notify(Notice { id, lease_token: 1, kind: NoticeKind::Lost });
    assert_eq!(hear(&mut told).await.0, StopReason::LeaseLost);
    assert_eq!(running.stop().await.lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_the_handler_by_notice() {
    let server = Server::new();
    let (running, mut told) = patient(&server, |context| Err(context.stopped()));
    let id = server.submit("patient", &json!(null));
    server.until("its claim", |server| (server.log().len() == 2).then_some(())).await;
    server.notify(Notice { id, lease_token: 99, kind: NoticeKind::Cancel }); // of another lease
    server.notify(Notice { id, lease_token: 1, kind: NoticeKind::Cancel });
    assert_eq!(hear(&mut told).await.0, StopReason::Cancel);
    let (report, _) = server.report(id, Status::Failed).await;
    assert_eq!((report.error.unwrap().code.as_str(), report.retryable), ("stopped", Some(false)));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_the_handler_by_the_outcome_of_its_heartbeat() {
    let server = Server::new();
    let (running, mut told) = patient(&server, |_| Ok(()));
    let id = server.submit("patient", &json!(null));
    let canceling = Outcome { lease_seconds: Some(29.5), cancel_requested: true, ..Outcome::default() };
    server.answer(id, Status::Running, canceling);
    let (reason, remaining) = hear(&mut told).await;
    assert_eq!(reason, StopReason::Cancel);
    assert!(remaining > Duration::from_secs(29) && remaining <= Duration::from_millis(29_500));
    // It was too late: the handler had completed its work, and that is what is told.
    server.report(id, Status::Completed).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_canceled_operation_that_does_not_stop_is_ended_with_its_lease() {
    async fn deaf(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
        std::future::pending().await
    }
    let server = Server::new();
    let running = start(worker(&server).handler("deaf", deaf));
    let id = server.submit("deaf", &json!(null));
    let shrinking = Outcome { lease_seconds: Some(0.2), cancel_requested: true, ..Outcome::default() };
    server.answer(id, Status::Running, shrinking);
    server.report(id, Status::NotStarted).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_handler_stops_when_its_lease_ends() {
    let server = Server::new();
    let (running, mut told) = patient(&server, |_| Err(HandlerError::retryable("interrupted", "no matter")));
    let id = server.submit("patient", &json!(null));
    let claimed_at = server.until("its claim", |server| server.log().get(1).map(|seen| seen.at)).await;
    server.set_down(true);
    let (reason, remaining) = hear(&mut told).await;
    assert_eq!((reason, remaining), (StopReason::LeaseLost, Duration::ZERO));
    let after = claimed_at.elapsed();
    assert!(after >= Duration::from_secs(29) && after <= Duration::from_secs(31), "{after:?}");
    server.set_down(false);
    server.report(id, Status::NotStarted).await;
    assert_eq!(running.stop().await.released, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_its_lease_is_aborted_and_handed_back_with_its_checkpoint() {
    let (alive, mut aborted) = mpsc::channel::<()>(1);
    let deaf = move |_: IgnoredAny, context: Context| {
        let alive = alive.clone();
        async move {
            context.checkpoint(&json!({ "page": 5 }))?;
            std::future::pending::<()>().await;
            drop(alive);
            Ok::<_, HandlerError>(())
        }
    };
    let server = Server::new();
    let running = start(worker(&server).concurrency(1).handler("deaf", deaf));
    let id = server.submit("deaf", &json!(null));
    server.report(id, Status::Running).await;
    server.set_down(true);
    // Longer than the lease: by now the handler has been told, and went on.
    server.until("a heartbeat in vain", |server| (server.reports(id).len() > 40).then_some(())).await;
    server.set_down(false);
    let up = Instant::now();
    let (report, _) = server.report(id, Status::NotStarted).await;
    assert!(up.elapsed() < Duration::from_secs(5), "it was aborted long ago");
    assert_eq!(report.checkpoint.unwrap().get(), r#"{"page":5}"#);
    let next = server.submit("deaf", &json!(null));
    server.report(next, Status::Running).await; // its slot is free again
    running.stop().await;
    assert!(aborted.recv().await.is_none(), "no attempt is left");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_told_so() {
    let server = Server::new();
    let (running, mut told) = patient(&server, |context| Err(context.stopped()));
    let id = server.submit_operation(Operation {
        operation_type: Some("patient".to_owned()),
        timeout_seconds: Some(100.0),
        ..Operation::default()
    });
    assert_eq!(hear(&mut told).await.0, StopReason::Timeout);
    let (report, _) = server.report(id, Status::Failed).await;
    assert_eq!((report.error.unwrap().code.as_str(), report.retryable), ("timedOut", None));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_when_its_heartbeat_was_sent() {
    let server = Server::new();
    let (running, mut told) = patient(&server, |_| Ok(()));
    let id = server.submit("patient", &json!(null));
    server.idle().await;
    let canceling = Outcome { lease_seconds: Some(30.0), cancel_requested: true, ..Outcome::default() };
    server.answer(id, Status::Running, canceling);
    server.faults([Fault::Slow(Duration::from_secs(4))]);
    let (_, remaining) = hear(&mut told).await;
    assert!(remaining <= Duration::from_secs(26), "{remaining:?}");
    running.stop().await;
}
