//! A read shows every write that was acknowledged before it began, and time alone reads nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use longrun::operation::{Attempt, Operation, OperationId, QueueName, Seq, TenantId, Timestamp};
use longrun::store::clock::ClockState;
use longrun::store::figures::{Figured, Figures};
use longrun::store::query::{Listing, Query};
use longrun::store::turn::{Changes, Touches, WorkingSet};
use longrun::store::{
    AllTenants, Events, Held, History, Payloads, QueueDepth, Reader, Registry, Store, StoreError, Whose,
};
use longrun::tracker::Options;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::inside::{self, Inside};
use crate::support::{Client, until};

/// Counts what the store is asked, and can hold a point read between the store and whoever asked.
#[derive(Default)]
struct Seam {
    calls: AtomicU64,
    hold_next: AtomicBool,
    holding: AtomicBool,
    let_go: Notify,
}

impl Seam {
    fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

struct Seen<T> {
    inner: T,
    seam: Arc<Seam>,
}

#[async_trait]
impl<R: Reader + ?Sized> Figured for Seen<Arc<R>> {
    async fn figures(&self, of: AllTenants) -> Result<Figures, StoreError> {
        self.inner.figures(of).await
    }
}

#[async_trait]
impl<R: Reader + ?Sized> Reader for Seen<Arc<R>> {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn clock(&self) -> ClockState {
        self.inner.clock()
    }

    async fn get(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, StoreError> {
        self.seam.count();
        let read = self.inner.get(tenant, id).await;
        if self.seam.hold_next.swap(false, Ordering::SeqCst) {
            self.seam.holding.store(true, Ordering::SeqCst);
            self.seam.let_go.notified().await;
        }
        read
    }

    async fn payloads(&self, operations: &[Seq]) -> Result<Vec<Payloads>, StoreError> {
        self.seam.count();
        self.inner.payloads(operations).await
    }

    async fn attempts(&self, operation: Seq) -> Result<Vec<Attempt>, StoreError> {
        self.seam.count();
        self.inner.attempts(operation).await
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.seam.count();
        self.inner.history().await
    }

    async fn events(&self, of: &Whose, after: i64, limit: usize) -> Result<Events, StoreError> {
        self.seam.count();
        self.inner.events(of, after, limit).await
    }

    async fn list(&self, query: &Query) -> Result<Listing, StoreError> {
        self.seam.count();
        self.inner.list(query).await
    }

    async fn queues(
        &self,
        tenant: &TenantId,
        only: Option<&QueueName>,
    ) -> Result<Vec<QueueDepth>, StoreError> {
        self.seam.count();
        self.inner.queues(tenant, only).await
    }

    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, StoreError> {
        self.seam.count();
        self.inner.held(tenant).await
    }

    async fn registry(&self, of: AllTenants) -> Result<Registry, StoreError> {
        self.seam.count();
        self.inner.registry(of).await
    }
}

impl<S: Store> Store for Seen<S> {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        self.seam.count();
        self.inner.begin(touches)
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        self.seam.count();
        self.inner.commit(changes)
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.seam.count();
        self.inner.next_due()
    }

    fn has_room(&mut self) -> bool {
        self.inner.has_room()
    }

    fn release_reserve(&mut self) {
        self.inner.release_reserve();
    }
}

async fn start(scratch: &tempfile::TempDir) -> (Inside, Arc<Seam>) {
    let (store, reader) = inside::store(scratch.path());
    let seam = Arc::new(Seam::default());
    let store = Box::new(Seen { inner: store, seam: seam.clone() });
    let reader = Arc::new(Seen { inner: reader, seam: seam.clone() });
    (Inside::start(scratch.path(), store, reader, Options::default()).await, seam)
}

/// One that the cache can hold but, once it has changed, not answer for: its input is kept apart.
fn large() -> Value {
    json!({"operationType": "large", "isExternal": true, "input": "x".repeat(10 << 10)})
}

async fn percent_of(client: &Client, id: &str) -> u64 {
    let operation = client.operation(id).await;
    operation["percentComplete"].as_u64().unwrap_or(0)
}

async fn advance(client: &Client, id: &str, percent: u64) {
    let patch = json!({"status": "Running", "percentComplete": percent});
    let answer = client.json(http::Method::PATCH, &format!("/v1.0/operations/{id}"), &[], &patch).await;
    assert_eq!(answer.status, http::StatusCode::OK, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_was_held_up_never_buries_what_was_written_meanwhile() {
    let scratch = tempfile::tempdir().unwrap();
    let (server, seam) = start(&scratch).await;
    let id = server.client.submit(&large()).await;
    advance(&server.client, &id, 0).await;
    for round in 1..=20 {
        let before = percent_of(&server.client, &id).await;
        seam.hold_next.store(true, Ordering::SeqCst);
        let (client, held) = (server.client.clone(), id.clone());
        let held = tokio::spawn(async move { percent_of(&client, &held).await });
        until("the store's answer to the held read", async || {
            seam.holding.swap(false, Ordering::SeqCst).then_some(())
        })
        .await;
        advance(&server.client, &id, round).await;
        for _ in 0..3 {
            assert_eq!(percent_of(&server.client, &id).await, round, "while the older read is held");
        }
        assert!(!held.is_finished());
        seam.let_go.notify_one();
        assert_eq!(held.await.unwrap(), before, "it began before the change and was held after its read");
        for _ in 0..3 {
            assert_eq!(percent_of(&server.client, &id).await, round, "after the older read has answered");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_after_an_answer_shows_what_it_answered_by_cache_and_by_store() {
    let scratch = tempfile::tempdir().unwrap();
    let (server, seam) = start(&scratch).await;
    let mut racing = tokio::task::JoinSet::new();
    for body in [large(), json!({"operationType": "small", "isExternal": true})] {
        let client = server.client.clone();
        racing.spawn(async move {
            let id = client.submit(&body).await;
            for percent in 1..=100 {
                advance(&client, &id, percent).await;
                let reads = (0..4).map(|_| {
                    tokio::spawn({
                        let (client, id) = (client.clone(), id.clone());
                        async move { percent_of(&client, &id).await }
                    })
                });
                for read in reads.collect::<Vec<_>>() {
                    assert_eq!(read.await.unwrap(), percent);
                }
            }
        });
    }
    let calls = seam.calls.load(Ordering::Relaxed);
    while let Some(raced) = racing.join_next().await {
        raced.expect("every read was up to date");
    }
    assert!(seam.calls.load(Ordering::Relaxed) - calls > 400, "the large one is read from the store");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_about_to_end_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let (server, _) = start(&scratch).await;
    server.drain();
    let answer = server.client.get("/readyz").await;
    assert_eq!((answer.status.as_u16(), &answer.value()["status"]), (503, &json!("shuttingDown")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_is_due_nothing_is_read_however_many_wait() {
    // By hand: a million of them, and ten seconds.
    let from = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let waiting = from("LONGRUN_DELAYED", 20_000);
    let seconds = from("LONGRUN_DELAYED_SECONDS", 3);
    let scratch = tempfile::tempdir().unwrap();
    let (mut store, reader) = inside::store(scratch.path());
    let tomorrow = Duration::from_hours(24);
    inside::fill(&mut store, waiting, tomorrow);
    drop((store, reader));
    let (server, seam) = start(&scratch).await;
    let queues = server.client.get("/v1.0/queues").await.value();
    assert_eq!(queues["value"][0]["delayed"], waiting);
    let calls = seam.calls.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    assert_eq!(seam.calls.load(Ordering::Relaxed), calls, "the store was read while nothing was due");
    server.stop().await;
}
