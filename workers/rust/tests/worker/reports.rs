//! What becomes of an attempt is told, in as few exchanges as can be.

use longrun_sdk::handlers::noop;
use longrun_sdk::wire::{OperationError, Outcome, Status};
use longrun_sdk::{Context, HandlerError, Success};
use serde::de::IgnoredAny;
use serde_json::json;

use crate::support::{Server, start, worker};

#[tokio::test(start_paused = true)]
async fn a_burst_of_short_operations_is_reported_in_one_exchange() {
    let server = Server::new();
    server.submit_many("noop", 300);
    let running = start(worker(&server).concurrency(300).handler("noop", noop));
    let burst = server
        .until("the burst", |server| server.log().into_iter().find(|seen| seen.request.reports.len() == 300))
        .await;
    let claim = burst.request.claim.expect("a busy worker claims along with its reports");
    assert_eq!((claim.limit, claim.wait_seconds), (300, 0));
    assert_eq!(claim.operation_types.unwrap(), ["noop"]);
    let stats = running.stop().await;
    assert_eq!((stats.claimed, stats.completed, stats.lost), (300, 300, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_on_real_threads_is_carried_out_once_each() {
    let server = Server::new();
    server.submit_many("noop", 5_000);
    let running = start(worker(&server).concurrency(500).handler("noop", noop));
    let reported =
        |server: &Server| server.log().iter().map(|seen| seen.request.reports.len()).sum::<usize>();
    server.until("all reported", |server| (reported(server) == 5_000).then_some(())).await;
    let stats = running.stop().await;
    assert_eq!((stats.claimed, stats.completed, stats.lost), (5_000, 5_000, 0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_no_larger_than_the_protocol_allows() {
    let server = Server::new();
    let running = start(worker(&server).concurrency(5_000).handler("noop", noop));
    server.idle().await;
    assert_eq!(server.log()[0].request.claim.as_ref().unwrap().limit, 1000);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_goes_out_at_once_beside_a_hanging_claim() {
    let server = Server::new();
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let opened = gate.clone();
    let handler = move |_: IgnoredAny, _: Context| {
        let opened = opened.clone();
        async move {
            opened.notified().await;
            Ok::<_, HandlerError>(())
        }
    };
    let running = start(worker(&server).handler("gated", handler));
    let id = server.submit("gated", &json!(null));
    server.until("the claim", |server| (server.log().len() == 2).then_some(())).await;
    server.idle().await;
    gate.notify_one();
    let (_, seen) = server.report(id, Status::Completed).await;
    assert!(seen.request.claim.is_none(), "the slots are spoken for by the claim that hangs");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_result_and_what_goes_with_it_are_reported() {
    async fn render(pages: u32, _: Context) -> Result<Success, HandlerError> {
        Ok(Success::of(&json!({ "pages": pages })).status_detail("rendered").resource_location("http://x/1"))
    }
    let server = Server::new();
    let running = start(worker(&server).handler("render", render));
    let id = server.submit("render", &json!(12));
    let (report, _) = server.report(id, Status::Completed).await;
    assert_eq!(report.result.unwrap().get(), r#"{"pages":12}"#);
    assert_eq!(report.status_detail.as_deref(), Some("rendered"));
    assert_eq!(report.resource_location.as_deref(), Some("http://x/1"));
    let wrong = server.submit("render", &json!("twelve"));
    let (report, _) = server.report(wrong, Status::Failed).await;
    assert_eq!((report.error.unwrap().code.as_str(), report.retryable), ("invalidInput", Some(false)));
    let stats = running.stop().await;
    assert_eq!((stats.completed, stats.failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_says_whether_and_when_another_attempt_may_help() {
    async fn fail(what: String, _: Context) -> Result<(), HandlerError> {
        match what.as_str() {
            "later" => Err(HandlerError::retryable("upstream", "busy").after(30)),
            "never" => Err(HandlerError::permanent("gone", "no such thing")),
            _ => Ok(std::fs::metadata("/nonexistent/path").map(drop)?),
        }
    }
    let server = Server::new();
    let running = start(worker(&server).handler("fail", fail));
    let expected = [("later", None, Some(30.0)), ("never", Some(false), None), ("io", None, None)];
    for (input, retryable, after) in expected {
        let id = server.submit("fail", &json!(input));
        let (report, _) = server.report(id, Status::Failed).await;
        assert_eq!((report.retryable, report.retry_after_seconds), (retryable, after), "{input}");
    }
    assert_eq!(running.stop().await.failed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_attempt_and_not_the_worker() {
    async fn fragile(asked_to: bool, _: Context) -> Result<(), HandlerError> {
        assert!(!asked_to, "asked to break");
        Ok(())
    }
    let server = Server::new();
    let running = start(worker(&server).concurrency(1).handler("fragile", fragile));
    let id = server.submit("fragile", &json!(true));
    let (report, _) = server.report(id, Status::Failed).await;
    let error = report.error.unwrap();
    assert_eq!((error.code.as_str(), report.retryable), ("panic", None));
    assert!(error.message.contains("asked to break"));
    let next = server.submit("fragile", &json!(false));
    server.report(next, Status::Completed).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_fails_for_good() {
    async fn flood(_: IgnoredAny, _: Context) -> Result<String, HandlerError> {
        Ok("x".repeat(256 * 1024))
    }
    let server = Server::new();
    let running = start(worker(&server).handler("flood", flood));
    let id = server.submit("flood", &json!(null));
    let (report, _) = server.report(id, Status::Failed).await;
    assert_eq!((report.error.unwrap().code.as_str(), report.retryable), ("outputTooLarge", Some(false)));
    assert!(report.result.is_none());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_the_server_refuses_becomes_a_failure_that_says_so() {
    async fn link(_: IgnoredAny, _: Context) -> Result<Success, HandlerError> {
        Ok(Success::new().resource_location("no URL"))
    }
    let server = Server::new();
    let error = Some(OperationError::new("invalidRequest", "resourceLocation: not a URL"));
    let running = start(worker(&server).handler("link", link));
    server.idle().await;
    let id = server.submit("link", &json!(null));
    server.answer(id, Status::Completed, Outcome { error, ..Outcome::default() });
    let (report, _) = server.report(id, Status::Failed).await;
    let error = report.error.unwrap();
    assert_eq!(error.code, "reportRefused");
    assert!(error.message.contains("not a URL"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_progress_only_the_latest_is_sent() {
    async fn busy(_: IgnoredAny, context: Context) -> Result<(), HandlerError> {
        for percent in 0..=40 {
            context.progress(percent, format!("at {percent}"));
            context.checkpoint(&json!({ "page": percent }))?;
        }
        context.cancellation().cancelled().await;
        Ok(())
    }
    let server = Server::new();
    let running = start(worker(&server).handler("busy", busy));
    let id = server.submit("busy", &json!(null));
    let (report, _) = server.report(id, Status::Running).await;
    assert_eq!(report.percent_complete, Some(40.0));
    assert_eq!(report.status_detail.as_deref(), Some("at 40"));
    assert_eq!(report.checkpoint.unwrap().get(), r#"{"page":40}"#);
    running.stop().await;
    let said = server.reports(id).iter().filter(|report| report.percent_complete.is_some()).count();
    assert_eq!(said, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_tells_the_latest_checkpoint_first() {
    async fn stumble(_: IgnoredAny, context: Context) -> Result<(), HandlerError> {
        context.checkpoint(&7)?;
        Err(HandlerError::retryable("upstream", "gone"))
    }
    let server = Server::new();
    let running = start(worker(&server).handler("stumble", stumble));
    let id = server.submit("stumble", &json!(null));
    let (_, seen) = server.report(id, Status::Failed).await;
    let statuses: Vec<_> = seen.request.reports.iter().map(|report| report.status).collect();
    assert_eq!(statuses, [Status::Running, Status::Failed]);
    assert_eq!(seen.request.reports[0].checkpoint.as_ref().unwrap().get(), "7");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_a_handler_is_handed_back() {
    let server = Server::new();
    let running = start(worker(&server).handler("noop", noop));
    let id = server.submit("unheard-of", &json!(null));
    server.report(id, Status::NotStarted).await;
    assert_eq!(running.stop().await.released, 1);
}
