//! `longrun work`: a remote worker that carries operations out with a program.

use serde_json::{Value, json};

use super::{Ended, longrun, quiet, run, token};
use crate::support::{Client, Programs, Worker, lives, until};

/// Waits for the end of an operation.
async fn ended(client: &Client, id: &str) -> Value {
    until("its end", || async {
        let operation = client.operation(id).await;
        operation["completedDateTime"].is_string().then_some(operation)
    })
    .await
}

#[tokio::test]
async fn it_carries_the_operations_of_its_queues_and_types_out() {
    let programs = Programs::new(&[("echo", "cat")]);
    let server = quiet();
    let client = server.client();
    let arguments = ["--type", "preview", "--queue", "media", "--queue", "mail", "--concurrency", "2"];
    let _worker = Worker::start(&server.url, "thumbnail", &programs.path("echo"), &arguments);
    let mut ids = Vec::new();
    for (queue, operation_type) in [("media", "thumbnail"), ("mail", "preview"), ("mail", "thumbnail")] {
        let body = json!({ "queue": queue, "operationType": operation_type, "input": { "n": ids.len() } });
        ids.push(client.submit(&body).await);
    }
    let elsewhere = client.submit(&json!({ "operationType": "thumbnail" })).await;
    let other = client.submit(&json!({ "queue": "media", "operationType": "other" })).await;
    for (n, id) in ids.iter().enumerate() {
        let operation = ended(&client, id).await;
        assert_eq!((&operation["status"], &operation["result"]), (&json!("Completed"), &json!({ "n": n })));
    }
    for id in [elsewhere, other] {
        assert_eq!(client.operation(&id).await["status"], "NotStarted");
    }
}

#[tokio::test]
async fn its_program_has_the_arguments_and_variables_that_are_named_and_no_others() {
    let programs =
        Programs::new(&[("show", "env >&2; echo \"$# $1 $MODE $GIVEN ${HIDDEN-hidden}\"; exit $1")]);
    let server = quiet();
    let client = server.client();
    let mut command = longrun(&["work", "--type", "show", "--env", "GIVEN", "--env", "MODE=a=b", "--server"]);
    command.arg(&server.url).arg("--").arg(programs.path("show")).args(["0", "a b; exit 1"]);
    command.env("GIVEN", "given").env("HIDDEN", "no").env("LONGRUN_QUEUE", "no");
    let mut worker = Worker::of(command);
    let id = client.submit(&json!({ "operationType": "show" })).await;
    assert_eq!(ended(&client, &id).await["result"], "2 0 a=b given hidden");
    worker.signal("TERM");
    assert_eq!(worker.wait().code(), Some(0));
}

#[tokio::test]
async fn a_program_is_found_as_a_shell_finds_it() {
    let programs = Programs::new(&[("here", "echo here")]);
    let server = quiet();
    let client = server.client();
    let directory = programs.path("here").parent().expect("it is in one").to_owned();
    for program in ["here.sh", "./here.sh"] {
        let mut command = longrun(&["work", "--type", program.trim_start_matches("./"), "--server"]);
        let path = std::env::join_paths([directory.clone(), "/usr/bin".into(), "/bin".into()]).unwrap();
        command.arg(&server.url).args(["--", program]).current_dir(&directory).env("PATH", path);
        let _worker = Worker::of(command);
        let id = client.submit(&json!({ "operationType": "here.sh" })).await;
        assert_eq!(ended(&client, &id).await["result"], "here", "{program}");
    }
}

