//! `longrun queues`.

use std::time::Duration;

use serde::Deserialize;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::{self, Output};

/// Show how the queues stand
///
/// How many operations of each may start, may not start yet, run, or have ended, and how long the oldest has been
/// waiting for a worker.
#[derive(clap::Args)]
pub(super) struct Queues {
    #[command(flatten)]
    connection: Connection,
}

const HEADER: [&str; 8] =
    ["QUEUE", "READY", "DELAYED", "RUNNING", "COMPLETED", "FAILED", "OLDEST READY", "PAUSED"];

#[derive(Deserialize)]
struct Values {
    value: Vec<Queue>,
}

/// What a table shows of a queue; JSON is shown as the server sent it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Queue {
    name: String,
    ready: u64,
    delayed: u64,
    running: u64,
    completed: u64,
    failed: u64,
    oldest_ready_seconds: u64,
    paused: bool,
}

impl Queues {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let queues = self.connection.client()?.queues().await;
        let queues = queues.map_err(|error| self.connection.failure(&error))?;
        let values: Values = serde_json::from_str(queues.get())
            .map_err(|error| Failure::new(Exit::Unreachable, format!("not a list of queues: {error}")))?;
        output.show(&queues, |_| output::table(&HEADER, values.value.iter().map(row)))?;
        Ok(Exit::Done)
    }
}

fn row(queue: &Queue) -> [String; 8] {
    let oldest = match queue.oldest_ready_seconds {
        _ if queue.ready == 0 => String::new(),
        seconds => format!("{:?}", Duration::from_secs(seconds)),
    };
    let count = |count: u64| count.to_string();
    let paused = if queue.paused { "yes" } else { "" };
    [
        queue.name.clone(),
        count(queue.ready),
        count(queue.delayed),
        count(queue.running),
        count(queue.completed),
        count(queue.failed),
        oldest,
        paused.to_owned(),
    ]
}
