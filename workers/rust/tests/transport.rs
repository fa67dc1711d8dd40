//! Exchanges over real sockets: none takes longer than it may, whatever the other end does, and heartbeats go their own way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use longrun_sdk::wire::{Claim, ExchangeRequest, Report, Status};
use longrun_sdk::{Client, Exchange, ExchangeError, HttpExchange};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

/// How long an answer may take here.
const PATIENCE: Duration = Duration::from_millis(300);
/// By then even a loaded machine has found out.
const BOUND: Duration = Duration::from_secs(10);

fn heartbeat() -> ExchangeRequest {
    ExchangeRequest {
        worker_id: "w".to_owned(),
        reports: vec![Report::new(Uuid::from_u128(7), 1, Status::Running)],
        claim: None,
    }
}

fn claim() -> ExchangeRequest {
    let claim =
        Claim { id: "c".to_owned(), limit: 1, lease_seconds: 30, wait_seconds: 30, ..Claim::default() };
    ExchangeRequest { worker_id: "w".to_owned(), reports: Vec::new(), claim: Some(claim) }
}

type Doing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Listens, and does this with each connection once it has sent something.
async fn listen(act: fn(TcpStream) -> Doing) -> HttpExchange {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                act(stream).await;
            });
        }
    });
    HttpExchange::new(Client::builder(url).build().unwrap())
}

/// That the exchange is lost, and after how long.
async fn lost_after(exchange: &HttpExchange) -> Duration {
    let began = Instant::now();
    let ended = exchange.exchange(heartbeat(), PATIENCE).await;
    assert!(matches!(ended, Err(ExchangeError::Lost { .. })), "{ended:?}");
    began.elapsed()
}

#[tokio::test]
async fn who_never_answers_is_not_waited_for() {
    let exchange = listen(|stream| {
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
    })
    .await;
    let took = lost_after(&exchange).await;
    assert!(took >= PATIENCE && took < BOUND, "{took:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_lost() {
    let exchange = listen(|mut stream| {
        Box::pin(async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"outcomes\":[").await;
        })
    })
    .await;
    assert!(lost_after(&exchange).await < BOUND);
}

#[tokio::test]
async fn an_answer_that_only_trickles_is_not_waited_for() {
    let exchange = listen(|mut stream| {
        Box::pin(async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    })
    .await;
    let took = lost_after(&exchange).await;
    assert!(took >= PATIENCE && took < BOUND, "{took:?}");
}

/// A server that leaves claims waiting and answers heartbeats; counts connections.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    waiting: Arc<Semaphore>,
}

impl Server {
    async fn start(version: Version) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (connections, waiting) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let server = Self { url, connections: Arc::clone(&connections), waiting: Arc::clone(&waiting) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                let waiting = Arc::clone(&waiting);
                let service = service_fn(move |request| answer(request, version, Arc::clone(&waiting)));
                tokio::spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        server
    }
}

async fn answer(
    request: Request<Incoming>,
    version: Version,
    waiting: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    assert_eq!(request.version(), version);
    let body = request.into_body().collect().await?.to_bytes();
    let request: ExchangeRequest = serde_json::from_slice(&body).unwrap();
    if request.claim.is_some() {
        waiting.add_permits(1);
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Full::from(r#"{"outcomes":[{"id":"00000000-0000-0000-0000-000000000007"}]}"#)))
}

async fn heartbeats_beside_waiting_claims(server: &Server, client: Client, connections: usize) {
    let exchange = HttpExchange::new(client);
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let exchange = exchange.clone();
        claims.spawn(async move { exchange.exchange(claim(), PATIENCE).await });
    }
    let all = tokio::time::timeout(BOUND, server.waiting.acquire_many(3)).await;
    all.expect("the claims arrive").expect("it is not closed").forget();
    for _ in 0..10 {
        let answer = exchange.exchange(heartbeat(), BOUND).await.expect("it is answered");
        assert_eq!(answer.outcomes.len(), 1);
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), connections, "kept, and used again");
}

#[tokio::test]
async fn over_http_1_each_call_that_waits_has_a_connection_and_heartbeats_keep_one() {
    let server = Server::start(Version::HTTP_11).await;
    let client = Client::builder(&server.url).build().unwrap();
    heartbeats_beside_waiting_claims(&server, client, 4).await;
}

#[tokio::test]
async fn over_http_2_all_calls_share_a_connection_and_heartbeats_have_their_own() {
    let server = Server::start(Version::HTTP_2).await;
    let client = Client::builder(&server.url).http2_prior_knowledge().build().unwrap();
    heartbeats_beside_waiting_claims(&server, client, 2).await;
}
