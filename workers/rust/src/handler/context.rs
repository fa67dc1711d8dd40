//! What a handler sees of its operation.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{HandlerError, Held, StopReason};
use crate::wire::{Json, Operation, to_json};

const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

/// One attempt of one operation, as its handler sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    held: Arc<Held>,
}

impl Context {
    pub(crate) fn new(held: Arc<Held>) -> Self {
        Self { held }
    }

    /// The operation as it was claimed.
    pub fn operation(&self) -> &Operation {
        &self.held.operation
    }

    /// The operation's id.
    pub fn id(&self) -> Uuid {
        self.held.key.id
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.held.operation.attempts_count.unwrap_or(1)
    }

    /// The fencing token of this attempt: it grows from attempt to attempt, so a system that remembers the
    /// highest one it saw can refuse an attempt that has lost its lease.
    pub fn lease_token(&self) -> u64 {
        self.held.key.token
    }

    /// The input as the type that the handler takes.
    pub(super) fn input<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        parse(self.held.operation.input.as_ref())
            .map_err(|error| HandlerError::permanent("invalidInput", format!("input: {error}")))
    }

    /// What an earlier attempt left with [`checkpoint`](Self::checkpoint), if one did.
    ///
    /// # Errors
    ///
    /// A permanent `invalidCheckpoint` when it is not of that type. A handler whose checkpoints may have
    /// changed their form between versions had better start from nothing then.
    pub fn previous_checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, HandlerError> {
        parse(self.held.operation.checkpoint.as_ref())
            .map_err(|error| HandlerError::permanent("invalidCheckpoint", format!("checkpoint: {error}")))
    }

    /// The `traceparent` (W3C Trace Context) that the operation was submitted with: the span in which its caller
    /// asked for it, for calls to others.
    pub fn traceparent(&self) -> Option<&str> {
        self.held.operation.traceparent.as_deref()
    }

    /// Tells pollers and watchers how far the work is, in whole percent (cut to 0…100, fractions dropped)
    /// and in a sentence of at most 1,024 characters (cut too).
    ///
    /// Costs next to nothing: the runtime sends the latest with its next exchange.
    pub fn progress(&self, percent: impl Into<f64>, detail: impl Into<String>) {
        let percent: f64 = percent.into();
        let percent = if percent.is_nan() { 0.0 } else { percent.clamp(0.0, 100.0).floor() };
        self.held.set_progress(percent, detail.into());
    }

    /// Leaves `value` for the next attempt, in place of what was left before. The latest is sent with the
    /// next exchange.
    ///
    /// # Errors
    ///
    /// A permanent `checkpointTooLarge` beyond 64 KiB of JSON, `invalidCheckpoint` for a value without
    /// JSON form.
    pub fn checkpoint<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), HandlerError> {
        let checkpoint = to_json(value)
            .map_err(|error| HandlerError::permanent("invalidCheckpoint", format!("checkpoint: {error}")))?;
        let bytes = checkpoint.get().len();
        if bytes > CHECKPOINT_BYTES_MAX {
            let message = format!("the checkpoint has {bytes} bytes, {CHECKPOINT_BYTES_MAX} are allowed");
            return Err(HandlerError::permanent("checkpointTooLarge", message));
        }
        self.held.set_checkpoint(checkpoint);
        Ok(())
    }

    /// Fires when the handler is to stop: [`reason`](Self::reason) says why. A handler that does not
    /// return soon after is aborted where its lease or the worker's grace time ends.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.held.stop
    }

    /// Why the handler is to stop; `None` while it is not.
    pub fn reason(&self) -> Option<StopReason> {
        self.held.reason()
    }

    /// Fires as soon as the worker begins to shut down, well before [`cancellation`](Self::cancellation)
    /// does. A handler that can stop anywhere leaves a checkpoint and returns
    /// [`HandlerError::released`]; any other need not look at it.
    pub fn draining(&self) -> &CancellationToken {
        &self.held.shared.draining
    }

    /// The error for a handler that stops because it was told to: the operation is handed back for another
    /// worker, or, after a cancel or a timeout, ends as those do.
    pub fn stopped(&self) -> HandlerError {
        match self.reason() {
            Some(StopReason::Cancel) => {
                HandlerError::permanent("stopped", "stopped when it was told of the cancel")
            }
            Some(StopReason::Timeout) => HandlerError::retryable("timedOut", "the attempt took too long"),
            Some(StopReason::LeaseLost | StopReason::Shutdown) | None => HandlerError::released(),
        }
    }

    /// How long the lease lasts if no heartbeat extends it any more.
    pub fn remaining(&self) -> Duration {
        self.held.lease_end().saturating_duration_since(Instant::now())
    }

    /// Waits for `future` without occupying one of the worker's slots, which another operation may use
    /// meanwhile; takes a slot again before it returns. For handlers that mostly wait: for another
    /// service, for a process, for time to pass. The lease is kept as ever.
    ///
    /// An operation that is to stop goes on without waiting for a slot, so that it can wind up.
    pub async fn parked<F: Future>(&self, future: F) -> F::Output {
        let had_slot = self.held.leave_slot();
        if had_slot {
            self.held.shared.nudge();
        }
        let output = future.await;
        if had_slot {
            self.held.slot().await;
        }
        output
    }
}

fn parse<T: DeserializeOwned>(json: Option<&Json>) -> Result<T, serde_json::Error> {
    serde_json::from_str(json.map_or("null", |json| json.get()))
}
