//! Input that is wrong: each gets an error of the one shape, changes nothing, and disturbs nobody.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{NOBODY, OPERATIONS, path, quiet};
use crate::support::{Answer, Client, Server};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Checks what every error has; its code.
pub(super) fn shape(answer: &Answer) -> String {
    let document = answer.value();
    let error = &document["error"];
    let about = answer.text();
    assert_eq!(document.as_object().unwrap().len(), 1, "{about}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{about}");
    assert_eq!(error["innerError"]["request-id"].as_str(), answer.header("request-id"), "{about}");
    assert!(chrono::DateTime::parse_from_rfc3339(error["innerError"]["date"].as_str().unwrap()).is_ok());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    for name in error.as_object().unwrap().keys() {
        assert!(["code", "message", "target", "innerError"].contains(&&**name), "{about}");
    }
    answer.code()
}

async fn post(client: &Client, body: impl Into<Bytes>) -> Answer {
    client.send(Method::POST, OPERATIONS, &[JSON], body).await
}

/// That the tenant has nothing at all.
async fn nothing_was_made(client: &Client) {
    assert_eq!(client.get("/v1.0/queues").await.value()["value"], json!([]));
}

#[tokio::test]
async fn json_that_is_none_is_refused() {
    let server = quiet();
    let client = server.client();
    let deep = format!("{{\"input\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let abyss = format!("{{\"input\":{}", "[".repeat(100_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"{\"queue\":\"a\"".to_vec(),
        b"{} {}".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"7".to_vec(),
        b"{'a':1}".to_vec(),
        b"{\"queue\":\"a\",}".to_vec(),
        b"{\"input\":NaN}".to_vec(),
        b"{\"input\":01}".to_vec(),
        b"{\"input\":\"\xff\xfe\"}".to_vec(),
        b"{\"input\":\"\\ud800\"}".to_vec(),
        b"{\"input\":{\"a\":1,\"a\":2}}".to_vec(),
        b"{\"input\":[{\"x\":{\"a\":1,\"\\u0061\":2}}]}".to_vec(),
        b"{\"queue\":\"a\",\"queue\":\"a\"}".to_vec(),
        b"{\"input\":\"\n\"}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        deep.into_bytes(),
        abyss.into_bytes(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = post(&client, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown}: {}", answer.text());
        assert_eq!(shape(&answer), "invalidRequest", "{shown}");
    }
    nothing_was_made(&client).await;
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_by_name() {
    let server = quiet();
    let client = server.client();
    let labels: Value =
        (0..17).map(|n| (format!("l{n}"), json!(""))).collect::<serde_json::Map<_, _>>().into();
    for (field, value, target) in [
        ("surprise", json!(1), "surprise"),
        ("attemptsCount", json!(1), "attemptsCount"),
        ("cancelRequested", json!(true), "cancelRequested"),
        ("@odata.type", json!("#microsoft.graph.user"), "@odata.type"),
        ("id", json!("7986a22f"), "id"),
        ("id", json!(7), "id"),
        ("status", json!("notStarted"), "status"),
        ("status", json!(null), "status"),
        ("queue", json!(null), "queue"),
        ("queue", json!(7), "queue"),
        ("queue", json!(""), "queue"),
        ("queue", json!("a\u{0}b"), "queue"),
        ("queue", json!("-a"), "queue"),
        ("queue", json!("q".repeat(129)), "queue"),
        ("operationType", json!("größe"), "operationType"),
        ("isExternal", json!("true"), "isExternal"),
        ("priority", json!(101), "priority"),
        ("priority", json!(-101), "priority"),
        ("priority", json!(1.5), "priority"),
        ("priority", json!(1e300), "priority"),
        ("priority", json!("1"), "priority"),
        ("timeoutSeconds", json!(0), "timeoutSeconds"),
        ("timeoutSeconds", json!(u64::MAX), "timeoutSeconds"),
        ("maxAttempts", json!(0), "maxAttempts"),
        ("maxAttempts", json!(1001), "maxAttempts"),
        ("retry", json!({ "factor": 0.5 }), "retry.factor"),
        ("retry", json!({ "jitter": 2 }), "retry.jitter"),
        ("retry", json!({ "delay": 2 }), "retry.delay"),
        ("labels", labels, "labels"),
        ("labels", json!({ "a": "x".repeat(257) }), "labels.a"),
        ("labels", json!({ "a": 1 }), "labels.a"),
        ("startDateTime", json!("99999-01-01T00:00:00Z"), "startDateTime"),
        ("startDateTime", json!("2099-01-01"), "startDateTime"),
        ("startDateTime", json!(7), "startDateTime"),
        ("input", json!("x".repeat(256 << 10)), "input"),
        ("result", json!(1), "result"),
        ("percentComplete", json!(1), "percentComplete"),
    ] {
        let answer = post(&client, json!({ field: value }).to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field} {}", answer.text());
        assert_eq!(shape(&answer), "invalidRequest");
        assert_eq!(answer.value()["error"]["target"], target, "{}", answer.text());
        assert!(answer.body.len() < 600, "what is long is not echoed: {}", answer.text());
    }
    let huge = format!("{{\"priority\":1{}}}", "0".repeat(400));
    assert_eq!(shape(&post(&client, huge).await), "invalidRequest");
    nothing_was_made(&client).await;
}

#[tokio::test]
async fn what_is_just_within_the_limits_is_taken() {
    let server = quiet();
    let client = server.client();
    let labels: Value =
        (0..16).map(|n| (format!("l{n}"), json!("ü".repeat(256)))).collect::<serde_json::Map<_, _>>().into();
    let input = "x".repeat((256 << 10) - 2);
    let body = json!({ "queue": "q".repeat(128), "labels": labels, "input": input, "priority": 100 });
    let id = client.submit(&body).await;
    assert_eq!(client.operation(&id).await["labels"], labels);
    let deep = format!("{{\"input\":{}{}}}", "[".repeat(63), "]".repeat(63));
    assert_eq!(post(&client, deep).await.status, StatusCode::CREATED);
    let large = format!("{{\"operationType\":\"a\"{}}}", " ".repeat((1 << 20) - 21));
    assert_eq!(post(&client, large).await.status, StatusCode::CREATED);
    let text = json!({ "input": "a\u{0}\u{7f}\u{202e}'; DROP TABLE operation; --" });
    let id = client.submit(&text).await;
    assert_eq!(client.operation(&id).await["input"], text["input"], "text of users is data");
}

#[tokio::test]
async fn requests_that_fit_no_route_have_the_same_shape() {
    let server = quiet();
    let client = server.client();
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let long = format!("/v1.0/operations/{}", "x".repeat(9000));
    let large = "x".repeat((1 << 20) + 1);
    let one = path(NOBODY);
    let xml = [("content-type", "text/xml")];
    let zipped = [JSON, ("content-encoding", "gzip")];
    let header = "h".repeat(33 << 10);
    let heavy = [JSON, ("x-heavy", &*header)];
    for (method, path, headers, body, status, code) in [
        (&get, "/", &[][..], "", 404, "itemNotFound"),
        (&get, "/v1.0", &[], "", 404, "itemNotFound"),
        (&get, "/v1.0/operations/a/b/c", &[], "", 404, "itemNotFound"),
        (&post, "/v2.0/operations", &[JSON], "{}", 404, "itemNotFound"),
        (&put, OPERATIONS, &[JSON], "{}", 405, "methodNotAllowed"),
        (&post, &*one, &[JSON], "{}", 405, "methodNotAllowed"),
        (&get, "/v1.0/work", &[], "", 405, "methodNotAllowed"),
        (&post, "/healthz", &[], "", 405, "methodNotAllowed"),
        (&post, OPERATIONS, &[], "{}", 415, "unsupportedMediaType"),
        (&post, OPERATIONS, &xml, "<a/>", 415, "unsupportedMediaType"),
        (&post, OPERATIONS, &zipped, "{}", 415, "unsupportedMediaType"),
        (&Method::PATCH, &*one, &xml, "<a/>", 415, "unsupportedMediaType"),
        (&post, OPERATIONS, &[JSON], &*large, 413, "payloadTooLarge"),
        (&get, &*long, &[], "", 414, "uriTooLong"),
        (&post, OPERATIONS, &heavy, "{}", 431, "headersTooLarge"),
    ] {
        let answer = client.send(method.clone(), path, headers, body.to_owned()).await;
        let about = format!("{method} {}: {}", &path[..path.len().min(40)], answer.text());
        assert_eq!((answer.status.as_u16(), &*shape(&answer)), (status, code), "{about}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{about}");
    }
    let allowed = client.send(put, OPERATIONS, &[], "").await;
    assert_eq!(allowed.header("allow"), Some("POST,GET,HEAD"));
    nothing_was_made(&client).await;
}

/// Sends raw bytes; everything that comes until the server closes.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    // A server that has refused may close before all is sent.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(90), stream.read_to_end(&mut all)).await;
    let _ = read.expect("the server closes");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_others_notice_nothing() {
    let server = quiet();
    let client = server.client();
    let many = format!(
        "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{}\r\n",
        "x-a: b\r\n".repeat(70)
    );
    let close = "Host: 127.0.0.1\r\nConnection: close\r\n";
    let good = format!("GET /healthz HTTP/1.1\r\n{close}\r\n");
    assert!(raw(&server, good.as_bytes()).await.starts_with("HTTP/1.1 200"));
    let broken = [
        ("nonsense", b"nonsense\r\n\r\n".to_vec(), "400"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), "400"),
        (
            "a bad name of a header",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nbad name: b\r\n\r\n".to_vec(),
            "400",
        ),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(),
            "400",
        ),
        (
            "a length that is none",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
            "400",
        ),
    ];
    for (what, bytes, status) in broken {
        let said = raw(&server, &bytes).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {said}");
        assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    }
    let said = raw(&server, many.as_bytes()).await;
    assert!(said.starts_with("HTTP/1.1 431") && said.contains("headersTooLarge"), "{said}");
    let cut = format!(
        "POST {OPERATIONS} HTTP/1.1\r\n{close}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(cut.as_bytes()).await.unwrap();
    drop(stream);
    nothing_was_made(&client).await;
}

/// Takes as long as the server's patience with a body: 30 s.
#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = quiet();
    let client = server.client();
    let slow = format!(
        "POST {OPERATIONS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    let slow = raw(&server, slow.as_bytes());
    let http2 = async {
        let (mut sender, driven) = http2(&server).await;
        let frames =
            futures_util::stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from("{")))]);
        let body = StreamBody::new(frames.chain(futures_util::stream::pending())).boxed_unsync();
        let request = Request::post(format!("{}{OPERATIONS}", server.url)).header(JSON.0, JSON.1);
        let answer = answered(&mut sender, request.body(body).unwrap()).await;
        driven.abort();
        answer
    };
    let beside = async {
        for _ in 0..20 {
            client.submit(&json!({})).await;
        }
    };
    let (said, answer, ()) = tokio::join!(slow, http2, beside);
    assert_eq!((answer.status.as_u16(), &*shape(&answer)), (408, "requestTimeout"), "{}", answer.text());
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("\"requestTimeout\""), "{said}");
    assert!(said.contains("request-id"), "{said}");
    client.document().await.unwrap().note("any 408");
    assert_eq!(client.get("/v1.0/queues").await.value()["value"][0]["ready"], 20);
}

