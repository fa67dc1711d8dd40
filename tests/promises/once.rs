//! The same key, or the same id, makes one operation, however the requests race.

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::server::LONGRUN;
use crate::support::{Answer, Client, Server};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 100;

/// As many clients as connections, each of them open already.
async fn connections(server: &Server) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = server.client();
        assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
        clients.push(client);
    }
    clients
}

/// Lets every connection send its own request at the same moment.
async fn race(clients: &[Client], requests: Vec<(Option<String>, Value)>) -> Vec<Answer> {
    assert_eq!(clients.len(), requests.len());
    let barrier = Arc::new(Barrier::new(clients.len()));
    let mut racing = JoinSet::new();
    for (client, (key, body)) in clients.iter().cloned().zip(requests) {
        let barrier = barrier.clone();
        racing.spawn(async move {
            barrier.wait().await;
            let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
            client.post_with("/v1.0/operations", &headers, &body).await
        });
    }
    racing.join_all().await
}

fn id(answer: &Answer) -> String {
    answer.value()["id"].as_str().expect("an operation has an id").to_owned()
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// One was made, and all others were told of it.
fn assert_made_once(answers: &[Answer]) -> String {
    for answer in answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    }
    let ids: HashSet<_> = answers.iter().map(id).collect();
    assert_eq!(ids.len(), 1, "one key made {ids:?}");
    assert_eq!(answers.iter().filter(|answer| !is_replay(answer)).count(), 1);
    ids.into_iter().next().expect("there is one")
}

fn body(round: usize) -> Value {
    json!({"operationType": "once", "input": {"round": round}})
}

async fn waiting(client: &Client) -> u64 {
    let queues = client.get("/v1.0/queues").await.value();
    let queues = queues["value"].as_array().expect("queues are a list");
    queues.iter().map(|queue| queue["ready"].as_u64().expect("a count")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_from_many_connections_at_once_makes_one_operation() {
    let mut server = Server::start(&["--workers", "0"]);
    let clients = connections(&server).await;
    let mut made = HashSet::new();
    for round in 0..ROUNDS {
        let request = (Some(format!("race-{round}")), body(round));
        let answers = race(&clients, vec![request; CONNECTIONS]).await;
        assert!(made.insert(assert_made_once(&answers)), "two keys made the same operation");
    }
    assert_eq!(made.len(), ROUNDS);
    assert_eq!(waiting(&server.client()).await, ROUNDS as u64);

    server.kill();
    server.start_again();
    let clients = connections(&server).await;
    for round in 0..ROUNDS {
        let request = (Some(format!("race-{round}")), body(round));
        let again = race(&clients[..8], vec![request; 8]).await;
        for answer in &again {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
            assert!(is_replay(answer) && made.contains(&id(answer)), "made anew after the restart");
        }
    }
    assert_eq!(waiting(&server.client()).await, ROUNDS as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_from_many_connections_at_once_makes_one_operation() {
    let server = Server::start(&["--workers", "0"]);
    let clients = connections(&server).await;
    for round in 0..ROUNDS {
        let chosen = uuid::Uuid::new_v4().to_string();
        let mut body = body(round);
        body["id"] = json!(chosen);
        let answers = race(&clients, vec![(None, body.clone()); CONNECTIONS]).await;
        assert_eq!(assert_made_once(&answers), chosen);
        body["priority"] = json!(7);
        let other = server.client().post("/v1.0/operations", &body).await;
        assert_eq!((other.status, other.code()), (StatusCode::CONFLICT, "idExists".to_owned()));
    }
    assert_eq!(waiting(&server.client()).await, ROUNDS as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn among_two_bodies_under_one_key_only_one_is_made() {
    let server = Server::start(&["--workers", "0"]);
    let clients = connections(&server).await;
    let (mut replayed, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let key = Some(format!("two-{round}"));
        let bodies = |place: usize| body(if place.is_multiple_of(2) { round } else { round + ROUNDS });
        let requests = (0..CONNECTIONS).map(|place| (key.clone(), bodies(place)));
        let answers = race(&clients, requests.collect()).await;
        let made: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).collect();
        assert_eq!(made.iter().filter(|answer| !is_replay(answer)).count(), 1);
        assert_eq!(made.iter().map(|answer| id(answer)).collect::<HashSet<_>>().len(), 1);
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::CREATED) {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
            assert_eq!(answer.code(), "idempotencyKeyReused");
            refused += 1;
        }
        replayed += made.len() - 1;
    }
    assert_eq!((replayed, refused), (ROUNDS * (CONNECTIONS / 2 - 1), ROUNDS * CONNECTIONS / 2));
}

fn token(server: &Server, tenant: &str) -> String {
    let made = Command::new(LONGRUN)
        .args(["token", "create", "--json", "--name", tenant, "--tenant", tenant])
        .args(["--scope", "Operation.ReadWrite", "--data"])
        .arg(server.data())
        .output()
        .expect("the command line can be run");
    let told = String::from_utf8_lossy(&made.stdout).into_owned();
    let made: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told} {made:?}"));
    made["token"].as_str().expect("a token was made").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_in_two_tenants_makes_one_operation_in_each() {
    let server = Server::start(&["--workers", "0"]);
    let clients = connections(&server).await;
    let (left, right) = (token(&server, "left"), token(&server, "right"));
    let clients: Vec<_> = clients
        .iter()
        .enumerate()
        .map(|(place, client)| client.with_token(if place.is_multiple_of(2) { &left } else { &right }))
        .collect();
    for round in 0..ROUNDS {
        let request = (Some(format!("shared-{round}")), body(round));
        let answers = race(&clients, vec![request; CONNECTIONS]).await;
        let fresh: Vec<_> = answers.iter().filter(|answer| !is_replay(answer)).map(id).collect();
        assert_eq!(fresh.len(), 2, "one in each tenant");
        let (of_left, of_right) = (server.client().with_token(&left), server.client().with_token(&right));
        for made in &fresh {
            let path = format!("/v1.0/operations/{made}");
            let seen = [of_left.get(&path).await.status, of_right.get(&path).await.status];
            assert!(seen.contains(&StatusCode::OK) && seen.contains(&StatusCode::NOT_FOUND), "{seen:?}");
        }
        assert_ne!(fresh[0], fresh[1]);
        for answer in &answers {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
            assert!(fresh.contains(&id(answer)));
        }
    }
}
