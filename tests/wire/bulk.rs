//! `POST /v1.0/operations` as `application/x-ndjson`, and `longrun submit --bulk`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;
use longrun::limits;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::cli::{self, Ended, longrun};
use crate::support::{Answer, Client, PATIENCE, Server};

const OPERATIONS: &str = "/v1.0/operations";
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

async fn post(client: &Client, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let headers: Vec<_> = std::iter::once(LINES).chain(headers.iter().copied()).collect();
    client.send(Method::POST, OPERATIONS, &headers, body).await
}

/// The outcomes of a body, which are an answer of 200.
async fn outcomes(client: &Client, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Vec<Value> {
    let answer = post(client, headers, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    read(&answer.text())
}

fn read(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an outcome is JSON")).collect()
}

async fn count(client: &Client) -> String {
    client.get(&format!("{OPERATIONS}/$count")).await.text()
}

#[tokio::test]
async fn each_line_has_its_outcome_and_a_bad_one_harms_no_other() {
    let client = Server::start(&["--workers", "0"]);
    let (_server, client) = (&client, client.client());
    let id = "7986a22f-a22f-7986-2fa2-86792fa28679";
    let long = "x".repeat(1 << 20);
    let body = format!(
        "{{\"operationType\":\"t\",\"input\":1}}\n\
         \n\
         {{\"id\":\"{id}\"}}\r\n\
         {{\"id\":\"{id}\"}}\n\
         {{\"id\":\"{id}\",\"queue\":\"other\"}}\n\
         nonsense\n\
         {{\"status\":\"String\"}}\n\
         {{\"input\":\"{long}\"}}\n\
         {{\"status\":\"Completed\",\"result\":7}}"
    );
    let told = outcomes(&client, &[], body).await;
    let lines: Vec<u64> = told.iter().map(|outcome| outcome["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 3, 4, 5, 6, 7, 8, 9], "a blank line is no operation, but counted");
    let statuses: Vec<u64> = told.iter().map(|outcome| outcome["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 201, 409, 400, 400, 413, 201]);
    let first = &told[0]["operation"];
    assert_eq!(first["status"], "NotStarted");
    assert_eq!(client.operation(first["id"].as_str().unwrap()).await["input"], 1);
    assert_eq!((&told[1]["operation"]["id"], &told[1]["replayed"]), (&json!(id), &Value::Null));
    assert_eq!((&told[2]["operation"]["id"], &told[2]["replayed"]), (&json!(id), &json!(true)));
    assert_eq!(told[3]["error"]["code"], "idExists");
    assert_eq!(
        (&told[5]["error"]["code"], &told[5]["error"]["target"]),
        (&json!("invalidRequest"), &json!("status"))
    );
    assert_eq!(told[6]["error"]["code"], "payloadTooLarge");
    assert_eq!(told[7]["operation"]["status"], "Completed");
    assert_eq!(count(&client).await, "3");
    assert_eq!(outcomes(&client, &[], "").await, Vec::<Value>::new());
    assert_eq!(outcomes(&client, &[], "\n \n").await, Vec::<Value>::new());
}

#[tokio::test]
async fn with_a_key_all_of_it_may_be_repeated() {
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let body = (0..300).map(|number| format!("{{\"input\":{number}}}\n")).collect::<Vec<_>>().concat();
    let key = [("idempotency-key", "import-1")];
    let first = outcomes(&client, &key, body.clone()).await;
    let again = outcomes(&client, &key, format!("{body}{{\"input\":300}}\n")).await;
    assert_eq!((first.len(), again.len()), (300, 301));
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first["operation"]["id"], again["operation"]["id"]);
        assert_eq!((&first["replayed"], &again["replayed"]), (&Value::Null, &json!(true)));
    }
    assert_eq!(count(&client).await, "301");
    // The key of a line is one like any other.
    let one = [("content-type", "application/json"), ("idempotency-key", "import-1/2")];
    let one = client.send(Method::POST, OPERATIONS, &one, r#"{"input":1}"#).await;
    assert_eq!(one.value()["id"], first[1]["operation"]["id"], "{}", one.text());
    let other = outcomes(&client, &key, r#"{"input":"another"}"#).await;
    assert_eq!(other[0]["error"]["code"], "idempotencyKeyReused");
    let long = "k".repeat(limits::BULK_KEY_BYTES_MAX + 1);
    assert_eq!(post(&client, &[("idempotency-key", &long)], "{}").await.status, StatusCode::BAD_REQUEST);
    for shorter in [&long[1..], &long[2..]] {
        assert_eq!(outcomes(&client, &[("idempotency-key", shorter)], "{}").await[0]["status"], 201);
    }
}

type Parts = mpsc::UnboundedSender<Bytes>;

/// Begins a request whose body is sent in parts.
async fn begin(url: &str) -> (Parts, Incoming) {
    begin_with(url, None).await
}

/// The same with a token.
async fn begin_with(url: &str, token: Option<&str>) -> (Parts, Incoming) {
    let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
    let parts = stream::unfold(receiver, |mut receiver| async {
        let part = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(part)), receiver))
    });
    let pool = Pool::builder(TokioExecutor::new()).build_http();
    let mut request = Request::post(format!("{url}{OPERATIONS}")).header(LINES.0, LINES.1);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = pool.request(request.body(StreamBody::new(Box::pin(parts))).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    (sender, answer.into_body())
}

async fn next(body: &mut Incoming) -> Option<String> {
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("an outcome in time")?;
    let data = frame.ok()?.into_data().expect("it is data");
    Some(String::from_utf8(data.to_vec()).unwrap())
}

#[tokio::test]
async fn a_line_is_answered_before_the_next_one_is_sent() {
    let server = Server::start(&["--workers", "0"]);
    let (parts, mut body) = begin(&server.url).await;
    for line in 1..=3 {
        parts.send(Bytes::from_static(b"{\"queue\":")).unwrap();
        parts.send(Bytes::from_static(b"\"q\"}\n")).unwrap();
        let told = read(&next(&mut body).await.expect("an outcome"));
        assert_eq!((told.len(), &told[0]["line"], &told[0]["status"]), (1, &json!(line), &json!(201)));
    }
    drop(parts);
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn an_answer_that_could_not_be_whole_breaks_off() {
    let mut server = Server::start(&["--workers", "0"]);
    let (parts, mut body) = begin(&server.url).await;
    parts.send(Bytes::from_static(b"{}\n")).unwrap();
    assert!(next(&mut body).await.is_some());
    server.signal("TERM");
    // It is told apart from one that has ended.
    let broken = tokio::time::timeout(PATIENCE, body.frame()).await.expect("an end in time");
    assert!(matches!(broken, Some(Err(_))), "{broken:?}");
    drop(parts);
    assert!(server.wait().success());
}

/// One that sends all before it reads anything.
fn send_first(url: &str, lines: usize) -> Vec<Value> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let body = "{}\n".repeat(lines);
    let head = format!(
        "POST {OPERATIONS} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    for part in body.as_bytes().chunks(100) {
        stream.write_all(part).unwrap();
    }
    // Whatever is kept for it is kept for this long, too.
    std::thread::sleep(Duration::from_millis(50));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, chunked) = answer.split_once("\r\n\r\n").unwrap();
    let lines: Vec<&str> = chunked.lines().filter(|line| line.starts_with('{')).collect();
    read(&lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_before_it_has_sent_all_is_served() {
    let server = Server::start(&["--workers", "0"]);
    let url = server.url.clone();
    let told = tokio::task::spawn_blocking(move || send_first(&url, 10_000)).await.unwrap();
    assert_eq!(told.len(), 10_000);
    assert!(told.iter().enumerate().all(|(at, told)| told["line"] == at + 1 && told["status"] == 201));
    assert_eq!(count(&server.client()).await, "10000");
}

#[tokio::test]
async fn only_so_many_are_answered_at_a_time_and_half_of_them_of_one_tenant() {
    let server = Server::start(&["--workers", "0"]);
    let of = |tenant| cli::token(&server, &["--tenant", tenant, "--scope", "Operation.ReadWrite"]);
    let (greedy, modest) = (of("greedy"), of("modest"));
    let fills = async |token: &str, most: usize| {
        let mut open = Vec::new();
        for _ in 0..most {
            let (parts, mut body) = begin_with(&server.url, Some(token)).await;
            parts.send(Bytes::from_static(b"{}\n")).unwrap();
            assert!(next(&mut body).await.is_some());
            open.push((parts, body));
        }
        let refused = post(&server.client().with_token(token), &[], "{}\n").await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
        let again = limits::BULK_RETRY_SECONDS.to_string();
        assert_eq!(refused.header("retry-after"), Some(&*again));
        open
    };
    let mut open = fills(&greedy, limits::BULK_REQUESTS_MAX / 2).await;
    let others = fills(&modest, limits::BULK_REQUESTS_MAX / 4).await;
    let client = server.client().with_token(&greedy);
    client.submit(&json!({})).await;
    drop(others);
    open.pop();
    crate::support::until("a place", || async {
        (post(&client, &[], "{}\n").await.status == StatusCode::OK).then_some(())
    })
    .await;
}

/// Takes as long as the server's patience with a line: 30 s.
#[tokio::test]
async fn a_line_that_trickles_is_not_waited_for() {
    let server = Server::start(&["--workers", "0"]);
    let (parts, mut body) = begin(&server.url).await;
    let began = Instant::now();
    parts.send(Bytes::from_static(b"{}\n")).unwrap();
    assert!(next(&mut body).await.is_some());
    let trickling = tokio::spawn(async move {
        while parts.send(Bytes::from_static(b" ")).is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let broken = tokio::time::timeout(2 * limits::BODY_READ, body.frame()).await.expect("an end in time");
    assert!(matches!(broken, Some(Err(_))), "{broken:?}");
    assert!(began.elapsed() >= limits::BODY_READ, "it is waited for: {:?}", began.elapsed());
    trickling.abort();
}

fn submit(server: &Server, arguments: &[&str]) -> Ended {
    let mut command = longrun(&["submit", "--server", &server.url, "--bulk"]);
    command.args(arguments);
    cli::run(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_submits_a_file_and_goes_on_by_its_key() {
    let server = Server::start(&["--workers", "0"]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut lines: Vec<String> = (0..2500).map(|number| format!("{{\"input\":{number}}}\n")).collect();
    lines[1700] = "\n".to_owned();
    file.write_all(lines[..1200].concat().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let ended = submit(&server, &[&path, "--key", "import"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(read(&ended.out).len(), 1200);
    file.write_all(lines[1200..].concat().as_bytes()).unwrap();
    file.write_all(b"nonsense\n").unwrap();
    let ended = submit(&server, &[&path, "--key", "import"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let told = read(&ended.out);
    assert_eq!(told.len(), 2500);
    assert_eq!(told.iter().filter(|told| told["replayed"] == true).count(), 1200);
    let last = &told[2499];
    assert_eq!((&last["line"], &last["status"]), (&json!(2501), &json!(400)), "of the whole file");
    assert_eq!(count(&server.client()).await, "2499");

    let ended = submit(&server, &["/nowhere"]);
    assert!(ended.code == Some(2) && ended.err.contains("/nowhere"), "{ended:?}");
    let ended = submit(&server, &[&path, "--queue", "q"]);
    assert_eq!(ended.code, Some(2), "a line says all of itself: {ended:?}");
    drop(server);
}

mod alone {
    use super::*;

    fn resident_bytes(server: &Server) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    }

    /// Mebibytes that are sent; by hand more.
    fn mebibytes() -> usize {
        std::env::var("LONGRUN_BULK_MIB").map_or(40, |number| number.parse().expect("a number"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn however_much_comes_little_of_it_is_kept() {
        let server = Server::start(&["--workers", "0"]);
        server.client().submit(&json!({})).await;
        let before = resident_bytes(&server);
        let (parts, mut body) = begin(&server.url).await;
        let line = format!("{{\"input\":\"{}\"}}\n", "x".repeat(900));
        let lines = mebibytes() * 1024;
        let (mut sent, mut told, mut most) = (0, 0, before);
        while told < lines {
            // Never far ahead of what is answered, as a socket would have it.
            while sent < lines && sent - told < 4000 {
                let some = 100.min(lines - sent);
                parts.send(Bytes::from(line.repeat(some))).unwrap();
                sent += some;
            }
            let part = next(&mut body).await.expect("outcomes");
            told += part.matches('\n').count();
            most = most.max(resident_bytes(&server));
        }
        drop(parts);
        assert_eq!(count(&server.client()).await, (lines + 1).to_string());
        assert!(most - before <= 64 << 20, "{} MiB over idle", (most - before) >> 20);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whatever_was_answered_is_there_after_a_crash() {
        let mut server = Server::start(&["--workers", "0"]);
        let (parts, mut body) = begin(&server.url).await;
        let sending = parts.clone();
        let sender = tokio::spawn(async move {
            while sending.send(Bytes::from("{\"operationType\":\"t\"}\n".repeat(50))).is_ok() {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut told = String::new();
        while told.lines().count() < 3000 {
            told.push_str(&next(&mut body).await.expect("outcomes"));
        }
        server.kill();
        while let Some(more) = next(&mut body).await {
            told.push_str(&more);
        }
        drop(parts);
        sender.abort();
        server.start_again();
        let client = server.client();
        // The last one may have come in half.
        let whole = told.rfind('\n').map_or(0, |end| end + 1);
        let told = read(&told[..whole]);
        assert!(told.len() >= 3000);
        for outcome in &told {
            assert_eq!(outcome["status"], 201, "{outcome}");
        }
        let there: usize = count(&client).await.parse().unwrap();
        assert!(there >= told.len(), "{there} of {} are there", told.len());
        for outcome in told.iter().step_by(37) {
            client.operation(outcome["operation"]["id"].as_str().unwrap()).await;
        }
    }
}
