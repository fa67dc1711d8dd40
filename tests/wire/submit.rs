//! Handing operations in: what comes back, when, and under which names.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{OPERATIONS, path, quiet};
use crate::support::{Answer, Client, PATIENCE, Server, until};

/// The example request of the document that the operation comes from, its status made a valid one.
const EXAMPLE: &str = r##"{"@odata.type":"#microsoft.graph.operation","status":"NotStarted","lastActionDateTime":"2017-01-01T00:02:27.6832592+03:00"}"##;

async fn submit(client: &Client, headers: &[(&str, &str)], body: &Value) -> Answer {
    client.post_with(OPERATIONS, headers, body).await
}

/// What every answer that shows an operation has; the operation.
fn shows(answer: &Answer) -> Value {
    let operation = answer.value();
    let ended = ["Completed", "Failed"].contains(&operation["status"].as_str().unwrap());
    let seconds = answer.header("retry-after").map(|seconds| seconds.parse::<u32>().unwrap());
    assert_eq!(seconds.is_none(), ended, "Retry-After until it has ended, and then none: {seconds:?}");
    assert!(seconds.is_none_or(|seconds| (1..=30).contains(&seconds)), "{seconds:?}");
    assert!(answer.status != StatusCode::ACCEPTED || !ended, "a 202 never shows one that has ended");
    let tag = answer.header("etag").expect("it has a tag");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.contains('-'), "{tag}");
    assert_eq!(operation["@odata.type"], "#microsoft.graph.operation");
    assert!(operation.as_object().unwrap().values().all(|value| !value.is_null()), "{operation}");
    operation
}

fn sorted(time: &Value) -> &str {
    let time = time.as_str().unwrap();
    assert!(time.len() == 28 && time.ends_with('Z'), "UTC with seven digits: {time}");
    time
}

#[tokio::test]
async fn the_example_of_the_document_is_taken_and_completes_by_itself() {
    let server = Server::start(&[]);
    let client = server.client();
    let json = [("content-type", "application/json")];
    let answer = client.send(Method::POST, OPERATIONS, &json, EXAMPLE).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let operation = shows(&answer);
    let id = operation["id"].as_str().unwrap();
    assert_eq!(id, uuid::Uuid::parse_str(id).unwrap().hyphenated().to_string());
    assert_eq!(operation["status"], "NotStarted");
    // Written in UTC, and the creation cannot lie after the last action.
    assert_eq!(operation["lastActionDateTime"], "2016-12-31T21:02:27.6832592Z");
    assert_eq!(operation["createdDateTime"], "2016-12-31T21:02:27.6832592Z");
    let ended = until("its completion", || async {
        let operation = client.operation(id).await;
        (operation["status"] == "Completed").then_some(operation)
    });
    let ended = ended.await;
    assert!(ended["statusDetail"].is_string(), "a bare one says what became of it: {ended}");
    assert!(sorted(&ended["lastActionDateTime"]) > "2020");
}

#[tokio::test]
async fn its_literal_status_is_refused_and_the_four_are_named() {
    let server = quiet();
    let literal = EXAMPLE.replace("NotStarted", "String");
    let json = [("content-type", "application/json")];
    let answer = server.client().send(Method::POST, OPERATIONS, &json, literal).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let error = &answer.value()["error"];
    assert_eq!((&error["code"], &error["target"]), (&json!("invalidRequest"), &json!("status")));
    assert_eq!(error["message"], "status: 'String' is not one of NotStarted, Running, Completed, Failed");
}

#[tokio::test]
async fn a_bare_body_gets_every_default_and_absolute_urls() {
    let server = quiet();
    let answer = submit(&server.client(), &[("client-request-id", "mine-7")], &json!({})).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let operation = shows(&answer);
    let id = operation["id"].as_str().unwrap();
    let url = format!("{}{}", server.url, path(id));
    assert_eq!(answer.header("location"), Some(&*url));
    assert_eq!(answer.header("operation-location"), Some(&*url));
    assert_eq!(answer.header("client-request-id"), Some("mine-7"));
    assert!(answer.header("request-id").is_some());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("idempotency-replayed"), None);
    assert_eq!(answer.header("preference-applied"), None);
    let shown = [
        ("status", json!("NotStarted")),
        ("queue", json!("default")),
        ("operationType", json!("noop")),
        ("priority", json!(0)),
        ("maxAttempts", json!(3)),
        ("attemptsCount", json!(0)),
    ];
    for (name, value) in shown {
        assert_eq!(operation[name], value, "{name}");
    }
    for absent in ["isExternal", "input", "result", "error", "labels", "waiting", "cancelRequested"] {
        assert_eq!(operation.get(absent), None, "{absent}");
    }
    assert!(sorted(&operation["createdDateTime"]) <= sorted(&operation["lastActionDateTime"]));
}

