//! What is over is kept for as long as was asked, by the server's own clock, and then it goes: the file stays bounded.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use longrun::operation::Timestamp;
use longrun::store::clock::{Machine, Manual};
use longrun::tracker::{Options, Retention};
use serde_json::json;

use super::inside::{self, Inside};
use crate::support::{Client, until};

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);

fn kept_for(operations: Duration, events: Duration) -> Options {
    Options { retention: Retention { operations, events }, ..Options::default() }
}

fn start() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

async fn serve(directory: &Path, clock: &Arc<Manual>) -> Inside {
    let (store, reader) = inside::store_with(directory, clock.clone());
    Inside::start(directory, Box::new(store), reader, kept_for(DAY, Duration::from_hours(2))).await
}

async fn turns(client: &Client) -> u64 {
    client.get("/readyz").await.value()["turns"].as_u64().unwrap()
}

/// The loop has looked for what is too old since this was called: it does so with the turn of any client.
async fn looked(client: &Client, clock: &Manual) {
    for _ in 0..3 {
        clock.advance(Duration::from_secs(2));
        let before = turns(client).await;
        client.submit(&json!({"operationType": "waits"})).await;
        assert!(turns(client).await > before);
    }
}

async fn status(client: &Client, id: &str) -> StatusCode {
    client.get(&format!("/v1.0/operations/{id}")).await.status
}

