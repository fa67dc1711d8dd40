//! `longrun doctor`: it finds what a test has broken, says so, and changes nothing.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use longrun_postgres::Database;
use serde_json::{Value, json};

use crate::support::Server;
use crate::support::cli::{self, Ended, longrun, token};
use crate::support::tls::Authority;

/// A server that has stopped, over a directory of the test's own.
struct Stopped {
    data: PathBuf,
    _scratch: tempfile::TempDir,
}

async fn stopped() -> Stopped {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let mut server = Server::over(&data, &["--workers", "0"]);
    for number in 0..20 {
        server.client().submit(&json!({"operationType": "t", "input": "x".repeat(number * 200)})).await;
    }
    server.client().work(&json!({"workerId": "w", "claim": {"id": "c", "limit": 3}})).await;
    server.signal("TERM");
    assert!(server.wait().success());
    Stopped { data, _scratch: scratch }
}

fn doctor(data: &Path, more: &[&str]) -> Ended {
    let mut command = longrun(&["doctor", "--data"]);
    command.arg(data).args(more);
    cli::run(command)
}

/// What was found of that level, by what it is about.
fn found(ended: &Ended, level: &str) -> Vec<(String, String)> {
    let findings = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    findings
        .filter(|finding| finding["level"] == level)
        .map(|finding| {
            assert!(level == "ok" || finding["advice"].is_string(), "{finding}");
            (text(&finding["about"]), text(&finding["found"]))
        })
        .collect()
}

