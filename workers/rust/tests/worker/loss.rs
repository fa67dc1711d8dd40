//! Exchanges that are lost or refused.

use std::time::Duration;

use longrun_sdk::handlers::noop;
use longrun_sdk::wire::{ExchangeRequest, Status};
use longrun_sdk::{ExchangeError, WorkerError};
use serde_json::json;

use crate::support::{Fault, Server, lost, start, worker};

fn text(request: &ExchangeRequest) -> String {
    serde_json::to_string(request).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lost_claim_is_repeated_with_the_same_id_and_its_operations_start_once() {
    let server = Server::new();
    server.faults([Fault::AnswerLost, Fault::Error(lost()), Fault::Fine]);
    let ids = [server.submit("noop", &json!(null)), server.submit("noop", &json!(null))];
    let running = start(worker(&server).handler("noop", noop));
    for id in ids {
        server.report(id, Status::Completed).await;
    }
    let log = server.log();
    assert_eq!(text(&log[0].request), text(&log[1].request));
    assert_eq!(text(&log[0].request), text(&log[2].request));
    let stats = running.stop().await;
    assert_eq!((stats.claimed, stats.completed), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn lost_reports_are_repeated_as_they_were_with_the_claim_they_carried() {
    let server = Server::new();
    server.faults([Fault::Fine, Fault::AnswerLost, Fault::AnswerLost]);
    server.submit_many("noop", 8);
    let running = start(worker(&server).handler("noop", noop));
    server.until("all eight", |server| (server.log().len() >= 6).then_some(())).await;
    let log = server.log();
    assert_eq!(log[1].request.reports.len(), 4);
    assert!(log[1].request.claim.is_some());
    assert_eq!(text(&log[1].request), text(&log[2].request));
    assert_eq!(text(&log[1].request), text(&log[3].request));
    assert_ne!(log[4].request.claim.as_ref().unwrap().id, log[1].request.claim.as_ref().unwrap().id);
    let stats = running.stop().await;
    assert_eq!((stats.claimed, stats.completed, stats.lost), (8, 8, 0));
}

#[tokio::test(start_paused = true)]
async fn a_repetition_waits_as_long_as_the_server_asks() {
    let server = Server::new();
    let retry_after = Some(Duration::from_secs(7));
    server.faults([Fault::Error(ExchangeError::Lost { message: "overloaded".to_owned(), retry_after })]);
    let running = start(worker(&server).handler("noop", noop));
    server.until("the repetition", |server| (server.log().len() == 2).then_some(())).await;
    let log = server.log();
    assert!(log[1].at - log[0].at >= Duration::from_secs(7));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_the_right_to_work_ends() {
    let server = Server::new();
    let denied = ExchangeError::Denied { code: "unauthenticated".to_owned(), message: "revoked".to_owned() };
    server.faults([Fault::Error(denied)]);
    let running = start(worker(&server).handler("noop", noop));
    assert!(
        matches!(running.ended().await, Err(WorkerError::Denied { code, .. }) if code == "unauthenticated")
    );
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_refused_for_good_ends_the_worker() {
    let server = Server::new();
    let refused =
        ExchangeError::Refused { code: "invalidRequest".to_owned(), message: "queues: …".to_owned() };
    server.faults([Fault::Error(refused)]);
    let running = start(worker(&server).handler("noop", noop));
    assert!(matches!(running.ended().await, Err(WorkerError::ClaimRefused { .. })));
}

#[tokio::test(start_paused = true)]
async fn reports_refused_together_with_a_claim_are_sent_without_it() {
    let server = Server::new();
    let refused =
        ExchangeError::Refused { code: "invalidRequest".to_owned(), message: "claim: …".to_owned() };
    server.faults([Fault::Fine, Fault::Error(refused)]);
    let running = start(worker(&server).handler("noop", noop));
    let id = server.submit("noop", &json!(null));
    let again = |server: &Server| (server.reports(id).len() == 2).then(|| server.log());
    let log = server.until("the reports again", again).await;
    let with: Vec<_> = log.iter().filter(|seen| !seen.request.reports.is_empty()).collect();
    assert!(with[0].request.claim.is_some() && with[1].request.claim.is_none());
    let stats = running.stop().await;
    assert_eq!((stats.completed, stats.lost), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn reports_refused_for_good_are_given_up() {
    let server = Server::new();
    let refused = || {
        let (code, message) = ("payloadTooLarge".to_owned(), "too large".to_owned());
        Fault::Error(ExchangeError::Refused { code, message })
    };
    server.faults([Fault::Fine, refused(), refused()]);
    let running = start(worker(&server).handler("noop", noop));
    let first = server.submit("noop", &json!(null));
    server.until("given up", |server| (server.reports(first).len() == 2).then_some(())).await;
    let second = server.submit("noop", &json!(null));
    server.report(second, Status::Completed).await;
    let stats = running.stop().await;
    assert_eq!((stats.completed, stats.lost), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_report_without_an_outcome_does_not_count_as_delivered() {
    let server = Server::new();
    server.faults([Fault::Fine, Fault::NoOutcomes]);
    let running = start(worker(&server).handler("noop", noop));
    let id = server.submit("noop", &json!(null));
    server.report(id, Status::Completed).await;
    let stats = running.stop().await;
    assert_eq!((stats.completed, stats.lost), (0, 1));
}
