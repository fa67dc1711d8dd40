//! The store that several nodes share: a PostgreSQL database, 15 or later.

mod columns;
mod error;
mod lanes;
mod link;
mod operations;

pub use error::OpenError;
