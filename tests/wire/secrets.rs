//! What must show nowhere but to whom it belongs: canaries in everything that clients and workers send, looked for in every
//! place that others see. Another place is one more line in [`places`].

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use longrun_postgres::Database;
use serde_json::json;
use tokio::net::TcpStream;

use super::matrix::{ask, by_token};
use super::{OPERATIONS, below, claim, longrun, made, path, report, token};
use crate::support::collector::Collector;
use crate::support::{Answer, Client, Programs, Server, Stream, Worker};

const JSON: (&str, &str) = ("content-type", "application/json");
/// Stands in everything that is sent.
const CANARY: &str = "canary";
/// What a link shows of its operation: whoever made it wants that seen. Never its input.
const SHOWN_BY_LINKS: [&str; 3] = ["canary-label", "canaryCode", "canary-message"];
/// All that is said is traced.
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ALL: &str = "Operation.ReadWrite,Operation.Execute,Operation.Manage";

/// Where something could show: all that stands there, and what of it belongs there.
struct Place {
    name: String,
    text: String,
    may_show: &'static [&'static str],
}

impl Place {
    fn new(name: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), text, may_show: &[] }
    }

    /// All of an answer that its client sees.
    fn of(name: impl Into<String>, answer: &Answer) -> Self {
        Self::new(name, format!("{} {:?} {}", answer.status, answer.headers, answer.text()))
    }

    /// That none of these stands here, neither as it is, nor as bytes are printed.
    fn holds_none_of(&self, secrets: &[String]) {
        let mut text = self.text.clone();
        for shown in self.may_show {
            text = text.replace(shown, "");
        }
        for secret in secrets {
            let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            let list = secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
            for written in [secret, &hex, &list] {
                let line = text.lines().find(|line| line.contains(written));
                assert!(line.is_none(), "{secret} stands in {}: {}", self.name, line.unwrap_or_default());
            }
        }
    }
}

