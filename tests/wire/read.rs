//! Polling: one operation, now or once it has changed, and what became of its attempts.

use std::time::Instant;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NOBODY, below, claim, path, quiet, report};
use crate::support::{Answer, Client, PATIENCE, until};

async fn get(client: &Client, id: &str, headers: &[(&str, &str)]) -> Answer {
    client.send(Method::GET, &path(id), headers, "").await
}

#[tokio::test]
async fn an_operation_is_shown_with_its_tag_and_when_to_ask_again() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let first = get(&client, &id, &[("client-request-id", "c")]).await;
    assert_eq!((first.status, first.header("retry-after")), (StatusCode::OK, Some("1")));
    assert_eq!(first.header("client-request-id"), Some("c"));
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(get(&client, &id, &[]).await.header("etag"), Some(&*tag), "unchanged, so is its tag");
    let upper = get(&client, &id.to_uppercase(), &[]).await;
    assert_eq!(upper.value()["id"], id, "an id is read in either case");
    assert_eq!(client.get(&format!("{}?api-version=1&x", path(&id))).await.status, StatusCode::OK);

    let token = claim(&client, "shout", "c1").await;
    let running = get(&client, &id, &[]).await;
    assert_eq!(running.value()["status"], "Running");
    assert!(running.header("retry-after").is_some() && running.header("etag") != Some(&*tag));
    report(&client, json!({ "id": id, "leaseToken": token, "status": "Completed", "result": [1] })).await;
    let ended = get(&client, &id, &[]).await;
    assert_eq!(ended.header("retry-after"), None);
    let operation = ended.value();
    assert_eq!((&operation["status"], &operation["result"]), (&json!("Completed"), &json!([1])));
    assert!(operation["completedDateTime"].is_string() && operation["startedDateTime"].is_string());
}

#[tokio::test]
async fn a_delayed_one_says_when_to_ask_again() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "startDateTime": "2099-01-01T00:00:00Z" })).await;
    assert_eq!(get(&client, &id, &[]).await.header("retry-after"), Some("30"), "30 at most");
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({})).await;
    let tag = get(&client, &id, &[]).await.header("etag").unwrap().to_owned();
    let weak = format!("W/{tag}");
    let among = format!("\"1-1\", {tag}");
    for known in [&*tag, &*weak, &*among, "*"] {
        let answer = get(&client, &id, &[("if-none-match", known)]).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{known}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), Some(&*tag));
        assert!(answer.header("retry-after").is_some(), "it has not ended");
    }
    for unknown in ["\"0-0\"", "nonsense", ""] {
        let answer = get(&client, &id, &[("if-none-match", unknown)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{unknown}");
    }
    assert_eq!(get(&client, NOBODY, &[("if-none-match", "*")]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wait_ends_with_the_operation_and_one_with_a_tag_with_any_change() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let tag = get(&client, &id, &[]).await.header("etag").unwrap().to_owned();
    let waiting = |headers: Vec<(&'static str, String)>| {
        let (client, id) = (client.clone(), id.clone());
        tokio::spawn(async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
            get(&client, &id, &headers).await
        })
    };
    let until_change = waiting(vec![("prefer", "wait=60".to_owned()), ("if-none-match", tag)]);
    let until_end = waiting(vec![("prefer", "wait=60".to_owned())]);
    let token = claim(&client, "shout", "c1").await;
    let changed = tokio::time::timeout(PATIENCE, until_change).await.expect("a change ends it").unwrap();
    assert_eq!((changed.status, &changed.value()["status"]), (StatusCode::OK, &json!("Running")));
    assert!(!until_end.is_finished(), "this one waits for the end");
    let began = Instant::now();
    report(&client, json!({ "id": id, "leaseToken": token, "status": "Completed" })).await;
    let ended = tokio::time::timeout(PATIENCE, until_end).await.expect("its end ends it").unwrap();
    assert_eq!(ended.value()["status"], "Completed");
    assert_eq!(ended.header("preference-applied"), Some("wait=60"));
    assert!(began.elapsed() < PATIENCE);
    let at_once = get(&client, &id, &[("prefer", "wait=60")]).await;
    assert_eq!(at_once.status, StatusCode::OK, "one that has ended is waited for no longer");
}

#[tokio::test]
async fn a_wait_in_vain_is_answered_with_how_it_stands() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({})).await;
    let tag = get(&client, &id, &[]).await.header("etag").unwrap().to_owned();
    let plain = get(&client, &id, &[("prefer", "wait=1")]).await;
    assert_eq!((plain.status, &plain.value()["status"]), (StatusCode::OK, &json!("NotStarted")));
    assert!(plain.header("retry-after").is_some());
    let known = get(&client, &id, &[("prefer", "wait=1"), ("if-none-match", &tag)]).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    let none = get(&client, NOBODY, &[("prefer", "wait=60")]).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "nothing is waited for where nothing is");
}

