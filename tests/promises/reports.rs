//! What a worker hears when it says something twice, too late, or with a token that is not its own.

use serde_json::{Value, json};

use crate::support::{Client, Server, until};

const TYPE: &str = "reported";

async fn submit(client: &Client, backoff_seconds: u32) -> String {
    client.submit(&json!({"operationType": TYPE, "retry": {"initialDelaySeconds": backoff_seconds}})).await
}

fn claim(id: &str, limit: u32, lease_seconds: u32) -> Value {
    json!({"id": id, "operationTypes": [TYPE], "limit": limit, "leaseSeconds": lease_seconds})
}

async fn claimed(client: &Client, claim: Value) -> Vec<(String, i64)> {
    let answer = client.work(&json!({"workerId": "w", "claim": claim})).await;
    let operations = answer["operations"].as_array().expect("operations are always there");
    let held = |operation: &Value| {
        let token = operation["lease"]["token"].as_i64().expect("a lease has a token");
        (operation["id"].as_str().expect("an operation has an id").to_owned(), token)
    };
    operations.iter().map(held).collect()
}

/// Submits one and takes it.
async fn taken(client: &Client, name: &str, backoff_seconds: u32) -> (String, i64) {
    let id = submit(client, backoff_seconds).await;
    let held = claimed(client, claim(name, 1, 60)).await;
    assert_eq!(held, [(id.clone(), held[0].1)]);
    held.into_iter().next().expect("one was taken")
}

/// Says one thing of an attempt: what is answered.
async fn say(client: &Client, id: &str, token: i64, status: &str) -> String {
    let mut report = json!({"id": id, "leaseToken": token, "status": status});
    match status {
        "Failed" => report["error"] = json!({"code": "broken", "message": "It broke."}),
        "Completed" => report["result"] = json!({"by": token}),
        _ => {}
    }
    let answer = client.work(&json!({"workerId": "w", "reports": [report]})).await;
    let outcome = &answer["outcomes"][0];
    assert_eq!(outcome["id"], id, "{answer}");
    match (outcome["error"]["code"].as_str(), outcome["repeated"].as_bool()) {
        (Some(code), _) => code.to_owned(),
        (None, Some(true)) => "repeated".to_owned(),
        (None, _) => "ok".to_owned(),
    }
}

/// What each further report of an attempt is answered, once it has ended with `status`.
async fn assert_over(client: &Client, id: &str, token: i64, status: &str) {
    for said in ["Completed", "Failed", "NotStarted"] {
        let expected = if said == status { "repeated" } else { "leaseLost" };
        assert_eq!(say(client, id, token, said).await, expected, "{said} after {status}");
    }
    assert_eq!(say(client, id, token, "Running").await, "ended", "a heartbeat after {status}");
    assert_eq!(say(client, id, token + 7, "Running").await, "leaseLost", "a token never given");
    assert_eq!(say(client, id, token + 7, status).await, "leaseLost", "a token never given");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_report_is_told_so_and_changes_nothing_also_after_a_restart() {
    let mut server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let mut ended = Vec::new();
    for status in ["Completed", "Failed", "NotStarted"] {
        let (id, token) = taken(&client, status, 600).await;
        assert_eq!(say(&client, &id, token, "Running").await, "ok");
        assert_eq!(say(&client, &id, token, status).await, "ok");
        let stands = client.operation(&id).await;
        assert_over(&client, &id, token, status).await;
        assert_eq!(client.operation(&id).await, stands, "{status}");
        ended.push((id, token, status));
        // What was given back would be taken by the next claim.
        if status == "NotStarted" {
            let again = claimed(&client, claim("again", 1, 60)).await;
            assert_eq!(again.len(), 1, "a released operation is claimable at once");
        }
    }
    server.kill();
    server.start_again();
    let client = server.client();
    for (id, token, status) in ended {
        let over = async |said: &str| say(&client, &id, token, said).await;
        assert_eq!(over(status).await, "repeated");
        assert_eq!(over("Running").await, "ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_known_while_a_later_attempt_runs_and_harms_it_not() {
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    for status in ["Failed", "NotStarted"] {
        let (id, first) = taken(&client, "first", 0).await;
        assert_eq!(say(&client, &id, first, status).await, "ok");
        let again = until("the next attempt", async || {
            claimed(&client, claim(&format!("second-{status}"), 1, 60)).await.into_iter().next()
        });
        let (again, second) = again.await;
        assert_eq!((again.as_str(), second), (id.as_str(), first + 1));
        assert_over(&client, &id, first, status).await;
        assert_eq!(client.operation(&id).await["status"], "Running");
        assert_eq!(say(&client, &id, second, "Completed").await, "ok");
        assert_eq!(say(&client, &id, first, status).await, "leaseLost", "only the last one is known");
        assert_over(&client, &id, second, "Completed").await;
        assert_eq!(client.operation(&id).await["result"], json!({"by": second}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_lease_expired_is_stale() {
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let id = submit(&client, 0).await;
    let (_, first) = claimed(&client, claim("short", 1, 1)).await[0].clone();
    let second = until("the end of the lease", async || {
        claimed(&client, claim("next", 1, 60)).await.into_iter().next()
    });
    let (_, second) = second.await;
    assert_eq!(second, first + 1, "the token only grows");
    for said in ["Running", "Completed", "Failed", "NotStarted"] {
        assert_eq!(say(&client, &id, first, said).await, "leaseLost", "{said}");
    }
    let stands = client.operation(&id).await;
    assert_eq!((&stands["status"], &stands["attemptsCount"]), (&json!("Running"), &json!(2)));
    assert_eq!(say(&client, &id, second, "Completed").await, "ok");
    let attempts = client.get(&format!("/v1.0/operations/{id}/attempts")).await.value();
    assert_eq!(attempts["value"].as_array().map(Vec::len), Some(1), "{attempts}");
    assert_eq!(attempts["value"][0]["outcome"], "leaseExpired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_claim_brings_what_is_still_held_also_after_a_restart() {
    let mut server = Server::start(&["--workers", "0"]);
    let client = server.client();
    for _ in 0..6 {
        submit(&client, 0).await;
    }
    let first = claimed(&client, claim("a", 3, 60)).await;
    assert_eq!(first.len(), 3);
    assert_eq!(claimed(&client, claim("a", 3, 60)).await, first, "the same, with the same tokens");
    assert_eq!(claimed(&client, claim("a", 16, 60)).await, first, "and nothing new");
    server.kill();
    server.start_again();
    let client = server.client();
    assert_eq!(claimed(&client, claim("a", 3, 60)).await, first, "across a restart");
    let (id, token) = &first[0];
    assert_eq!(say(&client, id, *token, "Completed").await, "ok");
    assert_eq!(claimed(&client, claim("a", 3, 60)).await, first[1..], "only what is still held");
    let stranger = json!({"workerId": "x", "claim": claim("a", 1, 60)});
    let answer = client.work(&stranger).await;
    let other = answer["operations"][0]["id"].as_str().expect("another worker's claim is its own");
    assert!(first.iter().all(|(id, _)| id != other));
    for (id, token) in &first[1..] {
        assert_eq!(say(&client, id, *token, "Completed").await, "ok");
    }
    let anew = claimed(&client, claim("a", 16, 60)).await;
    assert_eq!(anew.len(), 2, "with nothing held it is a new claim");
    assert!(anew.iter().all(|held| !first.contains(held)));
}
