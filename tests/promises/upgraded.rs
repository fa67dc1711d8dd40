//! What an older binary has left behind is served as it was: golden stores of each schema, made by `tests/golden/make.sh`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use http::{Method, StatusCode};
use longrun_postgres::{Database, program};
use serde_json::{Value, json};

use crate::support::cli::{self, longrun};
use crate::support::{Client, Server};

const OPERATIONS: &str = "/v1.0/operations";
/// Neither operations nor events are over, however long ago they were made.
const ARGUMENTS: [&str; 6] = ["--workers", "0", "--retain", "3650d", "--retain-events", "3650d"];
/// What the passage of time changes, and where the server was.
const PASSING: [&str; 2] = ["waiting", "startDateTime"];

/// Schemas, of an embedded store and of a database, that stood between two commits of one day: no store was left in them.
const UNKEPT: (i64, i64) = (5, 2);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The golden stores of one kind, by their schemas.
fn all(kind: &str) -> Vec<(i64, PathBuf)> {
    let entries = fs::read_dir(golden("")).unwrap().map(|entry| entry.unwrap().file_name());
    let number = |name: String| name.strip_prefix(kind)?.parse().ok();
    let mut found: Vec<i64> = entries.filter_map(|name| number(name.into_string().unwrap())).collect();
    found.sort_unstable();
    found.into_iter().map(|number| (number, golden(&format!("{kind}{number}")))).collect()
}

fn id(number: u32) -> String {
    format!("7986a22f-a22f-7986-2fa2-0000000000{number:02}")
}

fn client(server: &Server, golden: &Path) -> Client {
    server.client().with_token(fs::read_to_string(golden.join("token")).unwrap().trim())
}

async fn report(client: &Client, number: u32, token: i64, rest: Value) -> Value {
    let mut report = json!({"id": id(number), "leaseToken": token});
    report.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    client.work(&json!({"workerId": "w", "reports": [report]})).await["outcomes"][0].clone()
}

/// Whatever was shown of each operation still is; what newer versions show beside it may be new.
async fn shows_what_was_shown(client: &Client, golden: &Path) {
    let shown = fs::read_to_string(golden.join("shown.ndjson")).unwrap();
    let mut count = 0;
    for line in shown.lines().filter(|line| !line.is_empty()) {
        let before: Value = serde_json::from_str(line).unwrap();
        let now = client.operation(before["id"].as_str().unwrap()).await;
        for (name, value) in before.as_object().unwrap() {
            if !PASSING.contains(&name.as_str()) {
                assert_eq!(&now[name], value, "{name} of {now}, in {}", golden.display());
            }
        }
        count += 1;
    }
    assert_eq!(count, 11);
    let deleted = client.get(&format!("{OPERATIONS}/{}", id(12))).await;
    assert_eq!(deleted.status, StatusCode::NOT_FOUND);
    let count = client.get(&format!("{OPERATIONS}/$count?$filter=labels/team%20eq%20'größer'")).await;
    assert_eq!(count.text(), "1", "{}", golden.display());
}

/// All that happened is told, in its order.
async fn tells_what_happened(client: &Client) {
    let begin = client.watch("/v1.0/events", None).await.begin().await;
    let (epoch, last) = begin.split_once('-').unwrap();
    let mut stream = client.watch("/v1.0/events", Some(&format!("{epoch}-0"))).await;
    let mut kinds = Vec::new();
    loop {
        let event = stream.next().await.expect("it has not ended");
        if event.data["id"] == id(6).as_str() {
            kinds.push(event.event.clone());
        }
        // What happens since the start may come after it.
        if event.id.split_once('-').unwrap().1 == last {
            break;
        }
    }
    assert_eq!(kinds, ["created", "started", "completed"]);
}

