//! What the log tells of operations: each transition once, in words of ours, and nothing of what users sent.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{below, claim, path, report};
use crate::support::{Client, Server, until};

fn server() -> Server {
    let by_machines = ["--log", "info,longrun::tracker::transitions=debug", "--log-format", "json"];
    Server::start_logged(None, &[&["--workers", "0"][..], &by_machines].concat())
}

/// What was logged of an operation: where from, where to, why, and through which door.
fn told(server: &Server, id: &str) -> Vec<[String; 4]> {
    let lines =
        server.log().lines().map(|line| serde_json::from_str::<Value>(line).expect(line)).collect::<Vec<_>>();
    let told = lines.iter().filter(|line| line["fields"]["message"] == "transition");
    told.filter(|line| line["fields"]["id"] == *id)
        .map(|line| {
            let fields = line["fields"].as_object().unwrap();
            assert_eq!((&line["level"], &fields["tenant"]), (&json!("DEBUG"), &json!("default")));
            let known = ["message", "id", "tenant", "from", "to", "cause", "via"];
            assert!(fields.keys().all(|name| known.contains(&&**name)), "{line}");
            ["from", "to", "cause", "via"]
                .map(|name| fields.get(name).map_or("", |value| value.as_str().unwrap()).to_owned())
        })
        .collect()
}

async fn fails(client: &Client, id: &str, lease: i64) {
    let error = json!({ "code": "c", "message": "m" });
    report(client, json!({ "id": id, "leaseToken": lease, "status": "Failed", "error": error })).await;
}

#[tokio::test]
async fn each_transition_of_a_life_is_logged_once() {
    let server = server();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "t" })).await;
    let lease = claim(&client, "t", "c").await;
    let going = json!({ "id": id, "leaseToken": lease, "status": "Running", "percentComplete": 40 });
    report(&client, going).await;
    // A heartbeat is no transition, nor is a report or a request that changes nothing.
    report(&client, json!({ "id": id, "leaseToken": lease, "status": "Running" })).await;
    for _ in 0..2 {
        report(&client, json!({ "id": id, "leaseToken": lease, "status": "Completed" })).await;
    }
    assert_eq!(client.post(&below(&id, "cancel"), &json!({})).await.status, StatusCode::CONFLICT);
    assert_eq!(client.send(Method::DELETE, &path(&id), &[], "").await.status, StatusCode::NO_CONTENT);
    let expected = [
        ["", "NotStarted", "created", "http"],
        ["NotStarted", "Running", "started", "work"],
        ["Running", "Running", "progress", "work"],
        ["Running", "Completed", "completed", "work"],
        ["Completed", "", "deleted", "http"],
    ];
    assert_eq!(told(&server, &id), expected);
}

#[tokio::test]
async fn the_log_says_why_an_operation_goes_back_or_fails() {
    let server = server();
    let client = server.client();
    let at_once = json!({ "initialDelaySeconds": 0 });
    let id = client.submit(&json!({ "operationType": "t", "maxAttempts": 3, "retry": at_once })).await;
    let lease = claim(&client, "t", "c1").await;
    fails(&client, &id, lease).await;
    let mut expected = vec![
        ["", "NotStarted", "created", "http"],
        ["NotStarted", "Running", "started", "work"],
        ["Running", "NotStarted", "failed", "work"],
    ];
    for (claim, to) in [("c2", "NotStarted"), ("c3", "Failed")] {
        let want = json!({ "id": claim, "operationTypes": ["t"], "leaseSeconds": 1 });
        client.work(&json!({ "workerId": "w", "claim": want })).await;
        expected.push(["NotStarted", "Running", "started", "work"]);
        expected.push(["Running", to, "leaseExpired", "tick"]);
        until("the lease to end", async || (told(&server, &id).len() == expected.len()).then_some(())).await;
    }
    client.post(&below(&id, "retry"), &json!({})).await;
    let lease = claim(&client, "t", "c4").await;
    report(&client, json!({ "id": id, "leaseToken": lease, "status": "NotStarted" })).await;
    let lease = claim(&client, "t", "c5").await;
    client.post(&below(&id, "cancel"), &json!({})).await;
    fails(&client, &id, lease).await;
    expected.extend([
        ["Failed", "NotStarted", "retrying", "http"],
        ["NotStarted", "Running", "started", "work"],
        ["Running", "NotStarted", "released", "work"],
        ["NotStarted", "Running", "started", "work"],
        ["Running", "Running", "canceling", "http"],
        ["Running", "Failed", "canceled", "work"],
    ]);
    assert_eq!(told(&server, &id), expected);
}
