//! Large answers: those that nobody reads, and many at once.

use http::StatusCode;
use longrun::limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{OPERATIONS, quiet, token};
use crate::support::{Client, Server, until};

/// Operations with the largest input: more than one page takes.
const OPERATIONS_MADE: usize = 20;
/// A page of some four MiB, more than the system keeps of what it sends.
const PAGE: &str = "/v1.0/operations?$select=input";

fn client(server: &Server, tenant: &str) -> Client {
    server.client().with_token(&token(server, &["--scope", "Operation.ReadWrite", "--tenant", tenant]))
}

/// Asks for a page and reads no more of the answer than how it begins.
async fn asked(client: &Client, server: &Server) -> (String, TcpStream) {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let token = client.token().unwrap();
    let request = format!("GET {PAGE} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status).await.unwrap();
    (String::from_utf8_lossy(&status[9..]).into_owned(), stream)
}

#[tokio::test]
async fn who_reads_no_answers_gets_no_more_of_them_and_others_do() {
    let server = quiet();
    let [idle, other] = ["idle", "other"].map(|tenant| client(&server, tenant));
    let input = "x".repeat(250 << 10);
    for client in [&idle, &other] {
        for _ in 0..OPERATIONS_MADE {
            client.submit(&json!({ "input": input })).await;
        }
    }
    let mut unread = Vec::new();
    loop {
        let (status, stream) = asked(&idle, &server).await;
        if status == "429" {
            break;
        }
        assert_eq!(status, "200");
        unread.push(stream);
        assert!(unread.len() < 5, "{} pages of four MiB are unread", unread.len());
    }
    assert!(unread.len() >= 3, "only {} pages may be unread", unread.len());
    let refused = idle.get(PAGE).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "tooManyRequests".into()));
    assert!(refused.header("retry-after").is_some());
    // Small answers are given as before, and large ones to others.
    idle.submit(&json!({})).await;
    assert_eq!(idle.get(&format!("{OPERATIONS}?$top=10")).await.status, StatusCode::OK);
    assert_eq!(other.get(PAGE).await.status, StatusCode::OK);
    unread.clear();
    until("a page again", async || (idle.get(PAGE).await.status == StatusCode::OK).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_pages_wait_for_their_turn_and_none_is_refused() {
    let server = quiet();
    let client = server.client();
    for _ in 0..3 {
        client.submit(&json!({})).await;
    }
    let mut asked = JoinSet::new();
    for _ in 0..4 * limits::LARGE_PAGES_AT_ONCE_MAX {
        let client = client.clone();
        asked.spawn(async move { client.get(&format!("{OPERATIONS}?$top=1000")).await });
    }
    for page in asked.join_all().await {
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        assert_eq!(page.value()["value"].as_array().map(Vec::len), Some(3));
    }
}
