//! How things stand in a store over all tenants: what an operator watches.

use async_trait::async_trait;

use super::{AllTenants, StoreError};
use crate::operation::{QueueName, Status, Timestamp};

/// A store that tells how it stands. Nobody but a scrape of the metrics asks, so it is apart from what else a reader does.
#[async_trait]
pub trait Figured: Send + Sync {
    /// How things stand, by a look that costs about as much whatever is in the store.
    async fn figures(&self, of: AllTenants) -> Result<Figures, StoreError>;
}

/// How things stand, over all tenants.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// How many operations stand where, in any order. A queue's name may be there more than once.
    pub counts: Vec<Count>,
    /// Since when the oldest ready operation waits, of each queue that has any; none: that would take too long to find.
    pub oldest_ready: Option<Vec<(QueueName, Timestamp)>>,
    /// Of the embedded store.
    pub embedded: Option<Embedded>,
    /// Of a database that several nodes share.
    pub database: Option<Database>,
}

/// How many operations stand at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Of which queue, of any tenant.
    pub queue: QueueName,
    /// Where they stand.
    pub status: Status,
    /// Whether they may not start yet.
    pub held: bool,
    /// Whether their owners advance them.
    pub external: bool,
    /// How many.
    pub n: u64,
}

/// A file of the embedded store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of its write-ahead log.
    pub log_bytes: u64,
    /// Bytes in the file that are free for new rows.
    pub reusable_bytes: u64,
    /// Bytes that are free on its disk; none: the system does not say.
    pub free_bytes: Option<u64>,
}

/// A shared database.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// Longrun's tables; the partitions of the history as one.
    pub tables: Vec<Table>,
    /// How long ago the oldest transaction began that still holds a snapshot of this database, in seconds, as far as this
    /// user may see; 0: there is none.
    pub oldest_snapshot_seconds: f64,
    /// How many transactions ago the oldest snapshot was taken that keeps dead rows from being removed, those of replication
    /// and of prepared transactions included.
    pub oldest_snapshot_transactions: u64,
    /// Bytes of write-ahead log that the whole server has written since it was made.
    pub wal_bytes: u64,
    /// What users' transactions have handed in and no node has taken in yet: how many, counted up to some thousands, and since
    /// when the first one waits.
    pub deposits: (u64, Option<Timestamp>),
    /// Of this node's connections for reads: in use, at rest.
    pub connections: (usize, usize),
}

/// A table of a shared database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its bytes, with its indexes.
    pub bytes: u64,
    /// Rows that are there, as the server estimates.
    pub live_rows: u64,
    /// Rows that are gone and still take room, as the server estimates.
    pub dead_rows: u64,
}
