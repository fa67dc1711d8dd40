//! `longrun workers`.

use longrun_sdk::wire::WorkerInfo;
use serde::Serialize;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::view;

/// Show the workers
///
/// Those that asked for work within the last hour, and those that hold operations: what they ask for, from where, and how
/// many operations they hold. In JSON also which.
#[derive(clap::Args)]
pub(super) struct Workers {
    #[command(flatten)]
    connection: Connection,
}

/// As the server sends it.
#[derive(Serialize)]
struct Values {
    value: Vec<WorkerInfo>,
}

const HEADER: [&str; 6] = ["WORKER", "LAST ASKED", "ADDRESS", "QUEUES", "TYPES", "RUNNING"];

impl Workers {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let workers = self.connection.client()?.workers().await;
        let value = workers.map_err(|error| self.connection.failure(&error))?;
        output.show(&Values { value }, |workers| output::table(&HEADER, workers.value.iter().map(row)))?;
        Ok(Exit::Done)
    }
}

fn row(worker: &WorkerInfo) -> [String; 6] {
    let asked_for = |names: &Option<Vec<String>>| match (&worker.last_asked_date_time, names) {
        (_, Some(names)) => names.join(","),
        (Some(_), None) => "(every one)".to_owned(),
        (None, None) => String::new(),
    };
    let last_asked = worker.last_asked_date_time.as_deref().unwrap_or_default();
    [
        worker.worker_id.clone(),
        view::to_seconds(last_asked),
        worker.address.clone().unwrap_or_default(),
        asked_for(&worker.queues),
        asked_for(&worker.operation_types),
        worker.running.to_string(),
    ]
}
