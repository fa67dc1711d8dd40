//! A program never outlives its attempt: whatever ends the attempt ends all that the program has started, before another
//! attempt begins.

use std::time::Instant;

use longrun_sdk::handlers::program::{Guard, Program};
use longrun_sdk::{CancellationToken, Worker};
use serde_json::{Value, json};

use crate::support::server::LONGRUN;
use crate::support::{Client, Programs, Server, lives, until};

/// Notes its process and one that it has started in a session of its own, and whether those of an earlier attempt still
/// live; then works until the word is given.
const WORK: &str = r#"
own=$NOTES/$LONGRUN_OPERATION_ID
for earlier in $(cat "$own" 2>/dev/null); do
  grep -q ') [^Z]' "/proc/$earlier/stat" 2>/dev/null && echo "$earlier" >> "$NOTES/overlaps"
done
setsid sleep 300 & echo $! >> "$own"; echo $$ >> "$own"
pwd -P > "$NOTES/directory"; echo $LONGRUN_OPERATION_ID >> "$NOTES/begun"
until [ -e "$NOTES/go" ]; do sleep 0.02; done
echo "$LONGRUN_ATTEMPT"
"#;
/// Hears nothing.
const STUBBORN: &str = "trap '' TERM\n";
/// Says goodbye.
const POLITE: &str = "trap 'echo bye > $NOTES/bye; exit 0' TERM\n";

async fn submit(client: &Client, more: Value) -> String {
    let mut body = json!({ "operationType": "work", "retry": { "initialDelaySeconds": 0 } });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.submit(&body).await
}

async fn ended(client: &Client, id: &str) -> Value {
    until("its end", || async {
        let operation = client.operation(id).await;
        operation["completedDateTime"].is_string().then_some(operation)
    })
    .await
}

/// Waits until so many attempts have begun.
async fn begun(programs: &Programs, attempts: usize) {
    let begun = || programs.note("begun").unwrap_or_default().lines().count();
    until("its attempts", || std::future::ready((begun() >= attempts).then_some(()))).await;
    assert_eq!(begun(), attempts, "no more than were asked for");
}

/// Waits until nothing is left of what an operation's attempts have started.
async fn gone(programs: &Programs, id: &str) {
    let left = || programs.numbers(id).into_iter().any(lives);
    until("the end of all that it started", || std::future::ready((!left()).then_some(()))).await;
}

fn go(programs: &Programs) {
    std::fs::write(programs.path("go").with_file_name("go"), "").unwrap();
}

/// Whoever finds out first says so: the server, or the worker that has told the program to end.
fn timed_out(operation: &Value) -> bool {
    let code = &operation["error"]["code"];
    code == "timeout" || code == "timedOut"
}

fn no_overlap(programs: &Programs) {
    assert_eq!(programs.note("overlaps"), None, "an attempt began beside the one before it");
}

#[tokio::test]
async fn a_cancel_ends_a_program_with_time_to_say_goodbye() {
    let programs = Programs::new(&[("work", &format!("{POLITE}{WORK}"))]);
    let server = programs.serve(&[]);
    let client = server.client();
    let id = submit(&client, json!({})).await;
    begun(&programs, 1).await;
    client.post(&format!("/v1.0/operations/{id}/cancel"), &json!({})).await;
    assert_eq!(ended(&client, &id).await["error"]["code"], "canceled");
    assert_eq!(programs.note("bye").as_deref(), Some("bye"));
    gone(&programs, &id).await;
}

#[tokio::test]
async fn a_cancel_ends_a_program_that_hears_nothing_after_five_seconds() {
    let programs = Programs::new(&[("work", &format!("{STUBBORN}{WORK}"))]);
    let server = programs.serve(&[]);
    let client = server.client();
    let id = submit(&client, json!({})).await;
    begun(&programs, 1).await;
    let asked = Instant::now();
    client.post(&format!("/v1.0/operations/{id}/cancel"), &json!({})).await;
    assert_eq!(ended(&client, &id).await["error"]["code"], "canceled");
    assert!(asked.elapsed().as_secs_f64() >= 5.0, "it had its time");
    assert!(!programs.numbers(&id).into_iter().any(lives), "the report comes when it is gone");
}

#[tokio::test]
async fn a_timeout_ends_a_program_before_the_next_attempt_begins() {
    let programs = Programs::new(&[("work", &format!("{STUBBORN}{WORK}"))]);
    let server = programs.serve(&[]);
    let client = server.client();
    let id = submit(&client, json!({ "timeoutSeconds": 2, "maxAttempts": 2 })).await;
    // The second attempt is given out while the first still has its five seconds, and its own time is over before they are.
    let failed = ended(&client, &id).await;
    assert_eq!((timed_out(&failed), &failed["attemptsCount"]), (true, &json!(2)));
    gone(&programs, &id).await;
    let again = submit(&client, json!({ "timeoutSeconds": 6, "maxAttempts": 2 })).await;
    begun(&programs, 3).await;
    assert!(timed_out(&ended(&client, &again).await));
    gone(&programs, &again).await;
    no_overlap(&programs);
}

