#![doc = include_str!("../README.md")]
//!
//! # The map
//!
//! The crate speaks the wire from the outside: a [`Client`] submits operations and follows them, a
//! [`Worker`] claims them, runs the handler of their type and reports. Everything a worker tells the
//! server goes through one seam, the [`Exchange`] trait, so that the same runtime works over HTTP and
//! inside the server's own process.
//!
//! * [`wire`]: the JSON of the protocol as lenient types.
//! * [`client`]: submit, get, wait, watch, cancel and the rest, over HTTP.
//! * [`exchange`]: one call of a worker, and its HTTP form.
//! * [`worker`]: the runtime: claims, leases, heartbeats, repetition, shutdown.
//! * [`handler`]: what a worker author writes.
//! * `trace`: the spans of OpenTelemetry, where the process has set it up.
//! * [`handlers`]: the types that every server carries out by itself.
#![forbid(unsafe_code)]

mod backoff;
pub mod client;
pub mod exchange;
pub mod handler;
pub mod handlers;
mod trace;
pub mod wire;
pub mod worker;

pub use client::{Client, ClientError};
pub use exchange::{Exchange, ExchangeError, HttpExchange};
pub use handler::{Context, HandlerError, Slots, StopReason, Success};
pub use tokio_util::sync::CancellationToken;
pub use worker::{Worker, WorkerBuilder, WorkerError};
