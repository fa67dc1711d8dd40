//! The binary as its users call it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;

use super::{Ended, NOBODY, OPERATIONS, claim, longrun, quiet, run, token};
use crate::support::server::LONGRUN;
use crate::support::{Client, PATIENCE, Server, until};

/// A client's subcommand against a server.
fn ask(server: &Server, arguments: &[&str]) -> Ended {
    let mut command = longrun(arguments);
    command.env("LONGRUN_SERVER", &server.url);
    run(command)
}

/// That it ended so, with one clear line and nothing else.
fn failed(ended: &Ended, code: i32, word: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!((ended.out.as_str(), ended.err.lines().count()), ("", 1), "{ended:?}");
    assert!(ended.err.starts_with("error: ") && ended.err.contains(word), "{word:?} in {ended:?}");
}

#[tokio::test]
async fn submitting_and_waiting_ends_as_the_operation_does() {
    let server = Server::start(&["--workers", "2"]);
    let done = ask(&server, &["submit", "--wait"]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    assert_eq!(done.out.lines().count(), 1, "JSON in one line, for who reads a pipe");
    assert_eq!(done.value()["status"], "Completed");
    let waits = ask(&server, &["submit", "nobody", "--label", "a=b", "--priority", "-3", "--wait=1"]);
    let operation = waits.value();
    assert_eq!((waits.code, &operation["status"]), (Some(4), &json!("NotStarted")));
    assert_eq!((&operation["labels"], &operation["priority"]), (&json!({ "a": "b" }), &json!(-3)));
    let id = operation["id"].as_str().unwrap();
    assert_eq!(ask(&server, &["get", id]).code, Some(0), "nobody waited for it");
    assert_eq!(ask(&server, &["get", id, "--wait=1"]).code, Some(4));

    let canceled = ask(&server, &["cancel", id]);
    assert_eq!((canceled.code, &canceled.value()["error"]["code"]), (Some(0), &json!("canceled")));
    let shown = ask(&server, &["get", id]);
    assert_eq!((shown.code, &shown.value()["status"]), (Some(1), &json!("Failed")));
    let retried = ask(&server, &["retry", id]);
    assert_eq!((retried.code, &retried.value()["status"]), (Some(0), &json!("NotStarted")));
    failed(&ask(&server, &["retry", id]), 1, "conflict");
    let indented = ask(&server, &["--json", "get", id]);
    assert_eq!(indented.value()["id"], id);
}

#[tokio::test]
async fn what_is_watched_is_shown_line_by_line_and_ends_as_the_operation_does() {
    let server = Server::start(&["--workers", "2"]);
    let kinds = |ended: &Ended| -> Vec<String> {
        let lines = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    };
    let nap = ask(&server, &["submit", "sleep", "--input", "{\"seconds\":1,\"steps\":2}", "--watch"]);
    let told = kinds(&nap);
    assert_eq!((nap.code, nap.err.as_str()), (Some(0), ""), "{nap:?}");
    assert_eq!((told[0].as_str(), told.last().unwrap().as_str()), ("snapshot", "completed"));
    assert!(told.iter().any(|kind| kind == "progress"), "{told:?}");
    let first: Value = serde_json::from_str(nap.out.lines().next().unwrap()).unwrap();
    let (id, cursor) = (first["operation"]["id"].as_str().unwrap(), first["cursor"].as_str().unwrap());
    assert_eq!(kinds(&ask(&server, &["watch", id])), ["snapshot"]);
    let again = ask(&server, &["watch", id, "--after", cursor]);
    assert_eq!((again.code, kinds(&again)), (Some(0), told[1..].to_vec()));
    let many = ["watch", "--type", "sleep", "--status", "Completed", "--after", cursor];
    let mut watching = longrun(&many);
    watching.env("LONGRUN_SERVER", &server.url).stdout(Stdio::piped());
    let mut watching = watching.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["event"], &event["operation"]["id"]), (&json!("completed"), &json!(id)));
    // Its reader is gone: the next event ends it.
    ask(&server, &["submit", "sleep", "--input", "{\"seconds\":0}", "--wait"]);
    until("its end", || std::future::ready(watching.try_wait().unwrap())).await;

    failed(&ask(&server, &["watch", NOBODY]), 6, "itemNotFound");
    failed(&ask(&server, &["watch", "--queue", "a b"]), 2, "queue");
    failed(&ask(&server, &["watch", "--after", "nonsense"]), 2, "invalidCursor");
}

