//! Queues: pausing and limiting them, what autoscalers ask, and which workers there are.

use http::{Method, StatusCode};
use longrun::limits;
use serde_json::{Value, json};

use super::{OPERATIONS, below, claim, path, quiet, report, token};
use crate::support::{Answer, Client, until};

const QUEUES: &str = "/v1.0/queues";

async fn patch(client: &Client, queue: &str, body: &Value) -> Answer {
    client.json(Method::PATCH, &format!("{QUEUES}/{queue}"), &[], body).await
}

async fn set(client: &Client, queue: &str, body: Value) -> Value {
    let answer = patch(client, queue, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.value()
}

async fn demand(client: &Client, queue: &str) -> Value {
    client.get(&format!("{QUEUES}/{queue}/demand")).await.value()
}

async fn reason(client: &Client, id: &str) -> Value {
    client.operation(id).await["waiting"]["reason"].clone()
}

#[tokio::test]
async fn a_queue_is_answered_as_the_list_shows_it_and_keeps_what_is_set() {
    let mut server = quiet();
    let client = server.client();
    client.submit(&json!({ "queue": "media" })).await;
    let mut expected = json!({
        "name": "media", "ready": 1, "delayed": 0, "running": 0, "completed": 0, "failed": 0,
        "oldestReadySeconds": 0, "paused": true, "maxRunning": 3, "maxWaiting": 0
    });
    let mut set_to = set(&client, "media", json!({ "paused": true, "maxRunning": 3, "maxWaiting": 0 })).await;
    set_to["oldestReadySeconds"] = json!(0);
    assert_eq!(set_to, expected);
    set(&client, "empty", json!({ "maxRunning": 1 })).await;
    server.kill();
    server.start_again();
    let client = server.client();
    let mut listed = client.get(QUEUES).await.value()["value"].take();
    listed[1]["oldestReadySeconds"] = json!(0);
    assert_eq!((&listed[0]["name"], &listed[0]["maxRunning"]), (&json!("empty"), &json!(1)));
    assert_eq!(listed[1], expected);
    let mut cleared = set(&client, "media", json!({ "maxRunning": null, "maxWaiting": null })).await;
    cleared["oldestReadySeconds"] = json!(0);
    for limit in ["maxRunning", "maxWaiting"] {
        expected.as_object_mut().unwrap().remove(limit);
    }
    assert_eq!(cleared, expected, "what is not named stays, and a limit that is gone is absent");
    assert_eq!(set(&client, "empty", json!({ "maxRunning": null })).await["ready"], 0);
    assert_eq!(client.get(QUEUES).await.value()["value"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_by_name_and_changes_nothing() {
    let server = quiet();
    let client = server.client();
    set(&client, "q", json!({ "maxRunning": 7 })).await;
    for (body, target) in [
        (json!({ "paused": null }), "paused"),
        (json!({ "paused": "yes" }), "paused"),
        (json!({ "maxRunning": -1 }), "maxRunning"),
        (json!({ "maxRunning": 1.5 }), "maxRunning"),
        (json!({ "maxRunning": "5" }), "maxRunning"),
        (json!({ "maxWaiting": 1_000_000_001 }), "maxWaiting"),
        (json!({ "maxWaitng": 1 }), "maxWaitng"),
        (json!({ "paused": true, "ready": 3 }), "ready"),
        (json!({ "paused": true, "name": "other" }), "name"),
    ] {
        let answer = patch(&client, "q", &body).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "invalidRequest".to_owned()));
        assert_eq!(answer.value()["error"]["target"], target, "{}", answer.text());
    }
    for wrong in ["-q", "a%20b", "%F0%9F%92%A9", &"n".repeat(129)] {
        for answer in
            [patch(&client, wrong, &json!({})).await, client.get(&format!("{QUEUES}/{wrong}/demand")).await]
        {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}: {}", answer.text());
            assert_eq!(answer.value()["error"]["target"], "name");
        }
    }
    let untouched = set(&client, "q", json!({})).await;
    assert_eq!((&untouched["paused"], &untouched["maxRunning"]), (&json!(false), &json!(7)));
}

#[tokio::test]
async fn a_waiting_operation_says_which_control_holds_it() {
    let server = quiet();
    let client = server.client();
    let ids = [client.submit(&json!({})).await, client.submit(&json!({})).await];
    assert_eq!(reason(&client, &ids[0]).await, "noWorker");
    set(&client, "default", json!({ "paused": true })).await;
    assert_eq!(reason(&client, &ids[0]).await, "queuePaused");
    set(&client, "default", json!({ "paused": false, "maxRunning": 1 })).await;
    assert_eq!(reason(&client, &ids[0]).await, "noWorker");
    let token = claim(&client, "noop", "c1").await;
    let waiting = client.operation(&ids[1]).await["waiting"].clone();
    assert_eq!(waiting["reason"], "queueLimit");
    assert!(waiting["message"].as_str().unwrap().contains("maxRunning is 1"), "{waiting}");
    report(&client, json!({ "id": ids[0], "leaseToken": token, "status": "Completed" })).await;
    assert_eq!(reason(&client, &ids[1]).await, "ready");
}

#[tokio::test]
async fn a_full_queue_answers_429_and_when_to_come_again_but_repeats_are_answered() {
    let server = quiet();
    let client = server.client();
    set(&client, "media", json!({ "maxWaiting": 1 })).await;
    let keyed = [("idempotency-key", "k")];
    let body = json!({ "queue": "media", "maxAttempts": 1 });
    let first = client.post_with(OPERATIONS, &keyed, &body).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let refused = client.post(OPERATIONS, &body).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "queueFull".to_owned()));
    let soon = limits::QUEUE_FULL_RETRY_SECONDS.to_string();
    assert_eq!(refused.header("retry-after"), Some(&*soon));
    let again = client.post_with(OPERATIONS, &keyed, &body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, Some("true")));
    client.submit(&json!({ "queue": "other" })).await;
    client.submit(&json!({ "queue": "media", "isExternal": true })).await;

    let id = first.value()["id"].as_str().unwrap().to_owned();
    let want = json!({ "id": "c", "queues": ["media"] });
    client.work(&json!({ "workerId": "w", "claim": want })).await;
    let broken =
        json!({ "id": id, "leaseToken": 1, "status": "Failed", "error": { "code": "c", "message": "m" } });
    report(&client, broken).await;
    client.submit(&body).await;
    let retry = client.post(&below(&id, "retry"), &json!({})).await;
    assert_eq!((retry.status, retry.code()), (StatusCode::TOO_MANY_REQUESTS, "queueFull".to_owned()));
    assert_eq!(retry.header("retry-after"), Some(&*soon));
    assert_eq!(client.operation(&id).await["status"], "Failed");
    set(&client, "media", json!({ "maxWaiting": null })).await;
    assert_eq!(client.post(&below(&id, "retry"), &json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_autoscaler_always_has_every_field() {
    let server = quiet();
    let client = server.client();
    let zeros = json!({ "ready": 0, "delayed": 0, "running": 0, "oldestReadySeconds": 0, "paused": false });
    assert_eq!(demand(&client, "never.was").await, zeros);
    for _ in 0..3 {
        client.submit(&json!({ "operationType": "t" })).await;
    }
    client.submit(&json!({ "startDateTime": "2099-01-01T00:00:00Z" })).await;
    claim(&client, "t", "c").await;
    set(&client, "default", json!({ "paused": true, "maxRunning": 1 })).await;
    let mut told = until("an age", || async {
        let told = demand(&client, "default").await;
        (told["oldestReadySeconds"].as_u64().unwrap() >= 1).then_some(told)
    })
    .await;
    told["oldestReadySeconds"] = json!(0);
    let expected = json!({ "ready": 2, "delayed": 1, "running": 1, "oldestReadySeconds": 0, "paused": true });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_servers_own_tasks_keep_to_a_pause_and_a_limit() {
    let server = crate::support::Server::start(&["--workers", "8"]);
    let client = server.client();
    set(&client, "default", json!({ "paused": true })).await;
    let id = client.submit(&json!({})).await;
    set(&client, "naps", json!({ "maxRunning": 2 })).await;
    for _ in 0..6 {
        let nap = json!({ "queue": "naps", "operationType": "sleep", "input": { "seconds": 0.2 } });
        client.submit(&nap).await;
    }
    let ended = || async {
        let naps = demand(&client, "naps").await;
        assert!(naps["running"].as_u64().unwrap() <= 2, "{naps}");
        (naps["ready"] == 0 && naps["running"] == 0).then_some(())
    };
    until("six naps, two at a time", ended).await;
    assert_eq!(reason(&client, &id).await, "queuePaused");
    set(&client, "default", json!({ "paused": false })).await;
    until("its end", || async { (client.operation(&id).await["status"] == "Completed").then_some(()) }).await;
}

#[tokio::test]
async fn workers_are_told_with_what_they_ask_for_from_where_and_what_they_hold() {
    let server = quiet();
    let client = server.client();
    assert_eq!(client.get("/v1.0/workers").await.value(), json!({ "value": [] }));
    let id = client.submit(&json!({ "queue": "media", "operationType": "t" })).await;
    let want = json!({ "id": "c", "queues": ["media", "more"], "operationTypes": ["t"], "leaseSeconds": 30 });
    client.work(&json!({ "workerId": "first:1", "claim": want })).await;
    client.work(&json!({ "workerId": "second:2", "claim": { "id": "c" } })).await;
    let told = client.get("/v1.0/workers").await.value()["value"].take();
    let (second, first) = (&told[0], &told[1]);
    assert_eq!(second["workerId"], "second:2");
    assert_eq!((&second["queues"], &second["running"]), (&json!(["default"]), &json!(0)));
    assert_eq!((second.get("operationTypes"), &second["operations"]), (None, &json!([])));
    assert_eq!((&first["workerId"], &first["address"]), (&json!("first:1"), &json!("127.0.0.1")));
    assert_eq!((&first["queues"], &first["operationTypes"]), (&json!(["media", "more"]), &json!(["t"])));
    assert!(first["lastAskedDateTime"].as_str().unwrap().ends_with('Z'), "{first}");
    assert_eq!(first["running"], 1);
    let held = &first["operations"][0];
    assert_eq!((&held["id"], &held["leaseToken"]), (&json!(id), &json!(1)));
    assert_eq!((&held["queue"], &held["operationType"]), (&json!("media"), &json!("t")));
    let seconds = held["leaseSeconds"].as_f64().unwrap();
    assert!(seconds > 0.0 && seconds <= 30.0, "{seconds}");

    let theirs = token(&server, &["--tenant", "acme", "--scope", "Operation.Manage"]);
    let other = server.client().with_token(&theirs);
    assert_eq!(other.get("/v1.0/workers").await.value(), json!({ "value": [] }));
    set(&other, "media", json!({ "paused": true })).await;
    assert_eq!(demand(&other, "media").await["running"], 0);
    let mine = token(&server, &["--scope", "Operation.Manage,Operation.Read"]);
    let mine = server.client().with_token(&mine);
    assert_eq!(demand(&mine, "media").await["paused"], false, "a tenant's queues are its own");
    assert_eq!(mine.get(&path(&id)).await.value()["status"], "Running");
}

#[tokio::test]
async fn of_many_workers_those_are_told_that_asked_last_and_of_what_one_holds_the_first() {
    let server = quiet();
    let client = server.client();
    let told = async || client.get("/v1.0/workers").await.value()["value"].take();
    let most = limits::WORKER_OPERATIONS_SHOWN_MAX;
    for _ in 0..=most {
        client.submit(&json!({ "queue": "media" })).await;
    }
    for (claim, limit, held) in [("c1", most - 1, most - 1), ("c2", 1, most), ("c3", 1, most + 1)] {
        let want = json!({ "id": claim, "queues": ["media"], "limit": limit, "leaseSeconds": 3600 });
        client.work(&json!({ "workerId": "busy", "claim": want })).await;
        let busy = &told().await[0];
        assert_eq!(busy["running"], held);
        assert_eq!(busy["operations"].as_array().unwrap().len(), held.min(most));
    }
    let most = limits::WORKERS_SHOWN_MAX;
    for number in 1..=most {
        let want = json!({ "id": "c", "queues": ["none"] });
        client.work(&json!({ "workerId": format!("w{number}"), "claim": want })).await;
        if number + 2 >= most {
            let workers = told().await;
            let workers = workers.as_array().unwrap();
            assert_eq!(workers.len(), (number + 1).min(most));
            assert_eq!(workers[0]["workerId"], json!(format!("w{number}")));
            assert_eq!(workers.iter().any(|worker| worker["workerId"] == "busy"), number < most);
        }
    }
}
