//! Many nodes over one database are one server: what one of them did, all the others show, tell and heed.

mod chaos;
mod database;
mod encrypted;
mod handed_in;
mod metrics;

use std::process::Command;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use longrun_postgres::{Database, Postgres, Stop};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::server::LONGRUN;
use crate::support::{Client, Server, until};

const OPERATIONS: &str = "/v1.0/operations";
/// What the other node made must reach a waiting claim within this where hints are heard, and within this without.
const HEARD: Duration = Duration::from_millis(500);
const SWEPT: Duration = Duration::from_secs(3);

/// Two nodes over one database, without workers of their own.
struct Pair {
    a: Server,
    b: Server,
    database: Database,
}

impl Pair {
    fn start(arguments: &[&str]) -> Self {
        let database = Database::create();
        let arguments = [&["--workers", "0"], arguments].concat();
        let (a, b) = (Server::node(&database.url(), &arguments), Server::node(&database.url(), &arguments));
        Self { a, b, database }
    }

    fn clients(&self) -> (Client, Client) {
        (self.a.client(), self.b.client())
    }
}

fn ask(worker: &str, queue: &str, limit: usize, wait_seconds: u32) -> Value {
    let claim = json!({"id": format!("{worker}-{}", fastrand::u64(..)), "queues": [queue], "limit": limit,
        "leaseSeconds": 30, "waitSeconds": wait_seconds});
    json!({"workerId": worker, "claim": claim})
}

fn taken(answer: &Value) -> Vec<(String, i64)> {
    let operations = answer["operations"].as_array().expect("operations are always there");
    let held = |operation: &Value| {
        let id = operation["id"].as_str().expect("it has an id").to_owned();
        (id, operation["lease"]["token"].as_i64().expect("it has a token"))
    };
    operations.iter().map(held).collect()
}

async fn report(client: &Client, worker: &str, (id, token): &(String, i64), status: &str) -> Value {
    let report = json!({"id": id, "leaseToken": token, "status": status});
    client.work(&json!({"workerId": worker, "reports": [report]})).await["outcomes"][0].clone()
}

