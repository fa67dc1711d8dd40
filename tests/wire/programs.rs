//! Operations that a program carries out: what it is given, and what becomes of what it says.

use std::path::Path;

use serde_json::{Value, json};

use super::{Ended, below, longrun, run, token};
use crate::support::{Client, Programs, Server, lives, until};

/// Submits an operation for a program and waits for its end.
async fn carried_out(client: &Client, name: &str, input: Value) -> Value {
    let id = client.submit(&json!({ "operationType": name, "input": input, "maxAttempts": 1 })).await;
    ended(client, &id).await
}

async fn ended(client: &Client, id: &str) -> Value {
    until("its end", || async {
        let operation = client.operation(id).await;
        operation["completedDateTime"].is_string().then_some(operation)
    })
    .await
}

/// That it failed so, with this in the message.
fn failed(operation: &Value, code: &str, message: &str) {
    assert_eq!((&operation["status"], &operation["error"]["code"]), (&json!("Failed"), &json!(code)));
    let said = operation["error"]["message"].as_str().unwrap();
    assert!(said.contains(message), "{message:?} in {said:?}");
}

#[tokio::test]
async fn stdout_is_the_result_of_a_program_that_ends_well() {
    let programs = Programs::new(&[
        ("echo", "cat"),
        ("text", "echo made a.png"),
        ("silent", "exit 0"),
        ("deaf", "exec <&-; echo 7"),
    ]);
    let server = programs.serve(&[]);
    let client = server.client();
    for input in [json!({ "picture": "a.jpg", "n": [1, 2.5, null] }), json!("x".repeat(200 << 10))] {
        let echoed = carried_out(&client, "echo", input.clone()).await;
        assert_eq!((&echoed["status"], &echoed["result"]), (&json!("Completed"), &input));
    }
    assert_eq!(carried_out(&client, "text", json!(null)).await["result"], "made a.png");
    let silent = carried_out(&client, "silent", json!(1)).await;
    assert_eq!((&silent["status"], silent.get("result")), (&json!("Completed"), None));
    let large = json!("x".repeat(200 << 10));
    assert_eq!(carried_out(&client, "deaf", large).await["result"], 7, "it need not read its input");
    let without = client.submit(&json!({ "operationType": "echo" })).await;
    assert_eq!(ended(&client, &without).await.get("result"), None, "no input is nothing on stdin");
}

#[tokio::test]
async fn an_output_that_is_no_result_fails_for_good() {
    let programs = Programs::new(&[
        ("flood", "echo $$ > $NOTES/pid; cat /dev/zero"),
        ("binary", "printf 'a\\377'"),
        ("quotes", "head -c 200000 /dev/zero | tr '\\0' '\"'"),
    ]);
    let server = programs.serve(&[]);
    let client = server.client();
    for (name, code, message) in [
        ("flood", "outputTooLarge", "262144 bytes"),
        ("quotes", "outputTooLarge", "bytes of JSON"),
        ("binary", "outputNotText", "byte 1"),
    ] {
        let id = client.submit(&json!({ "operationType": name, "maxAttempts": 3 })).await;
        let operation = ended(&client, &id).await;
        failed(&operation, code, message);
        assert_eq!(operation["attemptsCount"], 1, "no other attempt would help");
    }
    assert!(!lives(programs.numbers("pid")[0]), "nobody waits for the end of a flood");
}

#[tokio::test]
async fn the_exit_status_says_whether_another_attempt_may_help() {
    let programs = Programs::new(&[
        ("status", "read -r status; echo 'no such picture' >&2; exit $status"),
        ("signal", "read -r signal; kill -$signal $$"),
        ("noise", "head -c 9000000 /dev/zero | tr '\\0' 'e' >&2; printf '\\377 the end' >&2; exit 3"),
    ]);
    let server = programs.serve(&[]);
    let client = server.client();
    let retry = json!({ "initialDelaySeconds": 0 });
    for (status, attempts) in [(75, 2), (1, 2), (65, 1)] {
        let body = json!({ "operationType": "status", "input": status, "maxAttempts": 2, "retry": retry });
        let id = client.submit(&body).await;
        let operation = ended(&client, &id).await;
        failed(&operation, "exitCode", &format!("exit status {status}: no such picture"));
        assert_eq!(operation["attemptsCount"], attempts, "{status}");
    }
    failed(&carried_out(&client, "signal", json!(9)).await, "signal", "SIGKILL");
    failed(&carried_out(&client, "signal", json!(15)).await, "signal", "SIGTERM");
    let noise = carried_out(&client, "noise", json!(null)).await;
    failed(&noise, "exitCode", "eee\u{fffd} the end");
    assert!(noise["error"]["message"].as_str().unwrap().len() < 5000, "the end of it");
}