#[tokio::test]
async fn without_room_new_work_is_refused_and_nothing_else() {
    let server = Server::start(&["--workers", "0", "--min-free", "1000PB"]);
    let client = server.client();
    let refused = client.post(OPERATIONS, &json!({})).await;
    assert_eq!((refused.status.as_u16(), &*refused.code()), (507, "storageFull"));
    assert_eq!(client.get("/v1.0/queues").await.status, StatusCode::OK);
    assert_eq!(client.get("/readyz").await.status, StatusCode::OK);
}

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A connection of HTTP/2, and what drives it.
async fn http2(server: &Server) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn answered(sender: &mut SendRequest<Body>, request: Request<Body>) -> Answer {
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_answered_alike() {
    let server = quiet();
    let (mut sender, driven) = http2(&server).await;
    let mut ask = async |method: &str, path: &str, kind: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(format!("{}{path}", server.url));
        let body = Full::new(Bytes::from(body)).boxed_unsync();
        answered(&mut sender, request.header("content-type", kind).body(body).unwrap()).await
    };
    let made = ask("POST", OPERATIONS, "application/json", "{}").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let url = format!("{}{}", server.url, path(made.value()["id"].as_str().unwrap()));
    assert_eq!(made.header("location"), Some(&*url), "from :authority");
    for (method, path, kind, body, status, code) in [
        ("POST", OPERATIONS, "application/json", "{", 400, "invalidRequest"),
        ("POST", OPERATIONS, "text/plain", "{}", 415, "unsupportedMediaType"),
        ("PUT", OPERATIONS, "application/json", "{}", 405, "methodNotAllowed"),
        ("GET", "/nowhere", "application/json", "", 404, "itemNotFound"),
    ] {
        let answer = ask(method, path, kind, body).await;
        assert_eq!((answer.status.as_u16(), &*shape(&answer)), (status, code), "{}", answer.text());
    }
    driven.abort();
}
