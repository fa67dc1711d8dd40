//! The scenario program: one handler for each behaviour that `workers/scenarios/README.md` describes, written with nothing
//! but the public API. The scenario suite starts it as a worker process and does to it what happens to workers.

use std::env;
use std::path::Path;
use std::time::Duration;

use longrun_sdk::{Context, HandlerError, Worker, WorkerBuilder};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const OPERATION_TYPES: [&str; 13] = [
    "complete", "crash", "fail", "fence", "flood", "hold", "later", "linger", "progress", "refuse", "resume",
    "stumble", "typed",
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut worker = Worker::builder(env::var("LONGRUN_URL")?)
        .queue(env::var("LONGRUN_QUEUE")?)
        .lease_seconds(setting("LONGRUN_LEASE_SECONDS")?)
        .wait_seconds(setting("LONGRUN_WAIT_SECONDS")?)
        .grace(Duration::from_secs(setting("LONGRUN_GRACE_SECONDS")?))
        .concurrency(setting("LONGRUN_CONCURRENCY")?);
    if let Ok(token) = env::var("LONGRUN_TOKEN") {
        worker = worker.token(token);
    }
    let worker = handlers(worker).build()?;
    println!("{}", json!({ "operationTypes": OPERATION_TYPES }));
    worker.run().await?;
    Ok(())
}

fn setting<T>(name: &str) -> Result<T, Box<dyn std::error::Error>>
where
    T: std::str::FromStr<Err: std::error::Error + 'static>,
{
    Ok(env::var(name)?.parse()?)
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

async fn complete(input: Value, _: Context) -> Result<Value, HandlerError> {
    Ok(input)
}

async fn fail(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
    Err(HandlerError::retryable("upstream", "try again"))
}

#[derive(Deserialize)]
struct Delay {
    seconds: f64,
}

async fn later(delay: Delay, context: Context) -> Result<Value, HandlerError> {
    if context.attempt() == 1 {
        return Err(HandlerError::retryable("notReady", "not yet").after(delay.seconds));
    }
    Ok(json!({ "attempt": context.attempt() }))
}

async fn refuse(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
    Err(HandlerError::permanent("badInput", "no such page"))
}

async fn stumble(_: IgnoredAny, context: Context) -> Result<Value, HandlerError> {
    if context.attempt() == 1 {
        return Err(std::io::Error::other("stumbled").into());
    }
    Ok(json!({ "attempt": context.attempt() }))
}

#[derive(Deserialize, Serialize)]
struct Book {
    pages: i64,
}

async fn typed(book: Book, _: Context) -> Result<Book, HandlerError> {
    Ok(Book { pages: book.pages + 1 })
}

async fn progress(file: Until, context: Context) -> Result<Value, HandlerError> {
    context.progress(25, "one quarter");
    context.progress(50, "half");
    file.touched().await;
    Ok(json!({ "done": true }))
}

async fn resume(_: IgnoredAny, context: Context) -> Result<Value, HandlerError> {
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

async fn linger(_: IgnoredAny, context: Context) -> Result<(), HandlerError> {
    context.cancellation().cancelled().await;
    Err(context.stopped())
}

async fn hold(file: Until, context: Context) -> Result<Value, HandlerError> {
    file.touched().await;
    Ok(json!({ "attempt": context.attempt() }))
}

async fn fence(file: Until, context: Context) -> Result<Value, HandlerError> {
    file.touched().await;
    Ok(json!({ "leaseToken": context.lease_token() }))
}

async fn flood(_: IgnoredAny, _: Context) -> Result<String, HandlerError> {
    Ok("x".repeat(300_000))
}

async fn crash(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
    // The only way to be killed as by the system, without unsafe code.
    std::process::Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status()?;
    std::future::pending().await
}

#[derive(Deserialize)]
struct Until {
    until: String,
}

impl Until {
    /// Waits until somebody has made the file.
    async fn touched(&self) {
        while !Path::new(&self.until).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