#[tokio::test]
async fn a_demo_lives_as_it_says() {
    let server = Server::start(&["--workers", "20"]);
    let demo = ask(&server, &["demo"]);
    assert_eq!((demo.code, demo.err.as_str()), (Some(0), ""), "{demo:?}");
    let made: Vec<Value> = demo.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let id_of = |story: &str| {
        let of = |made: &&Value| made["story"].as_str().unwrap().contains(story);
        made.iter().find(of).unwrap_or_else(|| panic!("{story}"))["id"].as_str().unwrap().to_owned()
    };
    let client = server.client();
    for (story, status, codes) in [
        ("completes at once", "Completed", &[Value::Null][..]),
        ("its input is wrong", "Failed", &[json!("invalidInput")]),
        // By the server or the worker, whoever finds out first.
        ("takes too long", "Failed", &[json!("timeout"), json!("timedOut")]),
        ("canceled", "Failed", &[json!("canceled")]),
        ("tells how far", "Running", &[Value::Null]),
        ("starts in half a minute", "NotStarted", &[Value::Null]),
        ("a worker of yours", "NotStarted", &[Value::Null]),
        ("carried out elsewhere", "Running", &[Value::Null]),
    ] {
        let id = id_of(story);
        until(story, async || {
            let operation = client.operation(&id).await;
            (operation["status"] == status && codes.contains(&operation["error"]["code"])).then_some(())
        })
        .await;
    }
    let listed = ask(&server, &["list", "--label", "demo=yes", "--count"]);
    assert_eq!(listed.out, format!("{}\n", made.len()));
}

#[tokio::test]
async fn operations_are_listed_and_deleted() {
    let server = quiet();
    let submitted = |queue: &str, label: &str| {
        ask(&server, &["submit", "shout", "--queue", queue, "--label", label]).value()["id"].clone()
    };
    let ids = [submitted("a", "of=it's"), submitted("a", "of=x"), submitted("b", "of=x")];
    let listed = |arguments: &[&str]| {
        let ended = ask(&server, &[&["list"], arguments].concat());
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].clone();
        ended.out.lines().map(read).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["--order=oldest"]), ids);
    assert_eq!(listed(&["--queue=a", "--label", "of=it's"]), ids[..1]);
    assert_eq!(listed(&["--filter=queue eq 'b' or labels/of eq 'it''s'", "--top=1"]), ids[2..]);
    assert_eq!(ask(&server, &["list", "--count", "--status=NotStarted"]).out, "3\n");
    let wrong = ask(&server, &["list", "--filter=queue = 'b'"]);
    failed(&wrong, 2, "at character 7: expected an operator");

    let (first, last) = (ids[0].as_str().unwrap(), ids[2].as_str().unwrap());
    ask(&server, &["cancel", first]);
    let deleted = ask(&server, &["delete", last, first]);
    assert_eq!((deleted.code, &deleted.value()), (Some(1), &json!({ "deleted": first })));
    assert!(deleted.err.contains(last) && deleted.err.contains("conflict"), "{deleted:?}");
    assert_eq!(listed(&["--all", "--order=oldest"]), ids[1..]);
    let queues = ask(&server, &["queues"]).value();
    assert_eq!((&queues["value"][0]["name"], &queues["value"][1]["ready"]), (&json!("a"), &json!(1)));
}

#[tokio::test]
async fn a_key_and_an_input_come_from_wherever_they_are_given() {
    let server = quiet();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input.json");
    fs::write(&file, "{ \"a\": 1.50 }").unwrap();
    let from_file = format!("@{}", file.display());
    let first = ask(&server, &["submit", "shout", "--key", "k", "--input", &from_file]);
    assert_eq!(first.value()["input"], json!({ "a": 1.5 }));
    let again = ask(&server, &["submit", "shout", "--key", "k", "--input", "{\"a\":1.50}"]);
    assert_eq!((again.code, &again.value()["id"]), (Some(0), &first.value()["id"]));
    failed(&ask(&server, &["submit", "shout", "--key", "k"]), 1, "idempotencyKeyReused");

    let mut command = longrun(&["submit", "--input", "-", "--server", &server.url]);
    command.stdin(Stdio::from(fs::File::open(&file).unwrap()));
    assert_eq!(run(command).value()["input"], json!({ "a": 1.5 }));
    failed(&ask(&server, &["submit", "--input", "{nonsense"]), 2, "JSON");
    failed(&ask(&server, &["submit", "a b"]), 2, "operationType");
}

