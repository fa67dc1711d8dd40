//! Changing operations from outside: advancing external ones, cancel, retry, delete.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{NOBODY, OPERATIONS, below, claim, path, quiet, report};
use crate::support::{Answer, Client, until};

async fn patch(client: &Client, id: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    client.json(Method::PATCH, &path(id), headers, body).await
}

async fn ask(client: &Client, id: &str, what: &str) -> Answer {
    client.send(Method::POST, &below(id, what), &[], "").await
}

async fn delete(client: &Client, id: &str) -> Answer {
    client.send(Method::DELETE, &path(id), &[], "").await
}

fn is_conflict(answer: &Answer) -> bool {
    answer.status == StatusCode::CONFLICT && answer.code() == "conflict"
}

#[tokio::test]
async fn an_external_operation_goes_as_its_owner_says() {
    let server = quiet();
    let client = server.client();
    let body = json!({ "status": "Running", "percentComplete": 5, "labels": { "a": "b" }, "input": 1 });
    let made = client.post(OPERATIONS, &body).await;
    let operation = made.value();
    assert_eq!((made.status, &operation["isExternal"]), (StatusCode::CREATED, &json!(true)));
    assert!(made.header("retry-after").is_some());
    let id = operation["id"].as_str().unwrap();

    let half = json!({ "percentComplete": 50, "statusDetail": "half" });
    let patched = patch(&client, id, &[], &half).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
    assert_ne!(patched.header("etag"), made.header("etag"));
    assert!(patched.header("retry-after").is_some());
    let shown = client.operation(id).await;
    assert_eq!((&shown["percentComplete"], &shown["statusDetail"]), (&json!(50), &json!("half")));
    assert_eq!(shown["labels"], json!({ "a": "b" }), "the rest stays");
    let back = patch(&client, id, &[], &json!({ "status": "NotStarted" })).await;
    assert!(is_conflict(&back), "a status never goes back: {}", back.text());

    let url = "https://files.example/7";
    let done = json!({ "status": "Completed", "result": { "n": 1 }, "resourceLocation": url });
    let ended = patch(&client, id, &[], &done).await;
    assert_eq!((ended.status, ended.header("retry-after")), (StatusCode::OK, None));
    assert_eq!(ended.value()["resourceLocation"], url);
    let again = patch(&client, id, &[], &done).await;
    assert_eq!((again.status, again.header("etag")), (StatusCode::OK, ended.header("etag")), "said twice");
    for other in
        [json!({ "status": "Failed", "error": { "code": "a", "message": "b" } }), json!({ "result": 2 })]
    {
        let refused = patch(&client, id, &[], &other).await;
        assert!(is_conflict(&refused), "what has ended stays as it is: {}", refused.text());
    }
    assert_eq!(client.operation(id).await["result"], json!({ "n": 1 }));
}

#[tokio::test]
async fn an_external_operation_is_never_queued_and_may_end_at_once() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "isExternal": true, "operationType": "shout" })).await;
    let want = json!({ "workerId": "w", "claim": { "id": "c" } });
    assert_eq!(client.work(&want).await["operations"], json!([]));
    assert_eq!(client.get("/v1.0/queues").await.value()["value"], json!([]));
    let bare = patch(&client, &id, &[], &json!({ "status": "Failed" })).await;
    assert_eq!(bare.status, StatusCode::BAD_REQUEST, "a failure needs its error: {}", bare.text());
    let error = json!({ "code": "upstream", "message": "no", "target": "x", "innerError": null });
    let failed = patch(&client, &id, &[], &json!({ "status": "Failed", "error": error })).await;
    assert_eq!((failed.status, &failed.value()["error"]), (StatusCode::OK, &error), "{}", failed.text());
    let retried = ask(&client, &id, "retry").await;
    assert!(is_conflict(&retried), "{}", retried.text());

    let refused = client.post(OPERATIONS, &json!({ "isExternal": false, "status": "Running" })).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.value()["error"]["target"], "isExternal");
}

