//! What SQLite says, by what it means here.

use std::path::PathBuf;
use std::sync::OnceLock;

use rusqlite::ErrorCode;

use crate::store::StoreError;
use crate::store::stored::Damaged;
use crate::store::stored::damage::MayBeDamage;

/// Why the store in a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory is not there and cannot be made.
    #[error("the data directory {} cannot be made: {source}", .directory.display())]
    Directory {
        /// Where.
        directory: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error("another server holds the data directory {}", .directory.display())]
    Locked {
        /// Which.
        directory: PathBuf,
    },
    /// It was moved to a database.
    #[error(
        "the store in {} was moved to the database {to}: serve that, by --store; \
         to serve this one all the same, as it was then, remove the file longrun.moved in it",
        .directory.display()
    )]
    Moved {
        /// Which directory.
        directory: PathBuf,
        /// Which database, without a password.
        to: String,
    },
    /// A later version has changed its tables.
    #[error(
        "the store {} was written by a newer longrun (schema {found}, this one knows {known}); \
         run that version or a newer one",
        .file.display()
    )]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The latest schema of this version.
        known: i64,
    },
    /// The file is something else, or damaged.
    #[error("the file {} is not a sound longrun store: {what}", .file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is no room, not even for the log of the start, and no reserve to give back.
    #[error("the disk of {} is full: the store cannot be opened before there is room", .directory.display())]
    Full {
        /// Where.
        directory: PathBuf,
    },
    /// The file system refused.
    #[error("the store in {} cannot be opened: {what}", .directory.display())]
    Io {
        /// Where.
        directory: PathBuf,
        /// What happened.
        what: String,
    },
}

/// What can go wrong between here and the file.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum Fault {
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// A guarded write met another version than was loaded, which one writer cannot bring about.
    #[error("operation {0} is not as it was loaded, though there is one writer only")]
    Guard(i64),
}

/// What every function of this module that reads or writes gives.
pub(super) type Result<T> = std::result::Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => {
                Self::Damaged(Damaged("a column holds a value of another type"))
            }
            error => Self::Sqlite(error),
        }
    }
}

impl From<rusqlite::types::FromSqlError> for Fault {
    fn from(_: rusqlite::types::FromSqlError) -> Self {
        Self::Damaged(Damaged("a column holds a value of another type"))
    }
}

impl MayBeDamage for Fault {
    fn damage(&self) -> Option<Damaged> {
        match self {
            Self::Damaged(damaged) => Some(*damaged),
            _ => None,
        }
    }
}

impl Fault {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Whether the file itself is at fault, not the machine around it.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
            || matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    pub(super) fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted)
        )
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        if fault.is_busy() {
            Self::Busy(fault.to_string())
        } else if fault.is_full() {
            Self::Full
        } else if let Fault::Damaged(_) = fault {
            Self::Damaged
        } else {
            Self::Failed(fault.to_string())
        }
    }
}

/// Whether the file can still be trusted. Once a write or a sync has failed it never can again: the system may have
/// dropped what it could not write, and a second sync would wrongly succeed.
#[derive(Debug, Default)]
pub(super) struct Health(OnceLock<String>);

impl Health {
    pub(super) fn check(&self) -> std::result::Result<(), StoreError> {
        match self.0.get() {
            None => Ok(()),
            Some(why) => Err(StoreError::Failed(why.clone())),
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.0.get().is_none()
    }

    pub(super) fn fail(&self, why: &str) {
        if self.0.set(why.to_owned()).is_ok() {
            tracing::error!(why, "the store failed; nothing is acknowledged any more");
        }
    }
}
