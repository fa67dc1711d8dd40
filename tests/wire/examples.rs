//! The examples, as their readers use them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::OPERATIONS;
use crate::support::Server;
use crate::support::server::LONGRUN;

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
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let id = client.submit(&json!({ "isExternal": true })).await;
    // As its first lines say, with what the curl there sends.
    let asked = between(&page, "curl http://127.0.0.1:8470", " ").replace("ID", &id);
    let header = between(&page, "-H '", "'").split_once(": ").unwrap();
    let made = client.send(Method::POST, &asked, &[header], between(&page, "-d '", "'").to_owned()).await;
    let made = made.value();
    let url = made["link"]["eventsUrl"].as_str().unwrap();
    assert_eq!(between(&page, "new EventSource(", ");"), "location.hash.slice(1)");
    let asked = [("origin", "null"), ("accept", "text/event-stream")];
    let answer = client.send(Method::GET, url, &asked, "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, Some("*")));

    let kinds: Vec<String> =
        serde_json::from_str(&format!("[{}]", between(&page, "kinds = [", "]"))).unwrap();
    let mut stream = client.watch(url, None).await;
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

/// The lines that a reader types, in order.
fn typed(readme: &str) -> String {
    let blocks = readme.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split_once("```").expect("each block ends").0).collect()
}

#[tokio::test]
async fn a_folder_of_pictures_becomes_thumbnails_and_the_broken_one_too_once_it_is_mended() {
    let story = Path::new(EXAMPLES).join("thumbnails/README.md");
    let story = typed(&std::fs::read_to_string(story).unwrap());
    let binaries = Path::new(LONGRUN).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--workspace", "--example", "thumbnails", "--target-dir"])
        .arg(binaries.parent().unwrap());
    let built = tokio::task::spawn_blocking(move || cargo.output().unwrap()).await.unwrap();
    assert!(built.status.success(), "{built:?}");
    let program = binaries.join("examples/thumbnails");
    let server = Server::start(&[&format!("--program=thumbnail={}", program.display())]);
    let directory = tempfile::tempdir().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", binaries.display(), binaries.join("examples").display());
    let mut shell = Command::new("sh");
    shell.args(["-euc", &story]).current_dir(directory.path()).stdin(Stdio::null());
    shell.env("PATH", path).env("LONGRUN_SERVER", &server.url).env_remove("LONGRUN_TOKEN");
    let told = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{told:?}");
    let failed: Vec<&str> = said.lines().filter(|line| line.contains("exit status 65")).collect();
    assert!(failed.iter().all(|line| line.contains("picture-07.png")) && !failed.is_empty(), "{said}");
    let thumbnails: Vec<_> = said.lines().rev().take(20).collect();
    assert!(thumbnails.contains(&"picture-07.png") && thumbnails.contains(&"picture-20.png"), "{said}");
    let folder = std::fs::read_dir(directory.path().join("thumbnails")).unwrap();
    assert_eq!(folder.count(), 20, "each picture has one, and nothing else is there");
}