#[tokio::test]
async fn everything_a_client_may_say_is_kept() {
    let server = quiet();
    let client = server.client();
    let body = json!({
        "id": "7986A22F-A22F-7986-2FA2-86792FA28679", "queue": "media", "operationType": "thumbnail",
        "input": { "a": [1, null, "ü"] }, "priority": -100, "startDateTime": "2099-01-01T00:00:00Z",
        "expirationDateTime": "2099-01-02T00:00:00.5+01:00", "timeoutSeconds": 30, "maxAttempts": 1000,
        "retry": { "initialDelaySeconds": 2.5, "jitter": 0 }, "labels": { "team": "größer", "n": "" },
        "@odata.context": "ignored",
    });
    let made = submit(&client, &[], &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let id = "7986a22f-a22f-7986-2fa2-86792fa28679";
    for shown in [shows(&made), client.operation(id).await] {
        assert_eq!(shown["id"], id, "written in lower case");
        for name in ["queue", "operationType", "input", "priority", "timeoutSeconds", "maxAttempts", "labels"]
        {
            assert_eq!(shown[name], body[name], "{name}");
        }
        assert_eq!(shown["startDateTime"], "2099-01-01T00:00:00.0000000Z");
        assert_eq!(shown["expirationDateTime"], "2099-01-01T23:00:00.5000000Z");
        let retry =
            json!({ "initialDelaySeconds": 2.5, "factor": 2.0, "maxDelaySeconds": 3600.0, "jitter": 0.0 });
        assert_eq!(shown["retry"], retry);
    }
}

#[tokio::test]
async fn the_public_url_stands_in_links_whatever_host_was_asked() {
    let server = Server::start(&["--workers", "0", "--public-url", "https://ops.example/lr/"]);
    let answer = submit(&server.client(), &[], &json!({})).await;
    let url = format!("https://ops.example/lr{}", path(answer.value()["id"].as_str().unwrap()));
    assert_eq!(answer.header("location"), Some(&*url));
    assert_eq!(answer.header("operation-location"), Some(&*url));
}

#[tokio::test]
async fn respond_async_is_answered_with_202_and_a_repeat_with_200_once_it_has_ended() {
    let server = quiet();
    let client = server.client();
    let headers = [("prefer", "respond-async"), ("idempotency-key", "k")];
    let body = json!({ "operationType": "shout" });
    let first = submit(&client, &headers, &body).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!(first.header("preference-applied"), Some("respond-async"));
    assert!(first.header("location").is_some() && first.header("operation-location").is_some());
    let id = shows(&first)["id"].clone();

    let again = submit(&client, &headers, &body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, Some("true")));
    assert_eq!(shows(&again)["id"], id);

    let canceled = client.post(&format!("{}/cancel", path(id.as_str().unwrap())), &json!({})).await;
    assert_eq!(canceled.status, StatusCode::OK, "{}", canceled.text());
    let last = submit(&client, &headers, &body).await;
    assert_eq!((last.status, last.header("idempotency-replayed")), (StatusCode::OK, Some("true")));
    assert_eq!(shows(&last)["status"], "Failed");
    let plain = submit(&client, &headers[1..], &body).await;
    assert_eq!((plain.status, &shows(&plain)["id"]), (StatusCode::CREATED, &id));
}

