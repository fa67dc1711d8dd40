//! What others build on: the worker of the README, and the description of the API against the SDK's types.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use longrun_sdk::wire::{
    Claim, ClaimedOperation, Demand, ExchangeAnswer, ExchangeRequest, HeldOperation, Operation, Outcome,
    Patch, Queue, QueueChange, Report, Submit, WorkerInfo,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{quiet, token};
use crate::support::{Server, until};

const WORKER: &str = "examples/worker.sh";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A running worker; killed when dropped.
struct Worker(Child);

impl Worker {
    fn start(server: &Server, token: &str) -> Self {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(WORKER));
        command.arg("2").env("LONGRUN_SERVER", &server.url).env("LONGRUN_TOKEN", token).stdin(Stdio::null());
        Self(command.spawn().expect("the worker can be run"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_worker_in_shell_carries_out_operations_of_its_type() {
    let server = quiet();
    let scopes = "Operation.ReadWrite,Operation.Execute";
    for token in [String::new(), token(&server, &["--scope", scopes])] {
        // The first time no token is asked for yet: the server that answers then is an open one.
        let open = token.is_empty().then(quiet);
        let server = open.as_ref().unwrap_or(&server);
        let client = if token.is_empty() { server.client() } else { server.client().with_token(&token) };
        let body = json!({ "operationType": "shout", "input": "hear me", "labels": { "id": "none of it" } });
        let first = client.submit(&body).await;
        let mut worker = Worker::start(server, &token);
        let other = client.submit(&json!({ "operationType": "whisper" })).await;
        let second = client.submit(&json!({ "operationType": "shout", "input": "ag\"ain" })).await;
        for (id, result) in [(&first, "HEAR ME"), (&second, "AG")] {
            let ended = until("its completion", || async {
                let operation = client.operation(id).await;
                (operation["status"] == "Completed").then_some(operation)
            });
            assert_eq!(ended.await["result"], result);
        }
        assert_eq!(client.operation(&other).await["status"], "NotStarted", "another's");
        let ended = until("its end", || std::future::ready(worker.0.try_wait().unwrap())).await;
        assert!(ended.success(), "{ended}");
    }
}

#[test]
fn the_readme_shows_the_worker_as_it_was_run() {
    let script = read(WORKER);
    assert!(script.lines().count() <= 20, "twenty lines are promised");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    // A README that speaks of it shows it whole.
    let Ok(readme) = std::fs::read_to_string(readme) else { return };
    assert!(!readme.contains(WORKER) || readme.contains(&script), "README.md shows another {WORKER}");
}

/// The fields of an object of the description, by the name of its schema.
fn described(document: &Value, name: &str) -> BTreeSet<String> {
    let schema = &document["components"]["schemas"][name];
    let mut fields = BTreeSet::new();
    let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    for part in parts {
        if let Some(other) = part["$ref"].as_str() {
            fields.extend(described(document, other.rsplit('/').next().unwrap()));
        }
        fields.extend(part["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    }
    assert!(!fields.is_empty(), "{name} is described: {schema}");
    fields
}

/// The fields that a type of the SDK reads and writes again, of a value that has every field.
fn known<T: DeserializeOwned + Serialize>(full: &Value) -> BTreeSet<String> {
    let read: T = serde_json::from_value(full.clone()).unwrap_or_else(|error| panic!("{error} in {full}"));
    written(&read)
}

fn written(value: &impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

/// One object that has every field which any schema describes, each with a value of its type.
fn full(names: &BTreeSet<String>) -> Value {
    let value = |name: &str| match name {
        "id" => json!("7986a22f-a22f-7986-2fa2-86792fa28679"),
        "status" => json!("Running"),
        "isExternal" | "cancelRequested" | "repeated" | "retryable" | "paused" => json!(true),
        "labels" => json!({ "a": "b" }),
        "queues" | "operationTypes" => json!(["a"]),
        "retry" => json!({ "factor": 2.0 }),
        "error" => json!({ "code": "a", "message": "b" }),
        "waiting" => json!({ "reason": "ready", "message": "m" }),
        "lease" => json!({ "token": 1, "seconds": 1.5 }),
        "claim" => json!({ "id": "c" }),
        "reports" | "outcomes" | "operations" | "notices" => json!([]),
        "priority" | "maxAttempts" | "attemptsCount" | "percentComplete" | "leaseToken" | "limit"
        | "ready" | "delayed" | "running" | "completed" | "failed" | "maxRunning" | "maxWaiting" => json!(7),
        seconds if seconds.ends_with("Seconds") => json!(7),
        _ => json!("2026-01-01T00:00:00Z"),
    };
    names.iter().map(|name| (name.clone(), value(name))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn what_the_server_describes_is_what_the_sdk_reads() {
    let server = quiet();
    let document = server.client().get("/openapi.json").await.value();
    let check = |name: &str, known: fn(&Value) -> BTreeSet<String>, own: &[&str]| {
        let described = described(&document, name);
        let mut everything = described.clone();
        everything.extend(own.iter().map(|&field| field.to_owned()));
        let known = known(&full(&everything));
        assert_eq!(known, everything, "{name}: left the SDK, right the description");
    };
    // What only workers see stands in the SDK's one type of operation, and in the description's claimed one.
    check("Operation", known::<Operation>, &["checkpoint", "lease", "traceparent"]);
    check("ClaimedOperation", known::<ClaimedOperation>, &[]);
    check("ReportOutcome", known::<Outcome>, &[]);
    check("Report", known::<Report>, &[]);
    check("Claim", known::<Claim>, &[]);
    check("WorkRequest", known::<ExchangeRequest>, &[]);
    check("WorkAnswer", known::<ExchangeAnswer>, &[]);
    check("Queue", known::<Queue>, &[]);
    check("Demand", known::<Demand>, &[]);
    check("Worker", known::<WorkerInfo>, &[]);
    check("HeldOperation", known::<HeldOperation>, &[]);
}

/// An SDK type that is only written: every field of it is set here.
#[tokio::test]
async fn what_the_sdk_sends_is_what_the_server_describes() {
    let server = quiet();
    let document = server.client().get("/openapi.json").await.value();
    // The type's constant is the reader's affair: the SDK leaves it out.
    let mut submit = described(&document, "SubmitRequest");
    submit.remove("@odata.type");
    let mut patch = described(&document, "PatchRequest");
    patch.remove("@odata.type");
    assert_eq!(named_in_debug(&format!("{:?}", Submit::default())), submit);
    assert_eq!(named_in_debug(&format!("{:?}", Patch::default())), patch);
    let queue = described(&document, "QueueRequest");
    assert_eq!(named_in_debug(&format!("{:?}", QueueChange::default())), queue);
}

/// The names of a struct's fields as the wire spells them, without those that travel as headers.
fn named_in_debug(shown: &str) -> BTreeSet<String> {
    let (_, inside) = shown.split_once('{').unwrap();
    let names =
        inside.split([',', '{', '}']).filter_map(|part| part.split_once(':')).map(|(name, _)| name.trim());
    names
        .filter(|name| !["idempotency_key", "if_match", "traceparent"].contains(name))
        .map(camel_case)
        .collect()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| format!("{all}{}{}", word[..1].to_uppercase(), &word[1..]))
}
