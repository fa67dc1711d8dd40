//! The client against a small HTTP server that answers from a script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use longrun_sdk::client::{Filter, ListQuery};
use longrun_sdk::wire::{ExchangeRequest, LinkRequest, Patch, QueueChange, Status, Submit};
use longrun_sdk::{Client, ClientError, Exchange, ExchangeError, HttpExchange};
use tokio::net::TcpListener;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);

/// One answer of the script.
enum Answer {
    /// Read the request, then cut the connection.
    Cut,
    /// Read the request, and never answer.
    Silence,
    Status(u16, &'static [(&'static str, &'static str)], String),
}

struct Seen {
    line: String,
    headers: http::HeaderMap,
    body: String,
}

#[derive(Clone)]
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers one request after the other as the script says; the last answer is repeated.
    async fn start(script: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { url: format!("http://{}", listener.local_addr().unwrap()), seen: Arc::default() };
        let (script, seen) = (Arc::new(script), server.seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (script.clone(), seen.clone());
                let service = service_fn(move |request| answer(script.clone(), seen.clone(), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        server
    }

    fn client(&self) -> Client {
        Client::builder(&self.url).token("lr_test").deadline(Duration::from_secs(20)).build().unwrap()
    }

    fn header(&self, at: usize, name: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        seen[at].headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
    }
}

async fn answer(
    script: Arc<Vec<Answer>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let line = format!("{} {}", request.method(), request.uri());
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let at = {
        let mut seen = seen.lock().unwrap();
        seen.push(Seen { line, headers, body: String::from_utf8(body.to_vec()).unwrap() });
        seen.len() - 1
    };
    match &script[at.min(script.len() - 1)] {
        Answer::Cut => Err(std::io::Error::other("cut")),
        Answer::Silence => std::future::pending().await,
        Answer::Status(status, headers, body) => {
            let mut response = Response::builder().status(*status);
            for (name, value) in *headers {
                response = response.header(*name, *value);
            }
            Ok(response.body(Full::from(body.clone())).unwrap())
        }
    }
}

fn operation(status: &str) -> String {
    format!(
        r##"{{"@odata.type":"#microsoft.graph.operation","id":"{ID}","status":"{status}","unheardOf":1}}"##
    )
}

fn error(code: &str, message: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","message":"{message}","target":"input"}}}}"#)
}

#[tokio::test]
async fn a_submit_whose_answer_was_swallowed_is_repeated_with_the_same_key_before_its_time_is_over() {
    let server =
        Server::start(vec![Answer::Silence, Answer::Status(201, &[], operation("NotStarted"))]).await;
    let client = Client::builder(&server.url).deadline(Duration::from_secs(3)).build().unwrap();
    let submitted = client.submit(Submit::new("thumbnail")).await.unwrap();
    assert_eq!(submitted.operation.id, ID);
    assert_eq!(server.header(0, "idempotency-key"), server.header(1, "idempotency-key"));
}

#[tokio::test]
async fn a_submit_is_repeated_with_the_same_key_after_a_cut_and_a_503() {
    let busy: &[_] = &[("retry-after", "1")];
    let server = Server::start(vec![
        Answer::Cut,
        Answer::Status(503, busy, error("overloaded", "later")),
        Answer::Status(
            201,
            &[("etag", "\"1-1\""), ("idempotency-replayed", "true")],
            operation("NotStarted"),
        ),
    ])
    .await;
    let submit = Submit::new("thumbnail").queue("media").input(&"cat.jpg").unwrap();
    let submitted = server.client().submit(submit).await.unwrap();
    assert_eq!((submitted.operation.id, submitted.operation.status), (ID, Status::NotStarted));
    assert!(submitted.replayed);
    assert_eq!(server.lines(), ["POST /v1.0/operations"; 3]);
    let key = server.header(0, "idempotency-key").unwrap();
    assert!(Uuid::parse_str(&key).is_ok());
    assert_eq!(server.header(1, "idempotency-key").unwrap(), key);
    assert_eq!(server.header(2, "idempotency-key").unwrap(), key);
    assert_eq!(server.header(0, "authorization").unwrap(), "Bearer lr_test");
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].body, r#"{"queue":"media","operationType":"thumbnail","input":"cat.jpg"}"#);
    assert_eq!(seen[2].body, seen[0].body);
}

#[tokio::test]
async fn the_callers_key_is_sent_and_a_refusal_is_told_as_it_is() {
    let refusal = error("idempotencyKeyReused", "another body");
    let server = Server::start(vec![Answer::Status(422, &[], refusal)]).await;
    let error = server.client().submit(Submit::new("noop").idempotency_key("mine")).await.unwrap_err();
    let ClientError::Refused { status, code, target, .. } = error else { panic!("{error:?}") };
    assert_eq!((status, code.as_str(), target.as_deref()), (422, "idempotencyKeyReused", Some("input")));
    assert_eq!(server.lines().len(), 1, "not repeated");
    assert_eq!(server.header(0, "idempotency-key").unwrap(), "mine");
}

#[tokio::test]
async fn submit_and_wait_asks_the_server_to_wait() {
    let server = Server::start(vec![Answer::Status(201, &[], operation("Completed"))]).await;
    let ended = server.client().submit_and_wait(Submit::default(), Duration::from_secs(90)).await.unwrap();
    assert_eq!(ended.operation.status, Status::Completed);
    assert_eq!(server.header(0, "prefer").unwrap(), "wait=60");
}

#[tokio::test]
async fn wait_polls_until_the_operation_has_ended() {
    let early: &[_] = &[("retry-after", "1")];
    let server = Server::start(vec![
        Answer::Status(200, early, operation("Running")),
        Answer::Cut,
        Answer::Status(200, &[], operation("Failed")),
    ])
    .await;
    let ended = server.client().wait(ID, Duration::from_secs(30)).await.unwrap();
    assert_eq!(ended.operation.status, Status::Failed);
    assert_eq!(server.lines(), vec![format!("GET /v1.0/operations/{ID}"); 3]);
    assert!(server.header(0, "prefer").unwrap().starts_with("wait="));
}

#[tokio::test]
async fn wait_gives_up_at_its_limit() {
    let server = Server::start(vec![Answer::Status(200, &[], operation("Running"))]).await;
    let error = server.client().wait(ID, Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(error, ClientError::Deadline), "{error:?}");
}

#[tokio::test]
async fn an_unchanged_operation_is_none() {
    let server = Server::start(vec![
        Answer::Status(304, &[], String::new()),
        Answer::Status(200, &[("etag", "\"1-2\"")], operation("Running")),
    ])
    .await;
    let client = server.client();
    assert!(client.get_if_changed(ID, "\"1-1\"").await.unwrap().is_none());
    assert_eq!(server.header(0, "if-none-match").unwrap(), "\"1-1\"");
    let changed = client.get_if_changed(ID, "\"1-1\"").await.unwrap().unwrap();
    assert_eq!(changed.etag.as_deref(), Some("\"1-2\""));
}

#[tokio::test]
async fn a_link_is_asked_for_until_there_is_one_and_its_urls_are_not_printed() {
    let made = r#"{"link":{"type":"view","statusUrl":"https://a/s","eventsUrl":"https://a/e","expirationDateTime":"2030-01-01T00:00:00.0000000Z"}}"#;
    let server = Server::start(vec![
        Answer::Status(503, &[("retry-after", "0")], String::new()),
        Answer::Status(200, &[], made.to_owned()),
    ])
    .await;
    let request = LinkRequest { revoke: true, ..LinkRequest::default() };
    let link = server.client().create_link(ID, &request).await.unwrap();
    assert_eq!((&*link.status_url, &*link.events_url), ("https://a/s", "https://a/e"));
    assert!(format!("{link:?}").contains("2030") && !format!("{link:?}").contains("https"));
    assert_eq!(server.lines(), vec![format!("POST /v1.0/operations/{ID}/createLink"); 2]);
}

#[tokio::test]
async fn every_verb_has_its_route() {
    let server = Server::start(vec![Answer::Status(200, &[], operation("Running"))]).await;
    let client = server.client();
    client.get(ID).await.unwrap();
    client.cancel(ID).await.unwrap();
    client.retry(ID).await.unwrap();
    let patch =
        Patch { percent_complete: Some(40.0), if_match: Some("\"1-1\"".to_owned()), ..Patch::default() };
    client.patch(ID, &patch).await.unwrap();
    client.delete(ID).await.unwrap();
    let link = client.create_link(ID, &LinkRequest::default()).await;
    assert!(matches!(link, Err(ClientError::InvalidAnswer { .. })));
    client.demand("media").await.unwrap();
    let change = QueueChange { paused: Some(true), max_running: Some(None), ..QueueChange::default() };
    client.set_queue("../me dia", &change).await.unwrap();
    assert!(matches!(client.queues().await, Err(ClientError::InvalidAnswer { .. })));
    assert!(matches!(client.workers().await, Err(ClientError::InvalidAnswer { .. })));
    client.health().await.unwrap();
    assert!(matches!(client.attempts(ID).await, Err(ClientError::InvalidAnswer { .. })));
    let hour = Duration::from_hours(1);
    assert!(matches!(client.advance_clock(hour).await, Err(ClientError::InvalidAnswer { .. })));
    let one = format!("/v1.0/operations/{ID}");
    let expected = [
        format!("GET {one}"),
        format!("POST {one}/cancel"),
        format!("POST {one}/retry"),
        format!("PATCH {one}"),
        format!("DELETE {one}"),
        format!("POST {one}/createLink"),
        "GET /v1.0/queues/media/demand".to_owned(),
        "PATCH /v1.0/queues/..%2Fme+dia".to_owned(),
        "GET /v1.0/queues".to_owned(),
        "GET /v1.0/workers".to_owned(),
        "GET /readyz".to_owned(),
        format!("GET {one}/attempts"),
        "POST /v1.0/test/advance".to_owned(),
    ];
    assert_eq!(server.lines(), expected);
    assert_eq!(server.header(3, "if-match").unwrap(), "\"1-1\"");
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[3].body, r#"{"percentComplete":40}"#);
    assert_eq!(seen[7].body, r#"{"paused":true,"maxRunning":null}"#);
    assert_eq!(seen[12].body, r#"{"seconds":3600.0}"#);
}

/// The answers of a list of two pages, the first of which comes only at the second try.
fn two_pages() -> Vec<Answer> {
    let link = "https://elsewhere.example/prefix/v1.0/operations?$top=2&$skiptoken=t%2B1";
    let (first, last) = (operation("Failed"), operation("Running"));
    let page = format!(r#"{{"value":[{first},{last}],"@odata.count":3,"@odata.nextLink":"{link}"}}"#);
    let rest = format!(r#"{{"value":[{first}],"@odata.count":3}}"#);
    vec![Answer::Cut, Answer::Status(200, &[], page), Answer::Status(200, &[], rest)]
}

#[tokio::test]
async fn a_list_follows_its_links_on_its_own_server() {
    let server = Server::start(two_pages()).await;
    let query = ListQuery {
        filter: Some(Filter::status(Status::Failed).and(Filter::label("of", "O'Hara & co"))),
        oldest_first: true,
        page_size: Some(2),
        select: vec!["status".to_owned(), "result".to_owned()],
        count: true,
    };
    let mut pages = server.client().list(query);
    let first = pages.next().await.unwrap().unwrap();
    assert_eq!((first.value.len(), first.count, first.is_last()), (2, Some(3), false));
    let last = pages.next().await.unwrap().unwrap();
    assert_eq!((last.value[0].status, last.is_last()), (Status::Failed, true));
    assert!(pages.next().await.unwrap().is_none());
    let first = "GET /v1.0/operations?%24filter=%28status+eq+%27Failed%27%29+and+%28labels%2Fof+eq+\
                 %27O%27%27Hara+%26+co%27%29&%24orderby=createdDateTime+asc&%24top=2&%24select=status%2Cresult&\
                 %24count=true";
    assert_eq!(server.lines(), [first, first, &format!("{first}&%24skiptoken=t%2B1")]);

    let server = Server::start(two_pages()).await;
    let all: Vec<_> = server.client().list(ListQuery::default()).into_stream().try_collect().await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(server.lines()[1..], ["GET /v1.0/operations", "GET /v1.0/operations?%24skiptoken=t%2B1"]);
}

#[tokio::test]
async fn a_count_is_a_number() {
    let server = Server::start(vec![Answer::Status(200, &[], "42".to_owned())]).await;
    assert_eq!(server.client().count(None).await.unwrap(), 42);
    let filter = Filter::queue("media").or(Filter::operation_type("thumb"));
    assert_eq!(server.client().count(Some(&filter)).await.unwrap(), 42);
    let query = "%24filter=%28queue+eq+%27media%27%29+or+%28operationType+eq+%27thumb%27%29";
    assert_eq!(
        server.lines(),
        ["GET /v1.0/operations/$count".to_owned(), format!("GET /v1.0/operations/$count?{query}")]
    );
}

#[tokio::test]
async fn what_is_not_safe_to_repeat_is_sent_once() {
    let server = Server::start(vec![Answer::Status(503, &[], error("overloaded", "later"))]).await;
    let error = server.client().retry(ID).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn nonsense_gets_a_clear_error() {
    for url in ["ftp://example.org", "localhost:8080", "https://example.org?a=b", ""] {
        let error = Client::builder(url).build().unwrap_err();
        assert!(matches!(&error, ClientError::InvalidRequest { .. }), "{url}: {error:?}");
    }
    let error = Client::builder("http://localhost").token("secret\n1").build().unwrap_err();
    assert!(!error.to_string().contains("secret"));
}

#[tokio::test]
async fn exchange_errors_say_whether_to_repeat() {
    let server = Server::start(vec![
        Answer::Cut,
        Answer::Status(429, &[("retry-after", "3")], error("tooManyRequests", "slow down")),
        Answer::Status(401, &[], error("unauthenticated", "who are you")),
        Answer::Status(413, &[], error("payloadTooLarge", "too much")),
        Answer::Status(502, &[], "<html>bad gateway</html>".to_owned()),
        Answer::Status(200, &[], r#"{"operations":[{"id":"00000000-0000-0000-0000-000000000007","status":"Running","input":{"a":1},"lease":{"token":4,"seconds":29.6}}]}"#.to_owned()),
    ])
    .await;
    let exchange = HttpExchange::new(server.client());
    let exchange = || exchange.exchange(ExchangeRequest::default(), Duration::from_secs(15));
    assert!(matches!(exchange().await, Err(ExchangeError::Lost { retry_after: None, .. })));
    assert!(
        matches!(exchange().await, Err(ExchangeError::Lost { retry_after: Some(after), .. }) if after.as_secs() == 3)
    );
    assert!(matches!(exchange().await, Err(ExchangeError::Denied { .. })));
    assert!(
        matches!(exchange().await, Err(ExchangeError::Refused { code, .. }) if code == "payloadTooLarge")
    );
    assert!(matches!(exchange().await, Err(ExchangeError::Lost { .. })));
    let answer = exchange().await.unwrap();
    let claimed = &answer.operations[0];
    assert_eq!((claimed.lease.token, claimed.operation.input.as_ref().unwrap().get()), (4, r#"{"a":1}"#));
    assert!((claimed.lease.seconds - 29.6).abs() < f64::EPSILON);
    assert_eq!(server.lines()[0], "POST /v1.0/work");
}
