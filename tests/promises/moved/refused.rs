use longrun_postgres::Database;
use serde_json::json;

use super::{ARGUMENTS, Data, OPERATIONS, moved, moving, stop};
use crate::support::Server;
use crate::support::cli::{self, longrun};

/// A stopped server's data, with some operations in it.
async fn stopped() -> Data {
    let data = Data::new();
    let server = data.serve();
    for _ in 0..3 {
        server.client().submit(&json!({"operationType": "t"})).await;
    }
    stop(server);
    data
}

#[tokio::test]
async fn a_running_server_is_not_moved() {
    let (data, database) = (Data::new(), Database::create());
    let server = data.serve();
    server.client().submit(&json!({"operationType": "t"})).await;
    let ended = cli::run(moving(&data.path, &database.url()));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("stop it first"), "{ended:?}");
    stop(server);
    assert_eq!(moved(&data.path, &database.url())["operation"], 1);
}

#[tokio::test]
async fn what_was_moved_is_served_there_and_nowhere_else() {
    let (data, database) = (stopped().await, Database::create());
    moved(&data.path, &database.url());
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["token", "list"]] {
        let ended = data.refused(arguments);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(database.name()) && ended.err.contains("longrun.moved"), "{ended:?}");
    }
    let ended = cli::run(moving(&data.path, &database.url()));
    assert!(ended.code == Some(1) && ended.err.contains("holds this store already"), "{ended:?}");
    let elsewhere = Database::create();
    let ended = cli::run(moving(&data.path, &elsewhere.url()));
    assert!(ended.code == Some(1) && ended.err.contains(database.name()), "{ended:?}");
    // A database of that name that has lost all of it gets no old state by a slip.
    database.run("DROP SCHEMA longrun CASCADE");
    let ended = cli::run(moving(&data.path, &database.url()));
    assert!(ended.code == Some(1) && ended.err.contains("longrun.moved"), "{ended:?}");
    std::fs::remove_file(data.path.join("longrun.moved")).unwrap();
    let server = data.serve();
    assert_eq!(server.client().get(OPERATIONS).await.value()["value"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn two_states_are_never_mixed() {
    let (data, database) = (stopped().await, Database::create());
    let node = Server::node(&database.url(), &ARGUMENTS);
    let ended = cli::run(moving(&data.path, &database.url()));
    assert!(ended.code == Some(1) && ended.err.contains("is served by a node"), "{ended:?}");
    node.client().submit(&json!({"operationType": "t"})).await;
    let ended = cli::run(moving(&data.path, &database.url()));
    assert!(ended.code == Some(1) && ended.err.contains("is not empty"), "{ended:?}");
    // It was left in peace.
    assert_eq!(node.client().get(OPERATIONS).await.value()["value"].as_array().unwrap().len(), 1);
    stop(node);
    Server::node(&database.url(), &ARGUMENTS);
    assert!(!data.path.join("longrun.moved").exists());
}

#[tokio::test]
async fn a_database_whose_nodes_have_stopped_and_left_nothing_is_taken() {
    let (data, database) = (stopped().await, Database::create());
    stop(Server::node(&database.url(), &ARGUMENTS));
    assert_eq!(moved(&data.path, &database.url())["operation"], 3);
    let node = Server::node(&database.url(), &ARGUMENTS);
    assert_eq!(node.client().get(OPERATIONS).await.value()["value"].as_array().unwrap().len(), 3);
}

#[test]
fn what_is_no_store_or_no_database_is_a_mistake_in_the_command_line() {
    let data = Data::new();
    let url = "postgres://longrun:secret@127.0.0.1:1/longrun";
    let ended = cli::run(moving(&data.path, url));
    assert!(ended.code == Some(2) && ended.err.contains("there is no store"), "{ended:?}");
    assert!(!data.path.exists());
    for (from, to) in
        [("./data", url), ("sqlite:data", "sqlite:other"), ("sqlite:data", "mysql://u:secret@a/b")]
    {
        let ended = cli::run(longrun(&["move", "--from", from, "--to", to]));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(!ended.err.contains("secret"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_of_without_the_password() {
    let data = stopped().await;
    let ended = cli::run(moving(&data.path, "postgres://longrun:secret@127.0.0.1:1/longrun"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("cannot be reached") && !ended.err.contains("secret"), "{ended:?}");
}
