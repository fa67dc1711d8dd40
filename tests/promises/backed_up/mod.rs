//! What was acknowledged before a backup began is there after its restore, and whoever has seen what came after it is told
//! that this is another history.

mod database;
mod refused;
mod under_load;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::cli::{self, Ended, longrun};
use crate::support::{Client, Server};

const OPERATIONS: &str = "/v1.0/operations";
const EVENTS: &str = "/v1.0/events";
const ARGUMENTS: [&str; 2] = ["--workers", "0"];

/// A place for a data directory, a copy, and what becomes of that.
struct House {
    data: PathBuf,
    copy: PathBuf,
    restored: PathBuf,
    scratch: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        Self { data: path("data"), copy: path("copy.db"), restored: path("restored"), scratch }
    }

    /// An embedded server, in every run of the tests.
    fn serve(&self) -> Server {
        Server::over(&self.data, &ARGUMENTS)
    }

    fn back_up(&self) -> Ended {
        back_up(&self.data, &self.copy)
    }

    fn restore(&self) -> Ended {
        restore(&self.copy, &self.restored)
    }

    /// The restored one, served.
    fn serve_restored(&self) -> Server {
        let ended = self.restore();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        Server::over(&self.restored, &ARGUMENTS)
    }
}

fn back_up(data: &Path, copy: &Path) -> Ended {
    let mut command = longrun(&["backup", "--data"]);
    command.arg(data).arg(copy);
    cli::run(command)
}

fn restore(copy: &Path, data: &Path) -> Ended {
    let mut command = longrun(&["restore", "--data"]);
    command.arg(data).arg(copy);
    cli::run(command)
}

/// Stops a server as a person does.
fn stop(mut server: Server) {
    server.signal("TERM");
    assert!(server.wait().success());
}

/// Claims one operation; its id and token.
async fn claim(client: &Client, worker: &str, claim: &str) -> (String, i64) {
    let claim = json!({"id": claim, "limit": 1, "leaseSeconds": 600});
    let answer = client.work(&json!({"workerId": worker, "claim": claim})).await;
    let operation = &answer["operations"][0];
    let id = operation["id"].as_str().unwrap_or_else(|| panic!("nothing was claimed: {answer}"));
    (id.to_owned(), operation["lease"]["token"].as_i64().expect("it has a token"))
}

/// What a worker says of an operation that it holds; the outcome.
async fn report(client: &Client, worker: &str, (id, token): &(String, i64), status: &str) -> Value {
    let report = json!({"id": id, "leaseToken": token, "status": status});
    client.work(&json!({"workerId": worker, "reports": [report]})).await["outcomes"][0].clone()
}

/// What those who have seen a state meet in another history of it: a watcher, a poller and the worker `w`, which held one
/// of type `held` and has lost another, and a client with a key.
struct Seen {
    cursor: String,
    etag: String,
    held: (String, i64),
}

impl Seen {
    /// A state with something of each; the copy is taken by `copy`, and things go on after it.
    async fn before_and_after(client: &Client, copy: impl FnOnce()) -> Self {
        let keyed = [("content-type", "application/json"), ("idempotency-key", "order-4711")];
        let first = client.send(http::Method::POST, OPERATIONS, &keyed, r#"{"queue":"keys"}"#).await;
        assert_eq!(first.status, http::StatusCode::CREATED, "{}", first.text());
        client.submit(&json!({"operationType": "held"})).await;
        copy();
        // Of this nothing is in the copy: the claim, its token, and the version that it made.
        let held = claim(client, "w", "c").await;
        let etag = client.get(&format!("{OPERATIONS}/{}", held.0)).await;
        let etag = etag.header("etag").expect("an operation has one").to_owned();
        client.submit(&json!({"queue": "lost"})).await;
        let mut stream = client.watch(EVENTS, None).await;
        Self { cursor: stream.begin().await, etag, held }
    }

    /// Holds a restored state against what it must say to each of them.
    async fn meet(&self, client: &Client) {
        let mut stream = client.watch(EVENTS, Some(&self.cursor)).await;
        let told = stream.next().await.expect("an event");
        assert_eq!(told.event, "reset", "{told:?}");
        assert_ne!(told.id.split('-').next(), self.cursor.split('-').next(), "another epoch");

        // Another worker claims it, which makes the same version as then, were they not beyond those.
        let path = format!("{OPERATIONS}/{}", self.held.0);
        let again = claim(client, "w2", "c2").await;
        assert_eq!(again.0, self.held.0);
        assert!(again.1 > 1_000_000, "tokens go on beyond those that were given: {}", again.1);
        let answer = client.send(http::Method::GET, &path, &[("if-none-match", &self.etag)], "").await;
        assert_eq!(answer.status, http::StatusCode::OK, "it is not what was seen");
        assert_eq!(report(client, "w", &self.held, "Completed").await["error"]["code"], "leaseLost");
        assert_eq!(client.operation(&self.held.0).await["status"], "Running");
        assert_eq!(report(client, "w2", &again, "Completed").await["error"], Value::Null);

        let keyed = [("content-type", "application/json"), ("idempotency-key", "order-4711")];
        let repeated = client.send(http::Method::POST, OPERATIONS, &keyed, r#"{"queue":"keys"}"#).await;
        assert_eq!(repeated.header("idempotency-replayed"), Some("true"), "{}", repeated.text());
    }
}