/// And it goes on: work, keys, and everything that is written.
async fn goes_on(client: &Client) {
    let keyed = [("content-type", "application/json"), ("idempotency-key", "order-4711")];
    let body = format!(r#"{{"id":"{}","queue":"q4"}}"#, id(4));
    let repeated = client.send(Method::POST, OPERATIONS, &keyed, body).await;
    assert_eq!(repeated.header("idempotency-replayed"), Some("true"), "{}", repeated.text());
    assert_eq!(
        report(client, 5, 1, json!({"status": "Completed", "result": "r"})).await["error"],
        Value::Null
    );
    assert_eq!(report(client, 7, 1, json!({"status": "Completed"})).await["repeated"], true);
    let claim = json!({"workerId": "w2", "claim": {"id": "c", "queues": ["q1", "q3"], "limit": 9}});
    let claimed = client.work(&claim).await;
    let ids: Vec<&str> =
        claimed["operations"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [id(1), id(3)], "by priority");
    let retried = client.post(&format!("{OPERATIONS}/{}/retry", id(8)), &json!({})).await;
    assert_eq!(retried.value()["status"], "NotStarted", "{}", retried.text());
    let attempts = client.get(&format!("{OPERATIONS}/{}/attempts", id(8))).await.value();
    assert_eq!(attempts["value"][0]["error"]["code"], "upstream", "{attempts}");
    let patched = client
        .json(Method::PATCH, &format!("{OPERATIONS}/{}", id(10)), &[], &json!({"status": "Completed"}))
        .await;
    assert_eq!(patched.value()["status"], "Completed", "{}", patched.text());
    client.submit(&json!({"operationType": "new"})).await;
}

/// The number of its schema that a fresh file has.
fn schema(data: &Path) -> i64 {
    let file = rusqlite::Connection::open(data.join("longrun.db")).unwrap();
    file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_embedded_store_of_each_schema_is_served_as_it_was() {
    let all = all("sqlite-");
    for (number, golden) in &all {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::copy(golden.join("longrun.db"), data.join("longrun.db")).unwrap();
        assert_eq!(schema(&data), *number);
        let mut server = Server::over(&data, &ARGUMENTS);
        let client = client(&server, golden);
        // First of all: its lease rests for ten seconds only.
        let beat = report(&client, 5, 1, json!({"status": "Running"})).await;
        assert_eq!(beat["error"], Value::Null, "{beat}");
        shows_what_was_shown(&client, golden).await;
        tells_what_happened(&client).await;
        goes_on(&client).await;
        server.signal("TERM");
        assert!(server.wait().success());
        let mut doctor = longrun(&["doctor", "--data"]);
        doctor.arg(&data);
        let found = cli::run(doctor).out;
        assert!(found.contains("the file and all of 12 operations are whole"), "{found}");
        let latest = schema(&data);
        assert!(latest >= *number);
        let numbers: Vec<i64> = all.iter().map(|(number, _)| *number).collect();
        let missing = (1..latest).find(|number| *number != UNKEPT.0 && !numbers.contains(number));
        assert_eq!(missing, None, "a schema without a golden store: tests/golden/make.sh makes one");
    }
    assert!(!all.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_each_schema_is_served_as_it_was() {
    let all = all("postgres-");
    for (number, golden) in &all {
        let database = Database::create();
        let mut psql = program("psql");
        psql.args(["--quiet", "--set", "ON_ERROR_STOP=1", &database.url()]).stdout(Stdio::null());
        let mut psql = psql.stdin(Stdio::piped()).spawn().expect("psql can be run");
        let dump = fs::read(golden.join("longrun.sql")).unwrap();
        psql.stdin.take().unwrap().write_all(&dump).unwrap();
        assert!(psql.wait().unwrap().success());
        let version = "SELECT version FROM longrun.schema_version";
        assert_eq!(database.ask(version), Some(number.to_string()));
        let node = Server::node(&database.url(), &ARGUMENTS);
        let client = client(&node, golden);
        let beat = report(&client, 5, 1, json!({"status": "Running"})).await;
        assert_eq!(beat["error"], Value::Null, "{beat}");
        shows_what_was_shown(&client, golden).await;
        tells_what_happened(&client).await;
        goes_on(&client).await;
        let latest: i64 = database.ask(version).unwrap().parse().unwrap();
        let numbers: Vec<i64> = all.iter().map(|(number, _)| *number).collect();
        let missing = (1..latest).find(|number| *number != UNKEPT.1 && !numbers.contains(number));
        assert_eq!(missing, None, "a schema without a golden store: tests/golden/make.sh makes one");
    }
    assert!(!all.is_empty());
}
