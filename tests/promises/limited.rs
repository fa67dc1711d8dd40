//! A limited queue never has more running than it may, however many claims race for it, and a crash leaves no place taken.
//! What runs is counted from the events, in the order of the commits.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Client, Server};

const NARROW: &str = "/v1.0/events?queue=narrow";

async fn limit(client: &Client, max_running: usize) {
    let body = json!({ "maxRunning": max_running });
    let answer = client.json(Method::PATCH, "/v1.0/queues/narrow", &[], &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

async fn submit(client: &Client, queue: &str, count: usize) {
    for _ in 0..count {
        client.submit(&json!({ "queue": queue, "operationType": "t" })).await;
    }
}

fn want(id: &str, limit: usize, lease_seconds: u64, wait_seconds: u64) -> Value {
    let queues = ["narrow", "wide"];
    json!({ "id": id, "queues": queues, "limit": limit, "leaseSeconds": lease_seconds, "waitSeconds": wait_seconds })
}

/// What an answer brought, as reports that complete it.
fn completions(answer: &Value) -> Vec<Value> {
    let completed = |operation: &Value| {
        let token = &operation["lease"]["token"];
        json!({ "id": operation["id"], "leaseToken": token, "status": "Completed" })
    };
    answer["operations"].as_array().expect("a list").iter().map(completed).collect()
}

/// Claims and completes until nothing is left.
async fn work(client: Client, name: String, left: Arc<AtomicUsize>) {
    let mut reports: Vec<Value> = Vec::new();
    for round in 0_usize.. {
        if left.load(Ordering::Relaxed) == 0 {
            return;
        }
        let claim = want(&format!("{name}-{round}"), 1 + round % 3, 60, 1);
        let answer = client.work(&json!({ "workerId": name, "reports": reports, "claim": claim })).await;
        left.fetch_sub(reports.len(), Ordering::Relaxed);
        reports = completions(&answer);
        // Held for a moment, or nothing would ever be full.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..4))).await;
    }
}

/// From where the history of the queue is to be counted.
async fn beginning(client: &Client) -> String {
    client.watch(NARROW, None).await.begin().await
}

/// How many ran at a time at most, until so many have completed.
async fn most_at_once(client: &Client, beginning: &str, completed: usize) -> usize {
    let mut stream = client.watch(NARROW, Some(beginning)).await;
    let (mut running, mut most, mut ended) = (HashSet::new(), 0, 0);
    while ended < completed {
        let operation = stream.next().await.expect("the history goes on").data;
        let id = operation["id"].as_str().expect("an id").to_owned();
        if operation["status"] == "Running" {
            running.insert(id);
        } else {
            running.remove(&id);
        }
        ended += usize::from(operation["status"] == "Completed");
        most = most.max(running.len());
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_workers_that_race_never_run_more_than_the_limit() {
    const WORKERS: usize = 50;
    const OPERATIONS: usize = 400;
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    limit(&client, 7).await;
    let from = beginning(&client).await;
    submit(&client, "narrow", OPERATIONS).await;
    submit(&client, "wide", OPERATIONS / 4).await;
    let left = Arc::new(AtomicUsize::new(OPERATIONS + OPERATIONS / 4));
    let mut workers = JoinSet::new();
    for n in 0..WORKERS {
        workers.spawn(work(server.client(), format!("w{n}"), left.clone()));
    }
    workers.join_all().await;
    assert_eq!(most_at_once(&client, &from, OPERATIONS).await, 7, "the limit is reached and kept");
}

mod alone {
    use super::{Server, beginning, completions, json, limit, most_at_once, submit, want};
    use crate::support::until;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crash_with_all_places_taken_leaves_none_taken_for_good() {
        let mut server = Server::start(&["--workers", "0"]);
        let client = server.client();
        limit(&client, 3).await;
        let from = beginning(&client).await;
        submit(&client, "narrow", 9).await;
        let gone = client.work(&json!({ "workerId": "gone", "claim": want("c", 9, 2, 0) })).await;
        assert_eq!(completions(&gone).len(), 3);
        server.kill();
        server.start_again();
        let client = server.client();
        // Their leases hold: whoever has them may still speak.
        let early = client.work(&json!({ "workerId": "early", "claim": want("c", 9, 60, 0) })).await;
        assert_eq!(completions(&early).len(), 0, "{early}");
        let mut completed = 0;
        for round in 0.. {
            let claim = want(&format!("c{round}"), 9, 60, 20);
            let answer = client.work(&json!({ "workerId": "next", "claim": claim })).await;
            let reports = completions(&answer);
            assert!(!reports.is_empty() && reports.len() <= 3, "{answer}");
            completed += reports.len();
            client.work(&json!({ "workerId": "next", "reports": reports })).await;
            if completed == 9 {
                break;
            }
        }
        assert_eq!(most_at_once(&client, &from, 9).await, 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_servers_own_tasks_go_on_within_the_limit_after_a_crash() {
        let mut server = Server::start(&["--workers", "8"]);
        let client = server.client();
        limit(&client, 2).await;
        let from = beginning(&client).await;
        let nap = json!({ "queue": "narrow", "operationType": "sleep", "input": { "seconds": 0.3 }, "maxAttempts": 9 });
        for _ in 0..6 {
            client.submit(&nap).await;
        }
        for _ in 0..2 {
            let full = || async {
                let demand = client.get("/v1.0/queues/narrow/demand").await.value();
                (demand["running"] == 2).then_some(())
            };
            until("both places to be taken", full).await;
            server.kill();
            server.start_again();
        }
        assert_eq!(most_at_once(&server.client(), &from, 6).await, 2);
    }
}
