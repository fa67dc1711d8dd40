//! `longrun queues`: how they stand, and what is set for them.

use std::time::Duration;

use longrun_sdk::wire::{Queue, QueueChange};
use serde::Serialize;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::{self, Output};

/// Show how the queues stand, pause them, limit them
///
/// Without a subcommand: how many operations of each may start, may not start yet, run, or have ended, how long the oldest
/// has been waiting for a worker, and what is set for the queue.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(subcommand_help_heading = "Subcommands", subcommand_value_name = "SUBCOMMAND")]
pub(super) struct Queues {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Subcommand)]
enum Action {
    Pause(Pause),
    Resume(Resume),
    Limit(Limit),
}

/// Let no worker claim from a queue
///
/// What runs goes on, and new operations are taken in.
#[derive(clap::Args)]
struct Pause {
    /// Its name
    name: String,

    #[command(flatten)]
    connection: Connection,
}

/// Let workers claim from a queue again
#[derive(clap::Args)]
struct Resume {
    /// Its name
    name: String,

    #[command(flatten)]
    connection: Connection,
}

/// Limit how many operations of a queue run or wait
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("limits").required(true).multiple(true).args(["max_running", "max_waiting"])))]
struct Limit {
    /// Its name
    name: String,

    /// How many may run at a time, or none for any number
    #[arg(long, value_name = "N|none")]
    max_running: Option<Most>,

    /// How many may wait before new ones are refused, or none for any number
    #[arg(long, value_name = "N|none")]
    max_waiting: Option<Most>,

    #[command(flatten)]
    connection: Connection,
}

/// A limit as it is given.
#[derive(Clone, Copy)]
struct Most(Option<u32>);

impl std::str::FromStr for Most {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            number => number.parse().map(|number| Self(Some(number))).map_err(|_| "a number, or none"),
        }
    }
}

/// As the server sends it.
#[derive(Serialize)]
struct Values {
    value: Vec<Queue>,
}

impl Queues {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        match self.action {
            None => list(&self.connection, output).await,
            Some(Action::Pause(Pause { name, connection })) => {
                let change = QueueChange { paused: Some(true), ..QueueChange::default() };
                set(&connection, &name, change, output).await
            }
            Some(Action::Resume(Resume { name, connection })) => {
                let change = QueueChange { paused: Some(false), ..QueueChange::default() };
                set(&connection, &name, change, output).await
            }
            Some(Action::Limit(Limit { name, max_running, max_waiting, connection })) => {
                let most = |limit: Option<Most>| limit.map(|Most(most)| most);
                let change = QueueChange {
                    paused: None,
                    max_running: most(max_running),
                    max_waiting: most(max_waiting),
                };
                set(&connection, &name, change, output).await
            }
        }
    }
}

async fn list(connection: &Connection, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let queues = connection.client()?.queues().await;
    let value = queues.map_err(|error| connection.failure(&error))?;
    output.show(&Values { value }, |queues| table(&queues.value))?;
    Ok(Exit::Done)
}

async fn set(
    connection: &Connection,
    name: &str,
    change: QueueChange,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let queue = connection.client()?.set_queue(name, &change).await;
    let queue = queue.map_err(|error| connection.failure(&error))?;
    output.show(&queue, |queue| table(std::slice::from_ref(queue)))?;
    Ok(Exit::Done)
}

const HEADER: [&str; 10] = [
    "QUEUE",
    "READY",
    "DELAYED",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "OLDEST READY",
    "PAUSED",
    "MAX RUNNING",
    "MAX WAITING",
];

fn table(queues: &[Queue]) -> String {
    output::table(&HEADER, queues.iter().map(row))
}

fn row(queue: &Queue) -> [String; 10] {
    let oldest = match queue.oldest_ready_seconds {
        _ if queue.ready == 0 => String::new(),
        seconds => format!("{:?}", Duration::from_secs(seconds)),
    };
    let count = |count: u64| count.to_string();
    let limit = |limit: Option<u32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
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
        limit(queue.max_running),
        limit(queue.max_waiting),
    ]
}
