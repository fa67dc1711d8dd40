use std::collections::BTreeMap;

use http::{Method, StatusCode};
use longrun_postgres::Database;
use serde_json::{Value, json};

use super::{ARGUMENTS, Data, EVENTS, OPERATIONS, ask, held, moved, report, stop};
use crate::support::cli::{made, revoke};
use crate::support::{Client, Server};

/// An operation of every kind, and what else a server keeps.
struct State {
    /// What is said in a test of one of them.
    ids: BTreeMap<&'static str, String>,
    /// What a worker holds.
    held: (String, i64),
    token: String,
    revoked: String,
    /// Opens one queue only.
    narrow: String,
    /// The cursor before everything.
    begin: String,
    /// The path of a link to one of them.
    link: String,
}

const KEYED: &str = r#"{"operationType":"keyed","queue":"keys"}"#;

fn large() -> String {
    "x".repeat(5000)
}

impl State {
    /// Makes all of it at a server.
    async fn make(server: &Server) -> (Self, Client) {
        let all = ["--scope", "Operation.ReadWrite,Operation.Execute,Operation.Manage"];
        let text = |made: &Value| made["token"].as_str().unwrap().to_owned();
        let token = text(&made(server, &all));
        let gone = made(server, &all);
        revoke(server, gone["id"].as_str().unwrap());
        let narrow = text(&made(server, &["--scope", "Operation.Execute", "--queue", "narrow"]));
        let client = server.client().with_token(&token);
        let begin = client.watch(EVENTS, None).await.begin().await;
        let mut state = Self {
            ids: BTreeMap::new(),
            held: Default::default(),
            token,
            revoked: text(&gone),
            narrow,
            begin,
            link: String::new(),
        };
        state.waits(&client).await;
        state.is_worked_on(&client).await;
        state.has_ended(&client).await;
        state.link = state.link_to(&client, "keyed").await;
        (state, client)
    }

    /// The path of a link; one that was made before it is revoked.
    async fn link_to(&self, client: &Client, name: &str) -> String {
        let path = format!("{OPERATIONS}/{}/createLink", self.ids[name]);
        let answer = client.post(&path, &json!({"revoke": true})).await.value();
        let url = answer["link"]["statusUrl"].as_str().unwrap().to_owned();
        url.trim_start_matches("http://longrun.test").to_owned()
    }

    async fn submit(&mut self, client: &Client, name: &'static str, body: Value) -> String {
        let id = client.submit(&body).await;
        self.ids.insert(name, id.clone());
        id
    }

    async fn waits(&mut self, client: &Client) {
        let ready = |priority: i64| json!({"operationType": "t", "queue": "order", "priority": priority});
        for (name, priority) in [("second", 0), ("third", 0), ("fourth", -5), ("first", 9)] {
            self.submit(client, name, ready(priority)).await;
        }
        let labels = json!({"team": "größer", "n": ""});
        let body = json!({"operationType": "t", "startDateTime": "2099-01-01T00:00:00Z", "labels": labels,
            "timeoutSeconds": 60, "expirationDateTime": "2099-01-02T00:00:00Z", "input": large()});
        self.submit(client, "delayed", body).await;
        self.submit(client, "paused", json!({"operationType": "t", "queue": "paused"})).await;
        let controls =
            [("paused", json!({"paused": true})), ("limited", json!({"maxRunning": 1, "maxWaiting": 2}))];
        for (queue, body) in controls {
            let set = client.json(Method::PATCH, &format!("/v1.0/queues/{queue}"), &[], &body).await;
            assert_eq!(set.status, StatusCode::OK, "{}", set.text());
        }
        let headers = [("content-type", "application/json"), ("idempotency-key", "order-4711")];
        let keyed = client.send(Method::POST, OPERATIONS, &headers, KEYED).await;
        self.ids.insert("keyed", keyed.value()["id"].as_str().unwrap().to_owned());
    }

    /// Submits one to a queue of its own, and holds it.
    async fn take(&mut self, client: &Client, name: &'static str, body: Value) -> (String, i64) {
        let mut all = json!({"operationType": "t", "queue": name});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.submit(client, name, all).await;
        held(&client.work(&ask("w", name, name, 1)).await).remove(0)
    }

    async fn is_worked_on(&mut self, client: &Client) {
        for name in ["limited", "told", "canceling"] {
            self.held = self.take(client, name, json!({})).await;
            let told = json!({"status": "Running", "percentComplete": 40, "statusDetail": "page 5",
                "checkpoint": {"page": name}});
            assert_eq!(report(client, "w", &self.held, told).await["error"], Value::Null);
        }
        let cancel = format!("{OPERATIONS}/{}/cancel", self.held.0);
        assert_eq!(client.post(&cancel, &json!({})).await.status, StatusCode::ACCEPTED);
        self.submit(client, "full", json!({"operationType": "t", "queue": "limited"})).await;
        self.held = (self.ids["told"].clone(), self.held.1);
        let body = json!({"isExternal": true, "status": "Running", "operationType": "migration"});
        let external = self.submit(client, "external", body).await;
        let patch = json!({"percentComplete": 7, "statusDetail": "table 2"});
        let patched = client.json(Method::PATCH, &format!("{OPERATIONS}/{external}"), &[], &patch).await;
        assert_eq!(patched.status, StatusCode::OK);
    }

