//! `/metrics`: what is counted and how things stand, for those who may see it, in words that a collector reads and nothing of
//! what users wrote.

#![allow(clippy::float_cmp)] // Counts are whole numbers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::{Method, StatusCode};
use longrun::auth::Scope;
use longrun::limits;
use longrun::server::Running;
use longrun::settings::{Given, Settings};
use longrun::store::clock::Machine;
use longrun::store::memory;
use longrun::tracker::Options;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{OPERATIONS, claim, path, quiet, report, token};
use crate::support::exposition::Exposition;
use crate::support::{Client, until};

/// What a server tells.
async fn told(client: &Client) -> Exposition {
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Exposition::read(&answer.text())
}

/// Waits until the store's figures, which are kept for a moment, show a value.
async fn shows(client: &Client, name: &str, labels: &[(&str, &str)], value: f64) {
    let what = format!("{name} of {labels:?} to be {value}");
    until(&what, async || (told(client).await.sum(name, labels) == Some(value)).then_some(())).await;
}

#[tokio::test]
async fn a_token_with_the_servers_scope_is_told_and_no_other() {
    let server = quiet();
    for scope in Scope::GRANTED {
        let client = server.client().with_token(&token(&server, &["--scope", scope.as_str()]));
        let expected = if scope == Scope::ServerManage { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(client.get("/metrics").await.status, expected, "{scope}");
    }
    assert_eq!(server.client().get("/metrics").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_collector_that_asks_for_openmetrics_gets_it() {
    let server = quiet();
    let client = server.client();
    client.submit(&json!({})).await;
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    let answer = client.send(Method::GET, "/metrics", &[("accept", prometheus)], "").await;
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = answer.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.contains("\n# TYPE longrun_operations_created counter\n"), "{text}");
    assert!(text.contains("\nlongrun_operations_created_total{queue=\"default\"} 1\n"), "{text}");
}

#[tokio::test]
async fn a_life_is_counted_where_it_happens() {
    let server = quiet();
    let client = server.client();
    let queue = &[("queue", "media")];
    let submit = json!({ "operationType": "t", "queue": "media", "maxAttempts": 2, "retry": { "initialDelaySeconds": 1 } });
    let id = client.submit(&submit).await;
    shows(&client, "longrun_operations", &[("queue", "media"), ("status", "ready")], 1.0).await;
    let claimed = async |claim: &str| {
        let want = json!({ "id": claim, "queues": ["media"], "waitSeconds": 5, "leaseSeconds": 3600 });
        let answer = client.work(&json!({ "workerId": "w", "claim": want })).await;
        answer["operations"][0]["lease"]["token"].as_i64()
    };
    let lease = claimed("c1").await.unwrap();
    let failure = json!({ "id": id, "leaseToken": lease, "status": "Failed", "error": { "code": "x", "message": "y" } });
    report(&client, failure).await;
    let lease = until("the second attempt", async || claimed("c2").await).await;
    report(&client, json!({ "id": id, "leaseToken": lease, "status": "Completed" })).await;
    let after = told(&client).await;
    let counted = |name: &str| after.value(name, queue);
    assert_eq!(counted("longrun_operations_created_total"), 1.0);
    assert_eq!(counted("longrun_operations_started_total"), 2.0);
    assert_eq!(counted("longrun_operations_retried_total"), 1.0);
    assert_eq!(counted("longrun_operations_finished_total"), 1.0);
    assert_eq!(counted("longrun_attempts_finished_total"), 2.0);
    assert_eq!(counted("longrun_operation_wait_seconds_count"), 2.0);
    assert_eq!(counted("longrun_attempt_seconds_count"), 2.0);
    let by = |outcome| {
        let labels = [("queue", "media"), ("outcome", outcome)];
        (
            after.value("longrun_operations_finished_total", &labels),
            after.value("longrun_attempts_finished_total", &labels),
        )
    };
    assert_eq!((by("completed"), by("failed")), ((1.0, 1.0), (0.0, 1.0)));
    let commits = after.value("longrun_commits_total", &[]);
    assert!(commits >= 5.0 && commits <= after.value("longrun_turns_total", &[]), "{commits}");
    assert_eq!(after.value("longrun_commit_seconds_count", &[]), commits);
    assert_eq!(after.value("longrun_commit_operations_count", &[]), commits);
    let posted = [("method", "POST"), ("route", OPERATIONS), ("status", "201")];
    assert_eq!(after.value("longrun_http_requests_total", &posted), 1.0);
    assert_eq!(after.value("longrun_store_up", &[]), 1.0);
    assert!(after.value("longrun_store_bytes", &[]) > 4096.0);
    for ours in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
        assert!(after.value(ours, &[]) > 1.0, "{ours}");
    }
    shows(&client, "longrun_operations", &[("queue", "media"), ("status", "completed")], 1.0).await;
    shows(&client, "longrun_operations", &[("queue", "media"), ("status", "ready")], 0.0).await;
}

#[tokio::test]
async fn a_worker_that_goes_silent_and_a_person_are_told_apart() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "t", "maxAttempts": 1 })).await;
    let want = json!({ "id": "c", "operationTypes": ["t"], "leaseSeconds": 1 });
    client.work(&json!({ "workerId": "w", "claim": want })).await;
    let expired = [("outcome", "leaseExpired")];
    shows(&client, "longrun_attempts_finished_total", &expired, 1.0).await;
    assert_eq!(told(&client).await.value("longrun_operations_finished_total", &expired), 1.0);
    let retried = client.post(&format!("{}/retry", path(&id)), &json!({})).await;
    assert_eq!(retried.status, StatusCode::OK, "{}", retried.text());
    assert_eq!(told(&client).await.value("longrun_operations_retried_total", &[]), 1.0);
    let canceled = client.post(&format!("{}/cancel", path(&id)), &json!({})).await;
    assert!(canceled.status.is_success(), "{}", canceled.text());
    let canceled = [("queue", "default"), ("outcome", "canceled")];
    assert_eq!(told(&client).await.value("longrun_operations_finished_total", &canceled), 1.0);
    assert_eq!(told(&client).await.sum("longrun_attempts_finished_total", &canceled), Some(0.0));
}

