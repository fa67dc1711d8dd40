//! The wire as the documentation promises it, route by route and error by error.

mod bad_bodies;
mod bad_input;
mod bad_requests;
mod bulk;
mod change;
mod cli;
mod config;
mod described;
mod docs;
mod doctor;
mod documents;
mod examples;
mod front;
mod generated;
mod heads;
mod hostile_text;
mod limits;
mod links;
mod list;
mod logs;
mod matrix;
mod metrics;
mod programs;
mod protocol;
mod queues;
mod read;
mod secrets;
mod streams;
mod submit;
mod terminal;
mod tls;
mod tokens;
mod traces;
mod travel;
mod unread;
mod watch;
mod work;
mod worker;

use serde_json::{Value, json};

use crate::support::cli::{Ended, longrun, made, revoke, run, token};
use crate::support::{Client, Server};

const OPERATIONS: &str = "/v1.0/operations";
/// An id that no operation has.
const NOBODY: &str = "0192f3a0-0000-7000-8000-000000000000";

/// The path of an operation.
fn path(id: &str) -> String {
    format!("{OPERATIONS}/{id}")
}

/// A path below that of an operation.
fn below(id: &str, what: &str) -> String {
    format!("{OPERATIONS}/{id}/{what}")
}

/// Without workers of its own: nothing moves but by the test.
fn quiet() -> Server {
    Server::start(&["--workers", "0"])
}

/// Claims one operation of a type; its lease's token.
async fn claim(client: &Client, operation_type: &str, claim: &str) -> i64 {
    let want = json!({ "id": claim, "operationTypes": [operation_type], "leaseSeconds": 3600 });
    let answer = client.work(&json!({ "workerId": "w", "claim": want })).await;
    answer["operations"][0]["lease"]["token"].as_i64().unwrap_or_else(|| panic!("nothing in {answer}"))
}

/// Reports on one operation; the outcome.
async fn report(client: &Client, report: Value) -> Value {
    let answer = client.work(&json!({ "workerId": "w", "reports": [report] })).await;
    assert_eq!(answer["outcomes"][0].get("error"), None, "{answer}");
    answer["outcomes"][0].clone()
}
