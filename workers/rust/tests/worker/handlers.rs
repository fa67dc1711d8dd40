//! The built-in types, and slots that are given back while a handler waits.

use std::time::Duration;

use longrun_sdk::handlers::{noop, sleep};
use longrun_sdk::wire::{Notice, NoticeKind, Operation, Status, to_json};
use longrun_sdk::{Context, HandlerError};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Server, start, worker};

#[tokio::test(start_paused = true)]
async fn noop_completes_and_says_that_it_did_nothing() {
    let server = Server::new();
    let running = start(worker(&server).handler("noop", noop));
    let id = server.submit_operation(Operation::default()); // of no type at all
    let (report, _) = server.report(id, Status::Completed).await;
    assert!(report.status_detail.unwrap().contains("does nothing"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sleep_tells_each_step_and_ends_in_time() {
    let server = Server::new();
    let running = start(worker(&server).handler("sleep", sleep));
    server.idle().await;
    let began = Instant::now();
    let id = server.submit("sleep", &json!({ "seconds": 8, "steps": 4 }));
    server.report(id, Status::Completed).await;
    assert!(began.elapsed().abs_diff(Duration::from_secs(8)) < Duration::from_millis(500));
    let percents: Vec<_> = server.reports(id).iter().filter_map(|report| report.percent_complete).collect();
    assert_eq!(percents[..3], [25.0, 50.0, 75.0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sleep_goes_on_where_the_last_attempt_stopped() {
    let server = Server::new();
    let running = start(worker(&server).handler("sleep", sleep));
    server.idle().await;
    let began = Instant::now();
    let id = server.submit_operation(Operation {
        operation_type: Some("sleep".to_owned()),
        input: Some(to_json(&json!({ "seconds": 100, "steps": 10 })).unwrap()),
        checkpoint: Some(to_json(&json!({ "stepsDone": 7 })).unwrap()),
        ..Operation::default()
    });
    server.report(id, Status::Completed).await;
    assert!(began.elapsed().abs_diff(Duration::from_secs(30)) < Duration::from_millis(500));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sleep_is_handed_back_at_shutdown_with_the_steps_it_did() {
    let server = Server::new();
    let running = start(worker(&server).handler("sleep", sleep));
    let id = server.submit("sleep", &json!({ "seconds": 100, "steps": 10 }));
    server
        .until("two steps", |server| {
            server.reports(id).iter().find(|r| r.percent_complete == Some(20.0)).cloned()
        })
        .await;
    let began = Instant::now();
    assert_eq!(running.stop().await.released, 1);
    assert!(began.elapsed() < Duration::from_millis(100));
    let (report, _) = server.report(id, Status::NotStarted).await;
    assert_eq!(report.checkpoint.unwrap().get(), r#"{"stepsDone":2}"#);
}

#[tokio::test(start_paused = true)]
async fn sleep_obeys_a_cancel_promptly() {
    let server = Server::new();
    let running = start(worker(&server).handler("sleep", sleep));
    let id = server.submit("sleep", &json!({ "seconds": 3600, "steps": 1 }));
    server.until("its claim", |server| (server.log().len() == 2).then_some(())).await;
    let asked = Instant::now();
    server.notify(Notice { id, lease_token: 1, kind: NoticeKind::Cancel });
    server.report(id, Status::Failed).await;
    assert!(asked.elapsed() < Duration::from_millis(100));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sleep_refuses_what_it_cannot_make_sense_of() {
    let server = Server::new();
    let running = start(worker(&server).handler("sleep", sleep));
    for input in [json!({ "seconds": -1 }), json!({ "steps": 0 }), json!({ "minutes": 1 }), json!("long")] {
        let id = server.submit("sleep", &input);
        let (report, _) = server.report(id, Status::Failed).await;
        assert_eq!((report.error.unwrap().code.as_str(), report.retryable), ("invalidInput", Some(false)));
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sleepers_hold_no_slot() {
    let server = Server::new();
    let running = start(worker(&server).concurrency(1).handler("sleep", sleep).handler("noop", noop));
    let began = Instant::now();
    let sleepers: Vec<_> = (0..50).map(|_| server.submit("sleep", &json!({ "seconds": 60 }))).collect();
    let short = server.submit("noop", &json!(null));
    server.report(short, Status::Completed).await;
    for id in sleepers {
        server.report(id, Status::Completed).await;
    }
    assert!(began.elapsed() < Duration::from_secs(70), "all at the same time");
    assert_eq!(running.stop().await.completed, 51);
}

#[tokio::test(start_paused = true)]
async fn a_parked_handler_takes_a_slot_again_before_it_goes_on() {
    async fn call(_: IgnoredAny, context: Context) -> Result<(), HandlerError> {
        context.parked(tokio::time::sleep(Duration::from_secs(1))).await;
        tokio::time::sleep(Duration::from_secs(10)).await; // works, in its slot
        Ok(())
    }
    let server = Server::new();
    let running = start(worker(&server).concurrency(1).handler("call", call));
    let began = Instant::now();
    let ids = [server.submit("call", &json!(1)), server.submit("call", &json!(2))];
    for id in ids {
        server.report(id, Status::Completed).await;
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(21) && took < Duration::from_secs(23), "{took:?}");
    running.stop().await;
}
