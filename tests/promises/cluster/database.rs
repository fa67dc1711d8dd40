//! What stands between the nodes and their data: a pooler, or a standby that takes over.

use std::time::{Duration, Instant};

use http::StatusCode;
use longrun_postgres::{Database, PgBouncer, Postgres, Stop, either};
use serde_json::{Value, json};

use super::{OPERATIONS, ask, report, taken};
use crate::support::cli::{longrun, run};
use crate::support::{Client, Server, until, within};

/// One operation through both nodes, and a watcher of it at each.
pub(super) async fn lives_at_both(a: &Client, b: &Client) {
    let mut streams =
        [a.watch("/v1.0/events?queue=q", None).await, b.watch("/v1.0/events?queue=q", None).await];
    for stream in &mut streams {
        stream.begin().await;
    }
    for (one, other) in [(a, b), (b, a)].repeat(5) {
        let id = one.submit(&json!({"operationType": "t", "queue": "q", "input": "x".repeat(3000)})).await;
        let held = taken(&other.work(&ask("w", "q", 1, 20)).await);
        assert_eq!(held[0].0, id);
        assert_eq!(report(one, "w", &held[0], "Completed").await["error"], Value::Null);
        assert_eq!(other.operation(&id).await["status"], "Completed");
    }
    for stream in &mut streams {
        let kinds: Vec<String> = stream.take(30).await.into_iter().map(|event| event.event).collect();
        assert_eq!(kinds, ["created", "started", "completed"].repeat(10));
    }
}

async fn behind_a_pooler(notify: &str) {
    let database = Database::create();
    let bouncer = PgBouncer::start(&database.url());
    let url = bouncer.url(database.name());
    let arguments = ["--workers", "0", "--notify", notify];
    let nodes = [Server::node(&url, &arguments), Server::node(&url, &arguments)];
    lives_at_both(&nodes[0].client(), &nodes[1].client()).await;
}

#[tokio::test]
async fn behind_a_pooler_that_gives_each_transaction_another_connection_nodes_look_for_themselves() {
    behind_a_pooler("off").await;
}

#[tokio::test]
async fn a_pooler_that_has_lost_its_database_is_not_waited_for() {
    let mut postgres = Postgres::start(&[]);
    let bouncer = PgBouncer::start(&postgres.url("postgres"));
    let node = Server::node(&bouncer.url("postgres"), &["--workers", "0", "--notify", "off"]);
    let client = node.client();
    let body = json!({"operationType": "t"});
    let path = format!("{OPERATIONS}/{}", client.submit(&body).await);
    postgres.stop(Stop::Immediate);
    // By itself it lets everybody wait for two minutes.
    let began = Instant::now();
    let (posted, read) = tokio::join!(client.post(OPERATIONS, &body), client.get(&path));
    assert_eq!([posted.status, read.status], [StatusCode::SERVICE_UNAVAILABLE; 2], "{}", posted.text());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    postgres.run();
    within(Duration::from_mins(1), "it to go on", async || {
        (client.get(&path).await.status == StatusCode::OK).then_some(())
    })
    .await;
    within(Duration::from_mins(1), "new work to be taken", async || {
        (client.post(OPERATIONS, &body).await.status == StatusCode::CREATED).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pooler_that_swallows_notifications_is_found_out() {
    behind_a_pooler("on").await;
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn what_was_acknowledged_is_there_when_the_standby_has_taken_over() {
        let mut primary = Postgres::start(&[]);
        let standby = primary.start_standby(&[]);
        let url = either(&[&primary, &standby], "postgres");
        let nodes = [Server::node(&url, &["--workers", "0"]), Server::node(&url, &["--workers", "0"])];
        let clients = nodes.each_ref().map(Server::client);
        let mut acknowledged = Vec::new();
        let submit = async |client: &Client, number: usize| {
            let key = format!("k{number}");
            let headers = [("idempotency-key", key.as_str())];
            let answer = client.post_with(OPERATIONS, &headers, &json!({"operationType": "t"})).await;
            (answer.status == StatusCode::CREATED).then(|| answer.value()["id"].as_str().unwrap().to_owned())
        };
        for number in 0..100 {
            acknowledged.extend(submit(&clients[number % 2], number).await);
        }
        assert_eq!(acknowledged.len(), 100);
        primary.stop(Stop::Immediate);
        assert_eq!(submit(&clients[0], 100).await, None);
        standby.promote();
        // Nobody tells the nodes.
        for client in &clients {
            until("it to go on", async || submit(client, 101).await).await;
        }
        for number in 102..150 {
            acknowledged.extend(submit(&clients[number % 2], number).await);
        }
        assert_eq!(acknowledged.len(), 148);
        for (client, id) in clients.iter().cycle().zip(&acknowledged) {
            assert_eq!(client.operation(id).await["status"], "NotStarted");
        }
        // The standby of a standby is nobody: it confirms alone.
        tokio::time::timeout(Duration::from_secs(30), lives_at_both(&clients[0], &clients[1])).await.unwrap();
    }
}

#[tokio::test]
async fn two_nodes_share_a_database_and_no_directory() {
    let database = Database::create();
    let first = Server::node(&database.url(), &["--workers", "0"]);
    let mut second = longrun(&["serve", "--listen", "127.0.0.1:0", "--store", &database.url(), "--data"]);
    second.arg(first.data());
    let ended = run(second);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("another"), "{ended:?}");
    assert_eq!(first.client().get("/readyz").await.status, StatusCode::OK);
}
