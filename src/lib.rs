//! Longrun tracks long-running operations.

pub mod limits;
pub mod operation;
pub mod store;
pub mod tasks;
pub mod tracker;
