//! Text from users is data, whatever it says: in both databases, in filters, in streams, in logs and in metrics.

use http::{Method, StatusCode};
use longrun_postgres::Database;
use serde_json::{Value, json};

use super::{OPERATIONS, below, path, report};
use crate::support::{Client, Server};

/// What a database, a terminal, a log, a stream, a page or a template might obey.
const HOSTILE: [&str; 16] = [
    "'; DROP TABLE operation; DROP TABLE longrun.operation; --",
    "' OR '1'='1",
    "\"; DELETE FROM longrun.event; --",
    "\\'; SELECT pg_sleep(60); --",
    "$1 $2 ? :name @name",
    "%_*?[a-z]\\",
    "a\nb\r\nc\r",
    "2026-01-01T00:00:00.000000Z ERROR longrun: forged\n2026-01-01T00:00:00.000000Z  INFO longrun: forged",
    "data: {}\n\nevent: failed\nid: 1\ndata: {}\n\n",
    "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J\u{8}\u{7f}",
    "\u{202e}txet\u{2028}\u{2029}\u{feff}\u{200b}",
    "</script><script>alert(1)</script>&amp;",
    "${jndi:ldap://127.0.0.1/a} {{7*7}} $(reboot) `reboot` %s%n",
    "queue=\"forged\"} 1\nlongrun_store_up 0\n",
    "🦀 e\u{301} \u{10ffff} \u{ffff} é",
    "null",
];

/// As a literal of a filter in a URL.
fn literal(text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''"));
    percent_encoding::utf8_percent_encode(&quoted, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The operation that a text leads a life in; what it says comes back as it was said.
async fn lives(client: &Client, text: &str) -> String {
    let payload = json!({ "text": text, "nul": format!("{text}\u{0}"), text: text });
    let mut headers = vec![("content-type", "application/json")];
    if is_printable(text) && !text.starts_with('"') {
        headers.push(("idempotency-key", text));
    }
    let body = json!({ "operationType": "t", "input": payload, "labels": { "text": text } });
    let made = client.send(Method::POST, OPERATIONS, &headers, body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{text:?}: {}", made.text());
    let id = made.value()["id"].as_str().unwrap().to_owned();
    if headers.len() > 1 {
        let again = client.send(Method::POST, OPERATIONS, &headers, body.to_string()).await;
        assert_eq!(again.value()["id"], json!(id), "by the same key it is the same: {}", again.text());
    }
    let worker = if is_printable(text) { text } else { "w" };
    let call = json!({ "workerId": worker, "claim": { "id": worker, "operationTypes": ["t"] } });
    let claimed = client.work(&call).await["operations"][0].take();
    assert_eq!((&claimed["id"], &claimed["input"]), (&json!(id), &payload), "{claimed}");
    let token = &claimed["lease"]["token"];
    let going = json!({ "id": id, "leaseToken": token, "status": "Running", "statusDetail": text, "checkpoint": payload });
    report(client, going).await;
    assert_eq!(client.operation(&id).await["statusDetail"], json!(text));
    let error = json!({
        "code": text, "message": text, "target": text,
        "details": [{ "code": text, "message": text }], "innerError": payload
    });
    // A worker that has gone silent is named in what the server itself says.
    report(
        client,
        json!({ "id": id, "leaseToken": token, "status": "Failed", "retryable": false, "error": error }),
    )
    .await;
    let ended = client.operation(&id).await;
    assert_eq!(
        (&ended["error"], &ended["labels"]["text"], &ended["input"]),
        (&error, &json!(text), &payload)
    );
    let attempts = client.get(&below(&id, "attempts")).await.value();
    assert_eq!(attempts["value"][0]["error"], error, "{attempts}");
    let external = client.submit(&json!({ "isExternal": true, "statusDetail": text })).await;
    let done = json!({ "status": "Completed", "result": payload, "statusDetail": text });
    let answer = client.json(Method::PATCH, &path(&external), &[], &done).await;
    assert_eq!((&answer.value()["result"], &answer.value()["statusDetail"]), (&payload, &json!(text)));
    id
}

/// That a filter finds by a text what has it, and nothing by one that nothing has.
async fn is_found(client: &Client, text: &str, id: &str) {
    let ids = async |filter: &str| -> Vec<Value> {
        let answer = client.get(&format!("{OPERATIONS}?$filter={filter}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{filter}: {}", answer.text());
        answer.value()["value"].as_array().unwrap().iter().map(|found| found["id"].clone()).collect()
    };
    let quoted = literal(text);
    assert_eq!(ids(&format!("labels/text%20eq%20{quoted}")).await, [json!(id)], "{text:?}");
    assert_eq!(ids(&format!("startswith(labels/text,{quoted})")).await, [json!(id)], "{text:?}");
    for nowhere in ["queue", "operationType"] {
        assert_eq!(ids(&format!("{nowhere}%20eq%20{quoted}")).await, Vec::<Value>::new(), "{text:?}");
    }
}

/// Every line of a log begins as its lines do, and holds nothing that a terminal obeys.
fn is_whole(log: &str, lines_begin: &str) {
    assert!(log.lines().count() >= 6 * HOSTILE.len(), "all of it is logged: {} lines", log.lines().count());
    for line in log.split('\n').filter(|line| !line.is_empty()) {
        assert!(line.starts_with(lines_begin) && !line.contains(" longrun: forged"), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

async fn is_data(database: Option<Database>, format: &str, lines_begin: &str) {
    let arguments = ["--workers", "0", "--log", "trace", "--log-format", format];
    let server = Server::start_logged(database, &arguments);
    let client = server.client();
    let mut stream = client.watch("/v1.0/events", None).await;
    stream.begin().await;
    let mut ids = Vec::new();
    for text in HOSTILE {
        ids.push(lives(&client, text).await);
    }
    for (text, id) in HOSTILE.into_iter().zip(&ids) {
        is_found(&client, text, id).await;
    }
    // Of each text two operations: four events and two.
    let told = stream.take(HOSTILE.len() * 6).await;
    let kinds = |kind: &str| told.iter().filter(|event| event.event == kind).count();
    assert_eq!((kinds("created"), kinds("failed"), kinds("completed")), (32, 16, 16), "nothing is forged");
    for (text, id) in HOSTILE.into_iter().zip(&ids) {
        let last = told.iter().rfind(|event| event.data["id"] == json!(id)).unwrap();
        assert_eq!((&*last.event, &last.data["error"]["message"]), ("failed", &json!(text)));
    }
    let count = client.get(&format!("{OPERATIONS}/$count")).await.text();
    assert_eq!(count, (2 * HOSTILE.len()).to_string(), "nothing has gone, nothing has come");
    let metrics = client.get("/metrics").await.text();
    assert!(!metrics.contains("forged") && metrics.contains("longrun_store_up 1"), "{metrics}");
    is_whole(&server.log(), lines_begin);
}

#[tokio::test]
async fn text_of_users_is_data_in_the_embedded_store() {
    is_data(None, "human", "20").await;
}

#[tokio::test]
async fn text_of_users_is_data_in_a_database() {
    is_data(Some(Database::create()), "json", "{\"timestamp\":\"20").await;
}
