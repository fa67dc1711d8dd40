mod times;

use std::net::SocketAddr;

use axum::Extension;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::*;
use crate::http::arrival::Arrival;
use crate::metrics;

/// Longer than anything here takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a test makes a client exceed.
const SHORT: Duration = Duration::from_millis(60);

const LONG: Terms = Terms {
    connections_max: 100,
    patience: Patience { head: PATIENCE, idle: PATIENCE, write: PATIENCE },
    grace: PATIENCE,
};

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in good time")
}

/// A router with one route that is held until told, and word of what happens in it.
struct House {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
    release: Arc<Notify>,
    told: mpsc::UnboundedReceiver<&'static str>,
    metrics: Arc<Metrics>,
}

/// Says so when it is dropped.
struct Gone(mpsc::UnboundedSender<&'static str>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send("gone");
    }
}

/// A body that never ends.
struct Endless {
    _gone: Gone,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[b'x'; 16 << 10])))))
    }
}

const STREAM: (http::HeaderName, &str) = (http::header::CONTENT_TYPE, "text/event-stream");

fn router(release: &Arc<Notify>, tell: &mpsc::UnboundedSender<&'static str>) -> Router {
    let (release, tell_held, endless) = (release.clone(), tell.clone(), tell.clone());
    let hold = move || async move {
        let gone = Gone(tell_held.clone());
        let _ = tell_held.send("held");
        release.notified().await;
        std::mem::forget(gone);
        "released"
    };
    Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/hold", get(hold))
        .route("/endless", get(|| async move { ([STREAM], Body::new(Endless { _gone: Gone(endless) })) }))
        .route("/peer", get(|Extension(arrival): Extension<Arrival>| async move { arrival.peer.to_string() }))
}

impl House {
    async fn open(terms: Terms) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        let (release, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let metrics = Arc::new(Metrics::default());
        let outer = Outer::new(router(&release, &tell), metrics.clone());
        let serving = tokio::spawn(serve_on(listener, outer, shutdown.clone(), terms));
        Self { address, shutdown, serving, release, told, metrics }
    }

    async fn connect(&self) -> Line<TcpStream> {
        Line(TcpStream::connect(self.address).await.unwrap())
    }