#[tokio::test]
async fn a_program_has_a_time_of_its_own_as_well() {
    let programs = Programs::new(&[("work", &format!("{POLITE}{WORK}"))]);
    let file = programs.path("work").with_file_name("longrun.toml");
    std::fs::write(&file, format!("[programs.work]\npath = {:?}\ntimeout = 1\n", programs.path("work")))
        .unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap()]);
    let client = server.client();
    let id = submit(&client, json!({ "maxAttempts": 2 })).await;
    let failed = ended(&client, &id).await;
    assert_eq!((&failed["error"]["code"], &failed["attemptsCount"]), (&json!("timedOut"), &json!(2)));
    begun(&programs, 2).await;
    no_overlap(&programs);
    gone(&programs, &id).await;
}

#[tokio::test]
async fn a_guard_that_is_killed_takes_its_program_along() {
    let programs = Programs::new(&[("work", &format!("echo $PPID > $NOTES/guard\n{WORK}"))]);
    let server = programs.serve(&[]);
    let client = server.client();
    let id = submit(&client, json!({})).await;
    begun(&programs, 1).await;
    let directory = programs.note("directory").unwrap();
    let [session, program] = programs.numbers(&id)[..] else { panic!("two were noted") };
    signal("KILL", &[programs.numbers("guard")[0]]);
    begun(&programs, 2).await;
    assert!(!lives(program) && !std::path::Path::new(&directory).exists(), "{directory} is left");
    // A session of its own is what only the guard could have ended; the documentation says so.
    signal("KILL", &[session]);
    go(&programs);
    assert_eq!(ended(&client, &id).await["result"], 2);
}

fn signal(name: &str, processes: &[u32]) {
    let processes: Vec<String> = processes.iter().map(u32::to_string).collect();
    let sent = std::process::Command::new("kill").arg(format!("-{name}")).args(&processes).status();
    assert!(sent.unwrap().success(), "kill -{name} {processes:?}");
}

mod alone {
    use super::*;

    const RUNNING: usize = 4;

    #[tokio::test(flavor = "multi_thread")]
    async fn kill_9_of_the_server_leaves_no_program_and_each_runs_once_more() {
        let programs = Programs::new(&[("work", &format!("{STUBBORN}{WORK}"))]);
        let mut server = programs.serve(&["--workers=4"]);
        let mut ids = Vec::new();
        for _ in 0..RUNNING {
            ids.push(submit(&server.client(), json!({})).await);
        }
        begun(&programs, RUNNING).await;
        server.kill();
        for id in &ids {
            gone(&programs, id).await;
        }
        server.start_again();
        begun(&programs, 2 * RUNNING).await;
        // And once more, this time without waiting for what was killed.
        server.kill();
        server.start_again();
        begun(&programs, 3 * RUNNING).await;
        no_overlap(&programs);
        go(&programs);
        for id in &ids {
            let operation = ended(&server.client(), id).await;
            assert_eq!((&operation["result"], &operation["attemptsCount"]), (&json!(3), &json!(3)));
            gone(&programs, id).await;
        }
        begun(&programs, 3 * RUNNING).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_and_a_guard_that_are_killed_together_leave_no_program() {
        let programs = Programs::new(&[("work", &format!("echo $PPID > $NOTES/guard\n{STUBBORN}{WORK}"))]);
        let mut server = programs.serve(&[]);
        let id = submit(&server.client(), json!({})).await;
        begun(&programs, 1).await;
        let guard = programs.numbers("guard")[0];
        // It shall not see the server's end before its own.
        signal("STOP", &[guard]);
        signal("KILL", &[server.pid(), guard]);
        let [orphan, program] = programs.numbers(&id)[..] else { panic!("two were noted") };
        until("its end", || std::future::ready((!lives(program)).then_some(()))).await;
        server.wait();
        // Its own children, and its directory, are what nobody is left to end; the documentation says so.
        std::fs::remove_dir_all(programs.note("directory").unwrap()).unwrap();
        signal("KILL", &[orphan]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_shutdown_gives_a_program_time_and_its_operation_back() {
        let programs = Programs::new(&[("work", &format!("{POLITE}{WORK}"))]);
        let mut server = programs.serve(&["--grace=4"]);
        let id = submit(&server.client(), json!({})).await;
        begun(&programs, 1).await;
        server.signal("TERM");
        assert!(server.wait().success());
        assert_eq!(programs.note("bye").as_deref(), Some("bye"));
        gone(&programs, &id).await;
        server.start_again();
        begun(&programs, 2).await;
        go(&programs);
        let operation = ended(&server.client(), &id).await;
        assert_eq!((&operation["result"], &operation["attemptsCount"]), (&json!(1), &json!(1)), "uncounted");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_that_has_lost_its_lease_ends_its_program() {
        let programs = Programs::new(&[("work", &format!("{POLITE}{WORK}"))]);
        let server = Server::start(&["--workers=0"]);
        let program = Program::new(programs.path("work"), Guard::of(LONGRUN, ["guard"]));
        let worker = Worker::builder(&server.url).lease_seconds(1).program("work", program).build();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(worker.unwrap().run_until(shutdown.clone()));
        let id = submit(&server.client(), json!({})).await;
        begun(&programs, 1).await;
        server.signal("STOP");
        gone(&programs, &id).await;
        assert_eq!(programs.note("bye").as_deref(), Some("bye"));
        server.signal("CONT");
        begun(&programs, 2).await;
        go(&programs);
        assert_eq!(ended(&server.client(), &id).await["result"], 2);
        no_overlap(&programs);
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }
}