#[tokio::test]
async fn a_patch_under_another_tag_changes_nothing() {
    let server = quiet();
    let client = server.client();
    let made = client.post(OPERATIONS, &json!({ "status": "Running" })).await;
    let id = made.value()["id"].as_str().unwrap().to_owned();
    let tag = made.header("etag").unwrap().to_owned();
    let weak = format!("W/{tag}");
    let more = json!({ "percentComplete": 1 });
    for other in ["\"0-0\"", &weak, "nonsense"] {
        let refused = patch(&client, &id, &[("if-match", other)], &more).await;
        let found = (refused.status, &*refused.code());
        assert_eq!(found, (StatusCode::PRECONDITION_FAILED, "preconditionFailed"), "{other}");
    }
    assert_eq!(client.get(&path(&id)).await.header("etag"), Some(&*tag));
    assert_eq!(patch(&client, &id, &[("if-match", &tag)], &more).await.status, StatusCode::OK);
    let stale = patch(&client, &id, &[("if-match", &tag)], &more).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "the tag has changed");
    assert_eq!(patch(&client, &id, &[("if-match", "*")], &more).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_queued_operation_is_advanced_by_its_worker_only() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({})).await;
    let refused = patch(&client, &id, &[], &json!({ "status": "Running" })).await;
    assert!(is_conflict(&refused), "{}", refused.text());
    assert_eq!(client.operation(&id).await["status"], "NotStarted");
    for (body, target) in [
        (json!({ "status": "Done" }), "status"),
        (json!({ "queue": "media" }), "queue"),
        (json!({ "percentComplete": 101 }), "percentComplete"),
        (json!({ "result": 1, "resourceLocation": "no url" }), "resourceLocation"),
        (json!({ "error": { "code": "canceled", "message": "m" } }), "error.code"),
    ] {
        let refused = patch(&client, &id, &[], &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(refused.value()["error"]["target"], target, "{}", refused.text());
    }
}

#[tokio::test]
async fn what_waits_is_canceled_at_once_and_what_runs_when_its_worker_has_heard() {
    let server = quiet();
    let client = server.client();
    let waits = client.submit(&json!({ "operationType": "other" })).await;
    for _ in 0..2 {
        let canceled = ask(&client, &waits, "cancel").await;
        assert_eq!((canceled.status, canceled.header("retry-after")), (StatusCode::OK, None));
        let operation = canceled.value();
        assert_eq!(
            (&operation["status"], &operation["error"]["code"]),
            (&json!("Failed"), &json!("canceled"))
        );
    }

    let runs = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c").await;
    let first = ask(&client, &runs, "cancel").await;
    assert_eq!((first.status, &first.value()["cancelRequested"]), (StatusCode::ACCEPTED, &json!(true)));
    assert!(first.header("retry-after").is_some());
    let second = ask(&client, &runs, "cancel").await;
    assert_eq!((second.status, second.header("etag")), (StatusCode::ACCEPTED, first.header("etag")));
    let heard = report(&client, json!({ "id": runs, "leaseToken": token, "status": "Running" })).await;
    assert_eq!(heard["cancelRequested"], true);
    assert!(heard["leaseSeconds"].as_f64().unwrap() <= 30.0, "{heard}");
    let error = json!({ "code": "stopped", "message": "as asked" });
    report(&client, json!({ "id": runs, "leaseToken": token, "status": "Failed", "error": error })).await;
    let ended = client.operation(&runs).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("Failed"), &json!("canceled")));

    let late = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c2").await;
    assert_eq!(ask(&client, &late, "cancel").await.status, StatusCode::ACCEPTED);
    report(&client, json!({ "id": late, "leaseToken": token, "status": "Completed" })).await;
    assert_eq!(client.operation(&late).await["status"], "Completed", "it was too late");
    let refused = ask(&client, &late, "cancel").await;
    assert!(is_conflict(&refused), "{}", refused.text());
}

#[tokio::test]
async fn the_owner_of_an_external_one_sees_that_its_end_is_asked_for() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "status": "Running" })).await;
    assert_eq!(ask(&client, &id, "cancel").await.status, StatusCode::ACCEPTED);
    assert_eq!(client.operation(&id).await["cancelRequested"], true);
    let error = json!({ "code": "stopped", "message": "as asked" });
    let ended = patch(&client, &id, &[], &json!({ "status": "Failed", "error": error })).await;
    assert_eq!((ended.status, &ended.value()["status"]), (StatusCode::OK, &json!("Failed")));
    let again = ask(&client, &id, "cancel").await;
    assert_eq!(again.status, StatusCode::OK, "its outcome is canceled: {}", again.text());
}

