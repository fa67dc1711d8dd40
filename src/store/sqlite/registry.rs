//! The small tables: numbers that outlive the process, attempts, workers, credentials.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::columns::{Fields, Prepared};
use super::damage::{Damage, sound};
use super::error::{Fault, Result};
use super::{codes, queues, text};
use crate::limits;
use crate::operation::{Attempt, LeaseToken, Seq};
use crate::store::Registry;
use crate::store::credential::Credential;
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

const ADD_ATTEMPT: &str = "INSERT INTO attempt (seq, token, worker, started, ended, outcome, error) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const ATTEMPTS: &str = "SELECT token, worker, started, ended, outcome, error FROM attempt \
     WHERE seq = ?1 ORDER BY token";
const FORGET_ATTEMPTS: &str = "DELETE FROM attempt WHERE seq = ?1 AND token <= ?2";
const PUT_WORKER: &str = "INSERT OR REPLACE INTO worker (tenant, id, queues, operation_types, address, at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const FORGET_WORKER: &str = "DELETE FROM worker WHERE tenant = ?1 AND id = ?2";
const WORKERS: &str =
    "SELECT tenant, id, queues, operation_types, address, at FROM worker ORDER BY tenant, id";
const PUT_CREDENTIAL: &str = "INSERT OR REPLACE INTO credential \
     (id, tenant, name, scopes, queues, hash, created, revoked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const CREDENTIALS: &str = "SELECT id, tenant, name, scopes, queues, hash, created, revoked FROM credential \
     ORDER BY id";

/// Writes a turn's attempts, workers, credentials and queues.
pub(super) fn write(connection: &Connection, changes: &Changes) -> Result<()> {
    let gone = deleted(changes);
    for attempt in changes.attempts.iter().filter(|attempt| !gone.contains(&attempt.seq)) {
        let mut statement = Prepared::of(connection, ADD_ATTEMPT)?;
        let mut row = statement.row();
        row.put(attempt.seq.0)?.put(attempt.token.0)?.put(attempt.worker.as_str())?;
        row.time(attempt.started)?.time(attempt.ended)?.put(codes::outcome(attempt.outcome))?;
        row.put(attempt.failure.as_ref().map(|failure| text::failure_text(failure)))?;
        row.run()?;
        let forgotten = attempt.token.0 - limits::ATTEMPTS_KEPT_MAX;
        if forgotten > 0 {
            connection.prepare_cached(FORGET_ATTEMPTS)?.execute((attempt.seq.0, forgotten))?;
        }
    }
    for (tenant, worker) in &changes.workers_forgotten {
        connection.prepare_cached(FORGET_WORKER)?.execute((tenant.as_str(), worker.as_str()))?;
    }
    for worker in &changes.workers {
        connection.prepare_cached(PUT_WORKER)?.execute((
            worker.tenant.as_str(),
            worker.worker.as_str(),
            worker.queues.as_deref().map(text::names_text),
            worker.operation_types.as_deref().map(text::names_text),
            worker.address.map(|address| address.to_string()),
            worker.at.ticks(),
        ))?;
    }
    for credential in &changes.credentials {
        let scopes: Vec<&str> = credential.scopes.iter().map(|scope| &**scope).collect();
        connection.prepare_cached(PUT_CREDENTIAL)?.execute((
            &*credential.id,
            credential.tenant.as_str(),
            &*credential.name,
            // Texts always serialise.
            serde_json::to_string(&scopes).unwrap_or_default(),
            credential.queues.as_deref().map(text::names_text),
            credential.hash.as_slice(),
            credential.created.ticks(),
            credential.revoked,
        ))?;
    }
    queues::write(connection, changes)
}

/// The operations that are gone with this turn. One that also came with it is known by its events alone.
fn deleted(changes: &Changes) -> HashSet<Seq> {
    let gone = |recorded: &&Recorded| changes.operations[recorded.touched].after.is_none();
    changes.events.iter().filter(gone).map(|recorded| recorded.event.operation.seq).collect()
}

/// The attempts of an operation that ended badly, oldest first.
pub(super) fn attempts(connection: &Connection, seq: Seq) -> Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(ATTEMPTS)?;
    let mut rows = statement.query([seq.0])?;
    let mut attempts = Vec::new();
    while let Some(row) = rows.next()? {
        let mut fields = Fields::of(row);
        attempts.push(Attempt {
            seq,
            token: LeaseToken(fields.int()?),
            worker: text::tag(fields.text()?)?,
            started: fields.time()?,
            ended: fields.time()?,
            outcome: codes::outcome_of(fields.int()?).ok_or(Fault::Damaged("an outcome has no word"))?,
            failure: fields.maybe_text()?.map(text::failure).transpose()?,
        });
    }
    Ok(attempts)
}

/// What is kept beside operations.
pub(super) fn all(connection: &Connection, damage: &Damage) -> Result<Registry> {
    Ok(Registry {
        workers: workers(connection, damage)?,
        credentials: credentials(connection)?,
        queues: queues::all(connection, damage)?,
    })
}

fn workers(connection: &Connection, damage: &Damage) -> Result<Vec<WorkerSeen>> {
    let mut statement = connection.prepare_cached(WORKERS)?;
    let mut rows = statement.query([])?;
    let mut workers = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(1)?;
        workers.extend(sound(damage.heard("worker", id, worker(&mut Fields::of(row))))?);
    }
    Ok(workers)
}

fn worker(fields: &mut Fields<'_>) -> Result<WorkerSeen> {
    Ok(WorkerSeen {
        tenant: text::tenant(fields.text()?)?,
        worker: text::tag(fields.text()?)?,
        queues: fields.maybe_text()?.map(text::names).transpose()?,
        operation_types: fields.maybe_text()?.map(text::names).transpose()?,
        address: fields.maybe_text()?.map(text::address).transpose()?,
        at: fields.time()?,
    })
}

fn credentials(connection: &Connection) -> Result<Vec<Credential>> {
    let mut statement = connection.prepare_cached(CREDENTIALS)?;
    let mut rows = statement.query([])?;
    let mut credentials = Vec::new();
    while let Some(row) = rows.next()? {
        let mut fields = Fields::of(row);
        credentials.push(Credential {
            id: Arc::from(fields.text()?),
            tenant: text::tenant(fields.text()?)?,
            name: Arc::from(fields.text()?),
            scopes: text::words(fields.text()?)?.into_iter().map(Arc::from).collect(),
            queues: fields.maybe_text()?.map(text::names).transpose()?,
            hash: fields.blob()?.try_into().map_err(|_| Fault::Damaged("a hash has another length"))?,
            created: fields.time()?,
            revoked: fields.flag()?,
        });
    }
    Ok(credentials)
}