    async fn has_ended(&mut self, client: &Client) {
        let error = json!({"code": "upstream", "message": "It could not be read."});
        let failed = json!({"status": "Failed", "error": error, "retryable": false});
        let again = json!({"retry": {"initialDelaySeconds": 3600, "jitter": 0}});
        let ends = [
            (
                "done",
                json!({}),
                json!({"status": "Completed", "result": {"n": 1}, "resourceLocation": "https://a.test/1"}),
            ),
            ("large", json!({"input": large()}), json!({"status": "Completed", "result": large()})),
            ("failed", json!({}), failed.clone()),
            ("backoff", again, json!({"status": "Failed", "error": error})),
            ("released", json!({}), json!({"status": "NotStarted"})),
            ("retried", json!({}), failed.clone()),
            ("deleted", json!({}), failed),
        ];
        for (name, body, end) in ends {
            let taken = self.take(client, name, body).await;
            assert_eq!(report(client, "w", &taken, end).await["error"], Value::Null, "{name}");
        }
        let path = |state: &Self, name: &str, rest: &str| format!("{OPERATIONS}/{}{rest}", state.ids[name]);
        let retried = client.post(&path(self, "retried", "/retry"), &json!({})).await;
        assert_eq!(retried.status, StatusCode::OK, "{}", retried.text());
        self.submit(client, "canceled", json!({"operationType": "t"})).await;
        let canceled = client.post(&path(self, "canceled", "/cancel"), &json!({})).await;
        assert_eq!(canceled.status, StatusCode::OK);
        let deleted = client.send(Method::DELETE, &path(self, "deleted", ""), &[], "").await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    }

    /// Everything that a server shows of it, but for what is counted in seconds since.
    async fn shown(&self, client: &Client) -> BTreeMap<String, String> {
        let mut shown = BTreeMap::new();
        let mut paths = vec![
            format!("{OPERATIONS}?$select=input,result,status,error,labels,attemptsCount&$count=true"),
            format!("{OPERATIONS}?$orderby=createdDateTime%20asc&$top=7"),
            "/v1.0/queues".to_owned(),
        ];
        for status in ["NotStarted", "Running", "Completed", "Failed"] {
            paths.push(format!("{OPERATIONS}?$filter=status%20eq%20'{status}'&$count=true"));
            paths.push(format!("{OPERATIONS}/$count?$filter=status%20eq%20'{status}'"));
        }
        for id in self.ids.values() {
            paths.extend(["", "/attempts"].map(|rest| format!("{OPERATIONS}/{id}{rest}")));
        }
        for path in paths {
            let answer = client.get(&path).await;
            let mut text = answer.text();
            if path == "/v1.0/queues" {
                let mut value = answer.value();
                for queue in value["value"].as_array_mut().unwrap() {
                    queue["oldestReadySeconds"] = Value::Null;
                }
                text = value.to_string();
            } else if !answer.status.is_success() {
                // Of a refusal its moment is another one each time.
                text = answer.code();
            }
            let etag = answer.header("etag").unwrap_or_default();
            shown.insert(path, format!("{} {etag} {text}", answer.status));
        }
        for name in ["done", "large", "failed", "canceled"] {
            let path = format!("{OPERATIONS}/{}/events", self.ids[name]);
            let events = client.watch(&path, Some(&self.begin)).await.rest().await;
            assert!(events.len() > 1, "{events:?}");
            shown.insert(path, format!("{events:?}"));
        }
        shown
    }
}

/// So many events after a cursor, as they are told.
async fn told(client: &Client, after: &str, count: usize) -> Vec<(String, String, String)> {
    let events = client.watch(EVENTS, Some(after)).await.take(count).await;
    events.into_iter().map(|event| (event.id, event.event, event.data.to_string())).collect()
}

/// A state that was moved, and a node over the database.
struct There {
    state: State,
    node: Server,
    client: Client,
    before: BTreeMap<String, String>,
    events: Vec<(String, String, String)>,
    database: Database,
    _data: Data,
}

async fn brought_over(kill: bool) -> There {
    let (data, database) = (Data::new(), Database::create());
    let mut server = data.serve();
    let (state, client) = State::make(&server).await;
    let last = client.submit(&json!({"operationType": "t", "queue": "last"})).await;
    let mut stream = client.watch(EVENTS, Some(&state.begin)).await;
    let mut events = Vec::new();
    while !events.last().is_some_and(|(.., data): &(_, _, String)| data.contains(&last)) {
        let event = stream.next().await.unwrap();
        events.push((event.id, event.event, event.data.to_string()));
    }
    let before = state.shown(&client).await;
    if kill {
        server.kill();
        drop(server);
    } else {
        stop(server);
    }
    let rows = moved(&data.path, &database.url());
    assert_eq!(rows["operation"].as_u64().unwrap(), state.ids.len() as u64);
    let node = Server::node(&database.url(), &ARGUMENTS);
    let client = node.client().with_token(&state.token);
    There { state, node, client, before, events, database, _data: data }
}

