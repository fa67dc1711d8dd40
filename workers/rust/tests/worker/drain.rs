//! A worker that shuts down strands nothing.

use std::time::Duration;

use longrun_sdk::handlers::noop;
use longrun_sdk::wire::Status;
use longrun_sdk::{Context, HandlerError, StopReason, WorkerError};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::{Fault, Server, hear, start, stopped, worker};

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn handlers_finish_within_the_grace_time() {
    async fn steady(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
        tokio::time::sleep(Duration::from_secs(8)).await;
        Ok(())
    }
    let server = Server::new();
    let running = start(worker(&server).grace(GRACE).handler("steady", steady));
    let id = server.submit("steady", &json!(null));
    server.until("its claim", |server| (server.log().len() == 2).then_some(())).await;
    let stats = running.stop().await;
    assert_eq!((stats.completed, stats.released), (1, 0));
    server.report(id, Status::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_once_the_shutdown_began() {
    async fn steady(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    }
    let server = Server::new();
    let running = start(worker(&server).grace(GRACE).concurrency(2).handler("steady", steady));
    server.submit("steady", &json!(null));
    server.until("its claim", |server| (server.log().len() == 2).then_some(())).await;
    let before = server.log().len();
    running.shut_down();
    running.ended().await.unwrap();
    let late: Vec<_> = server.log().split_off(before);
    let claims: Vec<_> = late.iter().filter_map(|seen| seen.request.claim.as_ref()).collect();
    assert_eq!(claims.len(), 1, "the one that hung, recalled");
    assert_eq!((claims[0].wait_seconds, claims[0].limit), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_rest_is_handed_back_with_its_latest_checkpoint() {
    async fn deaf(_: IgnoredAny, context: Context) -> Result<(), HandlerError> {
        context.checkpoint(&1)?;
        tokio::time::sleep(Duration::from_secs(9)).await;
        context.checkpoint(&2)?;
        std::future::pending().await
    }
    let server = Server::new();
    let running = start(worker(&server).grace(GRACE).handler("deaf", deaf));
    let id = server.submit("deaf", &json!(null));
    server.report(id, Status::Running).await;
    let began = Instant::now();
    let stats = running.stop().await;
    assert!(began.elapsed() >= GRACE && began.elapsed() < GRACE + Duration::from_secs(1));
    assert_eq!((stats.released, stats.lost), (1, 0));
    let (report, _) = server.report(id, Status::NotStarted).await;
    assert_eq!(report.checkpoint.unwrap().get(), "2");
}

#[tokio::test(start_paused = true)]
async fn handlers_are_told_a_second_before_the_end_and_may_ask_sooner() {
    let (tell, mut told) = mpsc::channel(2);
    let handler = move |_: IgnoredAny, context: Context| {
        let tell = tell.clone();
        async move {
            context.draining().cancelled().await;
            let drained = Instant::now();
            let reason = stopped(&context).await;
            tell.send((reason, drained.elapsed())).await.unwrap();
            Err::<(), _>(context.stopped())
        }
    };
    let server = Server::new();
    let running = start(worker(&server).grace(GRACE).handler("asking", handler));
    server.submit("asking", &json!(null));
    server.until("its claim", |server| (server.log().len() == 2).then_some(())).await;
    assert_eq!(running.stop().await.released, 1);
    let (reason, head_start) = hear(&mut told).await;
    assert_eq!(reason, StopReason::Shutdown);
    let late = head_start.abs_diff(Duration::from_secs(9));
    assert!(late < Duration::from_millis(50), "{head_start:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_hanging_claim_still_brings_is_handed_back() {
    let server = Server::new();
    // The claim is acted upon, but its answer is lost: the server is away when the shutdown begins.
    server.faults([Fault::AnswerLost]);
    let id = server.submit("noop", &json!(null));
    let running = start(worker(&server).handler("noop", noop));
    server.until("the claim", |server| server.log().pop()).await;
    server.set_down(true);
    running.shut_down();
    server.until("the recall", |server| (server.log().len() >= 4).then_some(())).await;
    server.set_down(false);
    let stats = running.ended().await.unwrap();
    let (report, _) = server.report(id, Status::NotStarted).await;
    assert_eq!(report.lease_token, 1);
    assert_eq!((stats.claimed, stats.released, stats.completed), (1, 1, 0));
    let ids: Vec<_> =
        server.log().iter().filter_map(|seen| seen.request.claim.clone()).map(|c| c.id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one claim, however often it was sent");
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ends_at_once() {
    let server = Server::new();
    let running = start(worker(&server).grace(GRACE).handler("noop", noop));
    server.idle().await;
    let began = Instant::now();
    running.stop().await;
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn reports_that_cannot_be_delivered_are_told() {
    let server = Server::new();
    let running = start(worker(&server).grace(GRACE).handler("noop", noop));
    server.idle().await;
    server.faults([Fault::Fine]);
    let id = server.submit("noop", &json!(null));
    server.set_down(true);
    server.report(id, Status::Completed).await;
    running.shut_down();
    assert!(matches!(running.ended().await, Err(WorkerError::Undelivered { reports: 1 })));
}
