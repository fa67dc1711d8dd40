//! A server for the tests of clients: it answers as the test says.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// What the fake is asked for.
pub(super) struct Asked {
    /// As in `GET /readyz`.
    pub(super) what: String,
    /// Of its URL, decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What it answers: a status and a body.
pub(super) type Answering = Arc<dyn Fn(Asked) -> (u16, String) + Send + Sync>;

/// A fake on a port of its own; its URL.
pub(super) async fn on_tcp(answering: impl Fn(Asked) -> (u16, String) + Send + Sync + 'static) -> String {
    let answering: Answering = Arc::new(answering);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answering)));
        }
    });
    url
}

/// A fake on a Unix socket.
pub(super) fn on_unix(path: &Path, answering: impl Fn(Asked) -> (u16, String) + Send + Sync + 'static) {
    let answering: Answering = Arc::new(answering);
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answering)));
        }
    });
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, answering: Answering) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = Arc::clone(&answering);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let asked = Asked {
                what: format!("{} {}", parts.method, parts.uri.path()),
                query: form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                    .into_owned()
                    .collect(),
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let media = asked.header("accept").unwrap_or_default().to_owned();
            let (status, body) = answering(asked);
            let answer = Response::builder().status(status).header("etag", "\"1-1\"");
            let answer = answer.header("content-type", media);
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).unwrap())
        }
    });
    // A client that goes away is no failure of the test.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