    async fn http2(&self) -> (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        (sender, tokio::spawn(connection))
    }

    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        Request::get(format!("http://{}{path}", self.address)).body(Empty::new()).unwrap()
    }

    async fn hears(&mut self, word: &str) {
        assert_eq!(soon(self.told.recv()).await, Some(word));
    }

    /// Waits until its metrics have that line.
    async fn counts(&self, line: &str) {
        let told = || self.metrics.write(&metrics::registry(), metrics::Format::Prometheus).unwrap();
        soon(async {
            while !told().lines().any(|told| told == line) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A client that writes what it likes.
struct Line<T>(T);

impl<T: AsyncRead + AsyncWrite + Unpin> Line<T> {
    async fn send(&mut self, text: &str) {
        soon(self.0.write_all(text.as_bytes())).await.unwrap();
    }

    async fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        self.answer().await
    }

    /// One answer that announces its length.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    return text;
                }
            }
            let mut bytes = [0; 4096];
            let read = soon(self.0.read(&mut bytes)).await.unwrap();
            assert!(read > 0, "ended after {text:?}");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }

    /// Waits for the server to end the connection without a further word.
    async fn ends(&mut self) {
        let read = soon(self.0.read(&mut [0])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let house = House::open(LONG).await;
    let mut line = house.connect().await;
    for _ in 0..3 {
        assert!(line.get("/").await.ends_with("ok"));
    }
    line.send(&"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2)).await;
    assert!(line.answer().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn http_2_is_spoken_to_those_who_begin_with_it() {
    let house = House::open(LONG).await;
    let (mut sender, driving) = house.http2().await;
    let response = soon(sender.send_request(house.request("/"))).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
    let mut large = house.request("/");
    large.headers_mut().insert("large", "v".repeat(limits::HEADER_BYTES_MAX).try_into().unwrap());
    // hyper's client keeps to what the server announced, 16 KiB more than which it would not send at all.
    let response = soon(sender.send_request(large)).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
    assert!(std::str::from_utf8(&body).unwrap().contains("headersTooLarge"));
    house.shutdown.cancel();
    soon(driving).await.unwrap().unwrap();
    soon(house.serving).await.unwrap();
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_cut() {
    let patience = Patience { head: SHORT, ..LONG.patience };
    let house = House::open(Terms { patience, ..LONG }).await;
    for beginning in ["G", "GET / HTTP/1.1\r\nhost: a\r\n", "PRI * HT"] {
        let mut line = house.connect().await;
        line.send(beginning).await;
        let mut rest = Vec::new();
        let _ = soon(line.0.read_to_end(&mut rest)).await;
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"), "{beginning}");
    }
    let mut line = house.connect().await;
    assert!(line.get("/").await.ends_with("ok"));
    line.send("GET / HTTP").await;
    line.ends().await;
    house.counts("longrun_http_connections_cut_total{reason=\"slowHead\"} 4").await;
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_and_one_that_waits_for_its_answer_is_not() {
    // Long enough for a request to follow its connection on a busy machine.
    let patience = Patience { idle: 10 * SHORT, ..LONG.patience };
    let mut house = House::open(Terms { patience, ..LONG }).await;
    let mut waiting = house.connect().await;
    waiting.send("GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await;
    house.hears("held").await;
    let mut silent = house.connect().await;
    let mut done = house.connect().await;
    assert!(done.get("/").await.ends_with("ok"));
    silent.ends().await;
    done.ends().await;
    house.release.notify_one();
    assert!(waiting.answer().await.ends_with("released"));
    waiting.ends().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let patience = Patience { write: SHORT, ..LONG.patience };
    let mut house = House::open(Terms { patience, ..LONG }).await;
    let mut deaf = house.connect().await;
    deaf.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    house.hears("gone").await;
    house.counts("longrun_http_connections_cut_total{reason=\"unread\"} 1").await;
    house.counts("longrun_watchers_cut_total 1").await;
    house.counts("longrun_http_connections 0").await;
}

#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_hears_why() {
    let house = House::open(LONG).await;
    let mut line = house.connect().await;
    // More than the buffers between the two hold.
    let body = "x".repeat(limits::BODY_DROPPED_BYTES_MAX / 2);
    line.send(&format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    let answer = line.answer().await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("connection: close"), "{answer}");
    line.ends().await;
}

#[tokio::test]
async fn a_client_that_is_refused_and_does_not_close_is_cut() {
    let patience = Patience { head: SHORT, ..LONG.patience };
    let house = House::open(Terms { patience, ..LONG }).await;
    let mut line = house.connect().await;
    line.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n").await;
    assert!(line.answer().await.starts_with("HTTP/1.1 405"));
    soon(async {
        while line.0.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_its_neighbours_are_served() {
    let patience = Patience { write: SHORT, ..LONG.patience };
    let mut house = House::open(Terms { patience, ..LONG }).await;
    let (mut sender, _) = house.http2().await;
    let deaf = soon(sender.send_request(house.request("/endless"))).await.unwrap();
    // A stream that is held back by the server itself is not the client's fault.
    let held = tokio::spawn(sender.send_request(house.request("/hold")));
    house.hears("held").await;
    house.hears("gone").await;
    house.release.notify_one();
    assert_eq!(soon(held).await.unwrap().unwrap().status(), StatusCode::OK);
    house.counts("longrun_watchers_cut_total 1").await;
    soon(deaf.into_body().collect()).await.unwrap_err();
}

#[tokio::test]
async fn a_client_of_http_2_may_take_its_time_for_the_first_request() {
    let patience = Patience { head: SHORT, ..LONG.patience };
    let house = House::open(Terms { patience, ..LONG }).await;
    let (mut sender, driving) = house.http2().await;
    // A head that began at the same time shows that the time for one is over.
    let mut slow = house.connect().await;
    slow.send("G").await;
    slow.ends().await;
    assert!(!driving.is_finished());
    assert_eq!(soon(sender.send_request(house.request("/"))).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_handler_ends_with_its_client() {
    let mut house = House::open(LONG).await;
    let mut line = house.connect().await;
    line.send("GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await;
    house.hears("held").await;
    drop(line);
    house.hears("gone").await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_one_to_end() {
    let house = House::open(Terms { connections_max: 2, ..LONG }).await;
    let (mut first, mut second) = (house.connect().await, house.connect().await);
    for line in [&mut first, &mut second] {
        assert!(line.get("/").await.ends_with("ok"), "so many are served at once");
    }
    let mut third = house.connect().await;
    third.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    for _ in 0..20 {
        assert!(first.get("/").await.ends_with("ok"), "the others notice nothing");
    }
    assert!(third.0.try_read(&mut [0]).is_err(), "not answered yet");
    drop(second);
    assert!(third.answer().await.ends_with("ok"));
}

#[tokio::test]
async fn a_shutdown_lets_a_running_request_be_answered_and_takes_nothing_more() {
    let mut house = House::open(LONG).await;
    let mut idle = house.connect().await;
    assert!(idle.get("/").await.ends_with("ok"));
    let mut unused = house.connect().await;
    let mut running = house.connect().await;
    running.send("GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await;
    house.hears("held").await;
    house.shutdown.cancel();
    idle.ends().await;
    unused.ends().await;
    soon(async { while TcpStream::connect(house.address).await.is_ok() {} }).await;
    assert!(!house.serving.is_finished());
    house.release.notify_one();
    assert!(running.answer().await.ends_with("released"));
    running.ends().await;
    soon(house.serving).await.unwrap();
}

#[tokio::test]
async fn what_still_runs_when_the_grace_is_over_is_dropped() {
    let mut house = House::open(Terms { grace: SHORT, ..LONG }).await;
    let mut running = house.connect().await;
    running.send("GET /hold HTTP/1.1\r\nhost: a\r\n\r\n").await;
    house.hears("held").await;
    house.shutdown.cancel();
    house.hears("gone").await;
    running.ends().await;
    soon(house.serving).await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_is_served_by_the_same_code() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (tell, _told) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let outer = Outer::new(router(&Arc::default(), &tell), Arc::default());
    let serving = tokio::spawn(serve_on(listener, outer, shutdown.clone(), LONG));
    let mut line = Line(UnixStream::connect(&path).await.unwrap());
    assert!(line.get("/peer").await.ends_with("local"));
    shutdown.cancel();
    soon(serving).await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_or_too_large_a_one_is_refused() {
    let house = House::open(LONG).await;
    let uri = "q".repeat(limits::URI_BYTES_MAX);
    let large = "v".repeat(limits::HEADER_BYTES_MAX);
    let huge = "v".repeat(2 * limits::HEAD_BYTES_READ_MAX);
    let many = "a: b\r\n".repeat(200);
    for (head, status, code) in [
        (format!("GET /?{uri} HTTP/1.1\r\n\r\n"), 414, "uriTooLong"),
        (format!("GET / HTTP/1.1\r\nlarge: {large}\r\n\r\n"), 431, "headersTooLarge"),
        (format!("GET / HTTP/1.1\r\nhuge: {huge}\r\n\r\n"), 431, ""),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431, ""),
        ("NOT HTTP AT ALL\r\n\r\n".to_owned(), 400, ""),
        ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(), 400, ""),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), 400, ""),
    ] {
        let mut line = house.connect().await;
        // The server may end the connection before it has read all of it.
        let _ = soon(line.0.write_all(head.as_bytes())).await;
        let answer = line.answer().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(code), "{answer}");
    }
}