#[tokio::test]
async fn lines_on_stderr_are_progress_and_checkpoints() {
    let waits = "until [ -e $NOTES/go ]; do sleep 0.02; done";
    let slow = format!(
        "if [ \"$LONGRUN_ATTEMPT\" = 1 ]; then
           echo 'percent=40 detail=page 4 = four' >&2; {waits}
           echo 'checkpoint={{\"page\": 4}}' >&2; echo percent=41 >&2; echo tired >&2; exit 75
         fi
         cat \"$LONGRUN_CHECKPOINT_FILE\""
    );
    let programs = Programs::new(&[("slow", &slow), ("fresh", "echo ${LONGRUN_CHECKPOINT_FILE-none}")]);
    let server = programs.serve(&[]);
    let client = server.client();
    let body = json!({ "operationType": "slow", "retry": { "initialDelaySeconds": 0 } });
    let id = client.submit(&body).await;
    until("its progress", || async {
        let operation = client.operation(&id).await;
        (operation["percentComplete"] == 40).then(|| assert_eq!(operation["statusDetail"], "page 4 = four"))
    })
    .await;
    std::fs::write(programs.path("slow").with_file_name("go"), "").unwrap();
    let operation = ended(&client, &id).await;
    assert_eq!((&operation["result"], &operation["attemptsCount"]), (&json!({ "page": 4 }), &json!(2)));
    let attempts = client.get(&below(&id, "attempts")).await.value();
    assert_eq!(attempts["value"][0]["error"]["message"], "exit status 75: tired");
    assert_eq!(carried_out(&client, "fresh", json!(null)).await["result"], "none");
}

#[tokio::test]
async fn a_program_sees_what_it_is_given_and_nothing_else() {
    let programs = Programs::new(&[("look", "env; echo ARGS=$#:$1:$2; ls -A; echo DIR=$(pwd -P)")]);
    let file = programs.path("look").with_file_name("longrun.toml");
    let settings = format!(
        "[programs.look]\npath = {:?}\nargs = [\"a b\", \"$HOME\"]\ninherit = [\"LANGUAGE\"]\nenvironment = {{ SIZE = \"8 x 8\" }}\n",
        programs.path("look")
    );
    std::fs::write(&file, settings).unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap()]);
    let client = server.client();
    let operation = carried_out(&client, "look", json!(null)).await;
    let text = operation["result"].as_str().unwrap_or_else(|| panic!("{operation}"));
    let has = |line: &str| assert!(text.lines().any(|shown| shown == line), "{line} in {text}");
    has(&format!("LONGRUN_OPERATION_ID={}", operation["id"].as_str().unwrap()));
    has("LONGRUN_ATTEMPT=1");
    has("LONGRUN_LEASE_TOKEN=1");
    assert!(!text.contains("TRACEPARENT"), "it was submitted in no trace: {text}");
    has("SIZE=8 x 8");
    has("ARGS=2:a b:$HOME");
    assert!(!text.contains("CARGO") && !text.contains("HOME="), "the server's own environment: {text}");
    let directory = text.lines().find_map(|line| line.strip_prefix("DIR=")).unwrap();
    assert!(directory.contains("longrun-") && !Path::new(directory).exists(), "{directory} is left");
    assert!(text.lines().all(|line| line.contains('=')), "it begins empty: {text}");
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let programs = Programs::new(&[
        ("group", "sleep 300 & echo $! > $NOTES/group; exit 0"),
        (
            "session",
            "setsid sh -c 'sleep 301 & echo $! > '$NOTES'/session; wait' & \
                     until [ -s $NOTES/session ]; do sleep 0.02; done; echo done",
        ),
        (
            "orphan",
            "(setsid sh -c 'echo $$ > '$NOTES'/orphan; exec sleep 302' >&- 2>&- &) ; \
                    until [ -s $NOTES/orphan ]; do sleep 0.02; done; exit 75",
        ),
    ]);
    let server = programs.serve(&[]);
    let client = server.client();
    for (name, status) in [("group", "Completed"), ("session", "Completed"), ("orphan", "Failed")] {
        assert_eq!(carried_out(&client, name, json!(null)).await["status"], status);
        let left = programs.numbers(name);
        assert!(left.len() == 1 && !lives(left[0]), "{name}: {left:?} is left");
    }
}

