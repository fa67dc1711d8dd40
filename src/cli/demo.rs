//! `longrun demo`.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use longrun_sdk::wire::{Operation, Status, Submit};
use longrun_sdk::{Client, ClientError};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::{self, Output};

const HEADER: [&str; 4] = ["ID", "QUEUE", "TYPE", "WHAT BECOMES OF IT"];
/// The label that all of them have.
const LABEL: &str = "demo";

/// Fill a running server with living operations to look at
///
/// They wait, run, fail and end in all the ways there are, carried out by the server's own worker tasks. Each call makes
/// another set; `longrun list --label demo=yes` finds them all.
#[derive(clap::Args)]
pub(super) struct Demo {
    #[command(flatten)]
    connection: Connection,
}

/// One operation, and what is to be seen of it.
struct Scene {
    submit: Submit,
    story: &'static str,
    canceled: bool,
}

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    operation: Operation,
    story: &'static str,
}

impl Demo {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        let mut all = Vec::new();
        for scene in scenes() {
            let operation = play(&client, scene.submit, scene.canceled).await;
            let operation = operation.map_err(|error| self.connection.failure(&error))?;
            all.push(Made { operation, story: scene.story });
        }
        output.show_all(&all, |all| output::table(&HEADER, all.iter().map(row)))?;
        if let Some(first) = all.iter().find(|made| made.operation.status == Status::NotStarted) {
            output.note(&next(first.operation.id));
        }
        Ok(Exit::Done)
    }
}

async fn play(client: &Client, submit: Submit, canceled: bool) -> Result<Operation, ClientError> {
    let made = client.submit(submit).await?.operation;
    if canceled { Ok(client.cancel(made.id).await?.operation) } else { Ok(made) }
}

fn row(made: &Made) -> [String; 4] {
    let Operation { id, queue, operation_type, is_external, .. } = &made.operation;
    let queue = if *is_external == Some(true) { None } else { queue.clone() };
    [
        id.to_string(),
        queue.unwrap_or_default(),
        operation_type.clone().unwrap_or_default(),
        made.story.to_owned(),
    ]
}

fn scenes() -> Vec<Scene> {
    let sleep = |seconds: f64| sleeping(&json!({ "seconds": seconds, "steps": 20 }));
    let scene = |story, submit: Submit| Scene { submit: submit.label(LABEL, "yes"), story, canceled: false };
    let media = |seconds| sleep(seconds).queue("media");
    vec![
        scene("tells how far it is, for half a minute", media(30.0).label("customer", "acme")),
        scene("the same, for a minute", media(60.0).label("customer", "globex")),
        scene("goes before others of its queue", media(10.0).priority(50).label("customer", "acme")),
        scene("completes at once", Submit::new("noop")),
        scene(
            "starts in half a minute",
            Submit { start_date_time: Some(in_seconds(30)), ..sleep(10.0).queue("reports") },
        ),
        scene("fails: its input is wrong", sleeping(&json!({ "seconds": "soon" })).queue("reports")),
        scene(
            "takes too long, twice, and fails",
            Submit { timeout_seconds: Some(3), ..sleep(3600.0).queue("reports").max_attempts(2) },
        ),
        scene(
            "nobody knows its type: fails when it expires, in 20 seconds",
            Submit { expiration_date_time: Some(in_seconds(20)), ..Submit::new("unheard-of") },
        ),
        scene("waits for a worker of yours that knows its type", Submit::new("thumbnail").queue("media")),
        Scene { canceled: true, ..scene("canceled", sleep(3600.0).queue("media")) },
        scene(
            "carried out elsewhere: its owner's PATCH advances it",
            Submit {
                status: Some(Status::Running),
                percent_complete: Some(40.0),
                status_detail: Some("table 2 of 5".to_owned()),
                ..Submit::new("migration")
            },
        ),
    ]
}

fn sleeping(input: &serde_json::Value) -> Submit {
    let json = serde_json::value::to_raw_value(input).ok();
    Submit { input: json.map(Into::into), ..Submit::new("sleep") }
}

fn in_seconds(seconds: u64) -> String {
    (Utc::now() + Duration::from_secs(seconds)).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn next(id: Uuid) -> String {
    // One line each: what a terminal would obey is escaped in notes, line ends too.
    format!("Try: longrun watch {id}; longrun watch; longrun list --label {LABEL}=yes; longrun queues")
}
