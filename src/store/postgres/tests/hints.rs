//! Nodes hear of each other's commits.

use std::sync::Arc;
use std::time::Duration;

use longrun_postgres::Database;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::store::postgres::connect::Connector;
use crate::store::postgres::hints::Hints;

const PATIENCE: Duration = Duration::from_secs(30);

/// A node that listens at one place and speaks at another.
fn node(listens: &Database, speaks: &Database) -> Hints {
    let connector = |database: &Database| Connector::parse(&database.url()).unwrap();
    Hints::new(connector(listens), connector(speaks).pool(2).unwrap(), true, Arc::default())
}

/// A node that listens by now.
async fn listening(database: &Database) -> (Hints, watch::Receiver<()>) {
    let hints = node(database, database);
    let mut heard = hints.heard();
    hears(&mut heard).await;
    (hints, heard)
}

async fn hears(heard: &mut watch::Receiver<()>) {
    timeout(PATIENCE, heard.changed()).await.expect("it hears something in time").unwrap();
}

#[tokio::test]
async fn another_node_hears_of_every_commit() {
    let database = Database::create();
    let (one, _) = listening(&database).await;
    let (_other, mut heard) = listening(&database).await;
    for _ in 0..3 {
        heard.mark_unchanged();
        one.tell();
        hears(&mut heard).await;
    }
}

#[tokio::test]
async fn a_connection_that_was_lost_is_made_again() {
    let database = Database::create();
    let (one, _) = listening(&database).await;
    let (_other, mut heard) = listening(&database).await;
    heard.mark_unchanged();
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND query = 'LISTEN longrun'",
    );
    // What was said meanwhile is lost, so that it listens again is a hint, too.
    hears(&mut heard).await;
    heard.mark_unchanged();
    one.tell();
    hears(&mut heard).await;
}

#[tokio::test]
async fn where_nothing_comes_back_nothing_is_heard() {
    let (here, elsewhere) = (Database::create(), Database::create());
    let mut heard = false;
    let silent = node(&here, &elsewhere).line.listen(&mut heard).await;
    assert!(silent.is_ok() && !heard, "{silent:?}");
}

#[tokio::test]
async fn what_comes_back_shows_that_connections_are_sessions() {
    let (here, elsewhere) = (Database::create(), Database::create());
    let silent = node(&here, &elsewhere);
    silent.line.listen(&mut false).await.unwrap();
    assert!(!silent.are_sessions());
    let (hints, _heard) = listening(&here).await;
    assert!(hints.are_sessions());
}
