//! Workers: claims, reports, notices, and what a token may be narrowed to.

use http::StatusCode;
use longrun::limits;
use serde_json::{Value, json};

use super::{NOBODY, below, claim, path, quiet, report, token};
use crate::support::{Client, PATIENCE, Server, until};

const WORK: &str = "/v1.0/work";

/// One claim of a worker `w`; the whole answer.
async fn claims(client: &Client, want: Value) -> Value {
    client.work(&json!({ "workerId": "w", "claim": want })).await
}

/// How many turns the server's one door has made; nothing else makes one here but what the test sends.
async fn turns(client: &Client) -> u64 {
    client.get("/readyz").await.value()["turns"].as_u64().unwrap()
}

fn ids(answer: &Value) -> Vec<&str> {
    let operations = answer["operations"].as_array().unwrap();
    operations.iter().map(|operation| operation["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_answer_has_its_three_lists() {
    let server = quiet();
    let client = server.client();
    let empty = json!({ "outcomes": [], "operations": [], "notices": [] });
    assert_eq!(client.work(&json!({ "workerId": "w" })).await, empty);
    assert_eq!(claims(&client, json!({ "id": "c" })).await, empty);
    assert_eq!(client.work(&json!({ "workerId": "w", "reports": [] })).await, empty);
}

#[tokio::test]
async fn a_claim_takes_by_priority_and_then_by_arrival() {
    let server = quiet();
    let client = server.client();
    let mut expected = Vec::new();
    for (priority, operation_type) in [(0, "a"), (7, "b"), (0, "b"), (-3, "a"), (7, "a")] {
        let body = json!({ "priority": priority, "operationType": operation_type });
        expected.push((-priority, client.submit(&body).await));
    }
    expected.sort_by_key(|(priority, _)| *priority);
    let expected: Vec<_> = expected.iter().map(|(_, id)| &**id).collect();
    let first = claims(&client, json!({ "id": "c1" })).await;
    assert_eq!(ids(&first), &expected[..1], "one, where no limit is given");
    let next = claims(&client, json!({ "id": "c2", "limit": 2, "operationTypes": ["a", "b"] })).await;
    assert_eq!(ids(&next), &expected[1..3]);
    let rest = claims(&client, json!({ "id": "c3", "limit": 1000 })).await;
    assert_eq!(ids(&rest), &expected[3..]);
}

#[tokio::test]
async fn a_claimed_operation_is_as_it_is_read_with_its_lease() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "shout", "input": { "text": "x" } })).await;
    let mut claimed = claims(&client, json!({ "id": "c", "leaseSeconds": 7 })).await["operations"][0].take();
    let lease = claimed.as_object_mut().unwrap().remove("lease").unwrap();
    assert_eq!(lease["token"], 1);
    let seconds = lease["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0 && seconds <= 7.0, "{seconds}");
    assert_eq!(claimed, client.operation(&id).await);
    assert_eq!((&claimed["status"], &claimed["attemptsCount"]), (&json!("Running"), &json!(1)));
    let again = claims(&client, json!({ "id": "c", "leaseSeconds": 7 })).await;
    assert_eq!((ids(&again), &again["operations"][0]["lease"]["token"]), (vec![&*id], &json!(1)));
    let other = client.work(&json!({ "workerId": "v", "claim": { "id": "c" } })).await;
    assert_eq!(ids(&other), Vec::<&str>::new(), "a claim's id is its worker's own");
}

#[tokio::test]
async fn without_queues_the_default_one_is_asked() {
    let server = quiet();
    let client = server.client();
    let media = client.submit(&json!({ "queue": "media" })).await;
    assert_eq!(ids(&claims(&client, json!({ "id": "c1", "limit": 9 })).await), Vec::<&str>::new());
    let plain = client.submit(&json!({})).await;
    assert_eq!(ids(&claims(&client, json!({ "id": "c2", "limit": 9 })).await), [&*plain]);
    let both = claims(&client, json!({ "id": "c3", "limit": 9, "queues": ["default", "media"] })).await;
    assert_eq!(ids(&both), [&*media]);
}

