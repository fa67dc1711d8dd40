//! A stopped server's data is moved to a database, and the nodes over that go on where it stopped.

mod interrupted;
mod refused;
mod whole;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::cli::{self, Ended, longrun};
use crate::support::{Client, Server};

const OPERATIONS: &str = "/v1.0/operations";
const EVENTS: &str = "/v1.0/events";
/// Links in answers say the same wherever the server listens.
const ARGUMENTS: [&str; 4] = ["--workers", "0", "--public-url", "http://longrun.test"];

/// A data directory that the test keeps, removed in the end.
struct Data {
    path: PathBuf,
    _scratch: tempfile::TempDir,
}

impl Data {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        Self { path: scratch.path().join("data"), _scratch: scratch }
    }

    /// An embedded server over it, in every run of the tests.
    fn serve(&self) -> Server {
        Server::over(&self.path, &ARGUMENTS)
    }

    /// What `serve` and `token` say of it.
    fn refused(&self, arguments: &[&str]) -> Ended {
        let mut command = longrun(arguments);
        command.arg("--data").arg(&self.path);
        cli::run(command)
    }
}

/// `longrun move` from a directory to a database.
fn moving(data: &Path, url: &str) -> Command {
    let mut command = longrun(&["move", "--from", &format!("sqlite:{}", data.display())]);
    command.env("LONGRUN_STORE", url);
    command
}

/// The same to its end, which is a good one: how many rows each table has.
fn moved(data: &Path, url: &str) -> Value {
    let ended = cli::run(moving(data, url));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = ended.value();
    let tables = report["tables"].as_array().unwrap().iter();
    tables
        .map(|table| (table["table"].as_str().unwrap().to_owned(), table["rows"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Stops a server as a person does.
fn stop(mut server: Server) {
    server.signal("TERM");
    assert!(server.wait().success());
}

fn ask(worker: &str, claim: &str, queue: &str, limit: usize) -> Value {
    let claim = json!({"id": claim, "queues": [queue], "limit": limit, "leaseSeconds": 600});
    json!({"workerId": worker, "claim": claim})
}

/// The ids and tokens of what a claim gave.
fn held(answer: &Value) -> Vec<(String, i64)> {
    let operations = answer["operations"].as_array().expect("operations are always there");
    let held = |operation: &Value| {
        let id = operation["id"].as_str().expect("it has an id").to_owned();
        (id, operation["lease"]["token"].as_i64().expect("it has a token"))
    };
    operations.iter().map(held).collect()
}

/// What a worker says of an operation that it holds; the outcome.
async fn report(client: &Client, worker: &str, (id, token): &(String, i64), rest: Value) -> Value {
    let mut report = json!({"id": id, "leaseToken": token});
    report.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    client.work(&json!({"workerId": worker, "reports": [report]})).await["outcomes"][0].clone()
}
