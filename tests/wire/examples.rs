//! The examples, as their readers use them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{OPERATIONS, quiet};
use crate::support::Server;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

async fn submit_and_wait(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(Path::new(EXAMPLES).join("submit-and-wait.sh"));
    command
        .args(arguments)
        .env("LONGRUN_SERVER", &server.url)
        .env_remove("LONGRUN_TOKEN")
        .stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().expect("it can be run")).await.unwrap()
}

#[tokio::test]
async fn the_script_submits_waits_and_says_how_it_ended() {
    let server = Server::start(&["--workers", "1"]);
    let slept = submit_and_wait(&server, &["sleep", r#"{ "seconds": 1, "steps": 2 }"#]).await;
    assert_eq!(slept.status.code(), Some(0), "{slept:?}");
    let operation: Value = serde_json::from_slice(&slept.stdout).unwrap();
    assert_eq!((&operation["status"], &operation["operationType"]), (&json!("Completed"), &json!("sleep")));
    let failed = submit_and_wait(&server, &["sleep", r#"{ "seconds": -1 }"#]).await;
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let refused = submit_and_wait(&server, &["no name"]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("{before} is in the page")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("{after} is in the page")).0
}

#[tokio::test]
async fn the_page_asks_for_what_the_server_has_and_knows_every_event_of_it() {
    let page = std::fs::read_to_string(Path::new(EXAMPLES).join("watch.html")).unwrap();
    let origin = "http://localhost:8000";
    assert!(page.contains(&format!("cors-origin {origin}")));
    let server = Server::start(&["--workers", "0", "--cors-origin", origin]);
    let client = server.client();
    let id = client.submit(&json!({ "isExternal": true })).await;
    let url = between(&page, "new EventSource(`", "`)")
        .replace("${server}", "")
        .replace("${query.get(\"id\")}", &id);
    let asked = [("origin", origin), ("accept", "text/event-stream")];
    let answer = client.send(Method::GET, &url, &asked, "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, Some(origin)));

    let kinds: Vec<String> =
        serde_json::from_str(&format!("[{}]", between(&page, "kinds = [", "]"))).unwrap();
    let mut stream = client.watch(&url, None).await;
    for body in
        [json!({ "status": "Running" }), json!({ "percentComplete": 40 }), json!({ "status": "Completed" })]
    {
        client.json(Method::PATCH, &format!("{OPERATIONS}/{id}"), &[], &body).await;
    }
    let told = stream.rest().await;
    assert_eq!(told.len(), 4);
    for event in told {
        assert!(kinds.contains(&event.event), "{} is not shown", event.event);
        assert!(page.contains("operation.status") && event.data["status"].is_string());
    }
}
