//! A copy of an embedded store, taken while it is served, and a store made of such a copy. A database is copied by its own
//! tools; once a copy of it was brought back, it is marked here.
//!
//! What is brought back is an older state, and what came after it has been seen: by watchers, in cursors; by pollers, in
//! `ETag`s; by workers, in lease tokens. So it is *marked*: it begins another history, and its numbers go on far beyond
//! any that may have been given since.

use std::io;
use std::path::{Path, PathBuf};

use super::postgres::{self, restored};
use super::sqlite::{self, Fault, copy};

pub use super::sqlite::Copied;

/// By how much numbers go on: more than one operation, or one store, can have had in between.
pub(super) const LEAP: i64 = 1_000_000;

/// Why nothing was copied, or brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to copy, or to mark.
    #[error("there is no store in {}: give the server's data by --data", .0.display())]
    NoStore(PathBuf),
    /// The copy would take something else's place.
    #[error("{} is there already: a copy takes nothing's place", .0.display())]
    Exists(PathBuf),
    /// The store would take something else's place.
    #[error("{} is not empty, there is {inside} in it: a store is restored into an empty directory only", .directory.display())]
    NotEmpty {
        /// Which.
        directory: PathBuf,
        /// One of the names in it.
        inside: String,
    },
    /// It has a log that belongs to it.
    #[error(
        "{} is the file of a store, with a log beside it, and not a copy: make one by `longrun backup`",
        .0.display()
    )]
    NotACopy(PathBuf),
    /// A server holds it.
    #[error("a server holds the data directory {}: stop it first", .0.display())]
    Running(PathBuf),
    /// The copy is not what the store was.
    #[error("the copy lacks events that the store had when it began: it is thrown away")]
    Lacks,
    /// The store cannot be opened, or the copy is not sound.
    #[error(transparent)]
    Store(#[from] sqlite::OpenError),
    /// A file cannot be read or written.
    #[error("{}: {source}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
    /// Its nodes would not notice.
    #[error("the database {0} is served by a node: stop all of them, and run it again")]
    Served(String),
    /// The database refused.
    #[error("the database {database} refuses: {what}")]
    Refused {
        /// Which, without a password.
        database: String,
        /// What it says.
        what: String,
    },
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// So many bytes are written, of about so many.
    Copying {
        /// So far.
        bytes: u64,
        /// In the end, about.
        of: u64,
    },
    /// What was written is read again.
    Checking,
}

/// Copies the store of a directory, whether a server holds it or not, into a file that is not there yet: all that was
/// acknowledged when this was called, as it was at one moment. The copy was read again, and is durable, when this ends.
pub fn back_up(directory: &Path, file: &Path, tell: &mut dyn FnMut(Told)) -> Result<Copied, BackupError> {
    if !sqlite::is_there(directory) {
        return Err(BackupError::NoStore(directory.to_owned()));
    }
    copy::take(directory, file, tell)
}

/// Makes a copy the store of a directory that is empty, or not there, and marks it.
pub fn restore(file: &Path, directory: &Path, tell: &mut dyn FnMut(Told)) -> Result<Copied, BackupError> {
    copy::bring_back(file, directory, tell)
}

/// Marks the store of a directory, which no server may hold, as one that was brought back by other means.
pub fn mark(directory: &Path) -> Result<(), BackupError> {
    if !sqlite::is_there(directory) {
        return Err(BackupError::NoStore(directory.to_owned()));
    }
    copy::mark(directory)
}

/// Marks a database that was brought back by its own tools, and which no node may serve; its name. It blocks: not to be
/// called where tasks run.
pub fn mark_database(url: &str) -> Result<String, BackupError> {
    restored::mark(url)
}

impl BackupError {
    pub(super) fn file(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::File { file, source }
    }

    /// What went wrong with a store that is in this file.
    pub(super) fn fault(file: &Path) -> impl Fn(Fault) -> Self {
        let file = file.to_owned();
        move |fault| sqlite::refusal(&fault, file.parent().unwrap_or(Path::new(".")), &file).into()
    }
}
