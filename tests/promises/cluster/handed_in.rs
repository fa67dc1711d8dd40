//! What a user's own transaction on the database submits: an ordinary operation once that is committed, and nothing before or
//! otherwise.
//!
//! `LONGRUN_OPEN_SECONDS` says for how long such a transaction stays open (5).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use longrun_postgres::{Database, Postgres, ask as ask_at, execute};
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

use super::{HEARD, OPERATIONS, Pair, SWEPT, ask, report, taken};
use crate::support::{Client, Server, until, within};

/// Any number of bodies in one transaction.
fn submit_all(database: &Database, bodies: &[String]) {
    let calls = bodies.iter().map(|body| format!("SELECT longrun.submit('{}');", body.replace('\'', "''")));
    database.run(&format!("BEGIN; {} COMMIT", calls.collect::<String>()));
}

fn submit_one(database: &Database, body: &str) -> String {
    database.ask(&format!("SELECT longrun.submit('{}')", body.replace('\'', "''"))).unwrap()
}

fn left(database: &Database) -> usize {
    database.ask("SELECT count(*) FROM longrun.inbox").unwrap().parse().unwrap()
}

async fn is_empty(database: &Database) {
    until("the inbox to be empty", async || (left(database) == 0).then_some(())).await;
}

async fn count(client: &Client) -> String {
    client.get(&format!("{OPERATIONS}/$count")).await.text()
}

/// The operation, once it is there.
async fn comes(client: &Client, id: &str) -> Value {
    let path = format!("{OPERATIONS}/{id}");
    until("the operation to be there", async || {
        let answer = client.get(&path).await;
        (answer.status == StatusCode::OK).then(|| answer.value())
    })
    .await
}

