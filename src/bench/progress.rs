//! What progress costs the log: of an operation with a large input, which must not be written again.

use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::Plan;
use super::load::{Call, Connection, LoadError};
use super::process::{Scratch, Server};
use super::report::Report;
use crate::limits;

/// Reports that each become a change.
const REPORTS: u32 = 100;
/// Between two reports: longer than the window in which progress is put off.
const APART: Duration = limits::PROGRESS_WINDOW.saturating_add(Duration::from_millis(20));
/// What the log holds before each page.
const FRAME_HEADER_BYTES: u64 = 24;

pub(super) async fn measure(plan: &Plan) -> Result<Report, LoadError> {
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let data = scratch.0.join("data");
    let server = Server::serve(&data, 0)?;
    let mut connection = Connection::open(&server.authority).await?;
    let input = "x".repeat(limits::PAYLOAD_BYTES_MAX - 2);
    let body = json!({"operationType": "bench", "input": input}).to_string();
    connection.call(StatusCode::CREATED, Call::post("/v1.0/operations", body)).await?;
    let claim = json!({"workerId": "bench", "claim": {"id": "bench", "leaseSeconds": 600}});
    let claimed = connection.value(StatusCode::OK, Call::post("/v1.0/work", claim.to_string())).await?;
    let (id, token) = (&claimed["operations"][0]["id"], &claimed["operations"][0]["lease"]["token"]);

    let log = Log(&data);
    let (mut before, mut bytes) = (log.frames()?, 0);
    for percent in 1..=REPORTS {
        tokio::time::sleep(APART).await;
        let report = json!({"id": id, "leaseToken": token, "status": "Running", "percentComplete": percent});
        let call = json!({"workerId": "bench", "reports": [report]});
        let told = connection.value(StatusCode::OK, Call::post("/v1.0/work", call.to_string())).await?;
        if !told["outcomes"][0]["error"].is_null() {
            return Err(LoadError::Other(format!("a report was refused: {told}")));
        }
        let (frames, frame_bytes) = log.frames()?;
        // A log that was copied back begins anew.
        bytes += frame_bytes * frames.checked_sub(before.0).unwrap_or(frames);
        before = (frames, frame_bytes);
    }
    let mut report = Report::default();
    #[allow(clippy::cast_precision_loss)] // Bytes of a log are far below 2^52.
    let kib = bytes as f64 / 1024.0;
    let detail = format!("{REPORTS} reports, each a change, on an operation with an input of 256 KiB");
    report.add("log written by progress", kib, "KiB", detail);
    report.add("the same, each report", kib / f64::from(REPORTS), "KiB", "");
    Ok(report)
}

/// The write-ahead log of a store that is in use.
struct Log<'a>(&'a Path);

impl Log<'_> {
    /// How many frames it holds, and bytes of each. By the header of its index, as the file format of SQLite has it: the
    /// page's size in bytes 14 and 15, the number of the last frame from 16 on.
    fn frames(&self) -> Result<(u64, u64), LoadError> {
        let index = std::fs::read(self.0.join("longrun.db-shm"))?;
        let (Some([low, high]), Some([a, b, c, d])) = (index.get(14..16), index.get(16..20)) else {
            return Err(LoadError::Other("the log has no index".to_owned()));
        };
        let page = u16::from_ne_bytes([*low, *high]);
        let frames = u32::from_ne_bytes([*a, *b, *c, *d]);
        Ok((frames.into(), u64::from(page) + FRAME_HEADER_BYTES))
    }
}
