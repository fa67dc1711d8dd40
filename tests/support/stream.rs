//! Server-sent events as a browser reads them.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::PATIENCE;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Sse {
    pub id: String,
    pub event: String,
    pub data: Value,
}

/// An answer that is a stream, or what came instead.
pub struct Stream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    unread: Vec<u8>,
    /// What a reconnect would send as `Last-Event-ID`.
    pub last_id: String,
    /// What the server asked to wait before one.
    pub retry: Option<u64>,
}

impl Stream {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Incoming) -> Self {
        Self { status, headers, body, unread: Vec::new(), last_id: String::new(), retry: None }
    }

    /// The next event; none: the stream has ended, or broke.
    pub async fn next(&mut self) -> Option<Sse> {
        loop {
            while let Some(block) = self.block() {
                if let Some(event) = self.read(&block) {
                    return Some(event);
                }
            }
            self.receive().await?;
        }
    }

    /// Waits for its beginning: the cursor from which it would be resumed.
    pub async fn begin(&mut self) -> String {
        while self.last_id.is_empty() {
            self.receive().await.expect("it has not ended");
            // A beginning is no event.
            while let Some(block) = self.block() {
                assert!(self.read(&block).is_none(), "{block}");
            }
        }
        self.last_id.clone()
    }

    fn block(&mut self) -> Option<String> {
        let end = self.unread.windows(2).position(|pair| pair == b"\n\n")?;
        let block = self.unread.drain(..end + 2).collect();
        Some(String::from_utf8(block).expect("it is text"))
    }

    async fn receive(&mut self) -> Option<()> {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event in time");
        self.unread.extend_from_slice(&frame?.ok()?.into_data().unwrap_or(Bytes::new()));
        Some(())
    }

    /// So many events.
    pub async fn take(&mut self, count: usize) -> Vec<Sse> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await.unwrap_or_else(|| panic!("the stream ended after {taken:?}")));
        }
        taken
    }

    /// Everything until it ends.
    pub async fn rest(&mut self) -> Vec<Sse> {
        let mut rest = Vec::new();
        while let Some(event) = self.next().await {
            rest.push(event);
        }
        rest
    }

    fn read(&mut self, block: &str) -> Option<Sse> {
        let (mut event, mut data) = (String::new(), Vec::new());
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => value.clone_into(&mut self.last_id),
                "event" => value.clone_into(&mut event),
                "data" => data.push(value),
                "retry" => self.retry = value.parse().ok(),
                _ => {}
            }
        }
        if data.is_empty() {
            return None;
        }
        let data = serde_json::from_str(&data.join("\n")).expect("the data is JSON");
        Some(Sse { id: self.last_id.clone(), event, data })
    }
}