/// A server, its owner with whom all canaries are, and the others.
struct House {
    server: Server,
    collector: Collector,
    token: String,
    owner: Client,
    /// By what they are, and whoever else may ask.
    others: Vec<(&'static str, Client)>,
    foreign: Client,
    metrics: Client,
}

fn house(server: Server, collector: Collector) -> House {
    let stranger = server.client();
    let token = |arguments: &[&str]| made(&server, arguments)["token"].as_str().unwrap().to_owned();
    let secret = token(&["--scope", ALL]);
    let last = if secret.ends_with('a') { 'b' } else { 'a' };
    let wrong = format!("{}{last}", &secret[..secret.len() - 1]);
    let with = |arguments: &[&str]| stranger.with_token(&token(arguments));
    let foreign = with(&["--tenant", "acme", "--scope", ALL]);
    let metrics = with(&["--scope", "Server.Manage"]);
    let others = vec![
        ("another tenant", foreign.clone()),
        ("who may only carry out", with(&["--scope", "Operation.Execute"])),
        ("who may only manage queues", with(&["--scope", "Operation.Manage"])),
        ("who may only manage the server", metrics.clone()),
        ("a stranger", stranger.clone()),
        ("who has a wrong token", stranger.with_token(&wrong)),
    ];
    House { owner: stranger.with_token(&secret), token: secret, others, foreign, metrics, server, collector }
}

/// All that a client and a worker say, and what is wrong of it too; the operation that failed of it.
async fn everything_is_said(client: &Client) -> String {
    let headers = [
        JSON,
        ("idempotency-key", "canary-key"),
        ("x-canary", "canary-header"),
        ("cookie", "canary-cookie"),
        ("user-agent", "canary-agent"),
        ("client-request-id", "canary-request"),
        ("traceparent", TRACEPARENT),
        ("tracestate", "canary=state"),
    ];
    let body = json!({ "operationType": "t", "input": "canary-input", "labels": { "l": "canary-label" } });
    let made = client.send(Method::POST, OPERATIONS, &headers, body.to_string()).await;
    let id = made.value()["id"].as_str().unwrap().to_owned();
    let lease = claim(client, "t", "c").await;
    let going = json!({
        "id": id, "leaseToken": lease, "status": "Running", "percentComplete": 7,
        "statusDetail": "canary-detail", "checkpoint": "canary-checkpoint"
    });
    report(client, going).await;
    let error = json!({ "code": "canaryCode", "message": "canary-message" });
    let failed = json!({ "id": id, "leaseToken": lease, "status": "Failed", "retryable": false, "error": error, "statusDetail": "over" });
    report(client, failed).await;

    let external = client.submit(&json!({ "isExternal": true, "input": { "canary": "canary-input" } })).await;
    let done = json!({ "status": "Completed", "result": "canary-result", "resourceLocation": "https://canary.example/" });
    client.json(Method::PATCH, &path(&external), &[], &done).await;
    let lines = [("content-type", "application/x-ndjson"), ("idempotency-key", "canary-bulk")];
    let bulk = "{\"status\":\"Completed\",\"result\":\"canary-line\"}\n{\"canary-field\":1}\n{\"canary-cut";
    client.send(Method::POST, OPERATIONS, &lines, bulk).await;

    for wrong in [
        r#"{"canary-field": 1, "input""#,
        r#"{"canary-field": 1}"#,
        r#"{"queue": "canary queue"}"#,
        r#"{"status": "canary-status"}"#,
    ] {
        client.send(Method::POST, OPERATIONS, &[JSON, ("traceparent", TRACEPARENT)], wrong).await;
    }
    for query in ["$filter=canary-filter", "$skiptoken=canary-cursor", "canary-option=1"] {
        client.send(Method::GET, &format!("{OPERATIONS}?{query}"), &[("traceparent", TRACEPARENT)], "").await;
    }
    client.send(Method::GET, "/v1.0/events", &[("last-event-id", "canary-cursor")], "").await;
    client.send(Method::GET, "/canary-path", &[], "").await;
    id
}

/// Makes links and uses them, where they are refused too; what is secret of each.
async fn links_are_used(client: &Client, stranger: &Client, id: &str) -> Vec<String> {
    let link = client.post(&below(id, "createLink"), &json!({})).await.value()["link"].take();
    let mut shown = Vec::new();
    for name in ["statusUrl", "eventsUrl"] {
        let url = link[name].as_str().unwrap();
        let traced = [("traceparent", TRACEPARENT)];
        assert_eq!(stranger.send(Method::GET, url, &traced, "").await.status, StatusCode::OK);
        shown.push(url.split_once("/links/").unwrap().1.trim_end_matches("/events").to_owned());
        stranger.get(&format!("{url}0")).await;
        stranger.send(Method::DELETE, url, &[], "").await;
    }
    shown
}

/// Over HTTP/2 other code reads the headers.
async fn asked_over_http2(url: &str, path: &str, token: Option<&str>) {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.unwrap();
    let driven = tokio::spawn(connection);
    let mut request = Request::builder().uri(format!("{url}{path}")).header("x-canary", "canary-header");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body().collect().await.unwrap();
    driven.abort();
}

/// Everything that another caller is answered, by whatever route.
async fn answers(house: &House, id: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for (who, client) in &house.others {
        for route in by_token().await {
            let answer = ask(client, &route, id).await;
            places
                .push(Place::of(format!("the answer of {} {} to {who}", route.method, route.path), &answer));
        }
        // What is the owner's by name is another's of their own, or nothing.
        let mine = [JSON, ("idempotency-key", "canary-key")];
        let body = json!({ "id": id, "status": "Completed" }).to_string();
        let want = json!({ "workerId": "w", "claim": { "id": "c", "limit": 100 } });
        for answer in [
            client.send(Method::POST, OPERATIONS, &mine, body).await,
            client.post("/v1.0/work", &want).await,
            client
                .get(
                    &format!("{OPERATIONS}?$filter=labels/l eq 'x' or status eq 'Failed'")
                        .replace(' ', "%20"),
                )
                .await,
        ] {
            places.push(Place::of(format!("an answer to {who}"), &answer));
        }
    }
    places
}

/// All that a tenant's watcher was shown, up to the operation that it makes now.
async fn watched(client: &Client, mut stream: Stream) -> Place {
    let own = client.submit(&json!({ "status": "Completed" })).await;
    let mut shown = Vec::new();
    loop {
        let event = stream.next().await.expect("the stream goes on");
        let is_own = event.data["id"] == json!(own);
        shown.push(format!("{event:?}"));
        if is_own {
            return Place::new("the events of another tenant", shown.join("\n"));
        }
    }
}

/// What a link shows: that of another operation, and that of this one.
async fn linked(house: &House, id: &str) -> Vec<Place> {
    let stranger = house.server.client();
    let other = house.owner.submit(&json!({ "status": "Completed" })).await;
    let mut places = Vec::new();
    for (name, of, may_show) in [("another", &*other, &[][..]), ("it", id, &SHOWN_BY_LINKS)] {
        let link = house.owner.post(&below(of, "createLink"), &json!({})).await.value()["link"].take();
        for url in ["statusUrl", "eventsUrl"] {
            let answer = stranger.get(link[url].as_str().unwrap()).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            let place = Place::of(format!("{url} of a link to {name}"), &answer);
            places.push(Place { may_show, ..place });
        }
    }
    places
}

/// Every place that is looked in.
async fn places(house: &House, id: &str, stream: Stream) -> Vec<Place> {
    let mut places = answers(house, id).await;
    places.push(watched(&house.foreign, stream).await);
    places.extend(linked(house, id).await);
    // Those of the submit, the wait, the attempt, four that are refused, three lists, and two by links.
    house.collector.trace(&TRACEPARENT[3..35], 12).await;
    let spans = house.collector.bytes();
    places.push(Place::new("the spans", String::from_utf8_lossy(&spans).into_owned()));
    places.push(Place::of("the metrics", &house.metrics.get("/metrics").await));
    let log = house.server.log();
    assert!(log.lines().count() > 100, "much is logged: {} lines", log.lines().count());
    assert!(log.contains(id), "what became of it is logged");
    places.push(Place::new("the log", log));
    places
}

async fn shows_nowhere(database: Option<Database>, format: &str) {
    let collector = Collector::start().await;
    let arguments = ["--workers", "0", "--log", "trace", "--log-format", format, "--otlp", &*collector.url];
    let house = house(Server::start_logged(database, &arguments), collector);
    let mut stream = house.foreign.watch("/v1.0/events", None).await;
    stream.begin().await;
    let id = everything_is_said(&house.owner).await;
    let links = links_are_used(&house.owner, &house.server.client(), &id).await;
    asked_over_http2(&house.server.url, &path(&id), Some(&house.token)).await;
    asked_over_http2(&house.server.url, &format!("/v1.0/links/{}", links[0]), None).await;

    let (secret, signature) = (house.token.rsplit_once('_').unwrap().1, &links[0][links[0].len() - 43..]);
    let secrets = [&*house.token, secret, &links[0], &links[1], signature, CANARY].map(str::to_owned);
    let places = places(&house, &id, stream).await;
    assert!(places.len() > 100, "only {} places", places.len());
    for place in places {
        place.holds_none_of(&secrets);
    }
    assert!(house.owner.get(&path(&id)).await.text().contains("canary-input"), "its owner sees it");
}

#[tokio::test]
async fn what_is_sent_shows_in_no_log_no_metric_and_no_answer_to_another() {
    shows_nowhere(None, "human").await;
}

#[tokio::test]
async fn nor_over_a_database_nor_where_machines_read_the_log() {
    shows_nowhere(Some(Database::create()), "json").await;
}

/// The server's own programs and a worker elsewhere: one ends well, one badly with words about it, one says how far it is.
#[tokio::test]
async fn nor_in_the_logs_of_those_who_carry_it_out() {
    let programs = Programs::new(&[
        ("well", "cat"),
        ("badly", "cat >&2; exit 3"),
        (
            "onward",
            "echo percent=40 detail=canary-detail >&2; echo 'checkpoint=\"canary\"' >&2; echo canary >&2; cat",
        ),
    ]);
    let flags = ["well", "badly", "onward"].map(|name| programs.flag(name));
    let server = Server::start_logged(None, &[&flags[0], &flags[1], &flags[2], "--log", "trace"]);
    let secret = token(&server, &["--scope", ALL]);
    let client = server.client().with_token(&secret);
    let mut workers = Vec::new();
    for name in ["well", "badly", "onward"] {
        let (theirs, log) = (format!("their.{name}"), ["--log", "trace", "--log-format", "json"]);
        let mut command = longrun(&["work", "--server", &server.url, "--token", &secret, "--type", &theirs]);
        command.args(log).arg("--").arg(programs.path(name));
        workers.push(Worker::of(command));
    }
    for (operation_type, status) in [("well", "Completed"), ("badly", "Failed"), ("onward", "Completed")] {
        for operation_type in [operation_type.to_owned(), format!("their.{operation_type}")] {
            let body = json!({ "operationType": operation_type, "input": "canary-input", "maxAttempts": 1 });
            let id = client.submit(&body).await;
            let ended = client.send(Method::GET, &path(&id), &[("prefer", "wait=30")], "").await;
            assert_eq!(ended.value()["status"], status, "{operation_type}: {}", ended.text());
            assert!(ended.text().matches(CANARY).count() > 1, "it was carried out: {}", ended.text());
            let is_told = ended.text().contains("canary-detail");
            assert_eq!(is_told, operation_type.ends_with("onward"), "{}", ended.text());
        }
    }
    let secrets = [&*secret, secret.rsplit_once('_').unwrap().1, CANARY].map(str::to_owned);
    for worker in &workers {
        let said = worker.said();
        assert!(said.contains("working"), "{said}");
        Place::new("the log of a worker", said).holds_none_of(&secrets);
    }
    Place::new("the log", server.log()).holds_none_of(&secrets);
}
