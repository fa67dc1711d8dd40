use std::path::Path;
use std::process::Stdio;

use http::StatusCode;
use longrun_postgres::Database;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{ARGUMENTS, Data, OPERATIONS, ask, held, moved, moving, stop};
use crate::support::cli::{self, longrun};
use crate::support::{Server, until};

/// Operations that are moved; by hand more of them.
const COUNT: &str = "LONGRUN_TEST_MOVED";
const FEW: usize = 6000;

/// A stopped server with operations of every status, each in some number.
async fn stopped(count: usize) -> Data {
    let data = Data::new();
    let server = data.serve();
    let mut submitting = JoinSet::new();
    for part in 0..16 {
        let client = server.client();
        submitting.spawn(async move {
            for number in (part..count).step_by(16) {
                let body = match number % 8 {
                    0 => json!({"isExternal": true, "status": "Running"}),
                    1 => json!({"operationType": "t", "startDateTime": "2099-01-01T00:00:00Z"}),
                    2 => json!({"operationType": "t", "queue": "worked", "input": "x".repeat(2000)}),
                    _ => json!({"operationType": "t", "queue": format!("q{}", number % 5), "input": {"n": number}}),
                };
                client.submit(&body).await;
            }
        });
    }
    submitting.join_all().await;
    let client = server.client();
    for round in 0.. {
        let held = held(&client.work(&ask("w", &format!("c{round}"), "worked", 100)).await);
        if held.is_empty() {
            break;
        }
        let end = |(number, (id, token)): (usize, (String, i64))| match number % 4 {
            0 => json!({"id": id, "leaseToken": token, "status": "Completed", "result": "y".repeat(2000)}),
            1 => {
                json!({"id": id, "leaseToken": token, "status": "Failed", "retryable": false, "error": {"code": "c", "message": "m"}})
            }
            2 => json!({"id": id, "leaseToken": token, "status": "Running", "checkpoint": {"n": number}}),
            _ => json!({"id": id, "leaseToken": token, "status": "Completed"}),
        };
        let reports: Vec<Value> = held.into_iter().enumerate().map(end).collect();
        client.work(&json!({"workerId": "w", "reports": reports})).await;
    }
    stop(server);
    data
}

