//! A watcher hears of every change once, in order, however often its connection breaks; one that does not read is cut.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Client, Server, Sse, until, within};

const OPERATIONS: &str = "/v1.0/operations";

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

async fn external(client: &Client, queue: &str) -> String {
    client.submit(&json!({ "isExternal": true, "status": "Running", "queue": queue })).await
}

async fn patch(client: &Client, id: &str, body: &Value) {
    let answer = client.json(Method::PATCH, &format!("{OPERATIONS}/{id}"), &[], body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// A client whose connections break after a random number of bytes, in the middle of whatever they carry.
struct Torn {
    address: String,
    path: String,
    last_id: Option<String>,
    heard: Vec<(String, String)>,
    reconnects: usize,
}

impl Torn {
    /// From that cursor on.
    fn new(server: &Server, path: &str, last_id: &str) -> Self {
        let address = server.url.trim_start_matches("http://").to_owned();
        Self {
            address,
            path: path.to_owned(),
            last_id: Some(last_id.to_owned()),
            heard: Vec::new(),
            reconnects: 0,
        }
    }

    /// One connection; false: the server says that nothing is to come.
    async fn connect(&mut self, bytes: usize) -> bool {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let last_id = self.last_id.as_ref().map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let request = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{last_id}\r\n", self.path);
        stream.write_all(request.as_bytes()).await.unwrap();
        self.reconnects += 1;
        let mut read = vec![0; bytes];
        let mut filled = 0;
        while filled < bytes {
            let reading = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut read[filled..]));
            match reading.await {
                Ok(Ok(some)) if some > 0 => filled += some,
                // Broken, ended, or silent: then it is cut all the same.
                _ => break,
            }
        }
        drop(stream);
        let text = String::from_utf8_lossy(&read[..filled]).into_owned();
        if text.starts_with("HTTP/1.1 204") {
            return false;
        }
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            self.take(&unchunked(body));
        }
        true
    }

    /// Only blocks that came whole count, as in a browser.
    fn take(&mut self, text: &str) {
        for block in text.split_inclusive("\n\n").filter(|block| block.ends_with("\n\n")) {
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let id = field("id: ");
            if let (Some(id), Some(event)) = (&id, field("event: ")) {
                self.heard.push((id.clone(), event));
            }
            self.last_id = id.or(self.last_id.take());
        }
    }
}

/// The data of chunks (RFC 9112, 7.1), of which the last may be cut anywhere.
fn unchunked(body: &str) -> String {
    let (mut rest, mut data) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        if after.len() < size + 2 {
            // What is cut in the middle of a character is no whole block either.
            data.push_str(after.get(..size.min(after.len())).unwrap_or_default());
            break;
        }
        data.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    data
}

/// Whether the server's end of a connection is open, by the ports of both ends: `/proc/net/tcp` says so in hexadecimal.
fn is_held(server: u16, client: u16) -> bool {
    const ESTABLISHED: &str = "01";
    let connections = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells of its connections");
    connections.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&format!(":{server:04X}"))
            && fields[2].ends_with(&format!(":{client:04X}"))
            && fields[3] == ESTABLISHED
    })
}

fn names(events: Vec<Sse>) -> Vec<(String, String)> {
    events.into_iter().map(|event| (event.id, event.event)).collect()
}

mod alone {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn over_connections_that_break_at_any_byte_every_event_comes_once() {
        let patches = from_environment("LONGRUN_PATCHES", 1_000);
        let reconnects = from_environment("LONGRUN_RECONNECTS", 200);
        let mut server = Server::start(&["--workers", "0"]);
        let client = server.client();
        let id = external(&client, "one").await;
        let begin = client.watch("/v1.0/events", None).await.begin().await;
        let path = format!("{OPERATIONS}/{id}/events");
        let mut watchers =
            [Torn::new(&server, &path, &begin), Torn::new(&server, "/v1.0/events?queue=many", &begin)];

        let busy = client.clone();
        let one = id.clone();
        let owner = tokio::spawn(async move {
            for n in 0..patches {
                patch(&busy, &one, &json!({ "statusDetail": format!("step {n}") })).await;
            }
        });
        let busy = client.clone();
        let others = tokio::spawn(async move {
            for _ in 0..200 {
                let id = external(&busy, "many").await;
                patch(&busy, &id, &json!({ "status": "Completed" })).await;
            }
        });
        while watchers.iter().map(|torn| torn.reconnects).sum::<usize>() < reconnects
            || !owner.is_finished()
            || !others.is_finished()
        {
            for torn in &mut watchers {
                torn.connect(fastrand::usize(..20_000)).await;
            }
        }
        owner.await.unwrap();
        others.await.unwrap();
        patch(&client, &id, &json!({ "status": "Completed" })).await;
        let [one, many] = &mut watchers;
        while one.connect(1 << 20).await {}
        // Each connection lasts until it was silent for a moment.
        for _ in 0..100 {
            if many.heard.len() < 400 {
                many.connect(1 << 20).await;
            }
        }

        // What the store has, after a restart: nothing is in memory then.
        server.signal("TERM");
        server.wait();
        server.start_again();
        let client = server.client();
        let stored = names(client.watch(&path, Some(&begin)).await.rest().await);
        assert_eq!(stored.len(), patches + 1);
        assert_eq!(one.heard, stored);
        let stored = client.watch("/v1.0/events?queue=many", Some(&begin)).await.take(400).await;
        assert_eq!(many.heard, names(stored));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_watcher_that_does_not_read_is_cut_and_the_others_notice_nothing() {
        let server = Server::start(&["--workers", "0"]);
        let client = server.client();
        let id = external(&client, "one").await;
        let path = format!("{OPERATIONS}/{id}/events");
        let mut live = client.watch(&path, None).await;
        live.take(1).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
        let mut deaf = socket.connect(address).await.unwrap();
        let port = deaf.local_addr().unwrap().port();
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        deaf.write_all(request.as_bytes()).await.unwrap();
        until("its connection", async || is_held(address.port(), port).then_some(())).await;
        // More than the buffers of both ends hold.
        let detail = "d".repeat(1000);
        for n in 0..6_000 {
            patch(&client, &id, &json!({ "statusDetail": format!("{n} {detail}") })).await;
            live.take(1).await;
        }
        within(Duration::from_mins(1), "its end", async || (!is_held(address.port(), port)).then_some(()))
            .await;
        patch(&client, &id, &json!({ "status": "Completed" })).await;
        assert_eq!(live.rest().await.len(), 1);
        let mut said = Vec::new();
        let _ = deaf.read_to_end(&mut said).await;
        assert!(!String::from_utf8_lossy(&said).contains("event: completed"));
    }
}