async fn a_waiting_claim_is_woken(notify: &str, within: Duration) {
    let pair = Pair::start(&["--notify", notify]);
    let (a, b) = pair.clients();
    for _ in 0..3 {
        let waiting = tokio::spawn({
            let a = a.clone();
            async move { (taken(&a.work(&ask("w", "q", 1, 20)).await), Instant::now()) }
        });
        until("the claim to wait", async || {
            let workers = a.get("/v1.0/workers").await.value();
            (!workers["value"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;
        let began = Instant::now();
        let id = b.submit(&json!({"operationType": "t", "queue": "q"})).await;
        let (held, at) = waiting.await.unwrap();
        assert_eq!(held[0].0, id);
        assert!(at - began < within, "it took {:?}", at - began);
        assert_eq!(b.operation(&id).await["status"], "Running");
        assert_eq!(report(&b, "w", &held[0], "Completed").await["error"], Value::Null);
        assert_eq!(a.operation(&id).await["status"], "Completed");
    }
}

#[tokio::test]
async fn what_was_acknowledged_by_one_node_is_shown_by_the_other() {
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    for round in 0..50 {
        let (one, other) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let id = one.submit(&json!({"isExternal": true, "status": "Running"})).await;
        assert_eq!(other.operation(&id).await["status"], "Running");
        let path = format!("{OPERATIONS}/{id}");
        let patched = other.json(Method::PATCH, &path, &[], &json!({"percentComplete": round})).await;
        assert_eq!(patched.status, StatusCode::OK);
        let shown = one.get(&path).await;
        assert_eq!(shown.value()["percentComplete"], round);
        assert_eq!(shown.header("etag"), patched.header("etag"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_at_one_node_hears_all_that_is_done_at_both_in_order_and_once() {
    const EACH: usize = 60;
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    let mut streams =
        [a.watch("/v1.0/events?queue=w", None).await, b.watch("/v1.0/events?queue=w", None).await];
    for stream in &mut streams {
        stream.begin().await;
    }
    let mut writing = JoinSet::new();
    for client in [a.clone(), b.clone(), a, b] {
        writing.spawn(async move {
            for _ in 0..EACH {
                let id = client.submit(&json!({"isExternal": true, "queue": "w"})).await;
                let path = format!("{OPERATIONS}/{id}");
                for status in ["Running", "Completed"] {
                    let done = client.json(Method::PATCH, &path, &[], &json!({"status": status})).await;
                    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
                }
            }
        });
    }
    writing.join_all().await;
    let mut told = Vec::new();
    for stream in &mut streams {
        let events = stream.take(4 * EACH * 3).await;
        told.push(
            events
                .into_iter()
                .map(|event| (event.id, event.event, event.data["id"].clone()))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(told[0], told[1], "both heard the same");
    let mut ids: Vec<&String> = told[0].iter().map(|(id, ..)| id).collect();
    ids.dedup();
    assert_eq!(ids.len(), told[0].len(), "nothing was told twice");
    let kinds = |kind: &str| told[0].iter().filter(|(_, event, _)| event == kind).count();
    assert_eq!([kinds("created"), kinds("started"), kinds("completed")], [4 * EACH; 3]);
}

#[tokio::test]
async fn a_link_holds_at_every_node_and_ends_at_all_of_them_at_once() {
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    let id = a.submit(&json!({"isExternal": true})).await;
    let make = async |client: &Client, body: Value| {
        let answer = client.post(&format!("{OPERATIONS}/{id}/createLink"), &body).await;
        let url = answer.value()["link"]["statusUrl"].as_str().expect("it has a URL").to_owned();
        url.split_once("/v1.0").map(|(_, path)| format!("/v1.0{path}")).expect("it is a path of the API")
    };
    let link = make(&a, json!({})).await;
    assert_eq!(b.get(&link).await.value()["id"], *id);
    let mut stream = b.watch(&format!("{link}/events"), None).await;
    assert_eq!(stream.next().await.unwrap().event, "snapshot");
    let fresh = make(&a, json!({"revoke": true})).await;
    for client in [&a, &b] {
        assert_eq!(client.get(&link).await.status, StatusCode::NOT_FOUND);
        assert_eq!(client.get(&fresh).await.status, StatusCode::OK);
    }
    assert_eq!(stream.rest().await, [], "whoever watches at the other node does so no longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_at_both_nodes_at_once_makes_one_operation() {
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    for round in 0..30 {
        let key = format!("key-{round}");
        let mut racing = JoinSet::new();
        for client in [&a, &b, &a, &b, &a, &b] {
            let (client, key) = (client.clone(), key.clone());
            racing.spawn(async move {
                let body = json!({"operationType": "once", "queue": "q"});
                client.post_with(OPERATIONS, &[("idempotency-key", &key)], &body).await
            });
        }
        let answers = racing.join_all().await;
        let ids: std::collections::HashSet<String> = answers
            .iter()
            .map(|answer| {
                assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
                answer.value()["id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), 1);
        let replays = answers.iter().filter(|answer| answer.header("idempotency-replayed") == Some("true"));
        assert_eq!(replays.count(), 5);
    }
    let queues = a.get("/v1.0/queues").await.value();
    assert_eq!(queues["value"][0]["ready"], 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_limited_queue_no_more_run_over_all_nodes_than_may() {
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    let limited = a.json(Method::PATCH, "/v1.0/queues/q", &[], &json!({"maxRunning": 3})).await;
    assert_eq!(limited.status, StatusCode::OK, "{}", limited.text());
    for _ in 0..60 {
        a.submit(&json!({"operationType": "t", "queue": "q"})).await;
    }
    let mut working = JoinSet::new();
    for (number, client) in [&a, &b, &a, &b].into_iter().enumerate() {
        let (client, worker) = (client.clone(), format!("w{number}"));
        working.spawn(async move {
            let (mut done, mut most) = (0, 0);
            let mut empty = 0;
            while empty < 4 {
                let held = taken(&client.work(&ask(&worker, "q", 2, 1)).await);
                empty = if held.is_empty() { empty + 1 } else { 0 };
                let queue = client.get("/v1.0/queues/q/demand").await.value();
                most = most.max(queue["running"].as_u64().unwrap());
                for held in &held {
                    assert_eq!(report(&client, &worker, held, "Completed").await["error"], Value::Null);
                    done += 1;
                }
            }
            (done, most)
        });
    }
    let worked = working.join_all().await;
    assert_eq!(worked.iter().map(|(done, _)| done).sum::<u32>(), 60);
    assert!(worked.iter().all(|(_, most)| *most <= 3), "{worked:?}");
}

#[tokio::test]
async fn who_holds_an_operation_hears_of_a_cancel_at_another_node() {
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    let id = b.submit(&json!({"operationType": "t", "queue": "q"})).await;
    let held = taken(&a.work(&ask("w", "q", 1, 5)).await);
    assert_eq!(held[0].0, id);
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.work(&ask("w", "q", 1, 20)).await }
    });
    // However soon it comes, the worker hears of it: while it waits, or when it asks.
    let canceled = b.post(&format!("{OPERATIONS}/{id}/cancel"), &json!({})).await;
    assert_eq!(canceled.status, StatusCode::ACCEPTED, "{}", canceled.text());
    let began = Instant::now();
    let answer = waiting.await.unwrap();
    assert_eq!(answer["notices"][0]["id"], id, "{answer}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_token_is_good_at_every_node_at_once_and_bad_soon_after_its_end() {
    let database = Database::create();
    let token = |arguments: &[&str]| {
        let command =
            Command::new(LONGRUN).arg("token").args(arguments).env("LONGRUN_STORE", database.url()).output();
        let output = command.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let make = |name: &str| token(&["create", "--name", name, "--scope", "Operation.ReadWrite"]);
    let first = make("first");
    let nodes = [
        Server::node(&database.url(), &["--workers", "0"]),
        Server::node(&database.url(), &["--workers", "0"]),
    ];
    for made in [first, make("second"), make("third")] {
        for node in &nodes {
            let client = node.client().with_token(made["token"].as_str().unwrap());
            assert_eq!(client.get(OPERATIONS).await.status, StatusCode::OK);
        }
        let watch = async |node: &Server| {
            let client = node.client().with_token(made["token"].as_str().unwrap());
            let mut stream = client.watch("/v1.0/events", None).await;
            stream.begin().await;
            stream
        };
        let (mut here, mut there) = (watch(&nodes[0]).await, watch(&nodes[1]).await);
        token(&["revoke", made["id"].as_str().unwrap()]);
        let revoked = Instant::now();
        assert_eq!((here.rest().await, there.rest().await), (Vec::new(), Vec::new()), "who watches is cut");
        for node in &nodes {
            let client = node.client().with_token(made["token"].as_str().unwrap());
            until("it to be refused", async || {
                (client.get(OPERATIONS).await.status == StatusCode::UNAUTHORIZED).then_some(())
            })
            .await;
        }
        assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
    }
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_claim_that_waits_at_one_node_is_woken_by_a_create_at_another() {
        a_waiting_claim_is_woken("on", HEARD).await;
    }

    #[tokio::test]
    async fn without_notifications_it_is_woken_by_the_next_look() {
        a_waiting_claim_is_woken("off", SWEPT).await;
    }

    #[tokio::test]
    async fn what_a_dead_node_had_begun_is_carried_out_by_the_others() {
        let database = Database::create();
        let mut a = Server::node(&database.url(), &["--workers", "4"]);
        let client = a.client();
        let id = client.submit(&json!({"operationType": "sleep", "input": {"seconds": 2}})).await;
        until("it to run", async || (client.operation(&id).await["status"] == "Running").then_some(())).await;
        a.kill();
        let b = Server::node(&database.url(), &["--workers", "4"]);
        let client = b.client();
        let ended = crate::support::within(Duration::from_secs(90), "it to be done", async || {
            let operation = client.operation(&id).await;
            (operation["status"] == "Completed").then_some(operation)
        })
        .await;
        assert_eq!(ended["attemptsCount"], 2);
    }

    #[tokio::test]
    async fn while_the_database_is_away_nothing_is_acknowledged_or_charged_and_then_all_goes_on() {
        let mut postgres = Postgres::start(&[]);
        let node = Server::node(&postgres.url("postgres"), &["--workers", "0"]);
        let client = node.client();
        let id = client.submit(&json!({"operationType": "t", "queue": "q"})).await;
        let held = taken(&client.work(&json!({"workerId": "w", "claim": {"id": "c", "queues": ["q"], "limit": 1, "leaseSeconds": 5}})).await);
        assert_eq!(held[0].0, id);
        postgres.stop(Stop::Immediate);
        let body = json!({"operationType": "t", "queue": "q"});
        let refused = client.post(OPERATIONS, &body).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
        until("it to be unready", async || {
            (client.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
        })
        .await;
        // Longer than the lease; all the while nothing else is said.
        let seconds = std::env::var("LONGRUN_AWAY_SECONDS").map_or(7, |text| text.parse().unwrap());
        let away = Instant::now();
        while away.elapsed() < Duration::from_secs(seconds) {
            let refused = client.post(OPERATIONS, &body).await;
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
            assert!(refused.header("retry-after").is_some());
            assert_eq!(client.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
        }
        postgres.run();
        let back = Instant::now();
        until("it to be ready", async || {
            (client.get("/readyz").await.status == StatusCode::OK).then_some(())
        })
        .await;
        assert_eq!(report(&client, "w", &held[0], "Completed").await["error"], Value::Null);
        let operation = client.operation(&id).await;
        assert_eq!((&operation["status"], &operation["attemptsCount"]), (&json!("Completed"), &json!(1)));
        until("new work to be taken", async || {
            (client.post(OPERATIONS, &body).await.status == StatusCode::CREATED).then_some(())
        })
        .await;
        eprintln!("away for {seconds} s, whole again {:?} after it came back", back.elapsed());
    }
}
