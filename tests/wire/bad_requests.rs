//! Requests that are wrong around their body: paths, queries, headers, framing. And that good clients beside bad ones notice
//! nothing.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bad_input::shape;
use super::matrix::{ask, by_token};
use super::{OPERATIONS, quiet, token};
use crate::support::{Client, Server};

const BAD_IDS: [&str; 9] = [
    "x",
    "7986a22f",
    "7986a22fa22f79862fa286792fa28679",
    "%7B7986a22f-a22f-7986-2fa2-86792fa2867%7D",
    "urn:uuid:7986a22f-a22f-7986-2fa2-86792fa28679",
    "7986a22f-a22f-7986-2fa2-86792fa2867g",
    "%00",
    "..%2F..%2Fhealthz",
    "'%20OR%201=1;--",
];

#[tokio::test]
async fn an_id_that_is_no_uuid_names_nothing_wherever_it_stands() {
    let server = quiet();
    let mut tried = 0;
    for client in [server.client(), Client::over_http2(&server.url)] {
        for route in by_token().await.iter().filter(|route| route.path.contains("{id}")) {
            for id in BAD_IDS {
                let answer = ask(&client, route, id).await;
                let about = format!("{} {} of {id}: {}", route.method, route.path, answer.text());
                assert_eq!((answer.status.as_u16(), &*shape(&answer)), (404, "itemNotFound"), "{about}");
                tried += 1;
            }
        }
        for link in BAD_IDS {
            for path in [format!("/v1.0/links/{link}"), format!("/v1.0/links/{link}/events")] {
                let answer = client.get(&path).await;
                assert_eq!((answer.status.as_u16(), &*shape(&answer)), (404, "itemNotFound"), "{path}");
            }
        }
    }
    assert!(tried > 100, "only {tried} were tried");
}

