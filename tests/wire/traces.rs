//! What becomes of a submit's `traceparent`: it is kept for the worker, and a collector is told of what was done below it.

use http::Method;
use serde_json::{Value, json};

use super::{OPERATIONS, longrun, path, quiet, run, token};
use crate::support::collector::{Collector, Span};
use crate::support::{Client, Programs, Server};

const CALLER: &str = "00f067aa0ba902b7";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Of the trace of this number.
fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLER}-{flags}")
}

fn trace_of(number: u128) -> String {
    format!("{number:032x}")
}

/// Submits an operation of the type `t` in a trace; its id.
async fn submitted(client: &Client, traceparent: &str, body: &Value) -> String {
    let headers = [JSON, ("traceparent", traceparent)];
    let answer = client.send(Method::POST, OPERATIONS, &headers, body.to_string()).await;
    answer.value()["id"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

/// Claims one operation of the type `t`.
async fn claimed(client: &Client, claim: &str) -> Value {
    let want = json!({ "id": claim, "operationTypes": ["t"], "waitSeconds": 20, "leaseSeconds": 3600 });
    client.work(&json!({ "workerId": "w", "claim": want })).await["operations"][0].take()
}

async fn ended(client: &Client, operation: &Value, mut said: Value) {
    said["id"] = operation["id"].clone();
    said["leaseToken"] = operation["lease"]["token"].clone();
    client.work(&json!({ "workerId": "w", "reports": [said] })).await;
}

#[tokio::test]
async fn the_worker_is_told_where_its_operation_was_submitted_and_nobody_else() {
    let server = quiet();
    let client = server.client();
    let parent = traceparent(&trace_of(7), "00");
    let id = submitted(&client, &parent, &json!({ "operationType": "t" })).await;
    assert_eq!(client.operation(&id).await.get("traceparent"), None);
    let operation = claimed(&client, "c").await;
    assert_eq!((&operation["id"], &operation["traceparent"]), (&json!(id), &json!(parent)));
    for odd in ["", "7", "00-0-0-01", &traceparent(&trace_of(0), "01")] {
        submitted(&client, odd, &json!({ "operationType": "t" })).await;
        assert_eq!(claimed(&client, &format!("odd{odd}")).await.get("traceparent"), None, "{odd}");
    }
}

#[tokio::test]
async fn every_line_of_many_is_submitted_in_the_trace_of_its_request() {
    let server = quiet();
    let client = server.client();
    let parent = traceparent(&trace_of(7), "01");
    let headers = [("content-type", "application/x-ndjson"), ("traceparent", &*parent)];
    let lines = "{\"operationType\":\"t\"}\n{\"operationType\":\"t\"}\n";
    client.send(Method::POST, OPERATIONS, &headers, lines).await;
    for claim in ["c", "d"] {
        assert_eq!(claimed(&client, claim).await["traceparent"], parent);
    }
}

#[tokio::test]
async fn a_trace_that_is_recorded_shows_the_request_the_wait_and_each_attempt() {
    let collector = Collector::start().await;
    let server = Server::start(&["--workers", "0", "--otlp", &collector.url]);
    let client = server.client();
    let trace = trace_of(1);
    let body = json!({ "operationType": "t", "queue": "default", "retry": { "initialDelaySeconds": 0.1 } });
    let id = submitted(&client, &traceparent(&trace, "01"), &body).await;
    let first = claimed(&client, "c").await;
    ended(&client, &first, json!({ "status": "Failed", "error": { "code": "x", "message": "y" } })).await;
    let second = claimed(&client, "d").await;
    ended(&client, &second, json!({ "status": "Completed" })).await;
    let spans = collector.trace(&trace, 5).await;
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    let (attempt, wait) = ("longrun.attempt", "longrun.wait");
    assert_eq!(names, ["POST /v1.0/operations", attempt, attempt, wait, wait]);
    for span in &spans {
        assert_eq!((&*span.parent, &*span.service), (CALLER, "longrun"), "{span:?}");
    }
    assert_eq!(spans[0].attributes["http.response.status_code"], "201");
    let of = |span: &Span, name: &str| span.attributes[&format!("longrun.{name}")].clone();
    for span in &spans[1..] {
        assert_eq!((of(span, "operation.id"), of(span, "operation.type")), (id.clone(), "t".to_owned()));
        assert_eq!(of(span, "queue"), "default");
    }
    let outcome = |number: &str| {
        let span = spans.iter().find(|span| span.name == attempt && of(span, "attempt") == number).unwrap();
        (of(span, "outcome"), span.failed)
    };
    assert_eq!((outcome("1"), outcome("2")), (("failed".to_owned(), true), ("completed".to_owned(), false)));
    let waited = spans.iter().find(|span| span.name == wait && of(span, "attempt") == "2").unwrap();
    assert!(waited.nanoseconds < 60_000_000_000, "from when it might start: {waited:?}");
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_is_told_to_nobody() {
    let collector = Collector::start().await;
    let server = Server::start(&["--workers", "0", "--otlp", &collector.url]);
    let client = server.client();
    let unrecorded =
        submitted(&client, &traceparent(&trace_of(2), "00"), &json!({ "operationType": "t" })).await;
    let operation = claimed(&client, "c").await;
    assert_eq!(operation["id"], json!(unrecorded));
    ended(&client, &operation, json!({ "status": "Completed" })).await;
    client.get(&path(&unrecorded)).await;
    // What comes after it has come: so would it have.
    let recorded = trace_of(3);
    let headers = [("traceparent", &*traceparent(&recorded, "01"))];
    client.send(Method::GET, &path(&unrecorded), &headers, "").await;
    let spans = collector.trace(&recorded, 1).await;
    assert_eq!(spans[0].name, "GET /v1.0/operations/{id}");
    assert!(collector.spans().iter().all(|span| span.trace == recorded), "{:?}", collector.spans());
}

#[tokio::test]
async fn what_strangers_ask_is_told_to_nobody() {
    let collector = Collector::start().await;
    let server = Server::start(&["--workers", "0", "--otlp", &collector.url]);
    let stranger = server.client();
    let owner = stranger.with_token(&token(&server, &["--scope", "Operation.Read"]));
    let trace = trace_of(4);
    let headers = [("traceparent", &*traceparent(&trace, "01"))];
    for path in ["/healthz", OPERATIONS, "/v1.0/links/none", "/nowhere", "/docs"] {
        stranger.send(Method::GET, path, &headers, "").await;
        stranger.send(Method::PUT, path, &headers, "").await;
    }
    owner.send(Method::GET, OPERATIONS, &headers, "").await;
    let spans = collector.trace(&trace, 1).await;
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["GET /v1.0/operations"]);
}

#[tokio::test]
async fn without_its_collector_a_server_serves_as_before() {
    let server = Server::start(&["--workers", "0", "--otlp", "http://127.0.0.1:9"]);
    let client = server.client();
    let id = submitted(&client, &traceparent(&trace_of(1), "01"), &json!({ "operationType": "t" })).await;
    let operation = claimed(&client, "c").await;
    ended(&client, &operation, json!({ "status": "Completed" })).await;
    assert_eq!(client.operation(&id).await["status"], "Completed");
}

#[tokio::test]
async fn the_command_line_takes_it_from_its_environment_and_a_program_has_it_in_its_own() {
    let programs = Programs::new(&[("show", "echo $TRACEPARENT")]);
    let server = programs.serve(&[]);
    let parent = traceparent(&trace_of(5), "01");
    let mut command = longrun(&["submit", "show", "--wait", "--server", &server.url]);
    command.env("TRACEPARENT", &parent);
    assert_eq!(run(command).value()["result"], parent);
}