#[tokio::test]
async fn when_told_to_end_it_lets_programs_end_and_hands_the_rest_back() {
    let programs = Programs::new(&[
        ("short", "echo $$ > $NOTES/short; until [ -e $NOTES/go ]; do sleep 0.02; done; echo done"),
        ("long", "echo 'checkpoint={\"page\": 4}' >&2; echo $$ > $NOTES/long; exec sleep 600"),
    ]);
    let server = quiet();
    let client = server.client();
    let [short, long] = ["short", "long"]
        .map(|name| (name, Worker::start(&server.url, name, &programs.path(name), &["--grace", "3"])));
    let short_id = client.submit(&json!({ "operationType": "short" })).await;
    let long_id = client.submit(&json!({ "operationType": "long" })).await;
    let both =
        || async { (programs.note("short").is_some() && programs.note("long").is_some()).then_some(()) };
    until("both programs", both).await;
    let [mut short, mut long] = [short, long].map(|(_, worker)| {
        worker.signal("TERM");
        worker
    });
    let late = client.submit(&json!({ "operationType": "short" })).await;
    std::fs::write(programs.path("short").with_file_name("go"), "").unwrap();
    assert_eq!((short.wait().code(), long.wait().code()), (Some(0), Some(0)), "{}", long.said());
    let operation = client.operation(&short_id).await;
    assert_eq!((&operation["status"], &operation["result"]), (&json!("Completed"), &json!("done")));
    let operation = client.operation(&long_id).await;
    assert_eq!((&operation["status"], &operation["attemptsCount"]), (&json!("NotStarted"), &json!(0)));
    assert_eq!(client.operation(&late).await["status"], "NotStarted", "nothing is claimed any more");
    assert!(!lives(programs.numbers("long")[0]), "nothing of a program outlives its worker");
    let claim = json!({ "id": "c", "operationTypes": ["long"], "leaseSeconds": 30 });
    let answer = client.work(&json!({ "workerId": "w", "claim": claim })).await;
    assert_eq!(answer["operations"][0]["checkpoint"], json!({ "page": 4 }));
}

#[tokio::test]
async fn an_attempt_that_takes_longer_than_its_worker_allows_is_ended() {
    let programs = Programs::new(&[("long", "echo $$ > $NOTES/pid; exec sleep 600")]);
    let server = quiet();
    let client = server.client();
    let _worker = Worker::start(&server.url, "long", &programs.path("long"), &["--timeout", "1"]);
    let id = client.submit(&json!({ "operationType": "long", "maxAttempts": 1 })).await;
    let operation = ended(&client, &id).await;
    assert_eq!(operation["error"]["code"], "timedOut", "{operation}");
    assert!(!lives(programs.numbers("pid")[0]));
}

#[tokio::test]
async fn a_worker_that_may_not_or_cannot_work_says_why_and_ends() {
    let programs = Programs::new(&[("echo", "cat")]);
    let server = quiet();
    let read = token(&server, &["--scope", "Operation.Read"]);
    let echo = programs.path("echo");
    let work = |arguments: &[&str], program: &str| -> Ended {
        let mut command = longrun(&["work", "--server", &server.url, "--log", "off"]);
        command.args(arguments).args(["--", program]);
        run(command)
    };
    let echo = echo.to_str().unwrap();
    for (arguments, program, code, word) in [
        (&["--type", "a", "--token", &read][..], echo, 5, "accessDenied"),
        (&["--type", "a"], echo, 5, "LONGRUN_TOKEN"),
        (&["--type", "a", "--token", "lr_a_b"], echo, 5, "unauthenticated"),
        (&["--type", "a"], "/nowhere/echo", 2, "/nowhere/echo"),
        (&["--type", "a"], "no-such-program", 2, "PATH"),
        (&["--type", "a"], "/", 2, "no file"),
        (&["--type", "a", "--env", "LONGRUN_ATTEMPT"], echo, 2, "set for each attempt"),
        (&[], echo, 2, "--type"),
    ] {
        let ended = work(arguments, program);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{ended:?}");
        assert!(ended.err.contains(word), "{word:?} in {ended:?}");
    }
    let execute = token(&server, &["--scope", "Operation.Execute"]);
    let refused = work(&["--type", "no name", "--token", &execute], echo);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("claim"), "{refused:?}");
}
