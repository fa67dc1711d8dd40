//! The scenario program: one handler for each behaviour that `workers/scenarios/README.md` describes, written with nothing
//! but the public API. The scenario suite starts it as a worker process and does to it what happens to workers.

use std::env;
use std::path::Path;
use std::time::Duration;

use longrun_sdk::{CancellationToken, Client, Context, HandlerError, Success, Worker, WorkerBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

const OPERATION_TYPES: [&str; 13] = [
    "complete", "crash", "fail", "fence", "flood", "hold", "later", "linger", "progress", "refuse", "resume",
    "stumble", "typed",
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut client = Client::builder(env::var("LONGRUN_URL")?);
    if let Ok(token) = env::var("LONGRUN_TOKEN") {
        client = client.token(token);
    }
    let worker = Worker::builder(client.build()?)
        .queues([env::var("LONGRUN_QUEUE")?])
        .lease_seconds(setting("LONGRUN_LEASE_SECONDS")?)
        .wait_seconds(setting("LONGRUN_WAIT_SECONDS")?)
        .grace(Duration::from_secs(setting("LONGRUN_GRACE_SECONDS")?))
        .concurrency(setting("LONGRUN_CONCURRENCY")?);
    let worker = handlers(worker).build()?;
    println!("{}", json!({ "operationTypes": OPERATION_TYPES }));
    worker.run_until(told_to_end()?).await?;
    Ok(())
}

fn setting<T>(name: &str) -> Result<T, Box<dyn std::error::Error>>
where
    T: std::str::FromStr<Err: std::error::Error + 'static>,
{
    Ok(env::var(name)?.parse()?)
}

/// Fires at SIGTERM or SIGINT.
fn told_to_end() -> std::io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = CancellationToken::new();
    let tell = told.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell.cancel();
    });
    Ok(told)
}

fn handlers(worker: WorkerBuilder) -> WorkerBuilder {
    worker
        .handler("complete", complete)
        .handler("crash", crash)
        .handler("fail", fail)
        .handler("fence", fence)
        .handler("flood", flood)
        .handler("hold", hold)
        .handler("later", later)
        .handler("linger", linger)
        .handler("progress", progress)
        .handler("refuse", refuse)
        .handler("resume", resume)
        .handler("stumble", stumble)
        .handler("typed", typed)
}

async fn complete(context: Context) -> Result<Value, HandlerError> {
    context.input()
}

async fn fail(_: Context) -> Result<(), HandlerError> {
    Err(HandlerError::retryable("upstream", "try again"))
}

async fn later(context: Context) -> Result<Value, HandlerError> {
    #[derive(Deserialize)]
    struct Delay {
        seconds: f64,
    }
    let delay: Delay = context.input()?;
    if context.attempt() == 1 {
        return Err(HandlerError::retryable("notReady", "not yet").after(delay.seconds));
    }
    Ok(json!({ "attempt": context.attempt() }))
}

async fn refuse(_: Context) -> Result<(), HandlerError> {
    Err(HandlerError::permanent("badInput", "no such page"))
}

async fn stumble(context: Context) -> Result<Value, HandlerError> {
    if context.attempt() == 1 {
        return Err(std::io::Error::other("stumbled").into());
    }
    Ok(json!({ "attempt": context.attempt() }))
}

#[derive(Deserialize, Serialize)]
struct Book {
    pages: i64,
}

async fn typed(context: Context) -> Result<Success, HandlerError> {
    let book: Book = context.input()?;
    Ok(Success::of(&Book { pages: book.pages + 1 }))
}

async fn progress(context: Context) -> Result<Value, HandlerError> {
    context.progress(25, "one quarter");
    context.progress(50, "half");
    until_touched(&context).await?;
    Ok(json!({ "done": true }))
}

async fn resume(context: Context) -> Result<Value, HandlerError> {
    #[derive(Deserialize, Serialize)]
    struct Place {
        page: u32,
    }
    if let Some(place) = context.previous_checkpoint::<Place>()? {
        return Ok(json!({ "from": place.page }));
    }
    context.checkpoint(&Place { page: 5 })?;
    context.cancellation().cancelled().await;
    Err(context.stopped())
}

async fn linger(context: Context) -> Result<(), HandlerError> {
    context.cancellation().cancelled().await;
    Err(context.stopped())
}

async fn hold(context: Context) -> Result<Value, HandlerError> {
    until_touched(&context).await?;
    Ok(json!({ "attempt": context.attempt() }))
}

async fn fence(context: Context) -> Result<Value, HandlerError> {
    until_touched(&context).await?;
    Ok(json!({ "leaseToken": context.lease_token() }))
}

async fn flood(_: Context) -> Result<Value, HandlerError> {
    Ok(Value::from("x".repeat(300_000)))
}

async fn crash(_: Context) -> Result<(), HandlerError> {
    // The only way to be killed as by the system, without unsafe code.
    std::process::Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status()?;
    std::future::pending().await
}

/// Waits until somebody has made the file that `input.until` names.
async fn until_touched(context: &Context) -> Result<(), HandlerError> {
    #[derive(Deserialize)]
    struct Until {
        until: String,
    }
    let file: Until = context.input()?;
    while !Path::new(&file.until).exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
