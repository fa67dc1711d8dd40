//! From a directory to a store that may be read: held, recovered, copied back, brought to the latest schema.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use super::error::{Fault, Health, OpenError, Result};
use super::lanes::Lanes;
use super::leases::Leases;
use super::migrate::{self, SCHEMA};
use super::queues::Queues;
use super::reader::SqliteReader;
use super::registry::{Meta, drawn_link_key};
use super::space::Space;
use super::wal::{self, Log};
use super::{Resident, SqliteStore, due, source};
use crate::operation::Timestamp;
use crate::store::clock::{Clock, TimeSource};
use crate::store::stored::Damage;
use crate::store::stored::{Damaged, narrow};

/// The database.
pub(super) const FILE: &str = "longrun.db";
/// Held for the life of the store.
pub(super) const LOCK: &str = "longrun.lock";
/// How long a statement waits for a program that looks at the file.
const BUSY: Duration = Duration::from_millis(250);
/// KiB of pages that the writer keeps. What a turn needs once is in the system's cache; many pages here only cost, since
/// a commit that has split one looks through them all.
pub(super) const WRITER_CACHE_KIB: i64 = 8 << 10;
/// KiB of pages that each of the other connections keeps.
pub(super) const OTHER_CACHE_KIB: i64 = 2 << 10;
/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 128;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// Where its files are; made when it is not there.
    pub directory: PathBuf,
    /// With less than this left on the disk there is no room for new work.
    pub min_free_bytes: u64,
    /// Where its clock reads from.
    pub time: Arc<dyn TimeSource>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Options")
            .field("directory", &self.directory)
            .field("min_free_bytes", &self.min_free_bytes)
            .finish_non_exhaustive()
    }
}

/// Whether the directory has a store, whoever holds it.
pub fn is_there(directory: &Path) -> bool {
    directory.join(FILE).is_file()
}

/// Opens the store of a directory, or makes it. Its two halves share one clock.
pub fn open(options: Options) -> std::result::Result<(SqliteStore, Arc<SqliteReader>), OpenError> {
    let Options { directory, min_free_bytes, time } = options;
    make(&directory)?;
    let lock = hold(&directory)?;
    stays(&directory)?;
    let mut space = Space::open(&directory, min_free_bytes);
    let file = directory.join(FILE);
    if !file.exists() {
        // Only then: closing a database that is open elsewhere in this process drops the locks on it.
        private(&file)
            .map_err(|error| OpenError::Io { directory: directory.clone(), what: error.to_string() })?;
    }
    let refuse = |fault: Fault| refusal(&fault, &directory, &file);
    let synced = File::open(&file).map(Arc::new).map_err(|error| refuse(error.into()))?;

    let Recovered { mut writer, resident, clock, epoch } = match recover(&directory, &file, &time) {
        // As while it serves: on the reserve's room what runs can end.
        Err(OpenError::Full { .. }) if space.release() => recover(&directory, &file, &time)?,
        other => other?,
    };

    let health = Arc::new(Health::default());
    let copier = connection(&file, OpenFlags::default(), OTHER_CACHE_KIB).map_err(refuse)?;
    let log = Log::watch(&mut writer, copier, synced.clone(), health.clone()).map_err(refuse)?;
    let reader =
        SqliteReader::open(file.clone(), synced.clone(), clock.clone(), epoch, resident.damage.clone())
            .map_err(refuse)?;
    sync(&directory).map_err(|error| refuse(error.into()))?;
    let store = SqliteStore { log, writer, resident, clock, space, health, epoch, _synced: synced, lock };
    Ok((store, Arc::new(reader)))
}

/// A file that may be written, and what is known of it.
struct Recovered {
    writer: Connection,
    resident: Resident,
    clock: Arc<Clock>,
    epoch: u32,
}

