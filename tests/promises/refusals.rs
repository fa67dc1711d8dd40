//! What the store cannot do is said as it is (P7).

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use longrun::operation::Timestamp;
use longrun::store::sqlite::SqliteStore;
use longrun::store::turn::{Changes, Touches, WorkingSet};
use longrun::store::{Store, StoreError};
use longrun::tracker::Options;
use serde_json::json;

use super::inside::{self, Inside};
use crate::support::{Answer, Server, until};

/// Busy for as long as the test says.
struct Busy {
    inner: SqliteStore,
    busy: Arc<AtomicBool>,
}

impl Store for Busy {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        if self.busy.load(Ordering::Relaxed) {
            return Err(StoreError::Busy("somebody looks at the file".to_owned()));
        }
        self.inner.begin(touches)
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        self.inner.commit(changes)
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due()
    }

    fn has_room(&mut self) -> bool {
        self.inner.has_room()
    }

    fn release_reserve(&mut self) {
        self.inner.release_reserve();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_busy_is_said_to_be_and_when_to_come_again() {
    let scratch = tempfile::tempdir().unwrap();
    let (inner, reader) = inside::store(scratch.path());
    let busy = Arc::new(AtomicBool::new(false));
    let store = Busy { inner, busy: busy.clone() };
    let server = Inside::start(scratch.path(), Box::new(store), reader, Options::default()).await;
    busy.store(true, Ordering::Relaxed);
    let answer = server.client.post("/v1.0/operations", &json!({})).await;
    assert_eq!((answer.status, &*answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "storeUnavailable"));
    let seconds: u32 = answer.header("retry-after").expect("a client has to know when").parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(server.client.get("/readyz").await.status, StatusCode::OK, "it is no failure");

    busy.store(false, Ordering::Relaxed);
    server.client.submit(&json!({})).await;
    let all = server.client.get("/v1.0/operations").await.value();
    assert_eq!(all["value"].as_array().map(Vec::len), Some(1), "nothing was written before");
    server.stop().await;
}

/// Overwrites the first page of an index, which every create goes through.
fn spoil_an_index(directory: &Path) {
    let path = directory.join("longrun.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    let root: u32 = file
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'operation_id'", [], |row| row.get(0))
        .unwrap();
    let page: u32 = file.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    drop(file);
    let mut file = std::fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(u64::from(root - 1) * u64::from(page))).unwrap();
    file.write_all(&vec![0xff; page as usize]).unwrap();
}

#[track_caller]
fn says_that_the_store_failed(answer: &Answer) {
    assert_eq!((answer.status, &*answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "storeUnavailable"));
    assert!(answer.header("retry-after").is_none(), "nobody knows when");
    assert!(!answer.text().contains("malformed"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_ends_all_acknowledging_and_readyz_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    drop(inside::store(scratch.path()));
    spoil_an_index(scratch.path());
    let (store, reader) = inside::store(scratch.path());
    let server = Inside::start(scratch.path(), Box::new(store), reader, Options::default()).await;
    assert_eq!(server.client.get("/readyz").await.value()["status"], "ready");
    says_that_the_store_failed(&server.client.post("/v1.0/operations", &json!({})).await);
    let ready = until("the loop to have ended", async || {
        let ready = server.client.get("/readyz").await;
        (ready.status == StatusCode::SERVICE_UNAVAILABLE).then_some(ready)
    });
    assert_eq!(ready.await.value()["status"], "storeFailed");
    let refused = server.client.post("/v1.0/operations", &json!({})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_store_failed_ends() {
    let scratch = tempfile::tempdir().unwrap();
    drop(inside::store(scratch.path()));
    spoil_an_index(scratch.path());
    let mut server = Server::over(scratch.path(), &["--workers", "0"]);
    says_that_the_store_failed(&server.client().post("/v1.0/operations", &json!({})).await);
    assert!(!server.wait().success());
}
