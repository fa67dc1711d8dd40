//! Copies of the file: taken beside a server that goes on, read again, brought back.
//!
//! A copy is taken by a process of its own, as any reader takes what it reads: of one moment, and in nobody's way. What
//! the log has of later turns cannot be thrown away meanwhile, so it grows for as long as that takes; the server is told
//! ([`read_at_length`]), and does not try.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tempfile::NamedTempFile;

use super::error::{OpenError, Result};
use super::migrate::{APPLICATION, SCHEMA};
use super::open::{
    FILE, LOCK, OTHER_CACHE_KIB, connection, hold, make, private, read_at_length, reading, settle, stays,
    sync,
};
use super::registry::Meta;
use super::{history, open};
use crate::operation::Timestamp;
use crate::store::backup::{BackupError, LEAP, Told};
use crate::store::stored::Damaged;

/// Steps of SQLite between two looks at how far it is, and the time.
const STEPS: i32 = 10_000;
const TOLD_EVERY: Duration = Duration::from_millis(100);
/// Flaws of a file that are named.
const FLAWS: u32 = 5;

/// Attempts of operations that have not ended for good go on with other tokens and versions; external ones have none of
/// the former.
const LEAP_OPERATIONS: &str =
    "UPDATE operation SET version = version + ?1, token = iif(external, token, token + ?1) WHERE status <> 2";
const LEAP_LEASES: &str = "UPDATE lease SET token = token + ?1";
const NEXT_SEQ: &str = "SELECT coalesce(max(seq), 0) + 1 FROM operation";

/// A copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its bytes.
    pub bytes: u64,
    /// How many operations are in it.
    pub operations: u64,
    /// The cursor of the last event in it.
    pub last_cursor: i64,
}

type Outcome<T> = std::result::Result<T, BackupError>;

/// Takes one. What is there under that name stays.
pub(in crate::store) fn take(directory: &Path, file: &Path, tell: &mut dyn FnMut(Told)) -> Outcome<Copied> {
    if file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let store = directory.join(FILE);
    let wrong = BackupError::fault(&store);
    // For this user only, and gone where this ends early.
    let into = NamedTempFile::new_in(parent(file)).map_err(BackupError::file(file))?;
    let (mut connection, lock) = open_beside(directory, &store)?;
    stays(directory)?;
    let before = history::ends(&connection, 0).map_err(&wrong)?.last;
    vacuum(&mut connection, into.path(), tell).map_err(&wrong)?;
    drop((connection, lock));
    into.as_file().sync_all().map_err(BackupError::file(file))?;
    tell(Told::Checking);
    let copied = check(into.path(), file)?;
    if copied.last_cursor < before {
        return Err(BackupError::Lacks);
    }
    into.persist_noclobber(file).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
        _ => BackupError::File { file: file.to_owned(), source: error.error },
    })?;
    sync(parent(file)).map_err(BackupError::file(file))?;
    Ok(copied)
}

/// The store: of a running server as any reader sees it, who needs long, of a stopped one held and recovered.
fn open_beside(directory: &Path, store: &Path) -> Outcome<(Connection, File)> {
    let wrong = BackupError::fault(store);
    match hold(directory) {
        Ok(lock) => {
            let connection = connection(store, OpenFlags::default(), OTHER_CACHE_KIB).map_err(&wrong)?;
            settle(&connection, store).map_err(&wrong)?;
            Ok((connection, lock))
        }
        Err(OpenError::Locked { .. }) => {
            let lock = read_at_length(directory).map_err(|error| wrong(error.into()))?;
            Ok((reading(store).map_err(&wrong)?, lock))
        }
        Err(error) => Err(error.into()),
    }
}

fn vacuum(connection: &mut Connection, into: &Path, tell: &mut dyn FnMut(Told)) -> Result<()> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    let of = (pages * number("page_size")?).unsigned_abs();
    std::thread::scope(|scope| {
        // SQLite wants to call from wherever it works, so that is done elsewhere, and told of here.
        let (sender, receiver) = std::sync::mpsc::channel();
        let copying = scope.spawn(move || -> Result<()> {
            let (file, mut last) = (into.to_owned(), Instant::now());
            let look = move || {
                if last.elapsed() >= TOLD_EVERY {
                    last = Instant::now();
                    // Nobody may listen any more.
                    let _ = sender.send(fs::metadata(&file).map_or(0, |file| file.len()));
                }
                false
            };
            connection.progress_handler(STEPS, Some(look))?;
            let done = connection.execute("VACUUM INTO ?1", [into.to_string_lossy()]);
            connection.progress_handler(0, None::<fn() -> bool>)?;
            done?;
            Ok(())
        });
        for bytes in receiver {
            tell(Told::Copying { bytes, of });
        }
        copying.join().unwrap_or_else(|_| Err(io::Error::other("the copying thread panicked").into()))
    })
}

