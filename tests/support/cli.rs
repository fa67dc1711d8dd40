//! The binary's subcommands, as a test runs them.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::Server;
use super::server::LONGRUN;

/// How a run of the binary ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// What it wrote, as JSON.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// The binary with these arguments, and nothing of the tester's own environment that it would heed.
pub fn longrun(arguments: &[&str]) -> Command {
    let mut command = Command::new(LONGRUN);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LONGRUN_") || name == "TRACEPARENT" {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Ended {
    let output = command.output().expect("the binary can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Makes a token on a server's machine, by these arguments of `token create`; what it answers.
pub fn made(server: &Server, arguments: &[&str]) -> Value {
    let mut command = longrun(&["token", "create", "--name", "of a test", "--data"]);
    command.arg(server.data()).args(arguments);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.value()
}

/// The same; only the token.
pub fn token(server: &Server, arguments: &[&str]) -> String {
    made(server, arguments)["token"].as_str().expect("a token is a text").to_owned()
}

/// Revokes a token by its id.
pub fn revoke(server: &Server, id: &str) {
    let mut command = longrun(&["token", "revoke", id, "--data"]);
    command.arg(server.data());
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
