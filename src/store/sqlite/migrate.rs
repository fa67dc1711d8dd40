//! The schema, by number: each migration runs once, forward only, after a copy of what it is about to change.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{Fault, OpenError};
use super::open::refusal;

/// Every schema so far, in order; `PRAGMA user_version` says how many of them a file has seen.
pub(super) const SCHEMA: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
    include_str!("schema/0006.sql"),
];

/// Marks a file as one of ours ("Lngr"), in the place that SQLite keeps for that.
pub(super) const APPLICATION: i64 = 0x4C6E_6772;

/// Brings the file to the latest of `schema`.
pub(super) fn migrate(connection: &mut Connection, file: &Path, schema: &[&str]) -> Result<(), OpenError> {
    let io = |fault: Fault| refusal(&fault, &parent(file), file);
    let number = |name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(Fault::from).map_err(io)
    };
    let (found, application) = (number("user_version")?, number("application_id")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(Fault::from)
        .map_err(io)?;
    if application != APPLICATION && (tables > 0 || found > 0) {
        let what = "it is another program's database".to_owned();
        return Err(OpenError::Corrupt { file: file.to_owned(), what });
    }
    let known = i64::try_from(schema.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::Newer { file: file.to_owned(), found, known });
    }
    for (next, sql) in (1..).zip(schema).skip_while(|(next, _)| *next <= found) {
        if tables > 0 {
            copy(connection, file, next).map_err(io)?;
        }
        apply(connection, sql, next).map_err(io)?;
    }
    Ok(())
}

fn apply(connection: &mut Connection, sql: &str, number: i64) -> Result<(), Fault> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", number)?;
    Ok(transaction.commit()?)
}

/// A consistent copy beside the file. Written under another name first, so that half a copy is never taken for one.
/// SQLite writes it: were the file itself opened here, closing it would drop the locks of this process.
fn copy(connection: &Connection, file: &Path, before: i64) -> Result<(), Fault> {
    let name = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (part, whole) = (name(".part"), name(&format!(".before-{before}")));
    if whole.exists() {
        // An earlier attempt got this far; what it copied is what still stands.
        return Ok(());
    }
    if part.exists() {
        fs::remove_file(&part)?;
    }
    connection.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    File::open(&part).and_then(|copy| copy.sync_all())?;
    fs::rename(&part, &whole)?;
    File::open(parent(file)).and_then(|directory| directory.sync_all())?;
    Ok(())
}

fn parent(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new(".")).to_owned()
}
