//! A server inside the test's own process, over a store that the test may hold, slow down or count.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longrun::server::Running;
use longrun::settings::{Given, Settings};
use longrun::store::clock::{Machine, TimeSource};
use longrun::store::sqlite::{self, SqliteReader, SqliteStore};
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

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Ends it and gives its directory free.
    pub async fn stop(self) {
        self.running.stop(Duration::from_secs(1)).await;
    }
}
