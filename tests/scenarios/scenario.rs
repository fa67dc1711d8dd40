//! The files: one behaviour each, as steps. Whatever is not known in them is an error.

use std::collections::BTreeSet;
use std::path::Path;

use libtest_mimic::Failed;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What an SDK does, in a sentence.
    #[serde(rename = "behaviour")]
    pub _behaviour: String,
    pub steps: Vec<Step>,
}

/// What is done, or has to be seen. Workers and operations have names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Step {
    /// Starts a worker, and waits until it says what it has handlers for.
    Start(Start),
    /// SIGTERM.
    Stop(String),
    /// SIGKILL.
    Kill(String),
    /// SIGSTOP.
    Freeze(String),
    /// SIGCONT.
    Continue(String),
    Exits(Exits),
    /// From now on the server asks for a token, and workers that start have one.
    RequireTokens,
    /// SIGKILL.
    KillServer,
    /// After that, on the same port.
    StartServer,
    Submit(Submit),
    Cancel(String),
    /// Makes the file for which a handler waits: `file:NAME` in an input.
    Touch(String),
    /// Begins to watch an operation.
    Watch(String),
    /// The next exchange like this loses its answer, once; the worker has to repeat it as it was.
    Swallow(Exchange),
    /// Waits until there was an exchange like this.
    Passes(Exchange),
    Becomes(Becomes),
    Seen(Seen),
    Attempts(Attempts),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Start {
    pub worker: String,
    #[serde(default = "ten")]
    pub lease_seconds: u32,
    #[serde(default = "ten")]
    pub wait_seconds: u32,
    #[serde(default = "ten")]
    pub grace_seconds: u32,
    #[serde(default = "ten")]
    pub concurrency: u32,
    /// In place of the one that the server knows.
    pub token: Option<String>,
    /// It is given an `https` URL, and trusts the authority of whom that is by what its environment says.
    #[serde(default)]
    pub tls: bool,
    /// Starts it again whenever it ends.
    #[serde(default)]
    pub again: bool,
}

fn ten() -> u32 {
    10
}

/// A worker ends by itself, or after it was told to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exits {
    pub worker: String,
    pub code: i32,
    pub within_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    pub operation: String,
    /// As it is sent, but for the queue.
    pub body: Map<String, Value>,
}

/// One call of a worker, by its request, its answer or both.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub request: Option<Value>,
    pub answer: Option<Value>,
}

/// Waits until an operation is like that. It fails at once when the operation has ended otherwise.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Becomes {
    pub operation: String,
    pub like: Value,
    pub within_seconds: Option<u64>,
}

/// Waits until the watcher of an operation has seen an event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    pub operation: String,
    pub event: String,
    pub like: Value,
}

/// So many attempts that came to nothing, and each like that; their lease tokens grow.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempts {
    pub operation: String,
    pub are: Vec<Value>,
    /// From the end of each to the beginning of the next, at least, by the times that the server recorded.
    pub seconds_between: Option<f64>,
}

impl Scenario {
    /// The operation types that it submits.
    pub fn operation_types(&self) -> BTreeSet<&str> {
        let submitted = self.steps.iter().filter_map(|step| match step {
            Step::Submit(submit) => submit.body.get("operationType")?.as_str(),
            _ => None,
        });
        submitted.collect()
    }
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

pub fn unknown_steps_are_refused() -> Result<(), Failed> {
    let scenario = |step: &str| {
        serde_json::from_str::<Scenario>(&format!(r#"{{ "behaviour": "", "steps": [{step}] }}"#))
    };
    scenario(r#"{ "kill": "first" }, "killServer""#)?;
    let wrong = [
        r#""sleep""#,
        r#"{ "explode": "first" }"#,
        r#"{ "start": { "worker": "first", "colour": "red" } }"#,
        r#"{ "exits": { "worker": "first", "code": 0 } }"#,
        r#"{ "kill": "first", "freeze": "first" }"#,
    ];
    for step in wrong {
        assert!(scenario(step).is_err(), "{step}");
    }
    Ok(())
}