#[tokio::test]
async fn one_that_waits_says_why() {
    let server = quiet();
    let client = server.client();
    let reason = |id: String| {
        let client = client.clone();
        async move { client.operation(&id).await["waiting"].clone() }
    };
    let unheard = client.submit(&json!({ "operationType": "unheard" })).await;
    let waiting = reason(unheard.clone()).await;
    assert_eq!(waiting["reason"], "noWorker");
    assert!(waiting["message"].is_string() && waiting.get("untilDateTime").is_none(), "{waiting}");
    let delayed = client.submit(&json!({ "startDateTime": "2099-01-01T00:00:00Z" })).await;
    let waiting = reason(delayed).await;
    assert_eq!(waiting["reason"], "delayed");
    assert_eq!(waiting["untilDateTime"], "2099-01-01T00:00:00.0000000Z");

    let id =
        client.submit(&json!({ "operationType": "shout", "retry": { "initialDelaySeconds": 3600 } })).await;
    let token = claim(&client, "shout", "c1").await;
    assert_eq!(reason(id.clone()).await, Value::Null, "it runs");
    let error = json!({ "code": "upstream", "message": "no" });
    report(&client, json!({ "id": id, "leaseToken": token, "status": "Failed", "error": error })).await;
    let waiting = reason(id.clone()).await;
    assert_eq!(waiting["reason"], "retryBackoff");
    assert_eq!(waiting["untilDateTime"], client.operation(&id).await["startDateTime"]);
    let second = client.submit(&json!({ "operationType": "shout" })).await;
    assert_eq!(reason(second).await["reason"], "ready", "a worker has asked for this type");
    assert_eq!(reason(unheard).await["reason"], "noWorker", "and for no other");
}

#[tokio::test]
async fn attempts_that_ended_badly_are_kept_and_the_one_that_runs_is_shown() {
    let server = quiet();
    let client = server.client();
    let attempts = |id: String| {
        let client = client.clone();
        async move { client.get(&below(&id, "attempts")).await.value()["value"].clone() }
    };
    let id = client.submit(&json!({ "operationType": "shout", "retry": { "initialDelaySeconds": 0 } })).await;
    assert_eq!(attempts(id.clone()).await, json!([]));
    let first = claim(&client, "shout", "c1").await;
    let running = attempts(id.clone()).await;
    assert_eq!((&running[0]["leaseToken"], &running[0]["workerId"]), (&json!(first), &json!("w")));
    assert!(running[0]["startedDateTime"].is_string() && running[0].get("endedDateTime").is_none());
    assert_eq!(running[0].get("outcome"), None);
    let error = json!({ "code": "upstream", "message": "no", "details": [{ "code": "a", "message": "b" }] });
    report(&client, json!({ "id": id, "leaseToken": first, "status": "Failed", "error": error })).await;
    until("the second attempt", || async {
        let want = json!({ "id": "c2", "operationTypes": ["shout"] });
        let answer = client.work(&json!({ "workerId": "w", "claim": want })).await;
        (!answer["operations"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let both = attempts(id.clone()).await;
    assert_eq!(both.as_array().unwrap().len(), 2, "{both}");
    assert_eq!((&both[0]["outcome"], &both[0]["error"]), (&json!("failed"), &error));
    assert!(both[0]["endedDateTime"].is_string());
    let second = both[1]["leaseToken"].as_i64().unwrap();
    assert!(second > first, "tokens only grow");
    let shown = client.operation(&id).await;
    assert_eq!((&shown["attemptsCount"], &shown["status"]), (&json!(2), &json!("Running")));
    report(&client, json!({ "id": id, "leaseToken": second, "status": "Completed" })).await;
    assert_eq!(attempts(id.clone()).await.as_array().unwrap().len(), 1, "what ended well leaves none");
    assert_eq!(client.operation(&id).await.get("error"), None, "it is forgiven");
}

#[tokio::test]
async fn ids_that_name_nothing_are_not_found() {
    let server = quiet();
    let client = server.client();
    for id in [NOBODY, "nonsense", "7986a22fa22f79862fa286792fa28679", "%00", "..%2fhealthz"] {
        for path in [path(id), below(id, "attempts")] {
            let answer = client.get(&path).await;
            assert_eq!((answer.status, &*answer.code()), (StatusCode::NOT_FOUND, "itemNotFound"), "{path}");
        }
    }
}