fn sql(stopped: &Stopped, sql: &str) {
    rusqlite::Connection::open(stopped.data.join("longrun.db")).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn of_a_sound_store_it_says_so_whether_it_is_served_or_not() {
    let stopped = stopped().await;
    sql(&stopped, "PRAGMA wal_checkpoint(TRUNCATE)");
    let before = fs::read(stopped.data.join("longrun.db")).unwrap();
    let ended = doctor(&stopped.data, &[]);
    assert_eq!((ended.code, found(&ended, "problem")), (Some(0), vec![]), "{ended:?}");
    assert!(ended.out.contains("all of 20 operations are whole"), "{ended:?}");
    assert!(fs::read(stopped.data.join("longrun.db")).unwrap() == before, "it has changed something");
    let server = Server::over(&stopped.data, &["--workers", "0"]);
    let ended = doctor(&stopped.data, &[]);
    assert_eq!((ended.code, found(&ended, "problem")), (Some(0), vec![]), "{ended:?}");
    assert!(ended.out.contains("a server runs over"), "{ended:?}");
    server.client().submit(&json!({})).await;
}

#[tokio::test]
async fn what_is_damaged_or_contradicts_itself_is_found() {
    for (damage, finding) in [
        (
            "UPDATE operation SET retry = 'nonsense' WHERE seq = 5",
            "row 5 of the table operation cannot be read",
        ),
        ("UPDATE event SET kind = 77 WHERE cursor = 7", "row 7 of the table event cannot be read"),
        ("DELETE FROM lease WHERE seq = 1", "1 operations run without a lease"),
        ("DELETE FROM payload WHERE slot = (SELECT max(slot) FROM payload)", "1 inputs are missing"),
        ("UPDATE counter SET n = n + 1 WHERE status = 0", "2 counts of operations are wrong"),
    ] {
        let stopped = stopped().await;
        sql(&stopped, damage);
        let ended = doctor(&stopped.data, &[]);
        let problems = found(&ended, "problem");
        assert_eq!(ended.code, Some(1), "{damage}: {ended:?}");
        assert!(problems.iter().any(|(_, found)| found.starts_with(finding)), "{damage}: {problems:?}");
    }
    let stopped = stopped().await;
    sql(&stopped, "PRAGMA wal_checkpoint(TRUNCATE)");
    let file = fs::OpenOptions::new().write(true).open(stopped.data.join("longrun.db")).unwrap();
    file.write_all_at(&[0xee; 4096], 4096 * 6).unwrap();
    let ended = doctor(&stopped.data, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(found(&ended, "problem").iter().any(|(about, _)| about == "integrity"), "{ended:?}");
}

#[tokio::test]
async fn clock_disk_and_settings_are_looked_at() {
    let stopped = stopped().await;
    let one = |ended: &Ended, level: &str, about: &str| {
        let all = found(ended, level);
        assert!(all.iter().any(|(own, _)| own == about), "{about}: {ended:?}");
        assert_eq!(ended.code, Some(i32::from(level == "problem")), "{ended:?}");
    };
    one(&doctor(&stopped.data, &["--min-free", "900TiB"]), "problem", "disk");
    one(&doctor(&stopped.data, &["--listen", "0.0.0.0:8470"]), "problem", "tokens");
    one(&doctor(&stopped.data, &["--retain", "1h"]), "problem", "settings");
    one(&doctor(&stopped.data, &["--first-token-file", "/nowhere"]), "problem", "settings");
    fs::set_permissions(&stopped.data, fs::Permissions::from_mode(0o755)).unwrap();
    one(&doctor(&stopped.data, &[]), "warning", "data");
    one(&doctor(&stopped.data.join("other"), &[]), "warning", "data");
    assert!(!stopped.data.join("other").exists());
    sql(&stopped, "UPDATE meta SET value = value + 36000000000 WHERE key = 'clock_mark'");
    one(&doctor(&stopped.data, &[]), "problem", "clock");
    let moved = stopped.data.join("longrun.moved");
    fs::write(&moved, "db.example/longrun\n").unwrap();
    one(&doctor(&stopped.data, &[]), "problem", "data");
    fs::remove_file(moved).unwrap();
    sql(&stopped, "PRAGMA user_version = 99");
    one(&doctor(&stopped.data, &[]), "problem", "data");
}

#[tokio::test]
async fn a_certificate_that_ends_soon_or_cannot_be_used_is_told_of() {
    let stopped = stopped().await;
    let authority = Authority::new();
    let other = authority.certify("127.0.0.1");
    let look = |chain: &Path, key: &Path, level: &str| {
        let (chain, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
        let ended = doctor(&stopped.data, &["--tls-cert", chain, "--tls-key", key]);
        let about = found(&ended, level).into_iter().find(|(about, _)| about == "certificate");
        assert_eq!(ended.code, Some(i32::from(level == "problem")), "{ended:?}");
        about.unwrap_or_else(|| panic!("no {level}: {ended:?}")).1
    };
    for (days, level, says) in [
        (-30..90, "ok", "ends in"),
        (-30..15, "ok", "ends in"),
        (-80..13, "warning", "ends in"),
        (-90..0, "problem", "it ended"),
        (2..90, "problem", "it holds only in"),
    ] {
        let files = authority.certify_for(days.clone());
        let told = look(&files.chain, &files.key, level);
        assert!(told.contains(says), "{days:?}: {told}");
    }
    assert!(look(&other.chain, &other.key, "ok").contains("goes with its key"));
    let nowhere = stopped.data.join("nowhere.pem");
    let soon = authority.certify_for(-1..90);
    assert!(look(&other.chain, &soon.key, "problem").contains("cannot be used with the key"));
    assert!(look(&nowhere, &other.key, "problem").contains("cannot be read"));
    assert!(look(&other.chain, &other.chain, "problem").contains("holds no private key"));
    // Of all that is shown, what ends first.
    let chain = stopped.data.join("chain.pem");
    let ended = authority.certify_for(-90..-1);
    let both = [fs::read(&other.chain).unwrap(), fs::read(&ended.chain).unwrap()].concat();
    fs::write(&chain, both).unwrap();
    assert!(look(&chain, &other.key, "problem").contains("it ended"));
}

#[tokio::test]
async fn operations_that_nobody_takes_are_named() {
    let stopped = stopped().await;
    // As long ago as if they had waited ever since.
    let ago = "UPDATE operation SET ready_at = ready_at - 36000000000 WHERE status = 0; \
               UPDATE worker SET at = at - 36000000000";
    sql(&stopped, ago);
    let server = Server::over(&stopped.data, &["--workers", "0"]);
    let ended = doctor(&stopped.data, &[]);
    let warnings = found(&ended, "warning");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        warnings
            .iter()
            .any(|(about, found)| about == "operations"
                && found.starts_with("17 of type t wait in queue default")),
        "{warnings:?}"
    );
    server.client().json(http::Method::PATCH, "/v1.0/queues/default", &[], &json!({"paused": true})).await;
    let ended = doctor(&stopped.data, &[]);
    assert!(ended.out.contains("longrun queues resume default"), "{ended:?}");
}

fn doctor_server(url: &str, token: Option<&str>) -> Ended {
    let mut command = longrun(&["doctor", "server", "--deadline", "1", "--server", url]);
    command.envs(token.map(|token| ("LONGRUN_TOKEN", token)));
    cli::run(command)
}

#[tokio::test]
async fn a_running_server_tells_what_the_token_may_see() {
    let server = Server::start(&["--workers", "0"]);
    let reads = token(&server, &["--scope", "Operation.ReadWrite"]);
    let all = token(&server, &["--scope", "Operation.Manage,Server.Manage"]);
    let ended = doctor_server(&server.url, Some(&reads));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let unknown: Vec<String> = found(&ended, "unknown").into_iter().map(|(about, _)| about).collect();
    assert_eq!(unknown, ["queues", "store"]);
    let ended = doctor_server(&server.url, Some(&all));
    assert_eq!((ended.code, found(&ended, "unknown")), (Some(0), vec![]), "{ended:?}");
    assert!(found(&ended, "ok").iter().any(|(_, found)| found == "the store answers"), "{ended:?}");
    assert_eq!(doctor_server("http://127.0.0.1:1", None).code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_looked_at_from_outside() {
    let database = Database::create();
    let look = || {
        let mut command = longrun(&["doctor"]);
        command.env("LONGRUN_STORE", database.url());
        cli::run(command)
    };
    let ended = look();
    assert!(ended.code == Some(0) && ended.out.contains("is empty"), "{ended:?}");
    assert_eq!(database.ask("SELECT to_regclass('longrun.meta') IS NULL").as_deref(), Some("t"));
    let node = Server::node(&database.url(), &[]);
    let ended = look();
    assert!(ended.code == Some(0) && ended.out.contains("may be served"), "{ended:?}");
    drop(node);
    database.run("UPDATE longrun.schema_version SET version = 99");
    let ended = look();
    assert!(ended.code == Some(1) && ended.out.contains("newer longrun"), "{ended:?}");
    assert!(!ended.out.contains("postgres://"), "{ended:?}");
}