#[tokio::test]
async fn a_failed_one_is_retried_with_all_its_attempts() {
    let server = quiet();
    let client = server.client();
    let body = json!({ "operationType": "shout", "maxAttempts": 1, "input": "x" });
    let id = client.submit(&body).await;
    let early = ask(&client, &id, "retry").await;
    assert!(is_conflict(&early), "{}", early.text());
    let first = claim(&client, "shout", "c").await;
    let error = json!({ "code": "upstream", "message": "no" });
    let failed =
        json!({ "id": id, "leaseToken": first, "status": "Failed", "percentComplete": 9, "error": error });
    report(&client, failed).await;
    assert_eq!(client.operation(&id).await["status"], "Failed");
    let retried = ask(&client, &id, "retry").await;
    assert_eq!(retried.status, StatusCode::OK, "{}", retried.text());
    assert!(retried.header("retry-after").is_some());
    let operation = retried.value();
    assert_eq!((&operation["status"], &operation["attemptsCount"]), (&json!("NotStarted"), &json!(0)));
    assert_eq!(operation.get("percentComplete"), None);
    let second = claim(&client, "shout", "c2").await;
    assert!(second > first, "the token goes on");
    report(&client, json!({ "id": id, "leaseToken": second, "status": "Completed" })).await;
    assert!(is_conflict(&ask(&client, &id, "retry").await));
    let history = client.get(&below(&id, "attempts")).await.value();
    assert_eq!(history["value"][0]["leaseToken"], first, "the history is kept");
}

#[tokio::test]
async fn deleting_frees_key_and_id() {
    let server = quiet();
    let client = server.client();
    let body = json!({ "id": "7986a22f-a22f-7986-2fa2-86792fa28679" });
    let key = [("idempotency-key", "k")];
    let made = client.post_with(OPERATIONS, &key, &body).await;
    let id = made.value()["id"].as_str().unwrap().to_owned();
    let live = delete(&client, &id).await;
    assert!(is_conflict(&live), "only what has ended: {}", live.text());
    assert_eq!(ask(&client, &id, "cancel").await.status, StatusCode::OK);
    let gone = delete(&client, &id).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(client.get(&path(&id)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(delete(&client, &id).await.status, StatusCode::NOT_FOUND);

    // Another body under both: no repeat of what is gone.
    let other = json!({ "id": id, "input": "new" });
    let new = client.post_with(OPERATIONS, &key, &other).await;
    assert_eq!(
        (new.status, new.header("idempotency-replayed")),
        (StatusCode::CREATED, None),
        "{}",
        new.text()
    );
    assert_ne!(new.header("etag"), made.header("etag"), "an old tag never fits the new one");
    let known = [("if-none-match", made.header("etag").unwrap())];
    assert_eq!(client.send(Method::GET, &path(&id), &known, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_that_still_waits_at_its_expiration_fails() {
    let server = quiet();
    let client = server.client();
    let soon = in_seconds(&client, 1).await;
    let id = client.submit(&json!({ "operationType": "nobody", "expirationDateTime": soon })).await;
    let ended = until("its expiry", || async {
        let operation = client.operation(&id).await;
        (operation["status"] == "Failed").then_some(operation)
    });
    let ended = ended.await;
    assert_eq!(ended["error"]["code"], "expired");
    assert!(ended["completedDateTime"].as_str() >= Some(&*soon), "not before: {ended}");
}

/// A moment so many seconds after the server's own.
async fn in_seconds(client: &Client, seconds: i64) -> String {
    let ready = client.get("/readyz").await.value();
    let now = chrono::DateTime::parse_from_rfc3339(ready["clock"]["now"].as_str().unwrap()).unwrap();
    let then = now.to_utc() + chrono::TimeDelta::seconds(seconds);
    then.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_change() {
    let server = quiet();
    let client = server.client();
    for id in [NOBODY, "nonsense"] {
        for answer in [
            patch(&client, id, &[("if-match", "\"1-1\"")], &json!({})).await,
            ask(&client, id, "cancel").await,
            ask(&client, id, "retry").await,
            delete(&client, id).await,
        ] {
            assert_eq!((answer.status, &*answer.code()), (StatusCode::NOT_FOUND, "itemNotFound"));
        }
    }
}
