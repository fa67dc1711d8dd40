//! How a worker is made.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
#[cfg(all(unix, feature = "program"))]
use serde::de::IgnoredAny;

use super::options::{Options, fresh_worker_id};
use super::{Stats, StatsHandle, Worker, WorkerError};
use crate::client::Client;
use crate::exchange::{Exchange, HttpExchange};
use crate::handler::{AnyHandler, Context, HandlerError, Slots, Success, any};
#[cfg(all(unix, feature = "program"))]
use crate::handlers::program::{KILL_AFTER, Program, Turns};

/// Settings of a [`Worker`].
pub struct WorkerBuilder {
    server: Server,
    token: Option<String>,
    handlers: HashMap<String, AnyHandler>,
    options: Options,
}

/// Where the operations come from.
pub(super) enum Server {
    Url(String),
    Exchange(Arc<dyn Exchange>),
}

impl Server {
    fn into_exchange(self, token: Option<String>) -> Result<Arc<dyn Exchange>, WorkerError> {
        match (self, token) {
            (Self::Exchange(exchange), None) => Ok(exchange),
            (Self::Exchange(_), Some(_)) => {
                Err(WorkerError::Setting("a token goes with a URL; an exchange has its own".to_owned()))
            }
            (Self::Url(url), None) => Ok(Arc::new(HttpExchange::new(Client::builder(url).build()?))),
            (Self::Url(url), Some(token)) => {
                Ok(Arc::new(HttpExchange::new(Client::builder(url).token(token).build()?)))
            }
        }
    }
}

impl WorkerBuilder {
    pub(super) fn new(server: Server) -> Self {
        let options = Options {
            worker_id: fresh_worker_id(),
            queues: Vec::new(),
            operation_types: Vec::new(),
            slots: Slots::new(16),
            lease_seconds: 30,
            wait_seconds: 20,
            grace: Duration::from_secs(10),
        };
        Self { server, token: None, handlers: HashMap::new(), options }
    }

    /// Adds the handler of an operation type, in place of an earlier one of the same type. The worker
    /// claims operations of exactly the types that have a handler.
    ///
    /// A handler takes the input as any type that can be read from JSON (an absent one is read as `null`) and
    /// the [`Context`], and returns its result as any type that has a JSON form, or a [`Success`] where there
    /// is more to say. An input that is not of its type never reaches it: that operation fails for good, as
    /// `invalidInput`.
    #[must_use]
    pub fn handler<I, F, Fut, R>(mut self, operation_type: impl Into<String>, handler: F) -> Self
    where
        F: Fn(I, Context) -> Fut + Send + Sync + 'static,
        I: DeserializeOwned,
        Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Success>,
    {
        self.handlers.insert(operation_type.into(), any(handler));
        self
    }

    /// Adds a program as the handler of an operation type, in place of an earlier one of the same type.
    #[cfg(all(unix, feature = "program"))]
    #[must_use]
    pub fn program(mut self, operation_type: impl Into<String>, program: Program) -> Self {
        let turns = Turns::default();
        let mut handler = any(move |_: IgnoredAny, context: Context| {
            let (program, turns) = (program.clone(), turns.clone());
            async move { program.carry_out(context, &turns).await }
        });
        handler.stop_within += KILL_AFTER;
        self.handlers.insert(operation_type.into(), handler);
        self
    }

    /// Sets the bearer token; a server on loopback may need none.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets how the worker calls itself, 1–128 printable ASCII characters. It must differ from start to
    /// start; unless set, it is made of host, process and chance.
    #[must_use]
    pub fn worker_id(mut self, id: impl Into<String>) -> Self {
        self.options.worker_id = id.into();
        self
    }

    /// Adds a queue that it serves, up to 16. Where none is named, over HTTP that is the queue `default`.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.options.queues.push(queue.into());
        self
    }

    /// Sets how many handlers run at a time, 16 unless set. More operations may be held than that while
    /// handlers are [parked](Context::parked).
    #[must_use]
    pub fn concurrency(self, slots: usize) -> Self {
        self.slots(Slots::new(slots))
    }

    /// Sets the slots in which handlers run, in place of a number of them: for workers of one process that
    /// share them. Such a worker claims only what it has a slot for at that moment. It withdraws a claim that
    /// waits when another has taken the last one, so its exchange should be one of the same process.
    #[must_use]
    pub fn slots(mut self, slots: Slots) -> Self {
        self.options.slots = slots;
        self
    }

    /// Sets how long a lease lasts without a heartbeat, 1–3600 s, 30 unless set: after a crash of the
    /// worker that is how long its operations rest. Heartbeats go out at a third of it.
    #[must_use]
    pub fn lease_seconds(mut self, seconds: u32) -> Self {
        self.options.lease_seconds = seconds;
        self
    }

    /// Sets how long an idle claim hangs at the server, 0–30 s, 20 unless set.
    #[must_use]
    pub fn wait_seconds(mut self, seconds: u32) -> Self {
        self.options.wait_seconds = seconds;
        self
    }

    /// Sets how long handlers may go on after the shutdown began, 10 s unless set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Makes the worker. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`WorkerError::Client`] for a URL or token that cannot be used, [`WorkerError::Setting`] for a
    /// setting outside of what the protocol allows.
    pub fn build(mut self) -> Result<Worker, WorkerError> {
        self.options.operation_types = self.handlers.keys().cloned().collect();
        self.options.operation_types.sort_unstable();
        self.options.check()?;
        Ok(Worker {
            exchange: self.server.into_exchange(self.token)?,
            handlers: self.handlers,
            options: self.options,
            stats: StatsHandle::default(),
        })
    }

    /// Makes the worker and runs it until the process is asked to end: see [`Worker::run`].
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build) and of [`Worker::run`].
    pub async fn run(self) -> Result<Stats, WorkerError> {
        self.build()?.run().await
    }
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