#[tokio::test]
async fn all_that_the_old_server_showed_the_new_one_shows_too() {
    for kill in [false, true] {
        let there = brought_over(kill).await;
        let after = there.state.shown(&there.client).await;
        for (path, before) in &there.before {
            assert_eq!(&after[path], before, "{path}");
        }
        assert_eq!(told(&there.client, &there.state.begin, there.events.len()).await, there.events);
    }
}

#[tokio::test]
async fn a_watcher_goes_on_after_the_last_event_that_it_heard() {
    let there = brought_over(false).await;
    for place in [there.events.len() / 2, there.events.len() - 1] {
        let mut stream = there.client.watch(EVENTS, Some(&there.events[place].0)).await;
        for expected in &there.events[place + 1..] {
            assert_eq!(&stream.next().await.unwrap().id, &expected.0);
        }
        let id = there.client.submit(&json!({"operationType": "t", "queue": "fresh"})).await;
        loop {
            let event = stream.next().await.unwrap();
            assert!(!there.events.iter().any(|(cursor, ..)| *cursor == event.id), "a cursor was given twice");
            if event.data["id"] == id.as_str() {
                assert_eq!(event.event, "created");
                break;
            }
        }
    }
}

#[tokio::test]
async fn tokens_keys_and_limits_hold_there() {
    let there = brought_over(false).await;
    let (state, client) = (&there.state, &there.client);
    let stranger = there.node.client();
    assert_eq!(stranger.get(OPERATIONS).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.with_token(&state.revoked).get(OPERATIONS).await.status, StatusCode::UNAUTHORIZED);
    let narrow = stranger.with_token(&state.narrow);
    assert_eq!(narrow.post("/v1.0/work", &ask("n", "n", "order", 1)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(held(&narrow.work(&ask("n", "n", "narrow", 1)).await), []);

    assert_eq!(stranger.get(&state.link).await.value()["id"], *state.ids["keyed"]);
    let fresh = state.link_to(client, "keyed").await;
    assert_eq!(stranger.get(&state.link).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.get(&fresh).await.status, StatusCode::OK);

    let headers = [("content-type", "application/json"), ("idempotency-key", "order-4711")];
    let repeated = client.send(Method::POST, OPERATIONS, &headers, KEYED).await;
    assert_eq!(repeated.header("idempotency-replayed"), Some("true"), "{}", repeated.text());
    assert_eq!(repeated.value()["id"], state.ids["keyed"].as_str());
    let other = client.send(Method::POST, OPERATIONS, &headers, r#"{"operationType":"other"}"#).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);

    for queue in ["paused", "limited"] {
        assert_eq!(held(&client.work(&ask("w2", queue, queue, 9)).await), [], "{queue}");
    }
    client.submit(&json!({"operationType": "t", "queue": "limited"})).await;
    let full = client.post(OPERATIONS, &json!({"operationType": "t", "queue": "limited"})).await;
    assert_eq!(full.code(), "queueFull");
}

#[tokio::test]
async fn workers_go_on_with_what_they_hold_and_claim_in_the_same_order() {
    let there = brought_over(true).await;
    let (state, client) = (&there.state, &there.client);
    let beat = report(client, "w", &state.held, json!({"status": "Running"})).await;
    assert_eq!((&beat["error"], beat["cancelRequested"].is_null()), (&Value::Null, true), "{beat}");
    let repeated = held(&client.work(&ask("w", "told", "told", 1)).await);
    assert_eq!(repeated, std::slice::from_ref(&state.held), "the claim is known by its id");
    let done = json!({"status": "Completed", "result": large()});
    assert_eq!(report(client, "w", &state.held, done).await["error"], Value::Null);
    let canceling = (state.ids["canceling"].clone(), 1);
    let beat = report(client, "w", &canceling, json!({"status": "Running"})).await;
    assert_eq!(beat["cancelRequested"], true, "{beat}");

    let order: Vec<String> =
        held(&client.work(&ask("w2", "order", "order", 9)).await).into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, ["first", "second", "third", "fourth"].map(|name| state.ids[name].clone()));
    let again = client.work(&ask("w2", "released", "released", 1)).await;
    assert_eq!(held(&again), [(state.ids["released"].clone(), 2)]);

    // No number that was given is given again, neither to operations nor to lanes.
    let body = |number: usize| json!({"operationType": format!("new-{number}"), "queue": "new"});
    for number in 0..5 {
        client.submit(&body(number)).await;
    }
    let ids = there.database.ask(
        "SELECT count(*) || ' ' || count(DISTINCT lane) FROM longrun.operation \
         WHERE lane IN (SELECT id FROM longrun.lane WHERE queue = 'new')",
    );
    assert_eq!(ids.as_deref(), Some("5 5"));
}