#[tokio::test]
async fn a_claim_waits_for_an_operation_and_not_for_longer() {
    let server = quiet();
    let client = server.client();
    let before = turns(&client).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { claims(&client, json!({ "id": "c", "operationTypes": ["shout"], "waitSeconds": 30 })).await }
    });
    until("the claim to be waiting", || async { (turns(&client).await > before).then_some(()) }).await;
    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let answer = tokio::time::timeout(PATIENCE, waiting).await.expect("it is served at once").unwrap();
    assert_eq!(ids(&answer), [&*id]);
    let none = claims(&client, json!({ "id": "d", "operationTypes": ["nobody"], "waitSeconds": 1 })).await;
    assert_eq!(ids(&none), Vec::<&str>::new());
    // With reports in it a call does not wait.
    let bare = json!({ "id": NOBODY, "leaseToken": 1, "status": "Running" });
    let want = json!({ "id": "e", "operationTypes": ["nobody"], "waitSeconds": 30 });
    let call = json!({ "workerId": "w", "reports": [bare], "claim": want });
    let answer =
        tokio::time::timeout(PATIENCE / 2, client.work(&call)).await.expect("with reports it does not wait");
    assert_eq!(answer["outcomes"][0]["error"]["code"], "itemNotFound");
}

#[tokio::test]
async fn a_claim_stops_before_its_inputs_are_too_many() {
    let server = quiet();
    let client = server.client();
    let input = "x".repeat(limits::PAYLOAD_BYTES_MAX - 2);
    let most = limits::CLAIM_INPUT_BYTES_MAX / limits::PAYLOAD_BYTES_MAX;
    for _ in 0..most + 2 {
        client.submit(&json!({ "input": input })).await;
    }
    let first = claims(&client, json!({ "id": "c1", "limit": 100 })).await;
    assert_eq!(ids(&first).len(), most, "16 × 256 KiB are 4 MiB");
    assert!(first["operations"].as_array().unwrap().iter().all(|operation| operation["input"] == input));
    assert_eq!(ids(&claims(&client, json!({ "id": "c2", "limit": 100 })).await).len(), 2);
}

#[tokio::test]
async fn reports_are_answered_in_their_order_and_a_bad_one_fails_alone() {
    let server = quiet();
    let client = server.client();
    let mut held = Vec::new();
    for n in 0..4 {
        let id = client.submit(&json!({ "operationType": "shout" })).await;
        held.push((id, claim(&client, "shout", &format!("c{n}")).await));
    }
    let on = |n: usize| json!({ "id": held[n].0, "leaseToken": held[n].1 });
    let with = |n: usize, more: Value| {
        let mut report = on(n);
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        report
    };
    let reports = json!([
        with(0, json!({ "status": "Completed", "result": 7 })),
        with(1, json!({ "status": "Completed", "surprise": 1 })),
        with(1, json!({ "status": "Done" })),
        "no report",
        with(2, json!({ "status": "Running", "percentComplete": 40, "checkpoint": { "page": 5 } })),
        { "id": held[3].0, "leaseToken": 99, "status": "Completed" },
        { "id": NOBODY, "leaseToken": 1, "status": "Completed" },
        with(3, json!({ "status": "Failed" })),
        with(3, json!({ "status": "Failed", "error": { "code": "timeout", "message": "m" } })),
        with(3, json!({ "status": "Completed", "result": null })),
        with(3, json!({ "status": "Completed" })),
    ]);
    let answer = client.work(&json!({ "workerId": "w", "reports": reports })).await;
    let outcomes = answer["outcomes"].as_array().unwrap();
    let codes: Vec<_> =
        outcomes.iter().map(|outcome| outcome["error"]["code"].as_str().unwrap_or("ok")).collect();
    let invalid = "invalidRequest";
    assert_eq!(
        codes,
        ["ok", invalid, invalid, invalid, "ok", "leaseLost", "itemNotFound", invalid, invalid, "ok", "ok"],
        "{answer}"
    );
    assert_eq!(outcomes[0], json!({ "id": held[0].0 }));
    assert_eq!(
        (&outcomes[1]["id"], &outcomes[1]["error"]["target"]),
        (&json!(held[1].0), &json!("reports[1].surprise"))
    );
    assert!(outcomes[3].get("id").is_none() && outcomes[4]["leaseSeconds"].as_f64().unwrap() > 3000.0);
    assert_eq!(outcomes[10], json!({ "id": held[3].0, "repeated": true }));
    assert_eq!(client.operation(&held[1].0).await["status"], "Running", "a bad report changes nothing");
    assert_eq!(client.operation(&held[0].0).await["result"], 7);
    assert_eq!(client.operation(&held[2].0).await.get("checkpoint"), None, "only workers see it");
}

