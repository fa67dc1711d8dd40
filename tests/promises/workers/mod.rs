//! Workers die, freeze, are told to end, and lose what they say on its way: operations are completed once all the same.

mod dead;
mod frozen;
mod told_to_end;
mod weather;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use longrun_sdk::wire::{Attempt, EventKind, Submit};
use longrun_sdk::{Client, client::WatchFilter};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::support::{Server, until};

/// How long what a whole round has begun may take to end.
const ROUND: Duration = Duration::from_mins(2);

/// How often something is done: in small unless the environment says otherwise.
fn times(variable: &str, few: usize) -> usize {
    std::env::var(variable).map_or(few, |text| text.parse().expect("a number"))
}

/// What happened to all operations of a server, as a watcher was told that outlives its restarts.
struct History {
    client: Client,
    events: Arc<Mutex<HashMap<Uuid, Vec<Told>>>>,
    _watching: AbortOnDropHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    kind: EventKind,
    percent: Option<f64>,
}

impl History {
    /// Begins to watch.
    async fn of(server: &Server) -> Self {
        let client = Client::builder(&server.url).deadline(ROUND).build().expect("it is a URL");
        let mut watch = client.watch_all(&WatchFilter::default());
        let events = Arc::new(Mutex::new(HashMap::<Uuid, Vec<Told>>::new()));
        let told = Arc::clone(&events);
        let watching = tokio::spawn(async move {
            while let Ok(Some(event)) = watch.next().await {
                assert_ne!(event.event, EventKind::Reset, "nothing is missed");
                if let Some(operation) = event.operation {
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    let event = Told { kind: event.event, percent: operation.percent_complete };
                    told.entry(operation.id).or_default().push(event);
                }
            }
        });
        let history = Self { client, events, _watching: AbortOnDropHandle::new(watching) };
        // A stream of many begins with what is now: it has begun when it tells of something.
        until("the begin of the watch", || async {
            server.client().submit(&json!({ "startDateTime": "2100-01-01T00:00:00Z" })).await;
            (!history.events().is_empty()).then_some(())
        })
        .await;
        history
    }

    fn events(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<Told>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, id: Uuid, kind: EventKind) -> usize {
        self.events().get(&id).map_or(0, |events| events.iter().filter(|told| told.kind == kind).count())
    }

    /// Waits until this has happened to each of them.
    async fn all(&self, ids: &[Uuid], kind: EventKind) {
        let began = Instant::now();
        loop {
            let lack: Vec<_> = ids.iter().filter(|&&id| self.count(id, kind) == 0).collect();
            let Some(&&first) = lack.first() else { return };
            if began.elapsed() > ROUND {
                let (of, told) = (ids.len(), self.events().get(&first).cloned());
                let (operation, attempts) = (self.client.get(first).await, self.attempts(first).await);
                panic!("{} of {of} were not {kind:?}: {told:?} {operation:?} {attempts:?}", lack.len());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// That each was completed, once, and never failed; how many attempts each has had, as it is charged.
    async fn completed_once(&self, ids: &[Uuid]) -> Vec<u32> {
        self.all(ids, EventKind::Completed).await;
        let mut charged = Vec::new();
        for &id in ids {
            assert_eq!(
                (self.count(id, EventKind::Completed), self.count(id, EventKind::Failed)),
                (1, 0),
                "{id}"
            );
            let operation = self.client.get(id).await.expect("it is kept").operation;
            charged.push(operation.attempts_count.expect("it was attempted"));
        }
        charged
    }

    /// The attempts of an operation that ended badly, and the one that runs.
    async fn attempts(&self, id: Uuid) -> Vec<Attempt> {
        self.client.attempts(id).await.expect("they are kept")
    }

    /// Submits so many operations of a type.
    async fn submit(&self, operation_type: &str, count: usize) -> Vec<Uuid> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let submitted = self.client.submit(Submit::new(operation_type)).await;
            ids.push(submitted.expect("it is taken").operation.id);
        }
        ids
    }
}
