//! A closed loop of clients: each connection sends its next request when the last one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Microseconds that a latency may take and still be told exactly: a minute.
const LATENCY_MICROS_MAX: u64 = 60_000_000;

/// What a bench could not do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A connection broke or was refused.
    #[error("the connection to the server broke: {0}")]
    Connection(#[from] std::io::Error),
    /// The exchange broke.
    #[error("the exchange with the server broke: {0}")]
    Exchange(#[from] hyper::Error),
    /// The server answered something else than was measured.
    #[error("the server answered {0} instead of what was asked for: {1}")]
    Answer(StatusCode, String),
    /// The bench itself could not do something.
    #[error("{0}")]
    Other(String),
}

/// Keeps a histogram of latencies in microseconds.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // Three digits over a fixed range: these bounds are valid.
        Self(Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3).expect("constant bounds are valid"))
    }
}

impl Latencies {
    /// One more.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// Those of another, too.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this part of them does not exceed.
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(part))
    }
}

/// What a closed loop measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// How long it ran.
    pub elapsed: Duration,
    /// One latency for each answer.
    pub latencies: Latencies,
}

impl Measured {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // Counts of a bench are far below 2^52.
        let count = self.latencies.count() as f64;
        count / self.elapsed.as_secs_f64()
    }
}

/// One keep-alive connection over HTTP/1.1.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: Arc<str>,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(authority: &Arc<str>) -> Result<Self, LoadError> {
        let stream = TcpStream::connect(&**authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; what broke it, the sender's next request tells.
        tokio::spawn(connection);
        Ok(Self { sender, authority: authority.clone() })
    }

    /// Sends one request and reads the whole answer, which must have this status.
    pub async fn call(&mut self, expected: StatusCode, request: Call) -> Result<Bytes, LoadError> {
        Ok(self.begin(expected, request).await?.collect().await?.to_bytes())
    }

    /// Sends one request and gives the body of the answer, which must have this status, to be read.
    pub async fn begin(&mut self, expected: StatusCode, request: Call) -> Result<Incoming, LoadError> {
        let mut head =
            Request::builder().method(request.method).uri(&*request.path).header("host", &*self.authority);
        if !request.body.is_empty() {
            head = head.header("content-type", "application/json");
        }
        for (name, value) in request.headers {
            head = head.header(name, value);
        }
        let request =
            head.body(Full::new(request.body)).map_err(|error| LoadError::Other(error.to_string()))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        if status != expected {
            let body = answer.into_body().collect().await?.to_bytes();
            return Err(LoadError::Answer(status, String::from_utf8_lossy(&body).into_owned()));
        }
        Ok(answer.into_body())
    }
}

impl Connection {
    /// The same, of an answer that is JSON.
    pub async fn value(
        &mut self,
        expected: StatusCode,
        request: Call,
    ) -> Result<serde_json::Value, LoadError> {
        let body = self.call(expected, request).await?;
        serde_json::from_slice(&body).map_err(|error| LoadError::Other(error.to_string()))
    }

    /// Submits an operation: the path of it.
    pub async fn submit(&mut self, body: &'static str) -> Result<String, LoadError> {
        let made = self.value(StatusCode::CREATED, Call::post("/v1.0/operations", body)).await?;
        Ok(format!("/v1.0/operations/{}", made["id"].as_str().unwrap_or_default()))
    }

    /// How many operations of all queues stand there, by the field that says so.
    pub async fn queued(&mut self, field: &str) -> Result<u64, LoadError> {
        let queues = self.value(StatusCode::OK, Call::get("/v1.0/queues")).await?;
        let counts = queues["value"].as_array().into_iter().flatten();
        Ok(counts.filter_map(|queue| queue[field].as_u64()).sum())
    }
}

/// One request of a bench.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: http::Method,
    /// The path and query.
    pub path: Arc<str>,
    /// Headers beside `Host` and `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty: none.
    pub body: Bytes,
}

impl Call {
    /// A `POST` with a JSON body.
    pub fn post(path: &str, body: impl Into<Bytes>) -> Self {
        Self { method: http::Method::POST, path: Arc::from(path), headers: Vec::new(), body: body.into() }
    }

    /// A `GET`.
    pub fn get(path: &str) -> Self {
        Self { method: http::Method::GET, path: Arc::from(path), headers: Vec::new(), body: Bytes::new() }
    }
}

/// Runs `connections` clients for `span` after a warm-up of a fifth of it; `next` makes each client's next request.
pub async fn closed_loop(
    authority: &Arc<str>,
    connections: usize,
    span: Duration,
    expected: StatusCode,
    next: impl Fn() -> Call + Clone + Send + 'static,
) -> Result<Measured, LoadError> {
    let (counting, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Connection::open(authority).await?;
        let (counting, over, next) = (counting.clone(), over.clone(), next.clone());
        clients.push(tokio::spawn(async move {
            let mut latencies = Latencies::default();
            while !over.load(Ordering::Relaxed) {
                let call = next();
                let sent = Instant::now();
                connection.call(expected, call).await?;
                if counting.load(Ordering::Relaxed) {
                    latencies.record(sent.elapsed());
                }
            }
            Ok::<_, LoadError>(latencies)
        }));
    }
    tokio::time::sleep(span / 5).await;
    let began = Instant::now();
    counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(span).await;
    counting.store(false, Ordering::Relaxed);
    let elapsed = began.elapsed();
    over.store(true, Ordering::Relaxed);
    let mut latencies = Latencies::default();
    for client in clients {
        latencies.add(&client.await.map_err(|error| LoadError::Other(error.to_string()))??);
    }
    Ok(Measured { elapsed, latencies })
}
