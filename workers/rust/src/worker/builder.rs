//! How a worker is made.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::options::{Options, fresh_worker_id};
use super::{StatsHandle, Worker, WorkerError};
use crate::client::{Client, ClientError};
use crate::exchange::{Exchange, HttpExchange};
use crate::handler::{AnyHandler, Context, HandlerError, Slots, Success, any};
#[cfg(all(unix, feature = "program"))]
use crate::handlers::program::{KILL_AFTER, Program, Turns};

/// What a worker can be built over: a URL, a [`Client`] (for a token), or any [`Exchange`].
pub trait IntoExchange {
    /// The exchange itself.
    ///
    /// # Errors
    ///
    /// When a URL cannot be one.
    fn into_exchange(self) -> Result<Arc<dyn Exchange>, ClientError>;
}

impl IntoExchange for &str {
    fn into_exchange(self) -> Result<Arc<dyn Exchange>, ClientError> {
        Client::builder(self).build()?.into_exchange()
    }
}

impl IntoExchange for String {
    fn into_exchange(self) -> Result<Arc<dyn Exchange>, ClientError> {
        self.as_str().into_exchange()
    }
}

impl IntoExchange for Client {
    fn into_exchange(self) -> Result<Arc<dyn Exchange>, ClientError> {
        Ok(Arc::new(HttpExchange::new(self)))
    }
}

impl<E: Exchange> IntoExchange for E {
    fn into_exchange(self) -> Result<Arc<dyn Exchange>, ClientError> {
        Ok(Arc::new(self))
    }
}

/// Settings of a [`Worker`].
pub struct WorkerBuilder {
    exchange: Result<Arc<dyn Exchange>, ClientError>,
    handlers: HashMap<String, AnyHandler>,
    options: Options,
}

impl WorkerBuilder {
    pub(super) fn new(exchange: Result<Arc<dyn Exchange>, ClientError>) -> Self {
        let options = Options {
            worker_id: fresh_worker_id(),
            queues: None,
            operation_types: Vec::new(),
            slots: Slots::new(16),
            lease_seconds: 30,
            wait_seconds: 20,
            grace: Duration::from_secs(10),
        };
        Self { exchange, handlers: HashMap::new(), options }
    }

    /// Adds the handler of an operation type, in place of an earlier one of the same type. The worker
    /// claims operations of exactly the types that have a handler.
    #[must_use]
    pub fn handler<F, Fut, S>(mut self, operation_type: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, HandlerError>> + Send + 'static,
        S: Into<Success>,
    {
        self.handlers.insert(operation_type.into(), any(handler));
        self
    }

    /// Adds a program as the handler of an operation type, in place of an earlier one of the same type.
    #[cfg(all(unix, feature = "program"))]
    #[must_use]
    pub fn program(mut self, operation_type: impl Into<String>, program: Program) -> Self {
        let turns = Turns::default();
        let mut handler = any(move |context: Context| {
            let (program, turns) = (program.clone(), turns.clone());
            async move { program.carry_out(context, &turns).await }
        });
        handler.stop_within += KILL_AFTER;
        self.handlers.insert(operation_type.into(), handler);
        self
    }

    /// Sets how the worker calls itself, 1–128 printable ASCII characters. It must differ from start to
    /// start; unless set, it is made of host, process and chance.
    #[must_use]
    pub fn worker_id(mut self, id: impl Into<String>) -> Self {
        self.options.worker_id = id.into();
        self
    }

    /// Sets the queues it serves, 1–16. Unless set, over HTTP that is the queue `default`.
    #[must_use]
    pub fn queues<Q: Into<String>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.options.queues = Some(queues.into_iter().map(Into::into).collect());
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
            exchange: self.exchange?,
            handlers: self.handlers,
            options: self.options,
            stats: StatsHandle::default(),
        })
    }
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