fn recover(
    directory: &Path,
    file: &Path,
    time: &Arc<dyn TimeSource>,
) -> std::result::Result<Recovered, OpenError> {
    let refuse = |fault: Fault| refusal(&fault, directory, file);
    let mut writer = connection(file, OpenFlags::default(), WRITER_CACHE_KIB).map_err(refuse)?;
    settle(&writer, file).map_err(refuse)?;
    migrate::migrate(&mut writer, file, SCHEMA)?;
    let (resident, clock, epoch) = resume(&mut writer, time.clone()).map_err(refuse)?;
    Ok(Recovered { writer, resident, clock, epoch })
}

/// Users' data is in it: for this user only.
pub(super) fn make(directory: &Path) -> std::result::Result<(), OpenError> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| directory.parent().map_or(Ok(()), sync_if_named))
        .map_err(|source| OpenError::Directory { directory: directory.to_owned(), source })
}

fn sync_if_named(directory: &Path) -> std::io::Result<()> {
    if directory.as_os_str().is_empty() { sync(Path::new(".")) } else { sync(directory) }
}

/// Makes the names in it durable.
pub(super) fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Opens a file, or makes it for this user only: the directory may have been there before, and open to others. SQLite
/// gives its log the mode of the database.
pub(super) fn private(file: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)
}

/// Holds a directory for this server alone, until the answer is dropped.
pub fn hold(directory: &Path) -> std::result::Result<File, OpenError> {
    let io = |error: std::io::Error| OpenError::Io {
        directory: directory.to_owned(),
        what: format!("its lock file: {error}"),
    };
    let file = private(&directory.join(LOCK)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Tells the server of a directory that its whole file is being read: as long as the answer is kept, it lets its log grow.
pub(super) fn read_at_length(directory: &Path) -> std::io::Result<File> {
    let file = File::open(directory.join(LOCK))?;
    fcntl_lock(&file, FlockOperation::LockShared)?;
    Ok(file)
}

/// Whether another process does, by the file that the server holds: by the other kind of lock, which knows nothing of this one.
pub(super) fn is_read_at_length(lock: &File) -> bool {
    match fcntl_lock(lock, FlockOperation::NonBlockingLockExclusive) {
        // What cannot be given back ends with the process, and keeps nobody from reading but those who wait for it.
        Ok(()) => fcntl_lock(lock, FlockOperation::Unlock).is_err(),
        Err(error) => matches!(error, Errno::AGAIN | Errno::ACCESS),
    }
}

/// A store that has gone elsewhere is served there: here it would begin to be another one.
pub(super) fn stays(directory: &Path) -> std::result::Result<(), OpenError> {
    let directory = directory.to_owned();
    match source::moved(&directory) {
        Ok(None) => Ok(()),
        Ok(Some(to)) => Err(OpenError::Moved { directory, to }),
        Err(error) => Err(OpenError::Io { directory, what: error.to_string() }),
    }
}

pub(in crate::store) fn refusal(fault: &Fault, directory: &Path, file: &Path) -> OpenError {
    if fault.is_full() {
        OpenError::Full { directory: directory.to_owned() }
    } else if fault.is_damage() {
        OpenError::Corrupt { file: file.to_owned(), what: fault.to_string() }
    } else {
        OpenError::Io { directory: directory.to_owned(), what: fault.to_string() }
    }
}

/// A connection that only reads.
pub(super) fn reading(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    connection(file, flags, OTHER_CACHE_KIB)
}

pub(super) fn connection(file: &Path, flags: OpenFlags, cache_kib: i64) -> Result<Connection> {
    let connection = Connection::open_with_flags(file, flags - OpenFlags::SQLITE_OPEN_URI)?;
    // Else a claim is planned anew whenever its bounds are others than the last one's.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(&format!(
        "PRAGMA locking_mode = NORMAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; \
         PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1; PRAGMA foreign_keys = 0; \
         PRAGMA mmap_size = 0; PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY; \
         PRAGMA journal_size_limit = {};",
        wal::LONGEST_BYTES
    ))?;
    Ok(connection)
}

