//! Streams of events: what each shows, where it begins and resumes, how it ends.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NOBODY, OPERATIONS, token};
use crate::support::{Client, Server, Sse, until};

const EVENTS: &str = "/v1.0/events";

fn quiet() -> Server {
    Server::start(&["--workers", "0"])
}

fn of(id: &str) -> String {
    format!("{OPERATIONS}/{id}/events")
}

async fn external(client: &Client) -> String {
    client.submit(&json!({ "isExternal": true, "status": "Running", "input": "in" })).await
}

async fn patch(client: &Client, id: &str, body: Value) {
    let answer = client.json(Method::PATCH, &format!("{OPERATIONS}/{id}"), &[], &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

fn words(events: &[Sse]) -> Vec<&str> {
    events.iter().map(|event| &*event.event).collect()
}

/// The number within a cursor.
fn number(id: &str) -> i64 {
    id.split_once('-').and_then(|(_, n)| n.parse().ok()).unwrap_or_else(|| panic!("{id} is no cursor"))
}

#[tokio::test]
async fn a_stream_of_one_shows_how_it_stands_and_every_change_until_its_end() {
    let server = quiet();
    let client = server.client();
    let id = external(&client).await;
    let mut stream = client.watch(&of(&id), None).await;
    assert_eq!(stream.status, StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(stream.headers[name], value, "{name}");
    }
    let snapshot = stream.next().await.unwrap();
    assert_eq!((&*snapshot.event, &snapshot.data["status"]), ("snapshot", &json!("Running")));
    assert!(snapshot.data.get("input").is_none());
    patch(&client, &id, json!({ "percentComplete": 40 })).await;
    patch(&client, &id, json!({ "status": "Completed", "result": { "pages": 3 } })).await;
    let rest = stream.rest().await;
    assert_eq!(words(&rest), ["updated", "completed"]);
    assert_eq!(rest[0].data["percentComplete"], 40);
    assert_eq!(rest[1].data["result"], json!({ "pages": 3 }));
    assert!(number(&snapshot.id) < number(&rest[0].id) && number(&rest[0].id) < number(&rest[1].id));

    // A fresh one is at its end at once; a reconnect past the end has nothing to come.
    let mut again = client.watch(&of(&id), None).await;
    let told = again.rest().await;
    assert_eq!(words(&told), ["snapshot"]);
    assert_eq!(told[0].data["result"], json!({ "pages": 3 }));
    assert_eq!(client.watch(&of(&id), Some(&rest[1].id)).await.status, StatusCode::NO_CONTENT);
    // In between it goes on where it was.
    let mut resumed = client.watch(&of(&id), Some(&rest[0].id)).await;
    assert_eq!(resumed.rest().await, rest[1..]);
}

#[tokio::test]
async fn a_stream_resumed_shows_what_a_live_one_has_shown_from_memory_and_from_the_store() {
    let mut server = quiet();
    let client = server.client();
    let mut live = client.watch(EVENTS, None).await;
    let begin = live.begin().await;
    let all = every_kind(&client).await;
    let told = live.take(all.len()).await;
    assert_eq!(words(&told), all);
    assert!(told.windows(2).all(|pair| number(&pair[0].id) < number(&pair[1].id)));
    for (place, event) in told.iter().enumerate() {
        let mut resumed = client.watch(EVENTS, Some(&event.id)).await;
        assert_eq!(resumed.take(told.len() - place - 1).await, told[place + 1..]);
    }
    drop(live);
    // After a restart nothing is in memory. What was deleted shows its last event only.
    server.signal("TERM");
    server.wait();
    server.start_again();
    let client = server.client();
    let deleted = told.iter().find(|event| event.event == "deleted").unwrap().data["id"].clone();
    let kept: Vec<Sse> =
        told.into_iter().filter(|event| event.data["id"] != deleted || event.event == "deleted").collect();
    let mut resumed = client.watch(EVENTS, Some(&begin)).await;
    assert_eq!(resumed.take(kept.len()).await, kept);
}

/// Makes one event of every kind; their words in order.
async fn every_kind(client: &Client) -> Vec<&'static str> {
    let work = async |body: Value| client.work(&body).await;
    let id = client
        .submit(&json!({ "operationType": "t", "input": [1], "retry": { "initialDelaySeconds": 0 } }))
        .await;
    let mut token = 0;
    let mut claimed = async || {
        token += 1;
        let claim =
            json!({ "workerId": "w", "claim": { "id": format!("c{token}"), "operationTypes": ["t"] } });
        let said = work(claim).await;
        assert_eq!(said["operations"][0]["lease"]["token"], token, "{said}");
        token
    };
    let report = async |token: i64, mut body: Value| {
        body["id"] = json!(id);
        body["leaseToken"] = json!(token);
        let said = work(json!({ "workerId": "w", "reports": [body] })).await;
        assert!(said["outcomes"][0].get("error").is_none(), "{said}");
    };
    let first = claimed().await;
    report(first, json!({ "status": "NotStarted" })).await;
    let second = claimed().await;
    report(second, json!({ "status": "Running", "percentComplete": 5 })).await;
    report(second, json!({ "status": "Failed", "error": { "code": "a", "message": "b\n" } })).await;
    until("the next attempt", async || {
        let said = client.operation(&id).await;
        (said["waiting"]["reason"] != "retryBackoff").then_some(())
    })
    .await;
    let third = claimed().await;
    assert_eq!(
        client.post(&format!("{OPERATIONS}/{id}/cancel"), &json!({})).await.status,
        StatusCode::ACCEPTED
    );
    report(third, json!({ "status": "Failed", "error": { "code": "a", "message": "b" } })).await;
    owners_kinds(client).await;
    vec![
        "created",
        "started",
        "released",
        "started",
        "progress",
        "retrying",
        "started",
        "canceling",
        "failed",
        "created",
        "updated",
        "completed",
        "created",
        "deleted",
    ]
}

/// Those that an owner makes.
async fn owners_kinds(client: &Client) {
    let other = client.submit(&json!({ "isExternal": true })).await;
    patch(client, &other, json!({ "percentComplete": 1 })).await;
    // With line ends between its tokens, as a person would write it.
    let body = "{ \"status\": \"Completed\",\r\n \"result\": {\n \"a\":\r 1 } }";
    let headers = [("content-type", "application/json")];
    let path = format!("{OPERATIONS}/{other}");
    assert_eq!(client.send(Method::PATCH, &path, &headers, body).await.status, StatusCode::OK);
    let gone = client.submit(&json!({ "status": "Failed" })).await;
    client.send(Method::DELETE, &format!("{OPERATIONS}/{gone}"), &[], "").await;
}

#[tokio::test]
async fn a_stream_of_many_shows_what_was_asked_for_and_one_tenant_only() {
    let server = quiet();
    let client = server.client();
    let one = client.submit(&json!({ "queue": "a", "operationType": "t" })).await;
    let watch = async |query: &str| {
        let mut stream = client.watch(&format!("{EVENTS}?{query}"), None).await;
        assert_eq!(stream.status, StatusCode::OK, "{query}");
        stream.begin().await;
        stream
    };
    let mut streams = BTreeMap::new();
    for query in [
        "",
        "queue=a",
        "queue=b",
        "operationType=t,u",
        "status=Failed",
        "status=NotStarted",
        &format!("ids={one}"),
    ] {
        streams.insert(query.to_owned(), watch(query).await);
    }
    let two = client.submit(&json!({ "queue": "b", "operationType": "u" })).await;
    client.post(&format!("{OPERATIONS}/{one}/cancel"), &json!({})).await;
    client.post(&format!("{OPERATIONS}/{two}/cancel"), &json!({})).await;
    let (created, first, second) = ("created", (&*one, "failed"), (&*two, "failed"));
    for (query, expected) in [
        ("", vec![(&*two, created), first, second]),
        ("queue=a", vec![first]),
        ("queue=b", vec![(&*two, created), second]),
        ("operationType=t,u", vec![(&*two, created), first, second]),
        ("status=Failed", vec![first, second]),
        ("status=NotStarted", vec![(&*two, created), first, second]),
        (&format!("ids={one}"), vec![first]),
    ] {
        let told = streams.get_mut(query).unwrap().take(expected.len()).await;
        let told: Vec<_> =
            told.iter().map(|event| (event.data["id"].as_str().unwrap(), &*event.event)).collect();
        assert_eq!(told, expected, "{query}");
    }
}

#[tokio::test]
async fn tenants_see_their_own_events_only() {
    let server = quiet();
    let scopes = ["--scope", "Operation.ReadWrite"];
    let ours = server.client().with_token(&token(&server, &scopes));
    let theirs = server.client().with_token(&token(&server, &[&scopes[..], &["--tenant", "acme"]].concat()));
    let mut stream = theirs.watch(EVENTS, None).await;
    stream.begin().await;
    let secret = ours.submit(&json!({})).await;
    let own = theirs.submit(&json!({})).await;
    assert_eq!(stream.next().await.unwrap().data["id"], json!(own));
    assert_eq!(theirs.watch(&of(&secret), None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_and_one_of_another_history_is_reset() {
    let server = quiet();
    let client = server.client();
    let id = external(&client).await;
    for path in [&*of(&id), EVENTS] {
        for bad in ["7", "x-1", "00000000-", "00000000-1-1"] {
            let answer = client.send(Method::GET, path, &[("last-event-id", bad)], "").await;
            assert_eq!((answer.status, &*answer.code()), (StatusCode::BAD_REQUEST, "invalidCursor"), "{bad}");
        }
    }
    for foreign in ["00000000-1", "00000000-0"] {
        let mut one = client.watch(&of(&id), Some(foreign)).await;
        let told = one.take(2).await;
        assert_eq!(words(&told), ["reset", "snapshot"]);
        assert_eq!(told[0].id, told[1].id);
        let mut many = client.watch(EVENTS, Some(foreign)).await;
        let reset = many.next().await.unwrap();
        assert_eq!((&*reset.event, &reset.id), ("reset", &told[0].id));
        // It goes on from there.
        patch(&client, &id, json!({ "percentComplete": 1 })).await;
        assert_eq!(many.next().await.unwrap().event, "updated");
    }
    let json = client.send(Method::GET, EVENTS, &[("accept", "application/json")], "").await;
    assert_eq!((json.status, &*json.code()), (StatusCode::NOT_ACCEPTABLE, "notAcceptable"));
    let nobody = client.send(Method::GET, &of(NOBODY), &[], "").await;
    assert_eq!((nobody.status, &*nobody.code()), (StatusCode::NOT_FOUND, "itemNotFound"));
    let unknown = client.get(&format!("{EVENTS}?api-version=1")).await;
    assert_eq!((unknown.status, &*unknown.code()), (StatusCode::BAD_REQUEST, "invalidRequest"));
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_says_when_to_come_again() {
    let mut server = quiet();
    let client = server.client();
    let id = external(&client).await;
    let mut one = client.watch(&of(&id), None).await;
    let mut many = client.watch(EVENTS, None).await;
    one.take(1).await;
    many.begin().await;
    server.signal("TERM");
    for stream in [&mut one, &mut many] {
        assert_eq!(stream.rest().await, []);
        assert!(stream.retry.is_some_and(|millis| (500..5000).contains(&millis)), "{:?}", stream.retry);
    }
    server.wait();
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_others_may_not() {
    let server = Server::start(&["--workers", "0", "--cors-origin", "https://a.example"]);
    let client = server.client();
    let ask =
        async |method, path: &str, headers: &[(&str, &str)]| client.send(method, path, headers, "").await;
    let ours = ("origin", "https://a.example");
    let preflight = [ours, ("access-control-request-method", "POST")];
    let told = ask(Method::OPTIONS, OPERATIONS, &preflight).await;
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.header("access-control-allow-origin"), Some("https://a.example"));
    assert!(told.header("access-control-allow-methods").unwrap().contains("PATCH"));
    let read = ask(Method::GET, &format!("{OPERATIONS}/{NOBODY}"), &[ours]).await;
    assert_eq!(read.status, StatusCode::NOT_FOUND);
    assert_eq!(read.header("access-control-allow-origin"), Some("https://a.example"));
    assert!(read.header("access-control-expose-headers").unwrap().contains("retry-after"));
    let theirs = ("origin", "https://b.example");
    let refused = ask(Method::GET, &format!("{OPERATIONS}/{NOBODY}"), &[theirs]).await;
    assert_eq!((refused.status, &*refused.code()), (StatusCode::FORBIDDEN, "accessDenied"));
    assert_eq!(refused.header("access-control-allow-origin"), None);
}
