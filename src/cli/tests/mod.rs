//! Whole command lines against a fake server.

mod lists;

use std::sync::{Arc, Mutex};

use clap::{CommandFactory, Parser};

use super::fake::{self, Asked};
use super::{Arguments, Exit, Output, Subcommand};

const ID: &str = "7986a22f-a22f-7986-2fa2-86792fa28679";

fn operation(status: &str) -> String {
    format!(r#"{{"id":"{ID}","status":"{status}","operationType":"noop"}}"#)
}

fn error(code: &str, message: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#)
}

/// What a command line came to: exit code, stdout, stderr.
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

async fn run_on(words: &[&str], terminal: bool) -> Ran {
    let arguments = Arguments::try_parse_from(["longrun"].iter().chain(words)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output::of_test(&mut out, &mut err, terminal);
    let ended = match arguments.subcommand {
        Subcommand::Submit(submit) => submit.run(&mut output).await,
        Subcommand::Get(get) => get.run(&mut output).await,
        Subcommand::List(list) => list.run(&mut output).await,
        Subcommand::Delete(delete) => delete.run(&mut output).await,
        Subcommand::Queues(queues) => queues.run(&mut output).await,
        Subcommand::Workers(workers) => workers.run(&mut output).await,
        Subcommand::Demo(demo) => demo.run(&mut output).await,
        Subcommand::Watch(watch) => watch.run(&mut output).await,
        Subcommand::Cancel(cancel) => cancel.run(&mut output).await,
        Subcommand::Retry(retry) => retry.run(&mut output).await,
        Subcommand::Token(token) => token.run(&mut output).await,
        Subcommand::Health(health) => health.run(&mut output).await,
        other => other.run(&mut output, false),
    };
    let exit = output.conclude(ended);
    Ran { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

async fn run(words: &[&str]) -> Ran {
    run_on(words, false).await
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_flag_of_submit_is_read() {
    let words = [
        "longrun",
        "submit",
        "thumbnail",
        "--queue=media",
        "--input={}",
        "--key=k",
        "--id",
        ID,
        "--label=a=b=c",
        "--label",
        "d=",
        "--priority",
        "-100",
        "--start=2026-01-31T09:30:00+01:00",
        "--expires=2026-02-01T00:00:00Z",
        "--timeout=60",
        "--max-attempts=1000",
        "--external",
        "--wait",
        "--server=http://a",
        "--token=t",
        "--deadline=3",
        "--json",
    ];
    assert!(Arguments::try_parse_from(words).is_ok_and(|arguments| arguments.json));
    for bad in [
        ["submit", "--priority=101"],
        ["submit", "--start=tomorrow"],
        ["submit", "--expires=2026-01-31"],
        ["submit", "--label=a"],
        ["submit", "--id=7"],
        ["submit", "--timeout=0"],
        ["submit", "--max-attempts=1001"],
        ["submit", "--wait=soon"],
        ["submit", "--deadline=0"],
        ["watch", "--status=failed"],
        ["list", "--status=failed"],
        ["list", "--top=0"],
        ["list", "--label=a"],
        ["list", "--order=createdDateTime"],
        ["delete", "7"],
        ["get", "7"],
        ["get", "--wait"],
        ["token", "create"],
        ["token", "--name=a"],
        ["completions", "cmd"],
        ["serve", "--listen=here"],
        ["fly", "away"],
    ] {
        let error = Arguments::try_parse_from(["longrun"].iter().chain(&bad)).err().unwrap();
        assert_eq!(error.exit_code(), 2, "{bad:?}");
    }
}

#[test]
fn help_tells_the_exit_codes_and_never_shows_a_token() {
    let mut command = Arguments::command();
    let help = command.render_long_help().to_string();
    assert!(help.contains("4  still running at the end of --wait"), "{help}");
    let get = command.find_subcommand_mut("get").unwrap().render_long_help().to_string();
    assert!(get.contains("[env: LONGRUN_TOKEN]"), "{get}");
}

#[tokio::test]
async fn a_submit_sends_what_it_was_given() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let url = fake::on_tcp({
        let seen = Arc::clone(&seen);
        move |asked: Asked| {
            seen.lock().unwrap().push(asked);
            (201, operation("NotStarted"))
        }
    });
    let url = url.await;
    let ran = run(&[
        "submit",
        "thumbnail",
        "--server",
        &url,
        "--token=t",
        "--queue=media",
        "--input={\"a\": 1}",
        "--key=k",
        "--label=a=b",
        "--priority=-5",
        "--start=2026-01-31T09:30:00Z",
        "--timeout=60",
        "--max-attempts=2",
    ])
    .await;
    assert_eq!(ran.exit, Exit::Done);
    let asked = seen.lock().unwrap().pop().unwrap();
    assert_eq!(asked.what, "POST /v1.0/operations");
    assert_eq!(asked.header("idempotency-key"), Some("k"));
    assert_eq!(asked.header("authorization"), Some("Bearer t"));
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let expected = serde_json::json!({
        "operationType": "thumbnail", "queue": "media", "input": {"a": 1}, "labels": {"a": "b"}, "priority": -5,
        "startDateTime": "2026-01-31T09:30:00Z", "timeoutSeconds": 60, "maxAttempts": 2,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_wait_ends_with_how_the_operation_ended() {
    for (last, exit) in [("Completed", Exit::Done), ("Failed", Exit::Failed)] {
        let url = fake::on_tcp(move |asked: Asked| match asked.header("prefer") {
            Some(_) => (200, operation(last)),
            None => (200, operation("Running")),
        });
        let url = url.await;
        for words in [vec!["submit", "--wait=20"], vec!["submit", "--wait"], vec!["get", ID, "--wait"]] {
            let ran = run(&[&words[..], &["--server", &url]].concat()).await;
            assert_eq!(ran.exit, exit, "{words:?}");
            assert!(ran.out.contains(last) && ran.out.ends_with("}\n"), "{}", ran.out);
            assert_eq!(ran.err, "");
        }
    }
}

#[tokio::test]
async fn a_wait_that_is_over_shows_what_still_runs() {
    let url = fake::on_tcp(|_| (200, operation("Running"))).await;
    for words in [vec!["submit", "--wait=0"], vec!["get", ID, "--wait=1"]] {
        let ran = run(&[&words[..], &["--server", &url]].concat()).await;
        assert_eq!(ran.exit, Exit::Running, "{words:?}");
        assert!(ran.out.contains("Running"));
    }
    assert_eq!(run(&["get", ID, "--server", &url]).await.exit, Exit::Done);
}

#[tokio::test]
async fn a_person_sees_a_table() {
    let url = fake::on_tcp(|_| (200, operation("Running"))).await;
    let ran = run_on(&["get", ID, "--server", &url], true).await;
    assert!(ran.out.contains("operation type  noop\n"), "{}", ran.out);
}

#[tokio::test]
async fn each_refusal_is_one_line_and_its_exit_code() {
    for (status, code, exit) in [
        (400, "invalidRequest", Exit::Usage),
        (401, "unauthenticated", Exit::NotAllowed),
        (403, "accessDenied", Exit::NotAllowed),
        (404, "itemNotFound", Exit::NotFound),
        (409, "conflict", Exit::Failed),
    ] {
        let url = fake::on_tcp(move |_| (status, error(code, "why"))).await;
        for words in [
            vec!["submit"],
            vec!["get", ID],
            vec!["cancel", ID],
            vec!["retry", ID],
            vec!["health"],
            vec!["list"],
            vec!["queues"],
            vec!["queues", "pause", "media"],
            vec!["workers"],
        ] {
            let ran = run(&[&words[..], &["--server", &url]].concat()).await;
            assert_eq!(ran.exit, exit, "{status} {words:?}");
            assert!(ran.err.starts_with(&format!("error: why ({code})")), "{}", ran.err);
            assert_eq!((ran.err.lines().count(), ran.out.as_str()), (1, ""));
            assert_eq!(ran.err.contains("LONGRUN_TOKEN"), exit == Exit::NotAllowed);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_cannot_be_reached() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    for words in
        [vec!["submit"], vec!["get", ID], vec!["get", ID, "--wait=1"], vec!["cancel", ID], vec!["health"]]
    {
        let ran = run(&[&words[..], &["--server", &url, "--deadline=1"]].concat()).await;
        assert_eq!(ran.exit, Exit::Unreachable, "{words:?}");
        assert!(ran.err.contains(&url) && ran.err.lines().count() == 1, "{}", ran.err);
        assert_eq!(ran.err.contains("repeat it with --key "), words == ["submit"], "{}", ran.err);
    }
    let stranger = fake::on_tcp(|_| (200, "hello".to_owned())).await;
    assert_eq!(run(&["get", ID, "--server", &stranger]).await.exit, Exit::Unreachable);
}

#[tokio::test]
async fn cancel_retry_and_health_end_well() {
    let url = fake::on_tcp(|asked: Asked| match asked.what.as_str() {
        "GET /readyz" => (200, "{}".to_owned()),
        what if what.ends_with("/cancel") => (200, operation("Failed")),
        what if what.ends_with("/retry") => (200, operation("NotStarted")),
        what => panic!("{what}"),
    });
    let url = url.await;
    for words in [vec!["cancel", ID], vec!["retry", ID], vec!["health"]] {
        let ran = run(&[&words[..], &["--server", &url]].concat()).await;
        assert_eq!((ran.exit, ran.err.as_str()), (Exit::Done, ""), "{words:?}");
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap();
    }
}

#[tokio::test]
async fn version_and_completions_need_no_server() {
    let ran = run_on(&["version"], true).await;
    assert_eq!(ran.out, format!("longrun {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell]).await;
        assert!(ran.exit == Exit::Done && ran.out.contains("max-attempts"), "{shell}");
    }
}

#[tokio::test]
async fn a_wrong_url_or_label_is_a_mistake_of_usage() {
    for words in [
        ["get", ID, "--server=ftp://a"],
        ["submit", "--label=a=b", "--label=a=c"],
        ["submit", "--input={", "a"],
    ] {
        assert_eq!(run(&words).await.exit, Exit::Usage, "{words:?}");
    }
}

#[test]
fn a_watch_is_of_one_or_filtered_and_a_submit_waits_or_watches() {
    for bad in [["watch", ID, "--queue=a"], ["submit", "--watch", "--wait"]] {
        assert!(Arguments::try_parse_from(["longrun"].iter().chain(&bad)).is_err(), "{bad:?}");
    }
}

fn event(n: u32, kind: &str, status: &str) -> String {
    format!("id: 00c0ffee-{n}\nevent: {kind}\ndata: {}\n\n", operation(status))
}

#[tokio::test]
async fn a_watch_shows_each_event_and_ends_as_the_operation_does() {
    for (kind, last, exit) in [("completed", "Completed", Exit::Done), ("failed", "Failed", Exit::Failed)] {
        let url = fake::on_tcp(move |asked: Asked| match asked.what.as_str() {
            "POST /v1.0/operations" => (201, operation("NotStarted")),
            what if what.ends_with("/events") => {
                (200, event(1, "snapshot", "NotStarted") + ":\n\n" + &event(2, kind, last))
            }
            _ => (200, operation("NotStarted").replace('}', r#","waiting":{"message":"nobody is there"}}"#)),
        });
        let url = url.await;
        for words in [vec!["watch", ID], vec!["submit", "--watch"]] {
            let words = [&words[..], &["--server", &url]].concat();
            let ran = run(&words).await;
            let lines: Vec<serde_json::Value> =
                ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!((ran.exit, lines.len(), ran.err.as_str()), (exit, 2, ""), "{words:?}");
            assert_eq!((&lines[1]["cursor"], &lines[1]["event"]), (&"00c0ffee-2".into(), &kind.into()));
            assert_eq!(lines[1]["operation"]["status"], last);
            let ran = run_on(&words, true).await;
            assert!(ran.out.contains(&format!("  {kind:<9}  {ID}  noop\n")), "{}", ran.out);
            assert_eq!(ran.err, "nobody is there\n", "a person who sees nothing happen wonders");
        }
    }
}

/// An output whose reader has gone.
struct Closed;
impl std::io::Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_watch_of_many_goes_on_until_nobody_reads_or_the_server_is_gone() {
    let url = fake::on_tcp(|asked: Asked| match asked.header("last-event-id") {
        Some("00c0ffee-6") => {
            (200, event(7, "completed", "Completed") + "id: 00c0ffee-8\nevent: reset\ndata: {}\n\n")
        }
        _ => (403, error("accessDenied", "why")),
    });
    let url = url.await;
    let words = ["watch", "--queue=a", "--type=b", "--status=Failed", "--after=00c0ffee-6", "--server", &url];
    let ran = run_on(&words, true).await;
    assert_eq!((ran.exit, ran.out.lines().count()), (Exit::NotAllowed, 2), "{}", ran.out);
    assert!(ran.out.ends_with("reset  events before this are no longer kept\n"), "{}", ran.out);
    assert!(ran.err.contains("why (accessDenied)") && ran.err.contains("--after 00c0ffee-8"), "{}", ran.err);

    let Subcommand::Watch(watch) =
        Arguments::try_parse_from(["longrun"].iter().chain(&words)).unwrap().subcommand
    else {
        unreachable!()
    };
    let (mut out, mut err) = (Closed, Vec::new());
    let ended = watch.run(&mut Output::of_test(&mut out, &mut err, false)).await;
    assert_eq!(ended, Ok(Exit::Done));
}

#[tokio::test]
async fn a_watch_of_what_was_shown_to_its_end_still_tells_how_it_ended() {
    let url = fake::on_tcp(|asked: Asked| match asked.header("last-event-id") {
        Some(_) => (204, String::new()),
        None => (200, operation("Failed")),
    });
    let ran = run(&["watch", ID, "--after=00c0ffee-9", "--server", &url.await]).await;
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (Exit::Failed, "", ""));
}
