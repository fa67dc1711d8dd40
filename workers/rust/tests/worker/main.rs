//! The runtime against a small server in memory, mostly on paused time: every wait is for a condition, and
//! the clock moves on by itself when all are waiting.

mod drain;
mod handlers;
mod leases;
mod loss;
mod reports;
mod support;
mod traces;