#[tokio::test]
async fn each_is_taken_in_once_though_two_nodes_look_and_watchers_hear_of_it() {
    const TRANSACTIONS: usize = 5;
    const EACH: usize = 120;
    for notify in ["on", "off"] {
        let pair = Pair::start(&["--notify", notify]);
        let (a, b) = pair.clients();
        let mut stream = a.watch("/v1.0/events?queue=q", None).await;
        stream.begin().await;
        for transaction in 0..TRANSACTIONS {
            let body =
                |number: usize| json!({"operationType": "t", "queue": "q", "input": [transaction, number]});
            submit_all(&pair.database, &(0..EACH).map(|number| body(number).to_string()).collect::<Vec<_>>());
        }
        let told = stream.take(TRANSACTIONS * EACH).await;
        assert!(told.iter().all(|event| event.event == "created"));
        let ids: BTreeSet<&str> = told.iter().map(|event| event.data["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), TRANSACTIONS * EACH, "each once");
        is_empty(&pair.database).await;
        for client in [&a, &b] {
            assert_eq!(count(client).await, (TRANSACTIONS * EACH).to_string());
        }
        let mut inputs = BTreeSet::new();
        while inputs.len() < TRANSACTIONS * EACH {
            let answer = b.work(&ask("w", "q", 100, 1)).await;
            for operation in answer["operations"].as_array().unwrap() {
                assert!(inputs.insert(operation["input"].to_string()), "it was handed in once");
            }
            let done = |(id, token)| json!({"id": id, "leaseToken": token, "status": "Completed"});
            let reports: Vec<Value> = taken(&answer).into_iter().map(done).collect();
            b.work(&json!({"workerId": "w", "reports": reports})).await;
        }
    }
}

#[tokio::test]
async fn what_was_rolled_back_never_was() {
    let pair = Pair::start(&[]);
    let (a, _) = pair.clients();
    let submitted = "BEGIN; SELECT longrun.submit('{\"queue\": \"q\"}'); ROLLBACK";
    let id = pair.database.ask(submitted).unwrap();
    let after = submit_one(&pair.database, r#"{"queue": "q"}"#);
    comes(&a, &after).await;
    assert_eq!(a.get(&format!("{OPERATIONS}/{id}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(count(&a).await, "1");
}

#[tokio::test]
async fn it_is_what_a_request_with_the_same_body_would_have_made() {
    let pair = Pair::start(&[]);
    let (a, b) = pair.clients();
    let body = r#"{"operationType": "t", "queue": "q", "priority": 7, "labels": {"order": "o'17"}, "maxAttempts": 5,
        "input": {"exact":1.0e5,  "twice" : "\u00e9\u0000", "big": 12345678901234567890}}"#;
    let id = submit_one(&pair.database, body);
    let mut handed_in = comes(&a, &id).await;
    let mut asked = a.operation(&a.submit(&serde_json::from_str(body).unwrap()).await).await;
    for volatile in ["id", "createdDateTime", "lastActionDateTime", "resourceLocation", "input"] {
        (handed_in[volatile], asked[volatile]) = (Value::Null, Value::Null);
    }
    assert_eq!(handed_in, asked);
    let shown = b.get(&format!("{OPERATIONS}/{id}")).await.text();
    assert!(
        shown.contains(r#""input":{"exact":1.0e5,  "twice" : "\u00e9\u0000", "big": 12345678901234567890}"#),
        "{shown}"
    );
    assert_eq!(shown_actor(&pair.database, &id), "database");
}

fn shown_actor(database: &Database, id: &str) -> String {
    let actor =
        "SELECT e.actor FROM longrun.event e JOIN longrun.operation o USING (seq) WHERE o.id = uuid_send";
    database.ask(&format!("{actor}('{id}')")).unwrap()
}

#[tokio::test]
async fn an_id_of_one_s_own_makes_a_repeat_recognisable() {
    let pair = Pair::start(&[]);
    let (a, _) = pair.clients();
    let id = "0198F0A0-0000-7000-8000-00000000000a";
    let body = json!({"id": id, "queue": "q"}).to_string();
    assert_eq!(submit_one(&pair.database, &body), id.to_lowercase());
    submit_all(&pair.database, &[body.clone(), body.clone()]);
    comes(&a, id).await;
    is_empty(&pair.database).await;
    assert_eq!(count(&a).await, "1");
    // By a request, too.
    let again = a.post(OPERATIONS, &serde_json::from_str(&body).unwrap()).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "{}", again.text());
    // Another body under the same id is told of under another one.
    submit_one(&pair.database, &json!({"id": id, "queue": "r"}).to_string());
    let list = format!("{OPERATIONS}?$filter=status%20eq%20'Failed'");
    let refused =
        until("it to be told of", async || a.get(&list).await.value()["value"].get(0).cloned()).await;
    assert_eq!(refused["error"]["code"], "invalidRequest");
    assert!(refused["error"]["message"].as_str().unwrap().contains(&id.to_lowercase()), "{refused}");
    assert_eq!(a.operation(id).await["queue"], "q");
    is_empty(&pair.database).await;
}

#[tokio::test]
async fn what_a_request_would_be_refused_for_is_shown_as_failed_and_stops_nothing_else() {
    let pair = Pair::start(&["--notify", "off"]);
    let (a, b) = pair.clients();
    let large = json!({"queue": "q", "input": "x".repeat(300 << 10)}).to_string();
    let larger = json!({"queue": "q", "input": "x".repeat(2 << 20)}).to_string();
    let deep = format!(r#"{{"input": {}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let bad = [
        "[1]",
        "null",
        r#"{"queue": "q", "canary": 1}"#,
        r#"{"queue": "q", "operationType": "t", "input": "canary", "maxAttempts": 0}"#,
        r#"{"queue": "a b", "input": "canary"}"#,
        r#"{"queue": "q", "queue": "q"}"#,
        r#"{"id": "none", "queue": "q"}"#,
        r#"{"queue": "q", "labels": {"l": "\u0000"}}"#,
        r#"{"queue": "q", "input": "\ud800"}"#,
        &large,
        &larger,
        &deep,
    ];
    let mut ids = Vec::new();
    for body in bad {
        ids.push(submit_one(&pair.database, body));
        ids.push(submit_one(&pair.database, r#"{"queue": "q", "operationType": "t"}"#));
    }
    let stranger = pair.database.ask("SELECT longrun.submit('{}', 'no tenant')").unwrap();
    ids.extend([stranger, submit_one(&pair.database, r#"{"queue": "q"}"#)]);
    for (place, id) in ids.iter().enumerate() {
        let shown = comes(&b, id).await;
        if place % 2 == 1 {
            assert_eq!(shown["status"], "NotStarted");
            continue;
        }
        assert_eq!((&shown["status"], &shown["error"]["code"]), (&json!("Failed"), &json!("invalidRequest")));
        assert_eq!(shown.get("input"), None, "{shown}");
        let retried = a.post(&format!("{OPERATIONS}/{id}/retry"), &json!({})).await;
        assert_eq!(retried.status, StatusCode::CONFLICT, "{}", retried.text());
    }
    assert_eq!(a.operation(&ids[6]).await["queue"], "q", "it is found where it was to be");
    is_empty(&pair.database).await;
}

#[tokio::test]
async fn what_finds_its_queue_full_waits_for_room_and_holds_up_no_other() {
    let pair = Pair::start(&["--notify", "off"]);
    let (a, b) = pair.clients();
    let limited = a.json(Method::PATCH, "/v1.0/queues/full", &[], &json!({"maxWaiting": 2})).await;
    assert_eq!(limited.status, StatusCode::OK, "{}", limited.text());
    // More than are read at once.
    submit_all(&pair.database, &vec![r#"{"queue": "full", "operationType": "t"}"#.to_owned(); 400]);
    let other = submit_one(&pair.database, r#"{"queue": "other", "operationType": "t"}"#);
    comes(&b, &other).await;
    until("two of them to wait", async || {
        (a.get("/v1.0/queues/full/demand").await.value()["ready"] == 2).then_some(())
    })
    .await;
    assert_eq!(left(&pair.database), 398);
    let raised = a.json(Method::PATCH, "/v1.0/queues/full", &[], &json!({"maxWaiting": null})).await;
    assert_eq!(raised.status, StatusCode::OK, "{}", raised.text());
    is_empty(&pair.database).await;
    assert_eq!(count(&a).await, "401");
}

#[tokio::test]
async fn who_may_submit_may_do_nothing_else() {
    let pair = Pair::start(&[]);
    let (a, _) = pair.clients();
    let (database, name) = (&pair.database, pair.database.name());
    let (shop, stranger) = (format!("{name}_shop"), format!("{name}_stranger"));
    database.run(&format!(
        "CREATE ROLE {shop} LOGIN; CREATE ROLE {stranger} LOGIN; GRANT USAGE ON SCHEMA longrun TO {shop}, {stranger}; \
         GRANT EXECUTE ON FUNCTION longrun.submit TO {shop}"
    ));
    let tried = |role: &str, sql: &str| execute(&database.url(), &format!("SET ROLE {role}; {sql}"));
    let id = database.ask(&format!("SET ROLE {shop}; SELECT longrun.submit('{{}}')"));
    let refused = |role: &str, sql: &str| {
        let error = tried(role, sql).expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error}");
    };
    refused(&stranger, "SELECT longrun.submit('{}')");
    for sql in [
        "TABLE longrun.inbox",
        "INSERT INTO longrun.inbox (id, tenant, at, request) VALUES (gen_random_uuid(), 'x', 0, '{}')",
        "DELETE FROM longrun.inbox",
        "TABLE longrun.operation",
        "TABLE longrun.credential",
        "SELECT nextval('longrun.operation_seq')",
        "SELECT longrun.expect(1, 1)",
    ] {
        refused(&shop, sql);
    }
    comes(&a, &id.unwrap()).await;
    database.run(&format!("DROP OWNED BY {shop}, {stranger}; DROP ROLE {shop}; DROP ROLE {stranger}"));
}

/// The statements of the page, in their order.
fn documented() -> Vec<&'static str> {
    let page = include_str!("../../../docs/transactional-submit.md");
    page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[tokio::test]
async fn it_is_set_up_as_the_page_says() {
    // A server of its own, for the names that the page has.
    let postgres = Postgres::start(&[]);
    execute(
        &postgres.url("postgres"),
        "CREATE ROLE shop LOGIN PASSWORD 'PASSWORD'; CREATE ROLE kiosk LOGIN PASSWORD 'PASSWORD'",
    )
    .unwrap();
    execute(&postgres.url("postgres"), "CREATE DATABASE shop OWNER shop").unwrap();
    let of = |role: &str| {
        format!(
            "postgres://{role}:PASSWORD@{}",
            postgres.url("shop").rsplit_once('@').expect("it has a host").1
        )
    };
    let [submit, role, rights, one_tenant] = documented()[..] else {
        panic!("the page has other statements")
    };
    execute(&postgres.url("shop"), role).unwrap();
    let node = Server::node(&of("longrun"), &["--workers", "0"]);
    execute(&of("longrun"), rights).unwrap();
    execute(&of("longrun"), one_tenant).unwrap();
    execute(&of("shop"), "CREATE TABLE invoice (number int, total numeric, operation uuid)").unwrap();
    execute(&of("shop"), submit).unwrap();
    let id = ask_at(&of("shop"), "SELECT operation FROM invoice").unwrap().unwrap();
    assert_eq!(comes(&node.client(), &id).await["input"], json!({"invoice": 17}));

    assert!(execute(&of("kiosk"), "SELECT longrun.submit('{}')").is_err());
    let id = ask_at(&of("kiosk"), "SELECT longrun.submit_for_shop('{}')").unwrap().unwrap();
    let tenant = format!("SELECT tenant FROM longrun.operation WHERE id = uuid_send('{id}')");
    let tenant = until("it to be taken in", async || ask_at(&of("longrun"), &tenant).unwrap()).await;
    assert_eq!(tenant, "shop");
}

/// How long an operation takes from its commit until it is there.
async fn reaches_a_waiting_claim(notify: &str, session: &str, bound: Duration) {
    let pair = Pair::start(&["--notify", notify]);
    let (a, _) = pair.clients();
    for _ in 0..3 {
        let waiting = tokio::spawn({
            let a = a.clone();
            async move { (taken(&a.work(&ask("w", "q", 1, 20)).await), Instant::now()) }
        });
        until("the claim to wait", async || {
            let workers = a.get("/v1.0/workers").await.value();
            (!workers["value"].as_array().unwrap().is_empty()).then_some(())
        })
        .await;
        let submitted =
            format!(r#"{session} SELECT longrun.submit('{{"queue": "q", "operationType": "t"}}')"#);
        let id = pair.database.ask(&submitted).unwrap();
        let began = Instant::now();
        let (held, at) = waiting.await.unwrap();
        assert_eq!(held[0].0, id);
        assert!(at.saturating_duration_since(began) < bound, "it took {:?}", at - began);
        assert_eq!(report(&a, "w", &held[0], "Completed").await["error"], Value::Null);
    }
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_waiting_claim_has_it_as_soon_as_it_is_committed() {
        reaches_a_waiting_claim("on", "", HEARD).await;
    }

    #[tokio::test]
    async fn without_notifications_the_next_look_finds_it() {
        reaches_a_waiting_claim("off", "", SWEPT).await;
        reaches_a_waiting_claim("on", "SET longrun.notify = 'off';", SWEPT).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_transaction_that_stays_open_holds_nothing_up() {
        let seconds: u64 = std::env::var("LONGRUN_OPEN_SECONDS").map_or(5, |text| text.parse().unwrap());
        let pair = Pair::start(&[]);
        let (a, b) = pair.clients();
        let mut stream = b.watch("/v1.0/events?queue=q", None).await;
        stream.begin().await;
        let id = "0198f0a0-0000-7000-8000-00000000000b";
        let open = format!(
            r#"BEGIN; SELECT longrun.submit('{{"id": "{id}", "queue": "q", "operationType": "t"}}');
            SELECT pg_sleep({seconds}); COMMIT"#
        );
        let url = pair.database.url();
        let opened = Instant::now();
        let transaction = tokio::task::spawn_blocking(move || execute(&url, &open));
        let mut slowest = Duration::ZERO;
        while opened.elapsed() + SWEPT < Duration::from_secs(seconds) {
            let began = Instant::now();
            let other = submit_one(&pair.database, r#"{"queue": "q", "operationType": "t"}"#);
            comes(&b, &other).await;
            let own = a.submit(&json!({"queue": "q", "operationType": "t"})).await;
            let told = stream.take(2).await;
            assert_eq!((&told[0].data["id"], &told[1].data["id"]), (&json!(other), &json!(own)));
            let held = taken(&b.work(&ask("w", "q", 2, 20)).await);
            for held in &held {
                assert_eq!(report(&a, "w", held, "Completed").await["error"], Value::Null);
            }
            stream.take(2 * held.len()).await;
            assert_eq!(held.len(), 2);
            slowest = slowest.max(began.elapsed());
            assert_eq!(a.get(&format!("{OPERATIONS}/{id}")).await.status, StatusCode::NOT_FOUND);
        }
        assert!(slowest > Duration::ZERO && !transaction.is_finished());
        transaction.await.unwrap().unwrap();
        let committed = Instant::now();
        comes(&a, id).await;
        assert!(committed.elapsed() < HEARD, "{:?}", committed.elapsed());
        assert_eq!(stream.take(1).await[0].data["id"], id);
        assert!(slowest < SWEPT, "a round took {slowest:?}");
        eprintln!("open for {seconds} s; the slowest round beside it took {slowest:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_is_killed_while_it_takes_in_loses_none_and_doubles_none() {
        const ROUNDS: usize = 6;
        const EACH: usize = 150;
        let database = Database::create();
        let mut nodes = [
            Server::node(&database.url(), &["--workers", "0"]),
            Server::node(&database.url(), &["--workers", "0"]),
        ];
        let client = nodes[0].client();
        let from = client.watch("/v1.0/events", None).await.begin().await;
        let url = database.url();
        let submitting = tokio::task::spawn_blocking(move || {
            for round in 0..ROUNDS * EACH {
                let body = format!(r#"{{"queue": "q", "operationType": "t", "input": {round}}}"#);
                execute(&url, &format!("SELECT longrun.submit('{body}')")).unwrap();
            }
        });
        let mut kills = 0;
        while !submitting.is_finished() || kills < ROUNDS {
            let node = &mut nodes[kills % 2];
            node.kill();
            node.start_again();
            kills += 1;
        }
        submitting.await.unwrap();
        within(Duration::from_mins(1), "the inbox to be empty", async || {
            (left(&database) == 0).then_some(())
        })
        .await;
        let client = nodes[1].client();
        assert_eq!(count(&client).await, (ROUNDS * EACH).to_string());
        let mut stream = client.watch("/v1.0/events", Some(&from)).await;
        let told = stream.take(ROUNDS * EACH).await;
        let ids: BTreeSet<&str> = told.iter().map(|event| event.data["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), ROUNDS * EACH);
        let distinct = "SELECT count(DISTINCT convert_from(input, 'UTF8')) FROM longrun.operation";
        assert_eq!(database.ask(distinct).unwrap(), (ROUNDS * EACH).to_string());
    }
}
