//! What nodes tell of a database that they share, and of themselves at it.

#![allow(clippy::float_cmp)] // Counts are whole numbers.

use std::time::{Duration, Instant};

use longrun_postgres::{Database, PgBouncer, Postgres, Stop};
use serde_json::json;

use super::{Pair, ask, report, taken};
use crate::support::exposition::Exposition;
use crate::support::{Client, Server, until};

async fn told(client: &Client) -> Exposition {
    Exposition::read(&client.get("/metrics").await.text())
}

/// Waits until a value is as it should be.
async fn tells(
    client: &Client,
    name: &str,
    labels: &[(&str, &str)],
    fits: impl Fn(f64) -> bool,
) -> Exposition {
    until(&format!("{name} of {labels:?}"), async || {
        let told = told(client).await;
        told.sum(name, labels).is_some_and(&fits).then_some(told)
    })
    .await
}

/// Statements in a transaction of somebody else, on a thread of its own.
fn elsewhere(database: &Database, sql: &str) -> std::thread::JoinHandle<()> {
    let (url, sql) = (database.url(), sql.to_owned());
    std::thread::spawn(move || longrun_postgres::execute(&url, &sql).expect("the statements are good"))
}

#[tokio::test]
async fn of_the_store_all_nodes_tell_the_same_and_of_its_work_each_its_own() {
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    for _ in 0..3 {
        a.submit(&json!({"operationType": "t", "queue": "q"})).await;
    }
    let held = taken(&b.work(&ask("w", "q", 1, 5)).await);
    report(&b, "w", &held[0], "Completed").await;
    let queue = [("queue", "q")];
    for client in [&a, &b] {
        let told =
            tells(client, "longrun_operations", &[("queue", "q"), ("status", "completed")], |n| n == 1.0)
                .await;
        assert_eq!(told.value("longrun_operations", &[("queue", "q"), ("status", "ready")]), 2.0);
        assert!(told.value("longrun_oldest_ready_seconds", &queue) > 0.0);
        assert!(told.value("longrun_table_bytes", &[("table", "event")]) > 0.0);
        assert!(
            told.value("longrun_store_bytes", &[]) > told.value("longrun_table_bytes", &[("table", "event")])
        );
        assert!(told.value("longrun_database_wal_bytes_total", &[]) > 0.0);
        assert_eq!(told.value("longrun_deposits_waiting", &[]), 0.0);
        assert!(told.value("longrun_database_connection_wait_seconds_count", &[]) > 0.0);
        assert!(told.value("longrun_database_connections", &[("state", "busy")]) >= 1.0);
    }
    let (of_a, of_b) = (told(&a).await, told(&b).await);
    let of = |told: &Exposition, name: &str| told.sum(name, &queue).unwrap_or(0.0);
    let both = |name: &str| (of(&of_a, name), of(&of_b, name));
    assert_eq!(both("longrun_operations_created_total"), (3.0, 0.0));
    assert_eq!(both("longrun_operations_started_total"), (0.0, 1.0));
    assert_eq!(both("longrun_operations_finished_total"), (0.0, 1.0));
    // It lay in the database until another node took it.
    assert!(of_b.value("longrun_operation_wait_seconds_sum", &queue) > 0.0);
}

#[tokio::test]
async fn a_commit_that_waits_for_its_place_in_the_order_tells_how_long() {
    const HELD: f64 = 0.6;
    let database = Database::create();
    let node = Server::node(&database.url(), &["--workers", "0"]);
    let client = node.client();
    client.submit(&json!({})).await;
    let before = told(&client).await;
    assert!(before.value("longrun_event_lock_wait_seconds_count", &[]) >= 1.0);
    let waited = |told: &Exposition| told.value("longrun_event_lock_wait_seconds_sum", &[]);
    assert!(waited(&before) < 0.2, "{}", waited(&before));
    // The lock that orders all commits, in the hands of a node that takes its time.
    let holding = elsewhere(
        &database,
        &format!("BEGIN; SELECT pg_advisory_xact_lock(7804106202); SELECT pg_sleep({HELD}); COMMIT"),
    );
    until("the lock to be held", async || {
        database.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7804106202 % 4294967296")
    })
    .await;
    client.submit(&json!({})).await;
    holding.join().unwrap();
    let after = told(&client).await;
    let longer = waited(&after) - waited(&before);
    assert!(longer > HELD / 3.0 && longer < HELD * 3.0, "{longer}");
    let commits =
        after.value("longrun_commit_seconds_sum", &[]) - before.value("longrun_commit_seconds_sum", &[]);
    assert!(commits >= longer, "it is a part of the commit: {commits}");
}

