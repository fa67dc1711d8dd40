//! What PostgreSQL says, by what it means here.

use tokio_postgres::error::SqlState;

use crate::store::StoreError;
use crate::store::stored::Damaged;
use crate::store::stored::damage::MayBeDamage;

/// A turn met another state than it had loaded: see `longrun.expect` of the schema.
const CHANGED: &str = "LR001";

/// Why a database cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be read.
    #[error("the store's URL is not one of PostgreSQL: {0}")]
    Url(String),
    /// Nobody answers there, or not to this user.
    #[error("the database {database} cannot be reached: {what}")]
    Unreachable {
        /// Where, without the password.
        database: String,
        /// What happened.
        what: String,
    },
    /// It is too old.
    #[error("PostgreSQL {found} is too old: longrun needs 15 or later")]
    Version {
        /// What it is.
        found: String,
    },
    /// It would lose what it has acknowledged.
    #[error(
        "the database runs with fsync=off: what it acknowledges is lost with the machine; longrun refuses to use it"
    )]
    NoSync,
    /// The user may not make or use the tables.
    #[error("the user {user} may not {what}: {why}")]
    Rights {
        /// Who.
        user: String,
        /// What it may not do.
        what: &'static str,
        /// What the database says.
        why: String,
    },
    /// It holds a part of another store.
    #[error(
        "the database {database} holds what an unfinished `longrun move` has brought so far: run that again, which goes \
         on with it, or drop its schema longrun"
    )]
    Moving {
        /// Which, without the password.
        database: String,
    },
    /// A later version has changed its tables.
    #[error(
        "the database was written by a newer longrun (schema {found}, this one knows {known}); \
         run that version or a newer one"
    )]
    Newer {
        /// Its schema.
        found: i64,
        /// The latest schema of this version.
        known: i64,
    },
    /// It says something else.
    #[error("the database cannot be used: {0}")]
    Refused(String),
}

/// What can go wrong between here and the database.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum Fault {
    /// It answered, and refused.
    #[error("{}", told(.0))]
    Refused(tokio_postgres::Error),
    /// The connection is gone, or there is none to be had.
    #[error("the database is away: {0}")]
    Away(String),
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// What every function of this module that reads or writes gives.
pub(super) type Result<T> = std::result::Result<T, Fault>;

/// The error with what the database says of it: the crate itself names only the kind.
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let away = match error.code() {
            // Classes: connection exception, operator intervention but for a statement that was canceled; and a server
            // that only reads has lost its place to another.
            Some(code) => {
                let class = &code.code()[..2];
                class == "08"
                    || (class == "57" && *code != SqlState::QUERY_CANCELED)
                    || *code == SqlState::TOO_MANY_CONNECTIONS
                    || *code == SqlState::READ_ONLY_SQL_TRANSACTION
            }
            None => true,
        };
        if away { Self::Away(told(&error)) } else { Self::Refused(error) }
    }
}

impl From<deadpool_postgres::PoolError> for Fault {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            error => Self::Away(error.to_string()),
        }
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
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Refused(error) => error.code(),
            _ => None,
        }
    }

    /// Whether what was prepared on the connection is not there, or would answer otherwise by now.
    pub(super) fn is_of_preparing(&self) -> bool {
        self.code().is_some_and(|code| {
            [
                SqlState::INVALID_SQL_STATEMENT_NAME,
                SqlState::DUPLICATE_PSTATEMENT,
                SqlState::FEATURE_NOT_SUPPORTED,
            ]
            .contains(code)
        })
    }

    /// Whether another node was there first, or in the way: tried again, the turn may go through.
    fn is_contention(&self) -> bool {
        self.code().is_some_and(|code| {
            [
                &SqlState::T_R_SERIALIZATION_FAILURE,
                &SqlState::T_R_DEADLOCK_DETECTED,
                &SqlState::LOCK_NOT_AVAILABLE,
                &SqlState::QUERY_CANCELED,
                &SqlState::UNIQUE_VIOLATION,
                &SqlState::CHECK_VIOLATION,
            ]
            .contains(&code)
                || code.code() == CHANGED
        })
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged(_) => Self::Damaged,
            Fault::Refused(error) if error.code() == Some(&SqlState::DISK_FULL) => Self::Full,
            // The database keeps what it has acknowledged, whatever else goes wrong: nothing here makes a store unfit.
            fault => {
                if !fault.is_contention() && !matches!(fault, Fault::Away(_)) {
                    tracing::warn!(%fault, "the database refuses a turn");
                }
                Self::Busy(fault.to_string())
            }
        }
    }
}
