//! Stands between clients and a server, exchange by exchange, and loses, delays and tears what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Something on its way: a request up to the server, or with `answer` an answer down to the client.
pub struct Passing<'a> {
    pub method: &'a Method,
    /// With its query.
    pub path: &'a str,
    pub request: &'a Bytes,
    /// The whole of it; empty of a stream of events, which passes as it comes.
    pub answer: Option<&'a Bytes>,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Delay(Duration),
    /// The client's connection is closed without a word. Of an answer the server has done what it answers.
    Lose,
    /// Half of an answer passes before that; a request is lost.
    Tear,
}

type Rule = dyn Fn(&Passing<'_>) -> Fate + Send + Sync;
type Body = BoxBody<Bytes, std::io::Error>;

/// A proxy in front of one server. Closed, with all its connections, when dropped.
pub struct Proxy {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// In front of a server at `http://host:port`; `rule` is asked for everything that passes.
    pub async fn before(server: &str, rule: impl Fn(&Passing<'_>) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let listener = listener.expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        let way = Way { server: server.to_owned(), pool, rule: Arc::new(rule) };
        Self { url, _accepting: AbortOnDropHandle::new(tokio::spawn(accept(listener, way))) }
    }
}

async fn accept(listener: TcpListener, way: Way) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, way.clone()));
    }
}

async fn serve(stream: TcpStream, way: Way) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let way = way.clone();
        async move { way.exchange(request).await }
    });
    // It ends with an error whenever something was lost: that is the proxy's trade.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

#[derive(Clone)]
struct Way {
    server: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
    rule: Arc<Rule>,
}

impl Way {
    /// One exchange; an error closes the client's connection. When the client hangs up, this is dropped, and with it the
    /// request to the server.
    async fn exchange(&self, request: Request<Incoming>) -> std::io::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let request = body.collect().await.map_err(other)?.to_bytes();
        let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
        let passing = Passing { method: &head.method, path: &path, request: &request, answer: None };
        if self.decide(&passing).await != Fate::Pass {
            return Err(lost());
        }
        let answer = self.forward(&head, &path, request.clone()).await?;
        let (mut down, body) = answer.into_parts();
        down.headers.remove(header::TRANSFER_ENCODING);
        let is_stream =
            down.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let (answer, stream) = if is_stream {
            (Bytes::new(), Some(body.map_err(other).boxed()))
        } else {
            (body.collect().await.map_err(other)?.to_bytes(), None)
        };
        let body = match (self.decide(&Passing { answer: Some(&answer), ..passing }).await, stream) {
            (Fate::Lose, _) | (Fate::Tear, Some(_)) => return Err(lost()),
            (Fate::Tear, None) => torn(&answer),
            (Fate::Pass | Fate::Delay(_), Some(stream)) => stream,
            (Fate::Pass | Fate::Delay(_), None) => Full::new(answer).map_err(|never| match never {}).boxed(),
        };
        Ok(Response::from_parts(down, body))
    }

    async fn forward(&self, head: &Parts, path: &str, body: Bytes) -> std::io::Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = format!("{}{path}", self.server).parse().map_err(other)?;
        head.headers.clone_into(request.headers_mut());
        // Of the other connection.
        for name in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        self.pool.request(request).await.map_err(other)
    }

    /// Asks the rule, and waits out a delay.
    async fn decide(&self, passing: &Passing<'_>) -> Fate {
        match (self.rule)(passing) {
            Fate::Delay(delay) => {
                tokio::time::sleep(delay).await;
                Fate::Pass
            }
            fate => fate,
        }
    }
}

fn lost() -> std::io::Error {
    other("lost on purpose")
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> std::io::Error {
    std::io::Error::other(error)
}

/// The first half, and then the end of the connection.
fn torn(answer: &Bytes) -> Body {
    let half = answer.slice(..answer.len() / 2);
    let frames = futures_util::stream::unfold(Some(half), |half| async {
        if let Some(half) = half {
            return Some((Ok(Frame::data(half)), None));
        }
        // The half that is under way gets out first.
        tokio::task::yield_now().await;
        Some((Err(lost()), None))
    });
    BodyExt::boxed(StreamBody::new(Box::pin(frames)))
}
