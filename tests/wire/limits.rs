//! What strangers can reach has a limit: one less is taken, the limit is, and one more is refused and named.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, StatusCode};
use longrun::limits;
use serde_json::{Value, json};

use super::{OPERATIONS, claim, made, path, quiet, report, token};
use crate::support::{Server, until};

/// A request of a size.
type Sized = Box<dyn Fn(usize) -> (Method, String, Bytes)>;

/// One limit: its name, how large it is, a request that large, and how a larger one is refused.
struct Limit {
    name: &'static str,
    most: usize,
    request: Sized,
    refused: (u16, &'static str),
}

const INVALID: (u16, &str) = (400, "invalidRequest");
const TOO_LARGE: (u16, &str) = (413, "payloadTooLarge");

fn limit(name: &'static str, most: usize, refused: (u16, &'static str), request: Sized) -> Limit {
    Limit { name, most, request, refused }
}

/// Of a field of a submit.
fn field(name: &'static str, most: usize, value: impl Fn(usize) -> Value + 'static) -> Limit {
    let body = move |size| json!({ name: value(size), "operationType": "t" }).to_string();
    limit(name, most, INVALID, Box::new(move |size| (Method::POST, OPERATIONS.to_owned(), body(size).into())))
}

/// Of a field of an external operation that has ended in that way.
fn ended(
    status: &'static str,
    name: &'static str,
    most: usize,
    value: impl Fn(usize) -> Value + 'static,
) -> Limit {
    let body = move |size| json!({ "status": status, name: value(size) }).to_string();
    limit(name, most, INVALID, Box::new(move |size| (Method::POST, OPERATIONS.to_owned(), body(size).into())))
}

