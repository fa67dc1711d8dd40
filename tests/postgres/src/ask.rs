//! Statements, for a test that is in no need of a client of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Error, NoTls, SimpleQueryMessage};

use super::Postgres;

const PATIENCE: Duration = Duration::from_secs(30);

/// A database of its own, dropped at the end.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A fresh one on the shared server.
    pub fn create() -> Self {
        Self::create_on(Postgres::shared())
    }

    /// A fresh one on a server, which is named by the URL of a database that it has.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub fn create_on(server: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(server, &format!("CREATE DATABASE {name} TEMPLATE template0"))
            .expect("the database can be made");
        Self { server: server.to_owned(), name }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let (start, _) = self.server.rsplit_once('/').unwrap_or((&self.server, ""));
        format!("{start}/{}", self.name)
    }

    /// Runs statements in it.
    ///
    /// # Panics
    ///
    /// When they fail.
    pub fn run(&self, sql: &str) {
        execute(&self.url(), sql).expect("the statements are good");
    }

    /// The first column of the first row of what a query finds.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn ask(&self, sql: &str) -> Option<String> {
        ask(&self.url(), sql).expect("the query is good")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = execute(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Runs statements at the place that a URL names.
pub fn execute(url: &str, sql: &str) -> Result<(), Error> {
    ask(url, sql).map(drop)
}

/// The first column of the first row of what a query finds at the place that a URL names.
///
/// # Panics
///
/// When this machine has no more threads.
pub fn ask(url: &str, sql: &str) -> Result<Option<String>, Error> {
    // A thread of its own: the caller may be in the middle of a runtime.
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
                tokio::spawn(connection);
                let said = client.simple_query(sql).await?;
                let mut rows = said.iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                Ok(rows.next().and_then(|row| row.get(0)).map(str::to_owned))
            })
        });
        asking.join().expect("it does not panic")
    })
}

/// Waits until something holds.
///
/// # Panics
///
/// When it does not for too long.
pub(crate) fn wait_until(mut holds: impl FnMut() -> bool, or_else: impl Fn() -> String) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{}", or_else());
        std::thread::sleep(Duration::from_millis(20));
    }
}