/// The status and the code of what is answered to a request without a body; its headers may hold any bytes.
async fn answered(server: &Server, request: &str, header: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    stream.write_all(&[head.as_bytes(), header, b"\r\n\r\n"].concat()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let _ = read.expect("it is answered");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let code = serde_json::from_str::<serde_json::Value>(body).ok();
    let code = code.and_then(|body| body["error"]["code"].as_str().map(str::to_owned));
    (status.unwrap_or_else(|| panic!("no answer to {request}: {answer}")), code.unwrap_or_default())
}

#[tokio::test]
async fn paths_and_queries_that_are_no_text_are_refused() {
    let server = quiet();
    for (request, status, code) in [
        ("GET /v1.0/operations/%FF", 400, "invalidRequest"),
        ("GET /v1.0/queues/%FF/demand", 400, "invalidRequest"),
        ("GET /v1.0/queues/%00/demand", 400, "invalidRequest"),
        ("GET /v1.0/queues/%/demand", 400, "invalidRequest"),
        ("GET /v1.0/operations?$filter=%FF", 400, "invalidFilter"),
        ("GET /v1.0/operations?$filter=%", 400, "invalidFilter"),
        ("GET /v1.0/operations?$filter=queue%20eq%20'a", 400, "invalidFilter"),
        ("GET /v1.0/operations?$filter=priority%20eq%201e400", 400, "invalidFilter"),
        ("GET /v1.0/operations?$filter=priority%20eq%2099999999999999999999", 400, "invalidFilter"),
        ("GET /v1.0/operations?$filter=createdDateTime%20gt%2099999-01-01T00:00:00Z", 400, "invalidFilter"),
        ("GET /v1.0/operations?$top=99999999999999999999", 400, "invalidFilter"),
        ("GET /v1.0/operations?$top=-1", 400, "invalidFilter"),
        ("GET /v1.0/operations?$top=%00", 400, "invalidFilter"),
        ("GET /v1.0/operations?$skiptoken=%FF", 400, "invalidFilter"),
        ("GET /v1.0/operations?$skiptoken=7fffffffffffffff", 400, "invalidCursor"),
        ("GET /v1.0/operations/$count?$filter=nonsense", 400, "invalidFilter"),
        ("GET /v1.0/events?ids=%FF", 400, "invalidRequest"),
        ("GET /v1.0/events?queue=a%00", 400, "invalidRequest"),
        ("GET /v1.0/events?%FF=1", 400, "invalidRequest"),
        ("GET /docs/..%2f..%2fetc%2fpasswd", 404, "itemNotFound"),
        ("GET //v1.0/operations", 404, "itemNotFound"),
        ("GET /v1.0/../healthz", 404, "itemNotFound"),
        ("CONNECT localhost:1", 404, "itemNotFound"),
        ("OPTIONS *", 404, "itemNotFound"),
    ] {
        let answer = answered(&server, request, b"x: y").await;
        assert_eq!(answer, (status, code.to_owned()), "{request}");
    }
}

#[tokio::test]
async fn headers_that_are_no_text_or_absurd_are_refused_or_as_if_they_were_not_sent() {
    let server = quiet();
    let secret = token(&server, &["--scope", "Operation.ReadWrite"]);
    let list = "GET /v1.0/operations";
    for wrong in [
        &b"Authorization: Bearer \xff"[..],
        b"Authorization: Bearer",
        b"Authorization: Basic \x80\x81",
        b"Authorization: Bearer lr__",
        b"Authorization: Bearer lr_'_' OR 1=1;--",
    ] {
        let shown = String::from_utf8_lossy(wrong).into_owned();
        assert_eq!(answered(&server, list, wrong).await, (401, "unauthenticated".to_owned()), "{shown}");
    }
    let twice = format!("Authorization: Bearer {secret}\r\nAuthorization: Bearer {secret}x");
    assert_eq!(answered(&server, list, twice.as_bytes()).await.0, 401);
    let bearer = format!("Authorization: Bearer {secret}\r\n");
    let with = |header: &[u8]| [bearer.as_bytes(), header].concat();
    for (request, header, status, code) in [
        (list, &b"If-None-Match: \xff"[..], 200, ""),
        (list, b"Prefer: wait=\xff", 200, ""),
        (list, b"Prefer: wait=99999999999999999999999999", 200, ""),
        (list, b"Forwarded: for=\"\xff", 200, ""),
        (list, b"X-Forwarded-For: ;;;\xff", 200, ""),
        (list, b"client-request-id: \xff", 200, ""),
        (list, b"traceparent: \xff", 200, ""),
        (list, b"Content-Length: 99999999999999999999999", 400, ""),
        (list, b"Content-Length: 1\r\nContent-Length: 2", 400, ""),
        (list, b"Transfer-Encoding: gzip", 400, ""),
        (list, b"folded: a\r\n b", 400, ""),
        (list, b"no colon", 400, ""),
        (list, b"nul: \x00", 400, ""),
        ("GET /v1.0/events", b"Last-Event-ID: \xff", 400, "invalidCursor"),
        ("GET /v1.0/events", b"Last-Event-ID: 00000000-99999999999999999999", 400, "invalidCursor"),
        ("GET /v1.0/events", b"Accept: application/json", 406, "notAcceptable"),
        (
            "POST /v1.0/operations",
            b"Idempotency-Key: \xff\r\nContent-Type: application/json",
            400,
            "invalidRequest",
        ),
        ("POST /v1.0/operations", b"Content-Type: \xff\r\nContent-Length: 0", 400, "invalidRequest"),
    ] {
        let shown = format!("{request} {}", String::from_utf8_lossy(header));
        let answer = answered(&server, request, &with(header)).await;
        assert_eq!(answer, (status, code.to_owned()), "{shown}");
    }
    let client = server.client().with_token(&secret);
    assert_eq!(client.get(OPERATIONS).await.value()["value"], json!([]), "nothing was made");
}

/// What is answered to a body, after which its client sends no more and reads.
async fn broken_off(server: &Server, body: &[u8], framing: &str) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST {OPERATIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let _ = read.expect("it is ended");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_framed_wrongly_makes_nothing() {
    let server = quiet();
    let client = server.client();
    for (body, framing) in [
        (&b"{}"[..], "Content-Length: 3"),
        (b"", "Content-Length: 2"),
        (b"2\r\n{}\r\n", "Transfer-Encoding: chunked"),
        (b"2\r\n{}", "Transfer-Encoding: chunked"),
        (b"5\r\n{}", "Transfer-Encoding: chunked"),
        (b"zz\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        (b"-2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        (b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        (b"2\r\n{}x\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    ] {
        let shown = format!("{framing} {}", String::from_utf8_lossy(body));
        let answer = broken_off(&server, body, framing).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{shown}: {answer:?}");
    }
    // One byte more than is read, of which nothing announces how many there are.
    let large = format!("{:x}\r\n{}", (1 << 20) + 1, " ".repeat((1 << 20) + 1));
    let answer = broken_off(&server, large.as_bytes(), "Transfer-Encoding: chunked").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("payloadTooLarge"), "{answer}");
    assert_eq!(client.get("/v1.0/queues").await.value()["value"], json!([]), "nothing was made");
}

mod alone {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Empty};
    use hyper::client::conn::http1::{SendRequest, handshake};
    use hyper_util::rt::TokioIo;
    use longrun::limits;
    use tokio::task::JoinSet;

    use super::*;

    const BAD: usize = 60;
    const GOOD: usize = 4;
    const LIVES: usize = 25;

    /// What the bad ones share.
    #[derive(Default)]
    struct Bad {
        over: AtomicBool,
        done: AtomicUsize,
    }

    /// Bytes by which a connection is begun that then says nothing more.
    const BEGINNINGS: [&[u8]; 5] = [
        b"",
        b"GET /healthz HTT",
        b"POST /v1.0/operations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1.0/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    /// ... or that is nonsense.
    const NONSENSE: [&[u8]; 4] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"\x00\x00\x00\x00",
    ];

    /// One of the bad ones, until it is over.
    async fn misbehaves(bad: Arc<Bad>, address: String, client: Client, nth: usize) {
        let mut held = Vec::new();
        while !bad.over.load(Ordering::Relaxed) {
            let connect = TcpStream::connect(&address);
            match nth % 4 {
                0 => {
                    // A few at a time, each left as it is.
                    let Ok(mut stream) = connect.await else { continue };
                    let _ = stream.write_all(BEGINNINGS[held.len() % BEGINNINGS.len()]).await;
                    held.push(stream);
                    if held.len() > 10 {
                        held.clear();
                    }
                }
                1 => {
                    let Ok(mut stream) = connect.await else { continue };
                    let nonsense = NONSENSE[bad.done.load(Ordering::Relaxed) % NONSENSE.len()];
                    let _ = stream.write_all(nonsense).await;
                    let mut answer = Vec::new();
                    let reading = stream.read_to_end(&mut answer);
                    let _ = tokio::time::timeout(Duration::from_millis(200), reading).await;
                }
                2 => {
                    let body = Bytes::from(format!("{{\"input\":{}", "[".repeat(10_000)));
                    let headers = [("content-type", "application/json")];
                    let answer = client.try_send(Method::POST, OPERATIONS, &headers, body).await;
                    assert!(answer.ok().is_none_or(|answer| answer.status == StatusCode::BAD_REQUEST));
                }
                _ => {
                    let large = Bytes::from(vec![b' '; 2 << 20]);
                    let headers = [("content-type", "application/json")];
                    let answer = client.try_send(Method::POST, OPERATIONS, &headers, large).await;
                    assert!(answer.ok().is_none_or(|answer| answer.status == StatusCode::PAYLOAD_TOO_LARGE));
                }
            }
            bad.done.fetch_add(1, Ordering::Relaxed);
            // They share the machine with the server.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whole lives, each answer of which is as it should be.
    async fn lives(client: Client, nth: usize) {
        let queue = format!("good{nth}");
        for life in 0..LIVES {
            let id = client.submit(&json!({ "queue": queue, "operationType": "t", "input": life })).await;
            let want = json!({ "id": format!("c{life}"), "queues": [queue] });
            let claimed = client.work(&json!({ "workerId": queue, "claim": want })).await;
            let taken = &claimed["operations"][0];
            assert_eq!((&taken["id"], &taken["input"]), (&json!(id), &json!(life)), "{claimed}");
            let done = json!({ "id": id, "leaseToken": taken["lease"]["token"], "status": "Completed", "result": life });
            let told = client.work(&json!({ "workerId": queue, "reports": [done] })).await;
            assert_eq!(told["outcomes"][0], json!({ "id": id }), "{told}");
            assert_eq!(client.operation(&id).await["result"], life);
        }
    }

    /// A connection that is kept.
    async fn connected(server: &Server) -> SendRequest<Empty<Bytes>> {
        let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn connections(good: &mut SendRequest<Empty<Bytes>>) -> usize {
        good.ready().await.unwrap();
        let request = Request::get("/metrics").header("host", "localhost").body(Empty::new()).unwrap();
        let body = good.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        let told = text.lines().find_map(|line| line.strip_prefix("longrun_http_connections "));
        told.unwrap().parse().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_connects_beyond_the_limit_waits_and_who_is_connected_notices_nothing() {
        let server = quiet();
        let mut good = connected(&server).await;
        let address = server.url.trim_start_matches("http://");
        let mut idle = Vec::new();
        while idle.len() + 1 < limits::CONNECTIONS_MAX {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut connected_are = async |count: usize| {
            while connections(&mut good).await != count {
                tokio::task::yield_now().await;
            }
        };
        connected_are(limits::CONNECTIONS_MAX).await;
        let mut another = TcpStream::connect(address).await.unwrap();
        another.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        for _ in 0..100 {
            connected_are(limits::CONNECTIONS_MAX).await;
        }
        let mut answer = [0; 12];
        assert!(another.try_read(&mut answer).is_err(), "it is not answered yet");
        idle.pop();
        another.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn good_clients_beside_bad_ones_notice_nothing() {
        let server = quiet();
        let address = server.url.trim_start_matches("http://").to_owned();
        let bad = Arc::new(Bad::default());
        let mut misbehaving = JoinSet::new();
        for nth in 0..BAD {
            misbehaving.spawn(misbehaves(bad.clone(), address.clone(), Client::new(&server.url), nth));
        }
        let mut good = JoinSet::new();
        for nth in 0..GOOD {
            let client = if nth % 2 == 0 { server.client() } else { Client::over_http2(&server.url) };
            good.spawn(lives(client, nth));
        }
        good.join_all().await;
        bad.over.store(true, Ordering::Relaxed);
        misbehaving.join_all().await;
        let done = bad.done.load(Ordering::Relaxed);
        assert!(done > BAD, "only {done} times somebody misbehaved");
        let after = server.client().get(&format!("{OPERATIONS}/$count")).await.text();
        assert_eq!(after, (GOOD * LIVES).to_string(), "the bad ones made nothing");
    }
}