/// Of a worker's call.
fn call(
    name: &'static str,
    most: usize,
    refused: (u16, &'static str),
    body: impl Fn(usize) -> Value + 'static,
) -> Limit {
    let request = move |size| (Method::POST, "/v1.0/work".to_owned(), body(size).to_string().into());
    limit(name, most, refused, Box::new(request))
}

/// Of what is asked for by a path and query.
fn get(
    name: &'static str,
    most: usize,
    refused: (u16, &'static str),
    path: impl Fn(usize) -> String + 'static,
) -> Limit {
    limit(name, most, refused, Box::new(move |size| (Method::GET, path(size), Bytes::new())))
}

fn text(size: usize) -> Value {
    "x".repeat(size).into()
}

/// JSON text of so many bytes: a string.
fn sized(bytes: usize) -> Value {
    text(bytes - 2)
}

/// JSON with so many blanks that it has so many bytes.
fn padded(json: &str, bytes: usize) -> Bytes {
    [json.as_bytes(), &vec![b' '; bytes - json.len()]].concat().into()
}

fn names(count: usize) -> Value {
    (0..count).map(|n| format!("n{n}")).collect()
}

/// An error of so many bytes.
fn error(bytes: usize) -> Value {
    let empty = json!({ "code": "c", "message": "" }).to_string().len();
    json!({ "code": "c", "message": "x".repeat(bytes - empty) })
}

fn of_submits() -> Vec<Limit> {
    let labels =
        |count: usize| (0..count).map(|n| (format!("l{n}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    let deep = |levels: usize| {
        let body = format!(r#"{{"input":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
        (Method::POST, OPERATIONS.to_owned(), body.into())
    };
    let large = |bytes: usize| (Method::POST, OPERATIONS.to_owned(), padded("{}", bytes));
    let number = |most: u32| most as usize;
    vec![
        field("queue", limits::NAME_BYTES_MAX, text),
        limit(
            "a name of a label",
            limits::NAME_BYTES_MAX,
            INVALID,
            Box::new(|size| {
                let body = json!({ "labels": { "x".repeat(size): "v" } }).to_string();
                (Method::POST, OPERATIONS.to_owned(), body.into())
            }),
        ),
        field("labels", limits::LABELS_MAX, move |count| labels(count).into()),
        limit(
            "a label",
            limits::LABEL_CHARS_MAX,
            INVALID,
            Box::new(|size| {
                let body = json!({ "labels": { "l": "ü".repeat(size) } }).to_string();
                (Method::POST, OPERATIONS.to_owned(), body.into())
            }),
        ),
        field("input", limits::PAYLOAD_BYTES_MAX, sized),
        limit("depth", limits::JSON_DEPTH_MAX, INVALID, Box::new(deep)),
        limit("body", limits::BODY_BYTES_MAX, TOO_LARGE, Box::new(large)),
        field("priority", usize::from(limits::PRIORITY_MAX.unsigned_abs()), Value::from),
        field("maxAttempts", limits::ATTEMPTS_MAX.into(), Value::from),
        field("timeoutSeconds", number(limits::DURATION_SECONDS_MAX), Value::from),
        field("retry", number(limits::DURATION_SECONDS_MAX), |seconds| json!({ "maxDelaySeconds": seconds })),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // It is a whole number.
        field("retry", limits::RETRY_FACTOR_MAX as usize, |factor| json!({ "factor": factor })),
        ended("Completed", "result", limits::PAYLOAD_BYTES_MAX, sized),
        ended("Completed", "resourceLocation", limits::URL_BYTES_MAX, |size| {
            format!("https://a.example/{}", "x".repeat(size - 18)).into()
        }),
        ended("Completed", "statusDetail", limits::DETAIL_CHARS_MAX, |size| "ü".repeat(size).into()),
        ended("Failed", "error", limits::ERROR_BYTES_MAX, error),
    ]
}

fn of_workers() -> Vec<Limit> {
    let wish = |field: &'static str| move |value: Value| json!({ "workerId": "w", "claim": { "id": "c", "queues": ["none"], field: value } });
    let (limit_of, lease, queues, types, ids) =
        (wish("limit"), wish("leaseSeconds"), wish("queues"), wish("operationTypes"), wish("id"));
    let large = |bytes: usize| {
        let body = padded(&json!({ "workerId": "w" }).to_string(), bytes);
        (Method::POST, "/v1.0/work".to_owned(), body)
    };
    vec![
        call("workerId", limits::NAME_BYTES_MAX, INVALID, |size| json!({ "workerId": "x".repeat(size) })),
        call("claim.id", limits::NAME_BYTES_MAX, INVALID, move |size| ids(text(size))),
        call("limit", limits::CLAIM_LIMIT_MAX as usize, INVALID, move |n| limit_of(n.into())),
        call("leaseSeconds", limits::LEASE_SECONDS_MAX as usize, INVALID, move |n| lease(n.into())),
        call("queues", limits::CLAIM_QUEUES_MAX, INVALID, move |n| queues(names(n))),
        call("operationTypes", limits::CLAIM_TYPES_MAX, INVALID, move |n| types(names(n))),
        // With a report in it a call is answered at once.
        call("waitSeconds", limits::CLAIM_WAIT_SECONDS_MAX as usize, INVALID, |n| {
            let claim = json!({ "id": "c", "queues": ["none"], "waitSeconds": n });
            json!({ "workerId": "w", "reports": [nothing()], "claim": claim })
        }),
        call(
            "reports",
            limits::REPORTS_MAX,
            TOO_LARGE,
            |n| json!({ "workerId": "w", "reports": vec![nothing(); n] }),
        ),
        limit("the body of a worker", limits::WORK_BODY_BYTES_MAX, TOO_LARGE, Box::new(large)),
    ]
}

/// A report on an operation that is not there.
fn nothing() -> Value {
    json!({ "id": super::NOBODY, "leaseToken": 1, "status": "Running" })
}

fn of_reads() -> Vec<Limit> {
    let list = |query: String| format!("{OPERATIONS}?{query}");
    // Blanks are as good as anything.
    let filter = |bytes: usize| format!("queue%20eq{}'q'", "%20".repeat(bytes - 11));
    vec![
        get("$top", limits::LIST_TOP_MAX, (400, "invalidFilter"), move |n| list(format!("$top={n}"))),
        get("$filter", limits::FILTER_BYTES_MAX, (400, "invalidFilter"), move |bytes| {
            list(format!("$filter={}", filter(bytes)))
        }),
        get("parentheses of a $filter", limits::FILTER_DEPTH_MAX, (400, "invalidFilter"), move |n| {
            list(format!("$filter={}priority%20eq%201{}", "(".repeat(n), ")".repeat(n)))
        }),
        get("ids", limits::STREAM_IDS_MAX, INVALID, |n| {
            format!("/v1.0/events?ids={}", vec![super::NOBODY; n].join(","))
        }),
        get("the URI", limits::URI_BYTES_MAX, (414, "uriTooLong"), move |bytes| {
            let path = list("x=".to_owned());
            format!("{path}{}", "y".repeat(bytes - path.len()))
        }),
    ]
}

#[tokio::test]
async fn one_less_is_taken_the_limit_is_and_one_more_is_refused() {
    let server = quiet();
    let client = server.client();
    let headers = [("content-type", "application/json")];
    let mut tried = 0;
    for Limit { name, most, request, refused } in
        of_submits().into_iter().chain(of_workers()).chain(of_reads())
    {
        for size in [most - 1, most, most + 1] {
            let (method, path, body) = request(size);
            let answer = client.send(method, &path, &headers, body).await;
            let shown: String = answer.text().chars().take(300).collect();
            if size <= most {
                assert!(answer.status.is_success(), "{name} of {size}: {shown}");
            } else {
                assert_eq!((answer.status.as_u16(), &*answer.code()), refused, "{name} of {size}: {shown}");
            }
            tried += 1;
        }
    }
    assert!(tried > 75, "only {tried} were tried");
}

#[tokio::test]
async fn headers_that_a_client_names_its_requests_by_have_limits_too() {
    let server = quiet();
    let client = server.client();
    for (size, status) in [(-1, 201), (0, 201), (1, 400)] {
        let key = "k".repeat(limits::KEY_BYTES_MAX.checked_add_signed(size).unwrap());
        let answer = client.post_with(OPERATIONS, &[("idempotency-key", &key)], &json!({})).await;
        assert_eq!(answer.status.as_u16(), status, "{size}");
    }
    for (size, is_echoed) in [(-1, true), (0, true), (1, false)] {
        let id = "r".repeat(limits::CLIENT_REQUEST_ID_BYTES_MAX.checked_add_signed(size).unwrap());
        let answer = client.send(Method::GET, "/healthz", &[("client-request-id", &id)], "").await;
        assert_eq!(answer.header("client-request-id"), is_echoed.then_some(&*id), "{size}");
    }
}

#[tokio::test]
async fn what_a_report_leaves_and_what_is_set_for_a_queue_have_limits_too() {
    let server = quiet();
    let client = server.client();
    let id = client.submit(&json!({ "operationType": "t" })).await;
    let lease = claim(&client, "t", "c").await;
    for bytes in
        [limits::CHECKPOINT_BYTES_MAX - 1, limits::CHECKPOINT_BYTES_MAX, limits::CHECKPOINT_BYTES_MAX + 1]
    {
        let said = json!({ "id": id, "leaseToken": lease, "status": "Running", "checkpoint": sized(bytes) });
        let answer = client.work(&json!({ "workerId": "w", "reports": [said] })).await;
        let code = answer["outcomes"][0]["error"]["code"].as_str();
        assert_eq!(code, (bytes > limits::CHECKPOINT_BYTES_MAX).then_some("invalidRequest"), "{bytes}");
    }
    // Within its own part a report may be too deep without harm to the others, as long as anybody reads so far.
    for depth in
        [limits::JSON_DEPTH_READ_MAX - 1, limits::JSON_DEPTH_READ_MAX, limits::JSON_DEPTH_READ_MAX + 1]
    {
        let deep = format!("{}{}", "[".repeat(depth - 3), "]".repeat(depth - 3));
        let said = format!(r#"{{"id":"{id}","leaseToken":{lease},"status":"Running","checkpoint":{deep}}}"#);
        let good = format!(r#"{{"id":"{id}","leaseToken":{lease},"status":"Running"}}"#);
        let body = format!(r#"{{"workerId":"w","reports":[{said},{good}]}}"#);
        let headers = [("content-type", "application/json")];
        let answer = client.send(Method::POST, "/v1.0/work", &headers, body).await;
        if depth > limits::JSON_DEPTH_READ_MAX {
            assert_eq!((answer.status.as_u16(), &*answer.code()), INVALID, "{depth}");
        } else {
            let told = answer.value();
            assert_eq!(told["outcomes"][0]["error"]["code"], "invalidRequest", "{depth}: {told}");
            assert_eq!(told["outcomes"][1].get("error"), None, "{depth}: {told}");
        }
    }
    report(&client, json!({ "id": id, "leaseToken": lease, "status": "Completed" })).await;
    for most in [limits::QUEUE_LIMIT_MAX - 1, limits::QUEUE_LIMIT_MAX, limits::QUEUE_LIMIT_MAX + 1] {
        let change = json!({ "maxRunning": most, "maxWaiting": most });
        let answer = client.json(Method::PATCH, "/v1.0/queues/q", &[], &change).await;
        assert_eq!(answer.status.is_success(), most <= limits::QUEUE_LIMIT_MAX, "{most}");
    }
}

#[tokio::test]
async fn a_token_creates_so_many_a_second_and_tells_what_is_left() {
    const RATE: u32 = 5;
    let server = Server::start(&["--workers", "0", "--creates-per-second", &RATE.to_string()]);
    let scope = ["--scope", "Operation.ReadWrite"];
    let of = |made: Value| server.client().with_token(made["token"].as_str().unwrap());
    let (greedy, modest) = (of(made(&server, &scope)), of(made(&server, &scope)));
    let began = std::time::Instant::now();
    let mut created = 0_u32;
    let refused = loop {
        let answer = greedy.post(OPERATIONS, &json!({})).await;
        assert_eq!(answer.header("ratelimit-policy"), Some("\"creates\";q=5;w=1"));
        let left = answer.header("ratelimit").expect("it tells what is left").to_owned();
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(left.starts_with("\"creates\";r=0;t="), "{left}");
            break answer;
        }
        created += 1;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        assert!(left.starts_with("\"creates\";r="), "{left}");
    };
    // Those of a second at once, and what has come back meanwhile.
    let most = f64::from(RATE) * (1.0 + began.elapsed().as_secs_f64()) + 1.0;
    assert!(created >= RATE && f64::from(created) < most, "{created} in {:?}", began.elapsed());
    let soon = limits::CROWDED_RETRY_SECONDS.to_string();
    assert_eq!((&*refused.code(), refused.header("retry-after")), ("tooManyRequests", Some(&*soon)));
    assert_eq!(greedy.get(OPERATIONS).await.status, StatusCode::OK, "it may read meanwhile");
    assert_eq!(modest.post(OPERATIONS, &json!({})).await.status, StatusCode::CREATED);
    // The lines of a bulk request wait for their turn.
    let lines = "{}\n".repeat(2 * RATE as usize);
    let headers = [("content-type", "application/x-ndjson")];
    let bulk = modest.send(Method::POST, OPERATIONS, &headers, lines).await.text();
    assert_eq!(bulk.matches("\"status\":201").count(), 2 * RATE as usize, "{bulk}");
    until("it may create again", async || {
        (greedy.post(OPERATIONS, &json!({})).await.status == StatusCode::CREATED).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_wait_and_watch_by_a_link_and_others_as_before() {
    let server = quiet();
    let owner = server.client().with_token(&token(&server, &["--scope", "Operation.ReadWrite"]));
    let stranger = server.client();
    let made = async || {
        let id = owner.submit(&json!({ "isExternal": true })).await;
        let link = owner.post(&format!("{}/createLink", path(&id)), &json!({})).await.value()["link"].take();
        let url = |name: &str| link[name].as_str().unwrap().to_owned();
        BTreeMap::from([("id", id), ("status", url("statusUrl")), ("events", url("eventsUrl"))])
    };
    let (one, other) = (made().await, made().await);
    let mut streams = Vec::new();
    for _ in 0..limits::LINK_WATCHERS_MAX {
        let stream = stranger.watch(&one["events"], None).await;
        assert_eq!(stream.status, StatusCode::OK, "of {}", streams.len());
        streams.push(stream);
    }
    let refused = stranger.get(&one["events"]).await;
    assert_eq!((refused.status.as_u16(), &*refused.code()), (429, "tooManyRequests"));
    assert!(refused.header("retry-after").is_some());
    for (client, url) in [(&stranger, &other["events"]), (&owner, &format!("{}/events", path(&one["id"])))] {
        assert_eq!(client.watch(url, None).await.status, StatusCode::OK, "{url}");
    }
    streams.pop();
    let again = until("the place to be free", async || {
        let stream = stranger.watch(&one["events"], None).await;
        (stream.status == StatusCode::OK).then_some(stream)
    })
    .await;
    streams.push(again);

    let waits = [("prefer", "wait=60")];
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..limits::LINK_WAITING_MAX {
        let (stranger, url) = (stranger.clone(), one["status"].clone());
        waiting.spawn(async move { stranger.send(Method::GET, &url, &waits, "").await });
    }
    all_wait(&server, limits::LINK_WAITING_MAX).await;
    let asked = stranger.send(Method::GET, &one["status"], &[("prefer", "wait=1")], "").await;
    assert_eq!((asked.status.as_u16(), &*asked.code()), (429, "tooManyRequests"));
    assert_eq!(stranger.get(&one["status"]).await.status, StatusCode::OK, "who does not wait is answered");
    owner.json(Method::PATCH, &path(&one["id"]), &[], &json!({ "status": "Completed" })).await;
    let answers = waiting.join_all().await;
    let good = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(good, limits::LINK_WAITING_MAX, "all who waited were answered");
}

/// Waits until so many calls wait, as the server itself counts them.
async fn all_wait(server: &Server, count: usize) {
    let watching = server.client().with_token(&token(server, &["--scope", "Server.Manage"]));
    let line = format!("longrun_http_requests_waiting {count}");
    until("all places to be taken", async || {
        watching.get("/metrics").await.text().lines().any(|told| told == line).then_some(())
    })
    .await;
}

mod alone {
    use http::Request;
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::client::conn::http2::{SendRequest, handshake};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpStream;
    use tokio::task::JoinSet;

    use super::*;

    type Sender = SendRequest<Full<Bytes>>;

    async fn connected(server: &Server) -> Sender {
        let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn asked(
        sender: &mut Sender,
        server: &Server,
        token: &str,
        path: &str,
        prefer: &str,
    ) -> http::Response<Incoming> {
        let request = Request::builder().uri(format!("{}{path}", server.url)).header("prefer", prefer);
        let request = request.header("authorization", format!("Bearer {token}"));
        sender.ready().await.unwrap();
        sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap()
    }

    /// Enough connections for so many streams.
    async fn connections(server: &Server, streams: usize) -> Vec<Sender> {
        let mut senders = Vec::new();
        for _ in 0..streams.div_ceil(limits::HTTP2_STREAMS_MAX as usize) {
            senders.push(connected(server).await);
        }
        senders
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_has_so_many_streams_and_no_more() {
        let server = quiet();
        let [greedy, modest] = [(); 2].map(|()| token(&server, &["--scope", "Operation.Read"]));
        let mut senders = connections(&server, limits::TOKEN_WATCHERS_MAX).await;
        let events = "/v1.0/events";
        let mut streams = Vec::new();
        for nth in 0..limits::TOKEN_WATCHERS_MAX {
            let sender = &mut senders[nth / limits::HTTP2_STREAMS_MAX as usize];
            let stream = asked(sender, &server, &greedy, events, "").await;
            assert_eq!(stream.status(), StatusCode::OK, "{nth}");
            streams.push(stream);
        }
        let mut another = connected(&server).await;
        let refused = asked(&mut another, &server, &greedy, events, "").await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.headers().contains_key("retry-after"));
        let other = asked(&mut another, &server, &modest, events, "").await;
        assert_eq!(other.status(), StatusCode::OK);
        streams.pop();
        until("the place to be free", async || {
            let again = asked(&mut another.clone(), &server, &greedy, events, "").await;
            (again.status() == StatusCode::OK).then_some(())
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_has_so_many_calls_wait_and_no_more() {
        let server = std::sync::Arc::new(quiet());
        let [greedy, modest] = [(); 2].map(|()| token(&server, &["--scope", "Operation.ReadWrite"]));
        let client = server.client().with_token(&greedy);
        let id = client.submit(&json!({ "isExternal": true })).await;
        let senders = connections(&server, limits::TOKEN_WAITING_MAX).await;
        let mut waiting = JoinSet::new();
        for nth in 0..limits::TOKEN_WAITING_MAX {
            let mut sender = senders[nth / limits::HTTP2_STREAMS_MAX as usize].clone();
            let (server, token, path) = (server.clone(), greedy.clone(), path(&id));
            waiting
                .spawn(async move { asked(&mut sender, &server, &token, &path, "wait=60").await.status() });
        }
        let another = connected(&server).await;
        let ask = async |token: &str, prefer: &str| {
            asked(&mut another.clone(), &server, token, &path(&id), prefer).await.status()
        };
        all_wait(&server, limits::TOKEN_WAITING_MAX).await;
        assert_eq!(ask(&greedy, "wait=1").await, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(ask(&greedy, "").await, StatusCode::OK, "who does not wait is answered");
        assert_eq!(ask(&modest, "wait=1").await, StatusCode::OK, "and who has another token");
        let wish = [("content-type", "application/json"), ("prefer", "wait=1")];
        let made = client.send(Method::POST, OPERATIONS, &wish, r#"{"isExternal": true}"#).await;
        assert_eq!(made.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            client.get(&format!("{OPERATIONS}/$count")).await.text(),
            "1",
            "who is refused has made nothing"
        );
        client.json(Method::PATCH, &path(&id), &[], &json!({ "status": "Completed" })).await;
        let answers = waiting.join_all().await;
        let good = answers.iter().filter(|status| **status == StatusCode::OK).count();
        assert_eq!(good, limits::TOKEN_WAITING_MAX, "all who waited were answered");
    }
}
