//! The small tables: numbers that outlive the process, attempts, workers, credentials, the key that signs links.

use std::collections::HashSet;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension};

use super::columns::{Binder, Prepared, fields};
use super::error::{Fault, Result};
use super::queues;
use crate::limits;
use crate::operation::{Attempt, Seq};
use crate::store::Registry;
use crate::store::credential::{Credential, LinkKey};
use crate::store::stored::damage::{Damage, sound};
use crate::store::stored::registry;
use crate::store::turn::{Changes, Recorded, WorkerSeen};

/// The numbers in `meta`.
#[derive(Clone, Copy)]
pub(super) enum Meta {
    /// 32 random bits: which history this is.
    Epoch,
    /// The latest time the store has shown, give or take ten seconds.
    ClockMark,
    /// Numbers below it were given, though their rows may be gone.
    NextSeq,
    /// The same, of events.
    NextCursor,
    /// Events up to it may be pruned.
    PrunedUpto,
}

impl Meta {
    fn key(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::ClockMark => "clock_mark",
            Self::NextSeq => "next_seq",
            Self::NextCursor => "next_cursor",
            Self::PrunedUpto => "pruned_upto",
        }
    }

    pub(super) fn get(self, connection: &Connection) -> Result<Option<i64>> {
        let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([self.key()], |row| row.get(0)).optional()?)
    }

    pub(super) fn set(self, connection: &Connection, value: i64) -> Result<()> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute((self.key(), value))?;
        Ok(())
    }
}

const LINK_KEY: &str = "SELECT value FROM secret WHERE name = 'links'";
const ADD_LINK_KEY: &str = "INSERT INTO secret (name, value) VALUES ('links', ?1)";

/// What signs links, if it was drawn yet.
fn link_key(connection: &Connection) -> Result<Option<LinkKey>> {
    let mut statement = connection.prepare_cached(LINK_KEY)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(registry::link_key(&mut fields(row))?))
}

/// Draws what signs links when the store is made.
pub(super) fn drawn_link_key(connection: &Connection) -> Result<LinkKey> {
    if let Some(key) = link_key(connection)? {
        return Ok(key);
    }
    let key = LinkKey::fresh().map_err(|error| Fault::File(std::io::Error::other(error.to_string())))?;
    connection.prepare_cached(ADD_LINK_KEY)?.execute([&key.0])?;
    Ok(key)
}

static ADD_ATTEMPT: LazyLock<String> = LazyLock::new(|| {
    let holes = ["?"; registry::ATTEMPT.len()].join(", ");
    format!("INSERT INTO attempt ({}) VALUES ({holes})", registry::ATTEMPT.join(", "))
});
static ATTEMPTS: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {} FROM attempt WHERE seq = ?1 ORDER BY token", registry::ATTEMPT[1..].join(", "))
});
/// All but the latest: their tokens need not follow one another.
const FORGET_ATTEMPTS: &str = "DELETE FROM attempt WHERE seq = ?1 AND token < \
     (SELECT token FROM attempt WHERE seq = ?1 ORDER BY token DESC LIMIT 1 OFFSET ?2)";
static PUT_WORKER: LazyLock<String> = LazyLock::new(|| replacing("worker", &registry::WORKER));
const FORGET_WORKER: &str = "DELETE FROM worker WHERE tenant = ?1 AND id = ?2";
static WORKERS: LazyLock<String> = LazyLock::new(|| all_of("worker", &registry::WORKER, "tenant, id"));
static PUT_CREDENTIAL: LazyLock<String> = LazyLock::new(|| replacing("credential", &registry::CREDENTIAL));
const USED: &str = "UPDATE credential SET used = max(coalesce(used, ?2), ?2) WHERE id = ?1";
static CREDENTIALS: LazyLock<String> = LazyLock::new(|| all_of("credential", &registry::CREDENTIAL, "id"));

/// Writes a turn's attempts, workers, credentials and queues.
pub(super) fn write(connection: &Connection, changes: &Changes) -> Result<()> {
    let gone = deleted(changes);
    for attempt in changes.attempts.iter().filter(|attempt| !gone.contains(&attempt.seq)) {
        put(connection, &ADD_ATTEMPT, |row| registry::bind_attempt(row, attempt))?;
        if attempt.token.0 > limits::ATTEMPTS_KEPT_MAX {
            let last = limits::ATTEMPTS_KEPT_MAX - 1;
            connection.prepare_cached(FORGET_ATTEMPTS)?.execute((attempt.seq.0, last))?;
        }
    }
    for (tenant, worker) in &changes.workers_forgotten {
        connection.prepare_cached(FORGET_WORKER)?.execute((tenant.as_str(), worker.as_str()))?;
    }
    for worker in &changes.workers {
        put(connection, &PUT_WORKER, |row| registry::bind_worker(row, worker))?;
    }
    for credential in &changes.credentials {
        put(connection, &PUT_CREDENTIAL, |row| registry::bind_credential(row, credential))?;
    }
    for (token, at) in &changes.tokens_used {
        connection.prepare_cached(USED)?.execute((&**token, at.ticks()))?;
    }
    queues::write(connection, changes)
}

/// Writes one row of a small table.
pub(super) fn put<'c>(
    connection: &'c Connection,
    sql: &str,
    bind: impl FnOnce(&mut Binder<'_, 'c>),
) -> Result<()> {
    let mut statement = Prepared::of(connection, sql)?;
    let mut row = statement.row();
    bind(&mut row);
    row.run()?;
    Ok(())
}

/// What puts a row into a small table, in place of an older one.
pub(super) fn replacing(table: &str, columns: &[&str]) -> String {
    let holes = vec!["?"; columns.len()].join(", ");
    format!("INSERT OR REPLACE INTO {table} ({}) VALUES ({holes})", columns.join(", "))
}

fn all_of(table: &str, columns: &[&str], order: &str) -> String {
    format!("SELECT {} FROM {table} ORDER BY {order}", columns.join(", "))
}

/// The operations that are gone with this turn. One that also came with it is known by its events alone.
fn deleted(changes: &Changes) -> HashSet<Seq> {
    let gone = |recorded: &&Recorded| changes.operations[recorded.touched].after.is_none();
    changes.events.iter().filter(gone).map(|recorded| recorded.event.operation.seq).collect()
}

/// The attempts of an operation that ended badly, oldest first.
pub(super) fn attempts(connection: &Connection, seq: Seq) -> Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(&ATTEMPTS)?;
    let mut rows = statement.query([seq.0])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        attempts.push(registry::attempt(&mut fields(row), seq)?);
    }
    Ok(attempts)
}

/// What is kept beside operations.
pub(super) fn all(connection: &Connection, damage: &Damage) -> Result<Registry> {
    Ok(Registry {
        workers: workers(connection, damage)?,
        credentials: credentials(connection)?,
        queues: queues::all(connection, damage)?,
        link_key: link_key(connection)?,
    })
}

fn workers(connection: &Connection, damage: &Damage) -> Result<Vec<WorkerSeen>> {
    let mut statement = connection.prepare_cached(&WORKERS)?;
    let mut rows = statement.query([])?;
    let mut workers = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(1)?;
        workers.extend(sound(damage.heard("worker", id, registry::worker(&mut fields(row))))?);
    }
    Ok(workers)
}

fn credentials(connection: &Connection) -> Result<Vec<Credential>> {
    let mut statement = connection.prepare_cached(&CREDENTIALS)?;
    let mut rows = statement.query([])?;
    let mut credentials = Vec::new();
    while let Some(row) = rows.next()? {
        credentials.push(registry::credential(&mut fields(row))?);
    }
    Ok(credentials)
}