#[tokio::test]
async fn every_way_to_end_has_its_code() {
    let mut server = quiet();
    failed(&ask(&server, &["get", NOBODY]), 6, "itemNotFound");
    let wrong = ask(&server, &["get", "nonsense"]);
    assert!(wrong.code == Some(2) && wrong.out.is_empty(), "{wrong:?}");
    assert_eq!(ask(&server, &["fly"]).code, Some(2));
    assert_eq!(ask(&server, &["health"]).value(), json!({ "status": "ready" }));
    let read = token(&server, &["--scope", "Operation.Read"]);
    failed(&ask(&server, &["get", NOBODY]), 5, "LONGRUN_TOKEN");
    failed(&ask(&server, &["submit", "--token", &read]), 5, "accessDenied");
    failed(&ask(&server, &["get", NOBODY, "--token", &read]), 6, "itemNotFound");
    server.kill();
    failed(&ask(&server, &["health", "--deadline", "1"]), 3, "cannot be reached");
    failed(&ask(&server, &["submit", "--deadline", "1"]), 3, "--key");
}

#[test]
fn the_program_tells_of_itself() {
    let version = run(longrun(&["version"]));
    assert_eq!(version.value(), json!({ "name": "longrun", "version": env!("CARGO_PKG_VERSION") }));
    for shell in ["bash", "zsh", "fish"] {
        let script = run(longrun(&["completions", shell]));
        assert!(script.code == Some(0) && script.out.contains("longrun"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let manuals = directory.path().join("man1");
    let written = run(longrun(&["manuals", manuals.to_str().unwrap()]));
    assert_eq!((written.code, written.err.as_str()), (Some(0), ""), "{written:?}");
    for (page, words) in [
        ("longrun.1", ["Exit codes", "list"]),
        ("longrun-submit.1", ["Hand an operation in", "max\\-attempts"]),
        ("longrun-token-create.1", ["scope", "tenant"]),
    ] {
        let text = fs::read_to_string(manuals.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".TH longrun"), "{page}");
        for word in words {
            assert!(text.contains(word), "{word} in {page}");
        }
    }
    assert!(!manuals.join("longrun-guard.1").exists(), "it is nobody's to call");
    let help = run(longrun(&["--help"]));
    assert!(help.code == Some(0) && help.out.contains("Exit codes"), "{help:?}");
}

/// `token` with these arguments, about a data directory.
fn tokens(data: &Path, arguments: &[&str]) -> Ended {
    let mut command = longrun(&["token"]);
    command.args(arguments).arg("--data").arg(data);
    run(command)
}

fn states(data: &Path) -> Vec<(Value, Value)> {
    let list = tokens(data, &["list"]).value();
    let views = list["value"].as_array().unwrap();
    views.iter().map(|view| (view["id"].clone(), view["revoked"].clone())).collect()
}

#[tokio::test]
async fn tokens_are_made_and_revoked_with_and_without_a_server() {
    let mut server = quiet();
    let data = server.data().to_owned();
    let create = ["create", "--name", "ci", "--scope", "Operation.ReadWrite"];
    let first = tokens(&data, &create).value();
    let client = server.client().with_token(first["token"].as_str().unwrap());
    client.submit(&json!({})).await;
    server.signal("TERM");
    assert!(server.wait().success());

    let second = tokens(&data, &create).value();
    assert_eq!(states(&data), [(first["id"].clone(), json!(false)), (second["id"].clone(), json!(false))]);
    assert_eq!(tokens(&data, &["revoke", first["id"].as_str().unwrap()]).code, Some(0));
    failed(&tokens(&data, &["revoke", "nobody"]), 6, "nobody");
    server.start_again();
    let revoked = server.client().with_token(first["token"].as_str().unwrap());
    assert_eq!(revoked.get("/v1.0/operations/x").await.status, StatusCode::UNAUTHORIZED);
    let client = server.client().with_token(second["token"].as_str().unwrap());
    client.submit(&json!({})).await;
    assert_eq!(tokens(&data, &["revoke", second["id"].as_str().unwrap()]).code, Some(0));
    assert_eq!(client.get("/v1.0/operations/x").await.status, StatusCode::UNAUTHORIZED);
    assert!(states(&data).iter().all(|(_, revoked)| *revoked == true));
    failed(&tokens(&data, &["revoke", "nobody"]), 6, "token");
    let wrong = tokens(&data, &["create", "--name", "ci", "--scope", "Operation.Fly"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    let secret = second["token"].as_str().unwrap().rsplit('_').next().unwrap();
    assert!(!tokens(&data, &["list"]).out.contains(secret));
}

/// `serve`, which is expected to end by itself.
fn serve(data: &Path, arguments: &[&str]) -> Ended {
    let mut command = longrun(&["serve", "--log", "warn", "--data"]);
    command.arg(data).args(arguments);
    run(command)
}

#[test]
fn a_server_that_cannot_start_says_why_in_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    failed(&serve(&data, &["--listen", &address]), 1, &address);
    failed(&serve(&data, &["--listen", "0.0.0.0:0"]), 1, "token");
    failed(&serve(&data, &["--workers", "10001"]), 2, "workers");
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    failed(&serve(&file, &["--listen", "127.0.0.1:0"]), 1, "file");

    let server = Server::over(&data, &["--workers", "0"]);
    failed(&serve(&data, &["--listen", "127.0.0.1:0"]), 1, "another server holds");
    drop(server);
    let connection = rusqlite::Connection::open(data.join("longrun.db")).unwrap();
    let known: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", known + 1).unwrap();
    drop(connection);
    failed(&serve(&data, &["--listen", "127.0.0.1:0"]), 1, "newer");
}

#[tokio::test]
async fn the_first_token_comes_from_a_file_that_is_its_owners_own() {
    let scratch = tempfile::tempdir().unwrap();
    let text = {
        let other = quiet();
        token(&other, &["--scope", "Operation.Read"])
    };
    let file = scratch.path().join("first");
    fs::write(&file, format!("{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let path = file.to_str().unwrap();
    let data = scratch.path().join("data");
    let refused = {
        let mut command = longrun(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(&data).env("LONGRUN_FIRST_TOKEN_FILE", path);
        run(command)
    };
    assert!(refused.code == Some(1) && refused.err.contains("chmod 600"), "{refused:?}");
    assert!(!refused.err.contains(&text));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::over(&data, &["--workers", "0", "--first-token-file", path]);
    assert_eq!(server.client().post(OPERATIONS, &json!({})).await.status, StatusCode::UNAUTHORIZED);
    let client: Client = server.client().with_token(&text);
    client.submit(&json!({})).await;
    assert_eq!(client.get("/v1.0/queues").await.status, StatusCode::OK, "every scope of its tenant");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_lets_run_what_runs_and_ends_in_time() {
    let mut server = Server::start(&["--workers", "2", "--grace", "5"]);
    let client = server.client();
    let nap = client.submit(&json!({ "operationType": "sleep", "input": { "seconds": 1 } })).await;
    let long = client.submit(&json!({ "operationType": "sleep", "input": { "seconds": 600 } })).await;
    for id in [&nap, &long] {
        until("its start", || async { (client.operation(id).await["status"] == "Running").then_some(()) })
            .await;
    }
    let held = client.submit(&json!({ "operationType": "shout" })).await;
    let token = claim(&client, "shout", "c").await;
    let began = Instant::now();
    server.signal("TERM");
    assert!(server.wait().success(), "it ends well");
    assert!(began.elapsed() < Duration::from_secs(50), "within its grace, ten times over");
    server.start_again();
    let client = server.client();
    until("the short one's end", || async {
        (client.operation(&nap).await["status"] == "Completed").then_some(())
    })
    .await;
    let long = client.operation(&long).await;
    assert_eq!(long.get("error"), None, "given back, not failed: {long}");
    assert!(long["attemptsCount"].as_i64() <= Some(1), "and not counted: {long}");
    let done = json!({ "id": held, "leaseToken": token, "status": "Completed" });
    let answer = client.work(&json!({ "workerId": "w", "reports": [done] })).await;
    assert_eq!(answer["outcomes"][0], json!({ "id": held }), "a worker elsewhere notices nothing");
}

#[test]
fn a_fresh_server_says_where_it_is_and_the_line_to_try_works() {
    let server = Server::start(&["--workers", "1"]);
    let out = Command::new("sh")
        .arg("-c")
        .arg(format!("curl -sS -i {}{OPERATIONS} -H 'Content-Type: application/json' -d '{{}}'", server.url))
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");
}

#[tokio::test]
async fn a_system_that_grants_few_files_unasked_is_asked_for_more() {
    let scratch = tempfile::tempdir().unwrap();
    let script =
        "ulimit -S -n 40; exec \"$0\" serve --listen 127.0.0.1:0 --workers 0 --log warn --data \"$1\"";
    let mut server = tokio::process::Command::new("sh")
        .args(["-c", script, LONGRUN])
        .arg(scratch.path().join("data"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(server.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("it says where it listens");
        if let Some((_, address)) = line.split_once("http://") {
            break address.split_whitespace().next().unwrap().to_owned();
        }
    };
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        held.push(stream);
    }
    server.kill().await.unwrap();
}
