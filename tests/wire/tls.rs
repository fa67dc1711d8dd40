//! The binary as a client of a server behind TLS.

use std::process::Command;

use serde_json::{Value, json};

use super::{Ended, longrun, quiet, run};
use crate::support::tls::{Authority, Terminator};
use crate::support::{Programs, Worker, until};

/// A subcommand for a server that is reached so, by who trusts this authority and no other.
fn trusting(authority: &Authority, front: &Terminator, arguments: &[&str]) -> Command {
    let mut command = longrun(arguments);
    command
        .env("LONGRUN_SERVER", &front.url)
        .env("SSL_CERT_FILE", authority.file())
        .env_remove("SSL_CERT_DIR");
    command
}

/// Runs it to its end, while what takes the TLS off runs beside it.
async fn ended(command: Command) -> Ended {
    tokio::task::spawn_blocking(|| run(command)).await.expect("nothing panics there")
}

#[tokio::test]
async fn operations_are_submitted_worked_watched_and_waited_for_over_tls() {
    let programs = Programs::new(&[("echo", "cat")]);
    let authority = Authority::new();
    let certificate = authority.certify("127.0.0.1");
    for (offered, spoken) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let server = quiet();
        let front = Terminator::before(&server.url, &certificate, offered).await;
        let mut command = trusting(&authority, &front, &["work", "--type", "echo", "--"]);
        command.arg(programs.path("echo"));
        let _worker = Worker::of(command);
        for how in ["--wait", "--watch"] {
            let submit = ["submit", "echo", "--input", r#"{"n":1}"#, how];
            let told = ended(trusting(&authority, &front, &submit)).await;
            assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{offered:?} {told:?}");
            let last: Value = serde_json::from_str(told.out.lines().last().unwrap()).unwrap();
            let operation = last.get("operation").unwrap_or(&last);
            assert_eq!(operation["result"], json!({ "n": 1 }), "{offered:?}");
        }
        assert_eq!(front.spoken(), spoken, "of {offered:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_is_refused_at_once_and_told_of() {
    let server = quiet();
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (trusted, name, word) in
        [(&theirs, "127.0.0.1", "SSL_CERT_FILE"), (&ours, "longrun.example", "not valid for name")]
    {
        let front = Terminator::before(&server.url, &ours.certify(name), &["h2"]).await;
        // Were it tried again, it would take an hour.
        let told = ended(trusting(trusted, &front, &["submit", "--deadline", "3600"])).await;
        assert_eq!((told.code, told.err.lines().count()), (Some(3), 1), "{told:?}");
        let says = format!("error: {} is not trusted: ", front.url);
        assert!(told.err.starts_with(&says) && told.err.contains(word), "{told:?}");

        // A worker goes on: whoever has the server may be about to renew its certificate.
        let mut worker = Worker::of(trusting(trusted, &front, &["work", "--type", "echo", "--", "cat"]));
        until("the worker's word", || std::future::ready(worker.said().contains(word).then_some(()))).await;
        assert_eq!(worker.ended(), None);
        assert!(!front.is_trusted(), "nothing was said to it");
    }
}
