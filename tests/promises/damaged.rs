//! A row of the store that cannot be read takes nothing else along: the server starts, and everything else is carried out.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Client, Server, until};

async fn lists(client: &Client) -> Vec<String> {
    let listed = client.get("/v1.0/operations").await.value();
    let ids = listed["value"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// Whoever names it hears that it cannot be read, and nothing of what is wrong with it.
async fn is_refused(client: &Client, method: Method, path: &str, body: &str) {
    let headers = [("content-type", "application/json"), ("idempotency-key", "first")];
    let answer = client.send(method.clone(), path, &headers, body.to_owned()).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{method} {path}");
    assert_eq!(answer.code(), "internalError", "{method} {path}");
    assert!(!answer.text().contains("labels"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_leaves_everything_else_in_service() {
    let scratch = tempfile::tempdir().unwrap();
    let mut server = Server::over(scratch.path(), &["--workers", "0"]);
    let client = server.client();
    let first = json!({"labels": {"a": "b"}});
    let answer = client.post_with("/v1.0/operations", &[("idempotency-key", "first")], &first).await;
    let damaged = answer.value()["id"].as_str().unwrap().to_owned();
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(client.submit(&json!({})).await);
    }
    server.signal("TERM");
    assert!(server.wait().success());

    let file = rusqlite::Connection::open(scratch.path().join("longrun.db")).unwrap();
    let spoil = "UPDATE operation SET labels = '{\"a\"' WHERE labels IS NOT NULL";
    assert_eq!(file.execute(spoil, []).unwrap(), 1);
    drop(file);
    drop(server);

    let server = Server::over(scratch.path(), &["--workers", "2"]);
    let client = server.client();
    others.push(client.submit(&json!({})).await);
    for id in &others {
        let completed = async || (client.operation(id).await["status"] == "Completed").then_some(());
        until("every other operation to complete", completed).await;
    }
    let path = format!("/v1.0/operations/{damaged}");
    is_refused(&client, Method::GET, &path, "").await;
    is_refused(&client, Method::DELETE, &path, "").await;
    is_refused(&client, Method::POST, &format!("{path}/cancel"), "").await;
    is_refused(&client, Method::POST, "/v1.0/operations", &first.to_string()).await;
    let report = json!({"id": damaged, "leaseToken": 1, "status": "Completed"});
    let told: Value = client.work(&json!({"workerId": "w", "reports": [report]})).await;
    assert_eq!(told["outcomes"][0]["error"]["code"], "internalError", "{told}");

    let listed = lists(&client).await;
    assert_eq!(listed.len(), others.len());
    assert!(!listed.contains(&damaged));
    assert_eq!(client.get("/readyz").await.status, StatusCode::OK);
}
