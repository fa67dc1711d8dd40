//! A server inside the test's own process, over a store that the test may hold, slow down or count.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longrun::operation::{
    self, Actor, Context, EventKind, Lane, Name, Opening, OperationId, Progress, Seq, Spec, Submission,
    TenantId, Timestamp, Via,
};
use longrun::server::Running;
use longrun::settings::{Given, Settings};
use longrun::store::clock::{Machine, TimeSource};
use longrun::store::sqlite::{self, SqliteReader, SqliteStore};
use longrun::store::turn::{Changes, Recorded, Touched, Touches};
use longrun::store::{Reader, Store};
use longrun::tracker::Options;

use crate::support::Client;

/// A running server.
pub struct Inside {
    running: Running,
    pub client: Client,
}

/// The embedded store of a directory, with the machine's clock.
pub fn store(directory: &Path) -> (SqliteStore, Arc<SqliteReader>) {
    store_with(directory, Arc::new(Machine::default()))
}

/// The embedded store of a directory, with a clock of the test's.
pub fn store_with(directory: &Path, time: Arc<dyn TimeSource>) -> (SqliteStore, Arc<SqliteReader>) {
    let options = sqlite::Options { directory: directory.to_owned(), min_free_bytes: 0, time };
    sqlite::open(options).expect("the store can be opened")
}

fn settings(directory: &Path) -> Settings {
    let settings = Given::default().settle().expect("the defaults hold");
    let listen = ([127, 0, 0, 1], 0).into();
    Settings { listen, data: directory.to_owned(), workers: 0, public_url: None, ..settings }
}

impl Inside {
    /// Starts without worker tasks of its own.
    pub async fn start(
        directory: &Path,
        store: Box<dyn Store>,
        reader: Arc<dyn Reader>,
        options: Options,
    ) -> Self {
        let started = Running::start(&settings(directory), store, reader, options).await;
        let running = started.expect("the server can be started");
        let client = Client::new(&format!("http://{}", running.address));
        Self { running, client }
    }

    /// It takes no more claims, as at the beginning of its end.
    pub fn drain(&self) {
        self.running.tracker.drain();
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Ends it and gives its directory free.
    pub async fn stop(self) {
        self.running.stop(Duration::from_secs(1)).await;
    }
}

/// Adds as many operations with that delay, through the store's own door.
pub fn fill(store: &mut dyn Store, operations: usize, delay: Duration) {
    let mut left = operations;
    while left > 0 {
        let batch = left.min(5_000);
        left -= batch;
        let set = store.begin(&Touches::default()).expect("a turn begins");
        let mut changes = Changes::default();
        for (place, seq) in (0..batch).zip(set.first_seq.0..) {
            let context = Context { now: set.now, jitter: 0.5 };
            let created = operation::submit(&submission(set.now, delay), Seq(seq), context);
            let actor = Actor { name: Arc::from("test"), via: Via::Cli };
            let event = Recorded::new(place, EventKind::Created, actor, None, created.clone(), set.now);
            changes.events.push(event);
            changes.operations.push(Touched { before: None, after: Some(created), cursor: 0 });
        }
        store.commit(&mut changes).expect("a turn is committed");
    }
}

fn submission(now: Timestamp, delay: Duration) -> Submission {
    let name = |text| Name::parse(text).expect("a name");
    let lane = Lane { tenant: TenantId::default(), queue: name("default"), operation_type: name("delayed") };
    let spec = Spec {
        id: OperationId::fresh(),
        lane: Arc::new(lane),
        external: false,
        key: None,
        fingerprint: None,
        created: now,
        received: now,
        input: None,
        priority: 0,
        timeout_seconds: None,
        max_attempts: 3,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("test"),
    };
    Submission {
        spec,
        last_action: None,
        start_at: Some(now.plus(delay)),
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    }
}
