//! The runtime that carries operations out, over any [`Exchange`].
//!
//! One task owns everything and turns in a loop: take what the handlers left in the inbox, look at the
//! leases, start what calls can be started, wait for the next thing to happen. At most three exchanges are
//! outstanding:
//!
//! * *reporting* carries what is to be reported, everything that is ready in one call, with a claim for the
//!   free slots: a busy worker pays one round trip for a batch;
//! * *claiming* hangs at the server while slots are free and there is nothing to report;
//! * *beating* carries heartbeats and nothing else, so that neither of the others can hold them up.
//!
//! A call that is lost is repeated exactly as it was until it is answered: the server may have acted on it.
//! Each operation's handler runs in a task of its own. There is one timer, for the earliest of all leases.
//!
//! * `builder`, `options`: how a worker is made, and within which bounds;
//! * `runtime`: the loop; `launch`: which call goes out when; `call`: one call until it is answered;
//! * `outbox`: what is to be reported, in batches; `report`: what the end of an attempt is in a report;
//! * `answer`: what an answer changes; `lease`: heartbeats, and leases that end; `drain`: the shutdown;
//! * `attempt`: a handler's task; `stats`: what became of it all; `signals`: when the process is to end.

mod answer;
mod attempt;
mod builder;
mod call;
mod drain;
mod launch;
mod lease;
mod options;
mod outbox;
mod report;
mod runtime;
mod signals;
mod stats;

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::client::ClientError;
use crate::exchange::Exchange;
use crate::handler::AnyHandler;
use builder::Server;
use options::Options;
use runtime::Runtime;

pub use builder::WorkerBuilder;
pub use stats::{Stats, StatsHandle};

/// Handlers for some operation types, and the server that has the operations.
///
/// ```
/// use longrun_sdk::{Context, HandlerError, Worker};
///
/// async fn greet(name: String, _: Context) -> Result<String, HandlerError> {
///     Ok(format!("Hello, {name}"))
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let stats = Worker::builder("http://127.0.0.1:8470").handler("greet", greet).run().await?;
/// println!("{} completed", stats.completed);
/// # Ok(())
/// # }
/// ```
pub struct Worker {
    exchange: Arc<dyn Exchange>,
    handlers: HashMap<String, AnyHandler>,
    options: Options,
    stats: StatsHandle,
}

/// Why a worker cannot be made, or has ended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// A setting is outside of what the protocol allows.
    #[error("{0}")]
    Setting(String),
    /// The server's URL or the token cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server does not take requests of this worker: its token is missing, revoked or too narrow.
    #[error("the server denies the worker with {code}: {message}")]
    Denied {
        /// The code of the error, for programs.
        code: String,
        /// The message of the error, for people.
        message: String,
    },
    /// The server refuses the worker's claims for good, for example for the name of a queue.
    #[error("the server refuses the claim with {code}: {message}")]
    ClaimRefused {
        /// The code of the error, for programs.
        code: String,
        /// The message of the error, for people.
        message: String,
    },
    /// The system does not say when the process is asked to end.
    #[error("the worker cannot listen for signals: {0}")]
    Signals(String),
    /// The worker was shut down while the server could not be reached, so these reports were not
    /// delivered; their operations come back when their leases end.
    #[error("{reports} reports could not be delivered before the worker ended")]
    Undelivered {
        /// How many.
        reports: usize,
    },
}

impl Worker {
    /// Begins a worker for the server at `url`, such as `http://127.0.0.1:8470`.
    pub fn builder(url: impl Into<String>) -> WorkerBuilder {
        WorkerBuilder::new(Server::Url(url.into()))
    }

    /// Begins a worker that reaches its server in another way than [`builder`](Self::builder) does: by the
    /// [`HttpExchange`](crate::HttpExchange) of a client that is there already, or without a network.
    pub fn over(exchange: impl Exchange) -> WorkerBuilder {
        WorkerBuilder::new(Server::Exchange(Arc::new(exchange)))
    }

    /// How this worker calls itself.
    pub fn id(&self) -> &str {
        &self.options.worker_id
    }

    /// What became of the operations, to be looked at while the worker runs.
    pub fn stats(&self) -> StatsHandle {
        self.stats.clone()
    }

    /// Claims and carries out operations until the process gets SIGTERM or SIGINT (where there are none: Ctrl-C), then
    /// ends as after the `shutdown` of [`run_until`](Self::run_until).
    ///
    /// # Errors
    ///
    /// Those of [`run_until`](Self::run_until), and [`WorkerError::Signals`].
    pub async fn run(self) -> Result<Stats, WorkerError> {
        let shutdown = CancellationToken::new();
        let _listening = AbortOnDropHandle::new(signals::fire(shutdown.clone())?);
        self.run_until(shutdown).await
    }

    /// Claims and carries out operations until `shutdown` fires, then lets the handlers finish within the
    /// grace time, hands the rest back and delivers every report. Dropping the future ends the worker at
    /// once, with its operations left to the ends of their leases.
    ///
    /// # Errors
    ///
    /// [`WorkerError::Denied`] and [`WorkerError::ClaimRefused`] when the server does not want the worker,
    /// [`WorkerError::Undelivered`] when the last reports did not get through. An unreachable server is no
    /// error: the worker goes on trying.
    pub async fn run_until(self, shutdown: CancellationToken) -> Result<Stats, WorkerError> {
        let stats = self.stats.clone();
        let runtime = Runtime::new(self.exchange, self.handlers, self.options, self.stats);
        // In a task of its own, so that a yield really lets the handlers run first: the future that
        // `block_on` drives is not in the scheduler's queue.
        let running = AbortOnDropHandle::new(tokio::spawn(runtime.run(shutdown)));
        match running.await {
            Ok(ended) => ended.map(|()| stats.snapshot()),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Ok(stats.snapshot()), // aborted, since tokio itself shuts down
            },
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("options", &self.options).finish_non_exhaustive()
    }
}
