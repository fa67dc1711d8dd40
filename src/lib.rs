//! Longrun tracks long-running operations: submit one over HTTP, and it is durable when the answer comes; it waits in a
//! queue; workers take it from `NotStarted` through `Running` to `Completed` or `Failed`; anyone with the right to polls it.
//!
//! The rooms, in the order in which an operation flows through them:
//!
//! * [`http`] reads a request, asks who sent it ([`auth`]), and hands a command on;
//! * [`tracker`] is the one door: its loop applies what waits, commits once, then answers;
//! * [`operation`] is the domain: what a command makes of an operation, as pure functions;
//! * [`store`] keeps them: SQLite, and the model that it is tested against;
//! * [`adoption`] takes in what was handed in without a request, inside of users' own transactions;
//! * [`tasks`] are the server's own workers, over the SDK's runtime.
//!
//! Around them: [`limits`] states every bound, [`metrics`] is what they count, [`traces`] what they tell those who follow a request, [`settings`] what `serve` is told, [`server`] puts the rooms together;
//! [`cli`] and [`bench`] stand at the top.

pub mod adoption;
pub mod auth;
pub mod bench;
pub mod cli;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod operation;
pub mod server;
pub mod settings;
pub mod store;
pub mod tasks;
pub mod traces;
pub mod tracker;
