//! A client that sends exactly what a test says, and shows exactly what came back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::Stream;
use super::documented::Document;

/// Speaks to one server, with one token or none. Cheap to clone; connections are kept.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    pool: Pool<HttpConnector, Full<Bytes>>,
    document: Arc<OnceCell<Document>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    /// Of a server at `http://host:port`.
    pub fn new(base: &str) -> Self {
        let pool = Pool::builder(TokioExecutor::new()).build_http();
        Self { base: base.trim_end_matches('/').to_owned(), token: None, pool, document: Arc::default() }
    }

    /// The same over HTTP/2, without TLS, by prior knowledge.
    pub fn over_http2(base: &str) -> Self {
        let pool = Pool::builder(TokioExecutor::new()).http2_only(true).build_http();
        Self { pool, ..Self::new(base) }
    }

    /// With this token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Its token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Sends a request as it is; an error when there was no whole answer.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let request = self.request(method.clone(), path, headers, body)?;
        let sent = tokio::time::timeout(Duration::from_secs(90), async {
            let answer = self.pool.request(request).await.map_err(|error| error.to_string())?;
            let (head, mut body) = answer.into_parts();
            // Of a stream its beginning is answer enough.
            let body = if head.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream") {
                let first = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
                first.unwrap_or_default()
            } else {
                body.collect().await.map_err(|error| error.to_string())?.to_bytes()
            };
            let answer = Answer { status: head.status, headers: head.headers, body };
            self.check(&method, path, &answer, Some(&answer.body)).await;
            Ok(answer)
        });
        sent.await.map_err(|_| "no answer within 90 s".to_owned())?
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Request<Full<Bytes>>, String> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body.into())).map_err(|error| error.to_string())
    }

    /// Watches, after the event of that id where one is given.
    pub async fn watch(&self, path: &str, last_id: Option<&str>) -> Stream {
        self.try_watch(path, last_id).await.expect("an answer")
    }

    /// The same; an error when there was no answer.
    pub async fn try_watch(&self, path: &str, last_id: Option<&str>) -> Result<Stream, String> {
        let headers: Vec<_> = last_id.map(|id| ("last-event-id", id)).into_iter().collect();
        let request = self.request(Method::GET, path, &headers, "")?;
        let answer = self.pool.request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = answer.into_parts();
        let beginning = Answer { status: head.status, headers: head.headers.clone(), body: Bytes::new() };
        self.check(&Method::GET, path, &beginning, None).await;
        Ok(Stream::new(head.status, head.headers, body))
    }

    /// Holds an answer against what the server says of itself.
    async fn check(&self, method: &Method, path: &str, answer: &Answer, body: Option<&[u8]>) {
        if let Some(document) = self.document().await {
            let path = path.strip_prefix(&*self.base).unwrap_or(path);
            document.check(method, path, answer.status, &answer.headers, body);
        }
    }

    /// What the server says of itself; none: it is gone.
    pub async fn document(&self) -> Option<&Document> {
        let document = self.document.get_or_try_init(|| async {
            let request = self.request(Method::GET, "/openapi.json", &[], "").map_err(drop)?;
            let answer = self.pool.request(request).await.map_err(drop)?;
            let body = answer.into_body().collect().await.map_err(drop)?.to_bytes();
            serde_json::from_slice(&body).map(Document::new).map_err(drop)
        });
        document.await.ok()
    }

    /// Sends a request as it is.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let sent = self.try_send(method.clone(), path, headers, body).await;
        sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// `POST` of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    /// `POST` of a JSON body, with headers.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.json(Method::POST, path, headers, body).await
    }

    /// Any method with a JSON body.
    pub async fn json(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(method, path, &all, body.to_string()).await
    }

    /// Submits an operation; its id.
    pub async fn submit(&self, body: &Value) -> String {
        let answer = self.post("/v1.0/operations", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.value()["id"].as_str().expect("an operation has an id").to_owned()
    }

    /// The operation as it is now.
    pub async fn operation(&self, id: &str) -> Value {
        let answer = self.get(&format!("/v1.0/operations/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.value()
    }

    /// A worker's call.
    pub async fn work(&self, body: &Value) -> Value {
        let answer = self.post("/v1.0/work", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.value()
    }
}

impl Answer {
    /// The body as JSON.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers of the server are text"))
    }

    /// The code of the error that it is.
    pub fn code(&self) -> String {
        self.value()["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {}", self.text()))
            .to_owned()
    }
}