#[tokio::test]
async fn a_program_works_for_its_tenants_only() {
    let programs = Programs::new(&[("whose", "echo mine"), ("anyones", "echo ours")]);
    let file = programs.path("whose").with_file_name("longrun.toml");
    let settings = format!(
        "[programs.whose]\npath = {:?}\ntenants = [\"b\"]\n[programs.anyones]\npath = {:?}\ntenants = [\"b\", \"default\"]\nconcurrency = 1\n",
        programs.path("whose"),
        programs.path("anyones")
    );
    std::fs::write(&file, settings).unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap(), "--workers=2"]);
    let all = "Operation.ReadWrite";
    let ours = server.client().with_token(&token(&server, &["--scope", all]));
    let theirs = server.client().with_token(&token(&server, &["--scope", all, "--tenant", "b"]));
    let refused = ours.submit(&json!({ "operationType": "whose" })).await;
    assert_eq!(carried_out(&theirs, "whose", json!(null)).await["result"], "mine");
    assert_eq!(carried_out(&theirs, "anyones", json!(null)).await["result"], "ours");
    assert_eq!(carried_out(&ours, "anyones", json!(null)).await["result"], "ours");
    let waits = ours.operation(&refused).await;
    assert_eq!((&waits["status"], &waits["waiting"]["reason"]), (&json!("NotStarted"), &json!("noWorker")));
}

#[tokio::test]
async fn no_more_run_at_a_time_than_there_are_workers_or_the_program_bears() {
    // Each notes that it runs, waits for the word, and says how many it saw.
    let body = "mkdir -p $NOTES/in; touch $NOTES/in/$$; until [ -e $NOTES/go ]; do sleep 0.02; done
                ls $NOTES/in | wc -l; rm $NOTES/in/$$";
    let programs = Programs::new(&[("many", body), ("few", body)]);
    let file = programs.path("many").with_file_name("longrun.toml");
    let settings = format!(
        "[programs.many]\npath = {:?}\ntenants = [\"a\", \"b\"]\n[programs.few]\npath = {:?}\nconcurrency = 1\n",
        programs.path("many"),
        programs.path("few")
    );
    std::fs::write(&file, settings).unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap(), "--workers=3"]);
    let mut clients = vec![];
    for tenant in ["a", "b", "default"] {
        let token = token(&server, &["--scope", "Operation.ReadWrite", "--tenant", tenant]);
        clients.push(server.client().with_token(&token));
    }
    let mut submitted = vec![];
    for (client, name) in clients.iter().zip(["many", "many", "few"]) {
        for _ in 0..4 {
            submitted.push((client, client.submit(&json!({ "operationType": name })).await));
        }
    }
    let running = || async {
        let mut running = 0;
        for (client, id) in &submitted {
            running += usize::from(client.operation(id).await["status"] == "Running");
        }
        running
    };
    until("three that run", || async { (running().await == 3).then_some(()) }).await;
    std::fs::write(file.with_file_name("go"), "").unwrap();
    for (client, id) in &submitted {
        let operation = ended(client, id).await;
        assert!(operation["result"].as_u64().unwrap() <= 3, "{operation}");
    }
}

/// A server that does not begin: what it says.
fn refused(settings: &str, arguments: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("longrun.toml");
    std::fs::write(&file, settings).unwrap();
    let mut command = longrun(&["serve", "--listen=127.0.0.1:0", "--config"]);
    command.arg(&file).arg("--data").arg(directory.path().join("data")).args(arguments);
    run(command)
}

