//! Everything that is tested from outside of the crate, in one binary: the server as its users meet it (the real binary,
//! spoken to over real sockets), and every store against one suite.

mod deployment;
mod promises;
mod store;
#[allow(dead_code)] // Some of it serves the scenarios only.
mod support;
mod wire;
