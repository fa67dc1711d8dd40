//! Longrun tracks long-running operations.

pub mod auth;
pub mod bench;
pub mod cli;
pub mod http;
pub mod limits;
pub mod operation;
pub mod server;
pub mod settings;
pub mod store;
pub mod tasks;
pub mod tracker;