#[tokio::test]
async fn a_snapshot_that_somebody_holds_and_rows_that_are_dead_are_told() {
    let database = Database::create();
    let node = Server::node(&database.url(), &["--workers", "0"]);
    let client = node.client();
    // A statement of the node's own may be under way at the moment that is looked at.
    tells(&client, "longrun_oldest_snapshot_seconds", &[], |seconds| seconds == 0.0).await;
    let holding = elsewhere(
        &database,
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM longrun.operation; SELECT pg_sleep(4); COMMIT",
    );
    tells(&client, "longrun_oldest_snapshot_seconds", &[], |seconds| seconds > 1.0 && seconds < 30.0).await;
    for _ in 0..5 {
        let id = client.submit(&json!({"isExternal": true, "status": "Running"})).await;
        let path = format!("/v1.0/operations/{id}");
        client.json(http::Method::PATCH, &path, &[], &json!({"status": "Completed"})).await;
    }
    tells(&client, "longrun_oldest_snapshot_transactions", &[], |age| age >= 10.0).await;
    // The database tells of rows a moment after they are gone.
    tells(&client, "longrun_table_dead_rows", &[("table", "operation")], |rows| rows >= 5.0).await;
    holding.join().unwrap();
    tells(&client, "longrun_oldest_snapshot_seconds", &[], |seconds| seconds < 1.0).await;
}

#[tokio::test]
async fn a_listener_that_hears_is_up_and_one_that_hears_nothing_is_found_out() {
    let database = Database::create();
    let bouncer = PgBouncer::start(&database.url());
    let direct = Server::node(&database.url(), &["--workers", "0"]);
    tells(&direct.client(), "longrun_listener_up", &[], |up| up == 1.0).await;
    let pooled = Server::node(&bouncer.url(database.name()), &["--workers", "0"]);
    let deaf = tells(&pooled.client(), "longrun_listener_deaf_total", &[], |deaf| deaf >= 1.0).await;
    assert_eq!(deaf.value("longrun_listener_up", &[]), 0.0);
    let silent = Server::node(&bouncer.url(database.name()), &["--workers", "0", "--notify", "off"]);
    let silent = told(&silent.client()).await;
    assert!(silent.names().iter().all(|name| !name.contains("listener")), "{:?}", silent.names());
    assert!(silent.sum("longrun_event_lock_wait_seconds_count", &[]).is_some());
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn while_the_database_is_away_a_node_tells_what_it_knows() {
        let mut postgres = Postgres::start(&[]);
        let node = Server::node(&postgres.url("postgres"), &["--workers", "0"]);
        let client = node.client();
        client.submit(&json!({"queue": "q"})).await;
        tells(&client, "longrun_listener_up", &[], |up| up == 1.0).await;
        postgres.stop(Stop::Immediate);
        let began = Instant::now();
        let away = tells(&client, "longrun_store_up", &[], |up| up == 0.0).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(away.value("longrun_operations_created_total", &[("queue", "q")]), 1.0);
        assert_eq!(away.sum("longrun_operations", &[]), None);
        tells(&client, "longrun_listener_up", &[], |up| up == 0.0).await;
        tells(&client, "longrun_listener_lost_total", &[], |lost| lost >= 1.0).await;
        postgres.run();
        tells(&client, "longrun_store_up", &[], |up| up == 1.0).await;
        tells(&client, "longrun_listener_up", &[], |up| up == 1.0).await;
    }
}