/// Whether a file is a whole store, known to this version; it is called by another name.
fn check(at: &Path, name: &Path) -> Outcome<Copied> {
    let wrong = BackupError::fault(name);
    let connection = reading(at).map_err(&wrong)?;
    let number = |name: &str| -> Outcome<i64> {
        let number = connection.pragma_query_value(None, name, |row| row.get(0));
        number.map_err(|error| wrong(error.into()))
    };
    if number("application_id")? != APPLICATION {
        return Err(wrong(Damaged("it is no store of longrun").into()));
    }
    let (found, known) = (number("user_version")?, i64::try_from(SCHEMA.len()).unwrap_or(i64::MAX));
    if found > known {
        return Err(OpenError::Newer { file: name.to_owned(), found, known }.into());
    }
    let flaws = flaws(&connection).map_err(&wrong)?;
    if !flaws.is_empty() {
        return Err(OpenError::Corrupt { file: name.to_owned(), what: flaws.join("; ") }.into());
    }
    let count = || -> Result<Copied> {
        let operations: i64 = connection.query_row("SELECT count(*) FROM operation", [], |row| row.get(0))?;
        Ok(Copied {
            bytes: fs::metadata(at)?.len(),
            operations: operations.unsigned_abs(),
            last_cursor: history::ends(&connection, 0)?.last,
        })
    };
    count().map_err(wrong)
}

/// What SQLite finds wrong with the file; nothing: it is whole.
pub(super) fn flaws(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FLAWS})"))?;
    let said = statement.query_map([], |row| row.get(0))?;
    let said: Vec<String> = said.collect::<std::result::Result<_, _>>()?;
    Ok(if said == ["ok"] { Vec::new() } else { said })
}

/// Makes a copy the store of a directory.
pub(in crate::store) fn bring_back(
    file: &Path,
    directory: &Path,
    tell: &mut dyn FnMut(Told),
) -> Outcome<Copied> {
    let mut source = File::open(file).map_err(BackupError::file(file))?;
    if beside(file, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Err(BackupError::NotACopy(file.to_owned()));
    }
    empty(directory)?;
    make(directory)?;
    let _lock = hold(directory)?;
    let store = directory.join(FILE);
    let part = beside(&store, ".part");
    let brought = (|| {
        let mut into = private(&part).map_err(BackupError::file(&part))?;
        io::copy(&mut source, &mut into).map_err(BackupError::file(file))?;
        tell(Told::Checking);
        let copied = check(&part, file)?;
        let connection = connection(&part, OpenFlags::default(), OTHER_CACHE_KIB);
        connection.and_then(renew).map_err(BackupError::fault(file))?;
        into.sync_all().map_err(BackupError::file(&part))?;
        fs::rename(&part, &store).map_err(BackupError::file(&store))?;
        sync(directory).map_err(BackupError::file(directory))?;
        Ok(copied)
    })();
    if brought.is_err() {
        let _ = fs::remove_file(&part);
    }
    brought
}

/// Marks the store of a directory.
pub(in crate::store) fn mark(directory: &Path) -> Outcome<()> {
    let store = directory.join(FILE);
    let wrong = BackupError::fault(&store);
    let _lock = hold(directory).map_err(|error| match error {
        OpenError::Locked { directory } => BackupError::Running(directory),
        other => other.into(),
    })?;
    stays(directory)?;
    let connection = connection(&store, OpenFlags::default(), OTHER_CACHE_KIB).map_err(&wrong)?;
    settle(&connection, &store).map_err(&wrong)?;
    renew(connection).map_err(wrong)
}

/// Begins another history, in one transaction.
fn renew(mut connection: Connection) -> Result<()> {
    let transaction = connection.transaction()?;
    Meta::Epoch.set(&transaction, i64::from(open::fresh_epoch()?))?;
    transaction.execute(LEAP_OPERATIONS, [LEAP])?;
    transaction.execute(LEAP_LEASES, [LEAP])?;
    let next: i64 = transaction.query_row(NEXT_SEQ, [], |row| row.get(0))?;
    let given = Meta::NextSeq.get(&transaction)?.unwrap_or(1);
    Meta::NextSeq.set(&transaction, next.max(given) + LEAP)?;
    // However old the copy is: who brings it back knows what time it is.
    let mark = Meta::ClockMark.get(&transaction)?;
    Meta::ClockMark.set(&transaction, mark.max(Some(Timestamp::wall().ticks())).unwrap_or(0))?;
    Ok(transaction.commit()?)
}

/// There may be nothing in it but what a fresh file system has, or a restore that came to nothing has left.
fn empty(directory: &Path) -> Outcome<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BackupError::file(directory)(error)),
    };
    for entry in entries {
        let inside = entry.map_err(BackupError::file(directory))?.file_name();
        if inside != "lost+found" && inside != LOCK {
            let inside = inside.to_string_lossy().into_owned();
            return Err(BackupError::NotEmpty { directory: directory.to_owned(), inside });
        }
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