/// Before anybody reads: what was recovered from the log is synced into the file. It may have come from the page cache,
/// be shown, and vanish in a power cut a second later.
pub(super) fn settle(writer: &Connection, file: &Path) -> Result<()> {
    writer.pragma_update(None, "page_size", wal::PAGE_BYTES)?;
    let mode = log_mode(writer)?;
    if mode != "wal" {
        let what = format!("SQLite keeps its journal as {mode} there, not as a write-ahead log");
        return Err(Fault::File(std::io::Error::other(what)));
    }
    match writer.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE).map_err(Fault::from) {
        // Somebody takes a copy, of a server that has ended since, and still reads the log: so that is synced itself.
        Err(fault) if fault.is_busy() => File::open(log_of(file))?.sync_all()?,
        done => drop(done?),
    }
    let number = |pragma| writer.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let said = number("page_count")? * number("page_size")?;
    if fs::metadata(file)?.len() < said.unsigned_abs() {
        return Err(Damaged("it is shorter than its own header says").into());
    }
    Ok(())
}

fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Keeps the journal as a write-ahead log; the mode that holds then. SQLite tells the mode before it writes the change: only
/// the statement's end says whether that went well. In the old mode, commits would not outlive a power loss.
fn log_mode(writer: &Connection) -> Result<String> {
    let mut statement = writer.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mode = match rows.next()? {
        Some(row) => row.get(0)?,
        None => String::new(),
    };
    while rows.next()?.is_some() {}
    Ok(mode)
}

/// Reads what is kept in memory, and does to the leases what a start does.
fn resume(writer: &mut Connection, time: Arc<dyn TimeSource>) -> Result<(Resident, Arc<Clock>, u32)> {
    let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let epoch = epoch(&transaction)?;
    drawn_link_key(&transaction)?;
    let last_event = highest(&transaction, "SELECT at FROM event ORDER BY cursor DESC LIMIT 1")?;
    let mark = Meta::ClockMark.get(&transaction)?.max(last_event).map(Timestamp::from_ticks);
    let clock = Arc::new(Clock::new(time, mark));
    let now = clock.now();
    Meta::ClockMark.set(&transaction, now.ticks())?;
    Leases::resume(&transaction, now)?;
    let damage = Arc::new(Damage::default());
    let after = |highest: Option<i64>| highest.map_or(1, |highest| highest + 1);
    let seq = after(highest(&transaction, "SELECT max(seq) FROM operation")?);
    let cursor = after(highest(&transaction, "SELECT max(cursor) FROM event")?);
    let lanes = Lanes::load(&transaction, &damage)?;
    let mut leases = Leases::load(&transaction, &lanes, &damage)?;
    let resident = Resident {
        queues: Queues::load(&transaction, &mut leases, &damage)?,
        lanes,
        leases,
        wake: due::Wake::default(),
        aside: HashSet::new(),
        damage,
        next_seq: Meta::NextSeq.get(&transaction)?.unwrap_or(1).max(seq),
        next_cursor: Meta::NextCursor.get(&transaction)?.unwrap_or(1).max(cursor),
        pruned_upto: Meta::PrunedUpto.get(&transaction)?.unwrap_or(0),
        mark: now,
    };
    transaction.commit()?;
    Ok((resident, clock, epoch))
}

fn highest(connection: &Connection, sql: &str) -> Result<Option<i64>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    Ok(match rows.next()? {
        Some(row) => row.get(0)?,
        None => None,
    })
}

/// 32 random bits, drawn when the file is made.
pub(super) fn epoch(connection: &Connection) -> Result<u32> {
    if let Some(epoch) = Meta::Epoch.get(connection)? {
        return Ok(narrow(epoch)?);
    }
    let epoch = fresh_epoch()?;
    Meta::Epoch.set(connection, i64::from(epoch))?;
    Ok(epoch)
}

pub(super) fn fresh_epoch() -> Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| Fault::File(std::io::Error::other(error.to_string())))?;
    Ok(u32::from_le_bytes(bytes))
}