#[tokio::test]
async fn repeated_and_stale_reports_are_told_apart() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c").await;
    let done = json!({ "id": id, "leaseToken": token, "status": "Completed", "result": 1 });
    assert_eq!(report(&client, done.clone()).await.get("repeated"), None);
    let other = json!({ "id": id, "leaseToken": token, "status": "Completed", "result": 2 });
    assert_eq!(report(&client, other).await["repeated"], true, "what it says is not compared");
    assert_eq!(client.operation(&id).await["result"], 1, "the first time stands");
    let beat = json!({ "id": id, "leaseToken": token, "status": "Running" });
    let answer = client.work(&json!({ "workerId": "w", "reports": [beat] })).await;
    assert_eq!(answer["outcomes"][0]["error"]["code"], "ended", "{answer}");
}

#[tokio::test]
async fn an_attempt_is_given_back_uncounted_and_its_checkpoint_goes_to_the_next() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c").await;
    let checkpoint = json!({ "page": [5, null] });
    let beat = json!({ "id": id, "leaseToken": token, "status": "Running", "checkpoint": checkpoint });
    report(&client, beat).await;
    report(&client, json!({ "id": id, "leaseToken": token, "status": "NotStarted" })).await;
    let shown = client.operation(&id).await;
    assert_eq!((&shown["status"], &shown["attemptsCount"]), (&json!("NotStarted"), &json!(0)));
    let next = claims(&client, json!({ "id": "c2" })).await["operations"][0].clone();
    assert_eq!((&next["checkpoint"], &next["lease"]["token"]), (&checkpoint, &json!(token + 1)), "{next}");
    let attempts = client.get(&below(&id, "attempts")).await.value();
    assert_eq!(attempts["value"][0]["outcome"], "released");
}

#[tokio::test]
async fn a_failure_that_cannot_be_helped_ends_it_and_another_waits_as_told() {
    let server = quiet();
    let client = server.client();
    let error = json!({ "code": "upstream", "message": "no", "innerError": { "status": 502 } });
    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c").await;
    let failed =
        json!({ "id": id, "leaseToken": token, "status": "Failed", "error": error, "retryable": false });
    report(&client, failed).await;
    let ended = client.operation(&id).await;
    assert_eq!((&ended["status"], &ended["error"]), (&json!("Failed"), &error));

    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c2").await;
    let failed = json!({ "id": id, "leaseToken": token, "status": "Failed", "error": error, "retryAfterSeconds": 3600 });
    report(&client, failed).await;
    let waits = client.operation(&id).await;
    assert_eq!((&waits["status"], &waits["error"]), (&json!("NotStarted"), &error));
    assert!(waits["startDateTime"].as_str() > waits["lastActionDateTime"].as_str(), "{waits}");
    assert_eq!(client.get(&path(&id)).await.header("retry-after"), Some("30"));
}

#[tokio::test]
async fn a_waiting_worker_is_told_at_once_that_its_operation_is_to_end() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c").await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { claims(&client, json!({ "id": "d", "operationTypes": ["nobody"], "waitSeconds": 30 })).await }
    });
    let cancel = client.post(&below(&id, "cancel"), &json!({})).await;
    assert_eq!(cancel.status, StatusCode::ACCEPTED);
    let answer = tokio::time::timeout(PATIENCE / 2, waiting).await.expect("a notice ends the wait").unwrap();
    assert_eq!(answer["notices"], json!([{ "id": id, "leaseToken": token, "kind": "cancel" }]));
    let next = client.work(&json!({ "workerId": "w" })).await;
    assert_eq!(next["notices"], json!([]), "once for each lease");
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_lost_to_its_worker() {
    let server = quiet();
    let client = server.client();
    let body = json!({ "operationType": "shout", "timeoutSeconds": 1, "maxAttempts": 1 });
    let id = client.submit(&body).await;
    let token = claim(&client, "shout", "c").await;
    let answer = claims(&client, json!({ "id": "d", "operationTypes": ["nobody"], "waitSeconds": 30 })).await;
    assert_eq!(answer["notices"], json!([{ "id": id, "leaseToken": token, "kind": "lost" }]));
    let ended = client.operation(&id).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("Failed"), &json!("timeout")));
    let late = json!({ "id": id, "leaseToken": token, "status": "Completed" });
    let answer = client.work(&json!({ "workerId": "w", "reports": [late] })).await;
    assert_eq!(answer["outcomes"][0]["error"]["code"], "leaseLost");
}