#[tokio::test]
async fn one_that_is_created_ended_is_never_a_202() {
    let server = quiet();
    let body = json!({ "status": "Completed", "result": 7 });
    let answer = submit(&server.client(), &[("prefer", "respond-async")], &body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let operation = shows(&answer);
    assert_eq!((&operation["isExternal"], &operation["result"]), (&json!(true), &json!(7)));
}

#[tokio::test]
async fn wait_answers_when_it_has_ended_or_when_the_time_is_over() {
    let server = Server::start(&["--workers", "2"]);
    let client = server.client();
    for (prefer, nap, status, ended) in [
        ("wait=60", json!({}), StatusCode::CREATED, true),
        ("respond-async, wait=60", json!({}), StatusCode::CREATED, true),
        ("wait=1", json!({ "operationType": "nobody" }), StatusCode::CREATED, false),
        ("respond-async, wait=1", json!({ "operationType": "nobody" }), StatusCode::ACCEPTED, false),
    ] {
        let began = std::time::Instant::now();
        let answer = submit(&client, &[("prefer", prefer)], &nap).await;
        assert_eq!(answer.status, status, "{prefer}");
        assert_eq!(answer.header("preference-applied"), Some(prefer));
        assert_eq!(shows(&answer)["status"] == "Completed", ended, "{prefer}: {}", answer.text());
        assert!(began.elapsed() < PATIENCE, "{prefer}: it ends with the operation");
    }
    let more = submit(&client, &[("prefer", "wait=3600")], &json!({})).await;
    assert_eq!(more.header("preference-applied"), Some("wait=60"), "more than 60 is cut to 60");
    let odd = submit(&client, &[("prefer", "wait=soon, handling=lenient")], &json!({})).await;
    assert_eq!((odd.status, odd.header("preference-applied")), (StatusCode::CREATED, None));
}

#[tokio::test]
async fn times_of_clients_are_kept_where_they_can_be_true() {
    let server = quiet();
    let client = server.client();
    let first = shows(&submit(&client, &[], &json!({})).await);
    let today = &sorted(&first["createdDateTime"])[..10];
    let created = json!({ "createdDateTime": "2001-02-03T04:05:06.78901234Z" });
    let operation = shows(&submit(&client, &[], &created).await);
    assert_eq!(operation["createdDateTime"], "2001-02-03T04:05:06.7890123Z", "more digits are cut");
    assert!(sorted(&operation["lastActionDateTime"]) >= today, "{operation}");
    let both =
        json!({ "createdDateTime": "2001-01-01T00:00:00z", "lastActionDateTime": "2002-01-01T00:00:00Z" });
    let operation = shows(&submit(&client, &[], &both).await);
    assert_eq!(operation["lastActionDateTime"], "2002-01-01T00:00:00.0000000Z");

    for (body, target) in [
        (json!({ "createdDateTime": "2098-01-01T00:00:00Z" }), "createdDateTime"),
        (json!({ "lastActionDateTime": "2098-01-01T00:00:00Z" }), "lastActionDateTime"),
        (
            json!({ "createdDateTime": "2002-01-01T00:00:00Z", "lastActionDateTime": "2001-01-01T00:00:00Z" }),
            "createdDateTime",
        ),
        (json!({ "expirationDateTime": "2001-01-01T00:00:00Z" }), "expirationDateTime"),
        (
            json!({ "startDateTime": "2099-01-01T00:00:00Z", "expirationDateTime": "2098-01-01T00:00:00Z" }),
            "expirationDateTime",
        ),
        (json!({ "createdDateTime": "yesterday" }), "createdDateTime"),
        (json!({ "startDateTime": "2099-02-30T00:00:00Z" }), "startDateTime"),
    ] {
        let refused = submit(&client, &[], &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(refused.value()["error"]["target"], target, "{body}");
    }
}

#[tokio::test]
async fn a_repeat_of_a_key_or_an_id_is_the_same_operation_and_another_body_is_not() {
    let server = quiet();
    let client = server.client();
    let id = "7986a22f-a22f-7986-2fa2-86792fa28679";
    let key = [("idempotency-key", "\"k 1\"")];
    let json_type = ("content-type", "application/json");
    let made = submit(&client, &key, &json!({ "input": { "a": 1, "b": 2 } })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    // The same JSON in another order and with blanks, under the same key, bare.
    let spaced = r#"{ "input" : { "b":2, "a" : 1 } }"#;
    let again = client.send(Method::POST, OPERATIONS, &[json_type, ("idempotency-key", "k 1")], spaced).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, Some("true")));
    assert_eq!(again.value(), made.value());
    assert_eq!(again.header("location"), made.header("location"));
    let other = submit(&client, &key, &json!({ "input": { "a": 1.0, "b": 2 } })).await;
    assert_eq!((other.status, &*other.code()), (StatusCode::UNPROCESSABLE_ENTITY, "idempotencyKeyReused"));

    let named = json!({ "id": id, "queue": "media" });
    assert_eq!(submit(&client, &[], &named).await.status, StatusCode::CREATED);
    let again = submit(&client, &[], &named).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, Some("true")));
    let other = submit(&client, &[], &json!({ "id": id })).await;
    assert_eq!((other.status, &*other.code()), (StatusCode::CONFLICT, "idExists"));
    let torn = submit(&client, &key, &named).await;
    assert_eq!(torn.status.as_u16() / 100, 4, "a key and an id of different operations: {}", torn.text());
    assert_eq!((torn.status, &*torn.code()), (StatusCode::CONFLICT, "conflict"), "{}", torn.text());
}

#[tokio::test]
async fn keys_that_are_none_are_refused_and_change_nothing() {
    let server = quiet();
    let client = server.client();
    let long = "k".repeat(256);
    for bad in ["", "\"open", "\"a\"b\"", "\"\"", "a\tb", &long] {
        let refused = submit(&client, &[("idempotency-key", bad)], &json!({})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad:?}");
        assert_eq!(refused.value()["error"]["target"], "Idempotency-Key", "{bad:?}");
    }
    let twice = submit(&client, &[("idempotency-key", "a"), ("idempotency-key", "a")], &json!({})).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.get("/v1.0/queues").await.value()["value"], json!([]), "nothing was made");
    let longest = submit(&client, &[("idempotency-key", &long[1..])], &json!({})).await;
    assert_eq!(longest.status, StatusCode::CREATED);
}
