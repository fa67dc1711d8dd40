use std::process::Stdio;

use longrun_postgres::{Database, program};

use super::{ARGUMENTS, Seen, stop};
use crate::support::Server;
use crate::support::cli::{self, Ended, longrun};

fn mark(url: &str) -> Ended {
    let mut command = longrun(&["restore", "--mark"]);
    command.env("LONGRUN_STORE", url);
    cli::run(command)
}

/// Copies a database as its own tools do.
fn dump_and_restore(from: &Database, to: &Database) {
    let mut dump = program("pg_dump");
    dump.args(["--format=custom", "--schema=longrun"]).arg(from.url());
    let mut dump = dump.stdout(Stdio::piped()).spawn().expect("pg_dump can be run");
    let mut restore = program("pg_restore");
    restore.arg("--dbname").arg(to.url()).stdin(dump.stdout.take().expect("it is piped"));
    assert!(restore.status().expect("pg_restore can be run").success());
    assert!(dump.wait().expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_marked_before_a_node_serves_it() {
    let (database, restored) = (Database::create(), Database::create());
    let node = Server::node(&database.url(), &ARGUMENTS);
    // In the database, as `--data` names a directory in which only the socket is.
    let mut command = longrun(&["token", "create", "--name", "of a test"]);
    command.args(["--scope", "Operation.ReadWrite,Operation.Execute"]).env("LONGRUN_STORE", database.url());
    let made = cli::run(command).value();
    let client = node.client().with_token(made["token"].as_str().unwrap());
    let seen = Seen::before_and_after(&client, || dump_and_restore(&database, &restored)).await;
    drop(node);

    let ended = mark(&restored.url());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let node = Server::node(&restored.url(), &ARGUMENTS);
    seen.meet(&node.client().with_token(client.token().unwrap())).await;
    let ended = mark(&restored.url());
    assert!(ended.code == Some(1) && ended.err.contains("is served by a node"), "{ended:?}");
    stop(node);
}
