//! A server to test handlers against: it keeps nothing, and its clock can be set ahead.

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use longrun::limits;
use serde_json::{Value, json};

use super::{below, claim, longrun, quiet, report, run};
use crate::support::{Client, Server, until};

const ADVANCE: &str = "/v1.0/test/advance";

fn with_test_clock() -> Server {
    Server::start_with_test_clock(&["--workers", "0"])
}

/// Sets the clock ahead; what it shows then.
async fn advance(client: &Client, seconds: u64) -> String {
    let answer = client.post(ADVANCE, &json!({ "seconds": seconds })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.value()["currentDateTime"].as_str().expect("it says what time it is").to_owned()
}

/// A moment so many hours from now, by the server's clock.
async fn in_hours(client: &Client, hours: i64) -> String {
    (moment(&json!(advance(client, 0).await)) + TimeDelta::hours(hours)).to_rfc3339()
}

fn moment(time: &Value) -> DateTime<Utc> {
    time.as_str().expect("a time is a text").parse().expect("it is a time")
}

async fn waits_for(client: &Client, id: &str) -> Value {
    client.operation(id).await["waiting"]["reason"].clone()
}

#[tokio::test]
async fn a_delayed_start_and_a_backoff_are_over_when_the_clock_was_set_past_them() {
    let server = with_test_clock();
    let client = server.client();
    let tomorrow = in_hours(&client, 24).await;
    let delayed = client.submit(&json!({ "operationType": "a", "startDateTime": tomorrow })).await;
    assert_eq!(waits_for(&client, &delayed).await, "delayed");
    advance(&client, 23 * 3600).await;
    assert_eq!(waits_for(&client, &delayed).await, "delayed");
    advance(&client, 3601).await;
    let token = claim(&client, "a", "c1").await;
    let failed = json!({ "id": delayed, "leaseToken": token, "status": "Failed", "retryAfterSeconds": 600,
        "error": { "code": "upstream", "message": "busy" } });
    report(&client, failed).await;
    assert_eq!(waits_for(&client, &delayed).await, "retryBackoff");
    // Up to a fifth more, by chance.
    advance(&client, 721).await;
    assert_eq!(claim(&client, "a", "c2").await, token + 1);
}

#[tokio::test]
async fn a_lease_ends_at_its_own_moment_and_what_waits_longer_outlives_it() {
    let server = with_test_clock();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "a", "maxAttempts": 2 })).await;
    let want = json!({ "id": "c", "operationTypes": ["a"], "leaseSeconds": 30 });
    client.work(&json!({ "workerId": "w", "claim": want })).await;
    let later = advance(&client, 3600).await;
    let attempt = client.get(&below(&id, "attempts")).await.value()["value"][0].clone();
    assert_eq!(attempt["outcome"], "leaseExpired");
    let held = moment(&attempt["endedDateTime"]) - moment(&attempt["startedDateTime"]);
    assert!((30..40).contains(&held.num_seconds()), "it was held for {held}, until {later} came");
    assert_eq!(client.operation(&id).await["status"], "NotStarted");
}

#[tokio::test]
async fn a_waiting_claim_gets_what_became_ready_with_its_whole_lease() {
    let server = with_test_clock();
    let client = server.client();
    let delayed =
        json!({ "operationType": "a", "maxAttempts": 1, "startDateTime": in_hours(&client, 1).await });
    let id = client.submit(&delayed).await;
    let turns = || async { client.get("/readyz").await.value()["turns"].as_u64().expect("it counts turns") };
    let before = turns().await;
    let want = json!({ "id": "c", "operationTypes": ["a"], "leaseSeconds": 30, "waitSeconds": 30 });
    let worker = client.clone();
    let call = tokio::spawn(async move { worker.work(&json!({ "workerId": "w", "claim": want })).await });
    until("the claim waits", || async { (turns().await > before).then_some(()) }).await;
    advance(&client, 24 * 3600).await;
    let claimed = call.await.expect("the call is answered");
    assert_eq!(claimed["operations"][0]["id"], id.as_str(), "{claimed}");
    let token = claimed["operations"][0]["lease"]["token"].clone();
    let outcome = report(&client, json!({ "id": id, "leaseToken": token, "status": "Completed" })).await;
    assert_eq!(outcome, json!({ "id": id }));
}

#[tokio::test]
async fn what_falls_due_on_the_way_happens_in_its_order() {
    let server = with_test_clock();
    let client = server.client();
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for hours in [3, 1, 2] {
            let expires =
                json!({ "operationType": "a", "expirationDateTime": in_hours(&client, hours).await });
            ids.push(client.submit(&expires).await);
        }
        ids
    };
    let mut events = client.watch("/v1.0/events", None).await;
    advance(&client, 24 * 3600).await;
    let ended = events.take(ids.len()).await;
    let ended: Vec<_> = ended.iter().map(|event| (&*event.event, &event.data["id"])).collect();
    let expected = [1, 2, 0].map(|at| json!(ids[at]));
    assert_eq!(ended, [("failed", &expected[0]), ("failed", &expected[1]), ("failed", &expected[2])]);
}

#[tokio::test]
async fn the_clock_goes_forward_only_and_by_a_number_of_seconds() {
    let server = with_test_clock();
    let client = server.client();
    let before = advance(&client, 60).await;
    let most = limits::TRAVEL_MAX.as_secs();
    for wrong in
        [json!({}), json!({ "seconds": -1 }), json!({ "seconds": "1" }), json!({ "seconds": most + 1 })]
    {
        let answer = client.post(ADVANCE, &wrong).await;
        assert_eq!((answer.status, &*answer.code()), (StatusCode::BAD_REQUEST, "invalidRequest"), "{wrong}");
    }
    assert!(advance(&client, 0).await > before);
    for far in [most - 1, most] {
        advance(&client, far).await;
    }
}

#[tokio::test]
async fn an_ordinary_server_has_no_such_route() {
    let answer = quiet().client().post(ADVANCE, &json!({ "seconds": 1 })).await;
    assert_eq!((answer.status, &*answer.code()), (StatusCode::NOT_FOUND, "itemNotFound"));
}

#[test]
fn a_server_that_keeps_nothing_is_given_no_place_for_it() {
    let ended = run(longrun(&["dev", "--data", "somewhere"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("longrun serve"), "{ended:?}");
}
