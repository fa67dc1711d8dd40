//! The wire as the documentation promises it, route by route and error by error.

mod bad_input;
mod change;
mod cli;
mod documents;
mod examples;
mod list;
mod matrix;
mod programs;
mod protocol;
mod read;
mod submit;
mod watch;
mod work;
mod worker;

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Client, Server, server::LONGRUN};

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

/// How a run of the binary ended, and what it said.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn value(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The binary with these arguments, and nothing of the tester's own environment that it would heed.
fn longrun(arguments: &[&str]) -> Command {
    let mut command = Command::new(LONGRUN);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LONGRUN_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
fn run(mut command: Command) -> Ended {
    let output = command.output().expect("the binary can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Makes a token on a server's machine, by these arguments of `token create`; what it answers.
fn made(server: &Server, arguments: &[&str]) -> Value {
    let mut command = longrun(&["token", "create", "--name", "of a test", "--data"]);
    command.arg(server.data()).args(arguments);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.value()
}

/// The same; only the token.
fn token(server: &Server, arguments: &[&str]) -> String {
    made(server, arguments)["token"].as_str().expect("a token is a text").to_owned()
}

/// Revokes a token by its id.
fn revoke(server: &Server, id: &str) {
    let mut command = longrun(&["token", "revoke", id, "--data"]);
    command.arg(server.data());
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
