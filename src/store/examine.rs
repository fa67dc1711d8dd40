//! Looks at a store for what is wrong with it, and changes nothing: for whoever asks what to do.

use std::path::Path;

pub use super::clock::Fit;
pub use super::postgres::examine::{Examined as DatabaseExamined, examine as database};
pub use super::sqlite::examine::{Examined, Left};
pub use super::{postgres, sqlite};

/// Reads all of the embedded store in a directory, whether a server holds it or not.
pub fn directory(directory: &Path) -> Result<Examined, sqlite::OpenError> {
    sqlite::examine::examine(directory)
}
