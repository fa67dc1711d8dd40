//! Tokens over their life: until when they open anything, for those too who wait and watch, and when they were last used.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use longrun::limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{OPERATIONS, longrun, made, path, quiet, revoke, run, token};
use crate::support::{Client, Server, until};

const ALL: &str = "Operation.ReadWrite,Operation.Execute,Operation.Manage";
/// What the documentation promises.
const EFFECTIVE: Duration = Duration::from_secs(5);

/// What the machine's own list says of a token.
fn listed(server: &Server, id: &str) -> Value {
    let mut command = longrun(&["token", "list", "--data"]);
    command.arg(server.data());
    let list = run(command).value();
    let found = list["value"].as_array().unwrap().iter().find(|token| token["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {list}")).clone()
}

/// Whoever waits and watches with a token hears of its end; `end` brings that about.
async fn all_that_goes_on_ends(owner: &Client, client: &Client, end: impl AsyncFnOnce()) {
    let id = owner.submit(&json!({ "isExternal": true })).await;
    let mut one = client.watch(&format!("{}/events", path(&id)), None).await;
    one.take(1).await;
    let mut many = client.watch("/v1.0/events", None).await;
    many.begin().await;
    let wait = async |path: String, body: Option<Value>| {
        let (client, method) = (client.clone(), if body.is_some() { Method::POST } else { Method::GET });
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let headers = [("prefer", "wait=60"), ("content-type", "application/json")];
        client.send(method, &path, &headers, body).await
    };
    let claim = json!({ "workerId": "w", "claim": { "id": "c", "queues": ["none"], "waitSeconds": 30 } });
    let ended = async {
        let (read, submitted, claimed) = tokio::join!(
            wait(path(&id), None),
            wait(OPERATIONS.to_owned(), Some(json!({ "isExternal": true }))),
            wait("/v1.0/work".to_owned(), Some(claim)),
        );
        for answer in [read, claimed] {
            assert_eq!((answer.status, &*answer.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
        }
        assert_eq!(
            submitted.status,
            StatusCode::CREATED,
            "it was made: whoever repeats it would make another"
        );
        assert_eq!(one.rest().await, []);
        let told: Vec<_> = many.rest().await.into_iter().map(|event| event.event).collect();
        assert_eq!(told, ["created"], "that of the submit, and no more");
    };
    let ending = async {
        until("all of them to wait", async || {
            let workers = owner.get("/v1.0/workers").await.value();
            (!workers["value"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;
        end().await;
    };
    tokio::join!(ended, ending);
    assert_eq!(client.get(OPERATIONS).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_what_goes_on_with_it() {
    let server = quiet();
    let owner = server.client().with_token(&token(&server, &["--scope", ALL]));
    let told = made(&server, &["--scope", ALL]);
    let client = server.client().with_token(told["token"].as_str().unwrap());
    let mut revoked = None;
    all_that_goes_on_ends(&owner, &client, async || {
        revoke(&server, told["id"].as_str().unwrap());
        revoked = Some(Instant::now());
    })
    .await;
    assert!(limits::LEAVE_CHECKED_EVERY < EFFECTIVE);
    assert!(revoked.unwrap().elapsed() < EFFECTIVE, "{:?}", revoked.unwrap().elapsed());
    assert_eq!(listed(&server, told["id"].as_str().unwrap())["revoked"], true);
    assert_eq!(owner.get(OPERATIONS).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_opens_until_its_time_is_over_and_then_nothing_goes_on_with_it() {
    let server = quiet();
    let owner = server.client().with_token(&token(&server, &["--scope", ALL]));
    let told = made(&server, &["--scope", ALL, "--expires-in", "3s"]);
    let id = told["id"].as_str().unwrap();
    let client = server.client().with_token(told["token"].as_str().unwrap());
    assert_eq!(client.get(OPERATIONS).await.status, StatusCode::OK);
    assert_eq!((&told["expired"], &listed(&server, id)["expired"]), (&json!(false), &json!(false)));
    all_that_goes_on_ends(&owner, &client, async || {}).await;
    let told = listed(&server, id);
    assert_eq!(told["expired"], true);
    assert!(told["lastUsedDateTime"].is_string(), "{told}");
}

#[tokio::test]
async fn when_a_token_was_last_used_is_told_and_kept() {
    let mut server = quiet();
    let told = made(&server, &["--scope", "Operation.Read"]);
    let id = told["id"].as_str().unwrap();
    assert_eq!(listed(&server, id).get("lastUsedDateTime"), None);
    let client = server.client().with_token(told["token"].as_str().unwrap());
    assert_eq!(client.get(OPERATIONS).await.status, StatusCode::OK);
    let used = listed(&server, id)["lastUsedDateTime"].clone();
    assert!(used.is_string(), "{used}");
    server.signal("TERM");
    assert!(server.wait().success());
    assert_eq!(listed(&server, id)["lastUsedDateTime"], used, "by its own store");
    server.start_again();
    let client = server.client().with_token(told["token"].as_str().unwrap());
    until("the server to answer", async || client.try_send(Method::GET, OPERATIONS, &[], "").await.ok())
        .await;
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(listed(&server, id)["lastUsedDateTime"].as_str() > used.as_str(), "noted at the end");
}

#[test]
fn a_life_that_is_none_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    for (life, code) in [("0s", 2), ("soon", 2), ("4000d", 2), ("3660d", 0)] {
        let mut command =
            longrun(&["token", "create", "--name", "n", "--scope", "Operation.Read", "--expires-in", life]);
        command.arg("--data").arg(scratch.path());
        assert_eq!(run(command).code, Some(code), "{life}");
    }
}

#[tokio::test]
async fn a_token_that_ends_while_its_body_comes_hands_nothing_in() {
    let server = quiet();
    let owner = server.client().with_token(&token(&server, &["--scope", ALL]));
    let told = made(&server, &["--scope", ALL]);
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {OPERATIONS} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {}\r\nContent-Length: 2\r\n\r\n{{",
        told["token"].as_str().unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Whether its head was read before or after the end, nothing may come of it.
    let client = server.client().with_token(told["token"].as_str().unwrap());
    revoke(&server, told["id"].as_str().unwrap());
    until("the token to open nothing", async || {
        (client.get(OPERATIONS).await.status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    stream.write_all(b"}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(owner.get(&format!("{OPERATIONS}/$count")).await.text(), "0");
}