#[tokio::test]
async fn a_call_that_is_wrong_is_refused_and_claims_nothing() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({})).await;
    let names: Vec<_> = (0..65).map(|n| format!("n{n}")).collect();
    for (body, target) in [
        (json!({}), "workerId"),
        (json!({ "workerId": "" }), "workerId"),
        (json!({ "workerId": "ü" }), "workerId"),
        (json!({ "workerId": "w".repeat(129) }), "workerId"),
        (json!({ "workerId": "w", "claim": {} }), "claim.id"),
        (json!({ "workerId": "w", "claim": { "id": "c", "queues": [] } }), "claim.queues"),
        (json!({ "workerId": "w", "claim": { "id": "c", "queues": names[..17] } }), "claim.queues"),
        (json!({ "workerId": "w", "claim": { "id": "c", "operationTypes": [] } }), "claim.operationTypes"),
        (json!({ "workerId": "w", "claim": { "id": "c", "operationTypes": names } }), "claim.operationTypes"),
        (json!({ "workerId": "w", "claim": { "id": "c", "limit": 0 } }), "claim.limit"),
        (json!({ "workerId": "w", "claim": { "id": "c", "limit": 1001 } }), "claim.limit"),
        (json!({ "workerId": "w", "claim": { "id": "c", "leaseSeconds": 0 } }), "claim.leaseSeconds"),
        (json!({ "workerId": "w", "claim": { "id": "c", "leaseSeconds": 3601 } }), "claim.leaseSeconds"),
        (json!({ "workerId": "w", "claim": { "id": "c", "waitSeconds": 31 } }), "claim.waitSeconds"),
        (json!({ "workerId": "w", "claim": { "id": "c", "more": 1 } }), "claim.more"),
        (json!({ "workerId": "w", "more": 1 }), "more"),
        (json!({ "workerId": "w", "reports": {} }), "reports"),
    ] {
        let refused = client.post(WORK, &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(refused.value()["error"]["target"], target, "{}", refused.text());
    }
    assert_eq!(client.operation(&id).await["status"], "NotStarted");
}

#[tokio::test]
async fn a_thousand_reports_are_taken_and_no_more() {
    let server = quiet();
    let client = server.client();
    let bare = json!({ "id": NOBODY, "leaseToken": 1, "status": "Running" });
    let call = |count: usize| json!({ "workerId": "w", "reports": vec![bare.clone(); count] });
    let most = client.work(&call(1000)).await;
    assert_eq!(most["outcomes"].as_array().unwrap().len(), 1000);
    let more = client.post(WORK, &call(1001)).await;
    assert_eq!((more.status, &*more.code()), (StatusCode::PAYLOAD_TOO_LARGE, "payloadTooLarge"));
}

#[tokio::test]
async fn a_token_that_is_narrowed_to_queues_claims_and_reports_in_them_only() {
    let server = Server::start(&["--workers", "0"]);
    let writes =
        server.client().with_token(&token(&server, &["--scope", "Operation.ReadWrite,Operation.Execute"]));
    let narrow = token(&server, &["--scope", "Operation.Execute", "--queue", "media,audio"]);
    let narrow = server.client().with_token(&narrow);
    let media = writes.submit(&json!({ "queue": "media" })).await;
    let other = writes.submit(&json!({})).await;
    for queues in [json!({ "id": "c" }), json!({ "id": "c", "queues": ["media", "default"] })] {
        let refused = narrow.post(WORK, &json!({ "workerId": "w", "claim": queues })).await;
        assert_eq!((refused.status, &*refused.code()), (StatusCode::FORBIDDEN, "accessDenied"));
    }
    let claimed = claims(&narrow, json!({ "id": "d", "limit": 9, "queues": ["media", "audio"] })).await;
    assert_eq!(ids(&claimed), [&*media]);
    let token = claim(&writes, "noop", "e").await;
    let report = json!({ "id": other, "leaseToken": token, "status": "Completed" });
    let answer = narrow.work(&json!({ "workerId": "w", "reports": [report] })).await;
    assert_eq!(answer["outcomes"][0]["error"]["code"], "itemNotFound", "{answer}");
    assert_eq!(writes.operation(&other).await["status"], "Running");
}