#[test]
fn a_program_that_cannot_be_one_is_told_at_the_start() {
    let programs = Programs::new(&[("good", "exit 0")]);
    let good = programs.path("good");
    let (good, directory) = (good.display(), good.parent().unwrap().display());
    let table = |rest: &str| format!("[programs.resize]\npath = \"{good}\"\n{rest}\n");
    let plain = programs.path("good").with_file_name("plain");
    std::fs::write(&plain, "").unwrap();
    for (flag, word) in [
        ("--program=resize=bin/resize.sh".to_owned(), "absolute"),
        ("--program=resize=/nowhere/resize.sh".to_owned(), "No such file"),
        (format!("--program=resize={directory}"), "no file"),
        (format!("--program=resize={}", plain.display()), "chmod +x"),
        (format!("--program=a b={good}"), "its name must be"),
        (format!("--program=sleep={good}"), "built in"),
    ] {
        let ended = refused("", &[&flag]);
        assert_eq!((ended.code, ended.err.lines().count()), (Some(2), 1), "{ended:?}");
        assert!(ended.err.starts_with("error: program") && ended.err.contains(word), "{word}: {ended:?}");
    }
    for (rest, word) in [
        ("tenants = []", "at least one"),
        ("tenants = [\"a b\"]", "tenants"),
        ("timeout = 0", "timeout"),
        ("concurrency = 0", "concurrency"),
        ("inherit = [\"A=B\"]", "A=B"),
        ("environment = { LONGRUN_ATTEMPT = \"1\" }", "LONGRUN_ATTEMPT"),
        ("shell = true", "shell"),
    ] {
        let ended = refused(&table(rest), &[]);
        assert_eq!((ended.code, ended.err.lines().count()), (Some(2), 1), "{ended:?}");
        assert!(ended.err.contains(word), "{word}: {ended:?}");
    }
    assert_eq!(refused("", &["--program=resize"]).code, Some(2));
    let ended = refused(&table(""), &["--workers=0"]);
    assert!(ended.code == Some(2) && ended.err.contains("workers is 0"), "{ended:?}");
}

#[test]
fn the_guard_is_not_for_people() {
    let ended = run(longrun(&["guard"]));
    assert_eq!((ended.code, ended.err.lines().count()), (Some(2), 1), "{ended:?}");
    assert!(!run(longrun(&["help"])).out.contains("guard"), "nor is it listed");
}

#[tokio::test]
async fn the_program_of_the_documentation_goes_on_where_it_stopped() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/programs.md")).unwrap();
    let (_, rest) = docs.split_once("```sh\n#!/bin/sh\n").unwrap();
    let (body, _) = rest.split_once("```").unwrap();
    let programs = Programs::new(&[("count-lines", body)]);
    let server = programs.serve(&[]);
    let client = server.client();
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("a", "1\n2\n"), ("b", "3\n")] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    // Nobody can read a link to nowhere, not even root.
    let last = directory.path().join("c");
    std::os::unix::fs::symlink("nowhere", &last).unwrap();
    let retry = json!({ "initialDelaySeconds": 0 });
    let body = json!({ "operationType": "count-lines", "input": directory.path(), "maxAttempts": 1, "retry": retry });
    let id = client.submit(&body).await;
    let failed_first = ended(&client, &id).await;
    failed(&failed_first, "exitCode", "exit status 75");
    assert_eq!(failed_first["percentComplete"], 66);
    std::fs::remove_file(&last).unwrap();
    std::fs::write(&last, "4\n").unwrap();
    // What is counted already is not looked at again.
    std::fs::write(directory.path().join("a"), "").unwrap();
    let retried = client.post(&below(&id, "retry"), &json!({})).await;
    assert_eq!(retried.status, http::StatusCode::OK, "{}", retried.text());
    let operation = ended(&client, &id).await;
    assert_eq!(
        (&operation["status"], &operation["result"]),
        (&json!("Completed"), &json!({ "files": 3, "lines": 4 }))
    );
    failed(&carried_out(&client, "count-lines", json!("/nowhere")).await, "exitCode", "exit status 65");
}