/// Ended elsewhere, long ago by its owner's word.
async fn of_2017(client: &Client) -> String {
    let old = "2017-01-01T00:02:27.6832592+03:00";
    let body = json!({"status": "Completed", "createdDateTime": old, "lastActionDateTime": old});
    client.submit(&body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_clients_own_times_nor_a_clock_set_wrong_prune_anything() {
    let scratch = tempfile::tempdir().unwrap();
    let clock = Arc::new(Manual::at(start()));
    let mut server = serve(scratch.path(), &clock).await;
    let id = of_2017(&server.client).await;
    looked(&server.client, &clock).await;

    for wrong in [start().plus(YEAR), start().minus(YEAR)] {
        clock.set_wall(wrong);
        looked(&server.client, &clock).await;
        let ready = server.client.get("/readyz").await.value();
        assert_eq!(ready["clock"]["followsWallClock"], false, "{ready}");
        assert_eq!(status(&server.client, &id).await, StatusCode::OK);
        server.stop().await;
        server = serve(scratch.path(), &clock).await;
        looked(&server.client, &clock).await;
        assert_eq!(status(&server.client, &id).await, StatusCode::OK);
        clock.set_wall(start().plus(Duration::from_mins(5)));
        looked(&server.client, &clock).await;
        assert_eq!(status(&server.client, &id).await, StatusCode::OK);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pruned_is_gone_for_pollers_and_its_id_and_key_are_free() {
    let scratch = tempfile::tempdir().unwrap();
    let clock = Arc::new(Manual::at(start()));
    let server = serve(scratch.path(), &clock).await;
    let client = &server.client;
    let id = of_2017(client).await;
    let path = format!("/v1.0/operations/{id}");
    let etag = client.get(&path).await.header("etag").unwrap().to_owned();

    clock.advance(Duration::from_hours(23));
    looked(client, &clock).await;
    assert_eq!(status(client, &id).await, StatusCode::OK);

    // It waits for a change, and what comes is the end of the record.
    let (waiting, path) = (client.clone(), path.clone());
    let poll = tokio::spawn(async move {
        let headers = [("prefer", "wait=60"), ("if-none-match", &*etag)];
        waiting.send(Method::GET, &path, &headers, "").await.status
    });
    clock.advance(Duration::from_hours(1));
    looked(client, &clock).await;
    until("the operation to go", async || (status(client, &id).await == StatusCode::NOT_FOUND).then_some(()))
        .await;
    assert_eq!(poll.await.unwrap(), StatusCode::NOT_FOUND);
    let answer = client.post("/v1.0/operations", &json!({"id": id, "status": "Failed"})).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(answer.headers.get("idempotency-replayed").is_none());
    server.stop().await;
}

mod alone {
    use super::*;

    const KEPT: Duration = Duration::from_secs(1);
    const CREATORS: usize = 16;

    fn bytes_of(directory: &Path, name: &str) -> u64 {
        std::fs::metadata(directory.join(name)).map_or(0, |file| file.len())
    }

    /// Creates ended operations for so long; how many, and one of the last.
    async fn create(client: &Client, span: Duration) -> (usize, String) {
        let (until, made) = (Instant::now() + span, Arc::new(AtomicUsize::new(0)));
        let creators = (0..CREATORS).map(|_| {
            let (client, made) = (client.clone(), made.clone());
            tokio::spawn(async move {
                let body = json!({"status": "Completed", "result": "x".repeat(2000)});
                let mut last = String::new();
                while Instant::now() < until {
                    last = client.submit(&body).await;
                    made.fetch_add(1, Ordering::Relaxed);
                }
                last
            })
        });
        let mut last = String::new();
        for creator in creators.collect::<Vec<_>>() {
            last = creator.await.unwrap();
        }
        (made.load(Ordering::Relaxed), last)
    }

    /// A reader keeps the log from beginning anew for as long as it looks; the server's own do so for a second at most.
    /// One that holds each of its looks for half a second stands for a slow list.
    fn look_slowly(
        directory: &Path,
        over: Arc<std::sync::atomic::AtomicBool>,
    ) -> std::thread::JoinHandle<usize> {
        let file = directory.join("longrun.db");
        std::thread::spawn(move || {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let connection = rusqlite::Connection::open_with_flags(file, flags).unwrap();
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                connection.execute_batch("BEGIN").unwrap();
                let count = "SELECT count(*) FROM operation";
                connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap();
                std::thread::sleep(Duration::from_millis(500));
                connection.execute_batch("COMMIT").unwrap();
                looks += 1;
            }
            looks
        })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn under_load_with_a_slow_reader_the_file_and_its_log_stay_bounded() {
        let seconds = std::env::var("LONGRUN_RETENTION_SECONDS").map_or(4, |text| text.parse().unwrap());
        let scratch = tempfile::tempdir().unwrap();
        let (store, reader) = inside::store_with(scratch.path(), Arc::new(Machine::default()));
        let server = Inside::start(scratch.path(), Box::new(store), reader, kept_for(KEPT, KEPT)).await;
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let looking = look_slowly(scratch.path(), over.clone());

        // A first load fills it to where it stays.
        let (first, _) = create(&server.client, Duration::from_secs(seconds)).await;
        let grown = bytes_of(scratch.path(), "longrun.db") + bytes_of(scratch.path(), "longrun.db-wal");
        let (second, last) = create(&server.client, Duration::from_secs(2 * seconds)).await;
        let made = first + second;
        let after = bytes_of(scratch.path(), "longrun.db") + bytes_of(scratch.path(), "longrun.db-wal");
        over.store(true, Ordering::Relaxed);
        assert!(looking.join().unwrap() >= 2, "somebody looked slowly");
        let log = bytes_of(scratch.path(), "longrun.db-wal");
        println!(
            "{made} operations made; {grown} bytes after a third of the time, {after} in the end, log {log}"
        );

        assert!(made > 500, "only {made} operations were made");
        // What is kept by then is what was made in about the last second, so twice the first part's bytes and the
        // longest log are generous; without pruning it would be three times the first part's.
        assert!(
            after < 2 * grown + (16 << 20),
            "the file grows with what comes: {grown}, then {after} bytes"
        );
        assert!(log < 160 << 20, "the log grew to {log} bytes");
        until("the last of them to be pruned", async || {
            (status(&server.client, &last).await == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
        server.stop().await;
    }
}