#[tokio::test]
async fn who_waits_and_who_watches_is_told() {
    let server = quiet();
    let client = server.client();
    let mut stream = client.watch("/v1.0/events", None).await;
    stream.begin().await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move {
            let want = json!({ "id": "c", "operationTypes": ["t"], "waitSeconds": 30 });
            client.work(&json!({ "workerId": "w", "claim": want })).await
        }
    });
    shows(&client, "longrun_claims_waiting", &[], 1.0).await;
    assert_eq!(told(&client).await.value("longrun_watchers", &[]), 1.0);
    assert!(told(&client).await.value("longrun_http_connections", &[]) >= 3.0);
    client.submit(&json!({ "operationType": "t" })).await;
    waiting.await.unwrap();
    shows(&client, "longrun_claims_waiting", &[], 0.0).await;
    drop(stream);
    shows(&client, "longrun_watchers", &[], 0.0).await;
}

#[tokio::test]
async fn however_many_queues_there_are_the_answer_stays_small() {
    let server = quiet();
    let client = server.client();
    for number in 0..1000 {
        client.submit(&json!({ "queue": format!("q{number}") })).await;
    }
    let after = told(&client).await;
    let queues = after.values_of("queue");
    assert!(queues.len() <= limits::METRIC_QUEUES_MAX + 1, "{queues:?}");
    assert!(queues.contains("other"));
    assert_eq!(after.value("longrun_operations_created_total", &[]), 1000.0);
    shows(&client, "longrun_operations", &[("status", "ready")], 1000.0).await;
    assert!(after.len() < 5000, "{} lines", after.len());
    // A method, a path or a status of a stranger's choosing makes no series of its own.
    for stranger in ["BREW", "PROPFIND"] {
        let method = Method::from_bytes(stranger.as_bytes()).unwrap();
        client.send(method, "/v1.0/teapots/made-up", &[], "").await;
    }
    let after = told(&client).await;
    let unrouted = [("method", "other"), ("route", "none"), ("status", "404")];
    assert_eq!(after.value("longrun_http_requests_total", &unrouted), 2.0);
    assert!(after.values_of("route").iter().all(|route| !route.contains("made-up")));
}

#[tokio::test]
async fn nothing_that_users_wrote_is_told() {
    const CANARY: &str = "canary";
    let server = quiet();
    let scopes = ["--tenant", CANARY, "--scope", "Operation.ReadWrite,Operation.Execute"];
    let secret = token(&server, &scopes);
    let watcher = server.client().with_token(&token(&server, &["--scope", "Server.Manage"]));
    let client = server.client().with_token(&secret);
    let id = client
        .submit(&json!({ "operationType": "t-canary", "input": "canary", "labels": { "canary": "canary" } }))
        .await;
    let lease = claim(&client, "t-canary", "canary").await;
    let error = json!({ "code": "canary", "message": "canary" });
    report(&client, json!({ "id": id, "leaseToken": lease, "status": "Failed", "error": error })).await;
    client.get("/v1.0/operations?$filter=canary").await;
    let text = watcher.get("/metrics").await.text();
    for secret in [CANARY, &id, &secret] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// The status that a request to a host of that name gets.
async fn status(address: SocketAddr, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_whitespace().nth(1).unwrap().to_owned()
}

fn settings(data: &Path) -> Settings {
    let settings = Given::default().settle().unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    Settings { listen: any, admin_listen: Some(any), data: data.to_owned(), workers: 0, ..settings }
}

#[tokio::test]
async fn a_listener_of_its_own_needs_no_token_and_gives_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let (store, reader) = memory::open(Arc::new(Machine::default()));
    let running =
        Running::start(&settings(data.path()), Box::new(store), reader, Options::default()).await.unwrap();
    let address = running.admin_address.unwrap();
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(status(address, path, "localhost").await, "200", "{path}");
        // As a page in a browser would, by a name of its own.
        assert_eq!(status(address, path, "evil.example").await, "403", "{path}");
    }
    for path in [OPERATIONS, "/v1.0/queues", "/openapi.json", "/"] {
        assert_eq!(status(address, path, "localhost").await, "404", "{path}");
    }
    running.stop(std::time::Duration::from_secs(1)).await;
}