/// Begins to move, and kills that once so many rows of a table are there.
async fn kill_at(data: &Path, database: &Database, table: &str, rows: usize) {
    let mut moving =
        moving(data, &database.url()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    until("some rows to be there", async || {
        let asked = format!("SELECT count(*) >= {rows} FROM longrun.{table}");
        let there = longrun_postgres::ask(&database.url(), &asked).ok().flatten();
        (there.as_deref() == Some("t")).then_some(())
    })
    .await;
    moving.kill().unwrap();
    moving.wait().unwrap();
}

/// How many rows are there.
fn there(database: &Database, table: &str) -> usize {
    database.ask(&format!("SELECT count(*) FROM longrun.{table}")).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_move_that_was_killed_goes_on_where_it_was_and_nobody_serves_the_half() {
    let (data, database) = (stopped(FEW).await, Database::create());
    let mut before = 0;
    for (table, rows) in [("lane", 1), ("operation", 2000), ("payload", 1), ("event", 4000), ("counter", 1)] {
        kill_at(&data.path, &database, table, rows).await;
        assert!(there(&database, "operation") >= before, "nothing is brought twice");
        before = there(&database, "operation");
        let mut serve = longrun(&["serve", "--listen", "127.0.0.1:0", "--store", &database.url(), "--data"]);
        serve.arg(data.path.with_extension("node"));
        let ended = cli::run(serve);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("unfinished `longrun move`"), "{ended:?}");
    }
    let rows = moved(&data.path, &database.url());
    assert_eq!(rows["operation"], FEW);
    let node = Server::node(&database.url(), &ARGUMENTS);
    let count = node.client().get(&format!("{OPERATIONS}/$count")).await;
    assert_eq!((count.status, count.text()), (StatusCode::OK, FEW.to_string()));
}

#[tokio::test]
async fn a_move_that_was_killed_after_all_was_compared_is_finished_by_the_next() {
    let (data, database) = (stopped(100).await, Database::create());
    moved(&data.path, &database.url());
    // As it is between the two marks.
    let epoch = database.ask("SELECT value FROM longrun.meta WHERE key = 'epoch'").unwrap();
    let mark = database.ask("SELECT value FROM longrun.meta WHERE key = 'clock_mark'").unwrap();
    database.run(&format!(
        "DELETE FROM longrun.meta; \
         INSERT INTO longrun.meta VALUES ('moving_epoch', {epoch}), ('moving_mark', {mark})"
    ));
    assert_eq!(moved(&data.path, &database.url())["operation"], 100);
    Server::node(&database.url(), &ARGUMENTS);
}

#[tokio::test]
async fn a_store_that_was_served_meanwhile_is_moved_as_it_is_now() {
    let (data, database) = (stopped(FEW).await, Database::create());
    kill_at(&data.path, &database, "operation", 2000).await;
    let server = data.serve();
    let oldest = server.client().get(&format!("{OPERATIONS}?$orderby=createdDateTime%20asc")).await.value();
    let mut oldest = oldest["value"].as_array().unwrap().iter();
    let external = oldest.find(|operation| operation["isExternal"] == true).unwrap()["id"].clone();
    let first = format!("{OPERATIONS}/{}", external.as_str().unwrap());
    let patched =
        server.client().json(http::Method::PATCH, &first, &[], &json!({"percentComplete": 99})).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
    stop(server);
    let ended = cli::run(moving(&data.path, &database.url()));
    assert!(ended.code == Some(0) && ended.err.contains("begins anew"), "{ended:?}");
    let node = Server::node(&database.url(), &ARGUMENTS);
    assert_eq!(node.client().get(&first).await.value()["percentComplete"], 99);
}

#[tokio::test]
async fn what_somebody_else_has_changed_there_is_found_and_never_served() {
    let tampering = [
        (
            "operation",
            "UPDATE longrun.operation SET created = created + 1 WHERE seq = (SELECT min(seq) FROM longrun.operation)",
        ),
        ("operation", "DELETE FROM longrun.operation WHERE seq = (SELECT min(seq) FROM longrun.operation)"),
        ("credential", "INSERT INTO longrun.credential VALUES ('a', 'b', 'c', '[]', NULL, '', 1, 0)"),
    ];
    let data = stopped(FEW).await;
    for (table, sql) in tampering {
        let database = Database::create();
        kill_at(&data.path, &database, "operation", 2000).await;
        database.run(sql);
        let ended = cli::run(moving(&data.path, &database.url()));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(&format!("holds of {table} is not what")), "{ended:?}");
        let serve = longrun(&["serve", "--listen", "127.0.0.1:0", "--store", &database.url()]);
        assert_eq!(cli::run(serve).code, Some(1));
    }
    assert!(!data.path.join("longrun.moved").exists());
    data.serve();
}

/// By hand: `LONGRUN_TEST_MOVED=100000` says how many.
#[tokio::test]
async fn a_large_store_is_moved_in_seconds() {
    let Some(count) = std::env::var(COUNT).ok().and_then(|count| count.parse().ok()) else { return };
    let (data, database) = (stopped(count).await, Database::create());
    let ended = cli::run(moving(&data.path, &database.url()));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rows: u64 =
        ended.value()["tables"].as_array().unwrap().iter().filter_map(|table| table["rows"].as_u64()).sum();
    let seconds = ended.value()["seconds"].as_f64().unwrap();
    println!("{count} operations, {rows} rows in {seconds:.1} s");
    let node = Server::node(&database.url(), &ARGUMENTS);
    assert_eq!(node.client().get(&format!("{OPERATIONS}/$count")).await.text(), count.to_string());
}
