use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{House, OPERATIONS, Seen, claim, report, stop};
use crate::support::cli::token;
use crate::support::{Client, until};

const SUBMITTERS: usize = 16;
/// Acknowledgements before the backup begins, and after it has.
const ENOUGH: usize = 300;

#[derive(Default)]
struct Ledger {
    submitted: Mutex<Vec<String>>,
    enough: AtomicBool,
}

async fn submitter(client: Client, ledger: Arc<Ledger>) {
    while !ledger.enough.load(Ordering::Relaxed) {
        let id = client.submit(&json!({"operationType": "t", "input": "x".repeat(3000)})).await;
        ledger.submitted.lock().await.push(id);
    }
}

/// Carries operations out for as long as the others submit.
async fn worker(client: Client, ledger: Arc<Ledger>) -> Vec<String> {
    let mut done = Vec::new();
    while !ledger.enough.load(Ordering::Relaxed) {
        let answer = client.work(&json!({"workerId": "w", "claim": {"id": done.len().to_string()}})).await;
        let Some(id) = answer["operations"][0]["id"].as_str().map(str::to_owned) else { continue };
        let held = (id, answer["operations"][0]["lease"]["token"].as_i64().unwrap());
        assert!(report(&client, "w", &held, "Completed").await["error"].is_null());
        done.push(held.0);
    }
    done
}

async fn acknowledged(ledger: &Ledger, more_than: usize) -> usize {
    until("acknowledgements", || async {
        let now = ledger.submitted.lock().await.len();
        (now > more_than).then_some(now)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_acknowledged_before_it_began_is_there_after_the_restore() {
    let house = House::new();
    let server = house.serve();
    let ledger = Arc::new(Ledger::default());
    let mut clients = JoinSet::new();
    for _ in 0..SUBMITTERS {
        clients.spawn(submitter(server.client(), ledger.clone()));
    }
    let working = tokio::spawn(worker(server.client(), ledger.clone()));
    acknowledged(&ledger, ENOUGH).await;
    let before = ledger.submitted.lock().await.clone();
    let ended = tokio::task::block_in_place(|| house.back_up());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The server has gone on all the while, and goes on.
    acknowledged(&ledger, before.len() + ENOUGH).await;
    ledger.enough.store(true, Ordering::Relaxed);
    clients.join_all().await;
    assert!(!working.await.unwrap().is_empty());
    let all = ledger.submitted.lock().await.len();
    stop(server);

    let restored = house.serve_restored();
    let client = restored.client();
    for id in &before {
        assert_eq!(client.operation(id).await["input"].as_str().map(str::len), Some(3000), "{id}");
    }
    let there: usize = client.get(&format!("{OPERATIONS}/$count")).await.text().parse().unwrap();
    assert!((before.len()..all).contains(&there), "{} before, {there} there, {all} in the end", before.len());
    assert_eq!(ended.value()["operations"], there, "{ended:?}");
    // And it goes on.
    let (id, held) = (client.submit(&json!({"queue": "fresh"})).await, claim(&client, "w2", "fresh").await);
    assert!(report(&client, "w2", &held, "Completed").await["error"].is_null());
    assert_eq!(client.operation(&id).await["status"], "NotStarted");
}

#[tokio::test]
async fn who_has_seen_more_than_the_copy_has_is_told_so() {
    let house = House::new();
    let server = house.serve();
    let scopes = ["--scope", "Operation.ReadWrite,Operation.Execute"];
    let client = server.client().with_token(&token(&server, &scopes));
    let copy = || assert_eq!(house.back_up().code, Some(0));
    let seen = Seen::before_and_after(&client, copy).await;
    drop(server);
    let server = house.serve_restored();
    // The token of then is in the copy, too.
    let client = server.client().with_token(client.token().unwrap());
    seen.meet(&client).await;
    let lost = client.get(&format!("{OPERATIONS}/$count?$filter=queue%20eq%20'lost'")).await;
    assert_eq!(lost.text(), "0");
}

#[tokio::test]
async fn a_killed_server_is_copied_with_what_is_in_its_log() {
    let house = House::new();
    let mut server = house.serve();
    let id = server.client().submit(&json!({"queue": "q"})).await;
    server.kill();
    assert!(house.data.join("longrun.db-wal").metadata().unwrap().len() > 0);
    assert_eq!(house.back_up().code, Some(0));
    assert_eq!(house.serve_restored().client().operation(&id).await["queue"], "q");
    // The one that was copied is as it was.
    server.start_again();
    assert_eq!(server.client().operation(&id).await["queue"], "q");
}

#[tokio::test]
async fn a_directory_that_was_brought_back_by_other_means_is_marked() {
    let house = House::new();
    let server = house.serve();
    let client = server.client();
    // A snapshot of the whole directory, at one moment in which nothing is written.
    let snapshot = || {
        std::fs::create_dir(&house.restored).unwrap();
        for name in ["longrun.db", "longrun.db-wal"] {
            std::fs::copy(house.data.join(name), house.restored.join(name)).unwrap();
        }
    };
    let seen = Seen::before_and_after(&client, snapshot).await;
    drop(server);
    let mark = || {
        let mut command = crate::support::cli::longrun(&["restore", "--mark", "--data"]);
        command.arg(&house.restored);
        crate::support::cli::run(command)
    };
    let ended = mark();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let server = crate::support::Server::over(&house.restored, &super::ARGUMENTS);
    seen.meet(&server.client()).await;
    let ended = mark();
    assert!(ended.code == Some(1) && ended.err.contains("stop it first"), "{ended:?}");
    let answer = server.client().try_send(Method::GET, "/healthz", &[], "").await.unwrap();
    assert!(answer.status.is_success());
}

/// A copy of a large store takes minutes. This one reads nothing: it only holds what a copy does.
#[tokio::test]
async fn a_copy_that_takes_long_holds_nobody_up() {
    let house = House::new();
    let server = house.serve();
    let client = server.client();
    let lock = File::open(house.data.join("longrun.lock")).unwrap();
    fcntl_lock(&lock, FlockOperation::LockShared).unwrap();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = rusqlite::Connection::open_with_flags(house.data.join("longrun.db"), flags).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM operation", [], |row| row.get::<_, i64>(0)).unwrap();

    let log = || std::fs::metadata(house.data.join("longrun.db-wal")).unwrap().len() >> 20;
    let body = json!({"status": "Completed", "result": "x".repeat(250_000)});
    let grown_to = async |mebibytes: u64| {
        let began = Instant::now();
        while log() < mebibytes {
            client.submit(&body).await;
        }
        began.elapsed()
    };
    let usual = grown_to(12).await;
    // Beyond 16 MiB it would begin anew, and each try would wait for the reader.
    grown_to(24).await;
    let beyond = grown_to(64).await;
    assert!(beyond < 8 * usual + Duration::from_secs(2), "{usual:?} for 12 MiB, then {beyond:?} for 40");

    drop((reader, lock));
    for _ in 0..200 {
        client.submit(&body).await;
    }
    assert!(log() < 64 + 16, "it begins anew once it may: {} MiB", log());
    stop(server);
}
