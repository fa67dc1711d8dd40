//! An operation this worker holds, as its handler and the runtime both see it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Shared;
use crate::wire::{ClaimedOperation, Json, Operation};

/// One attempt of one operation. The id alone is not enough: an operation may come back to this worker
/// while the handler of an attempt that lost its lease still winds down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) id: Uuid,
    pub(crate) token: u64,
}

/// Why a handler is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody asked for the operation to be canceled.
    Cancel,
    /// The lease ended, or may have: another worker may be at the operation.
    LeaseLost,
    /// The attempt has taken as long as the operation's `timeoutSeconds` allows.
    Timeout,
    /// The worker shuts down, and its grace time is nearly over.
    Shutdown,
}

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) key: Key,
    pub(crate) operation: Operation,
    pub(crate) stop: CancellationToken,
    pub(crate) shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    reason: Option<StopReason>,
    lease_end: Instant,
    slot: Slot,
    /// The operation is in the inbox, or in the runtime's own list, already.
    touched: bool,
    progress: Option<(f64, String)>,
    checkpoint: Option<Json>,
    checkpoint_unsent: bool,
}

/// Whether the handler may run.
#[derive(Debug, PartialEq, Eq)]
enum Slot {
    /// Not yet: it waits for its first slot.
    Never,
    Has,
    /// It is parked, or over.
    Left,
}

/// Progress and checkpoint that the server has not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    pub(crate) progress: Option<(f64, String)>,
    pub(crate) checkpoint: Option<Json>,
}

impl Held {
    pub(crate) fn new(claimed: ClaimedOperation, lease_end: Instant, shared: Arc<Shared>) -> Self {
        let ClaimedOperation { operation, lease } = claimed;
        let state = State {
            reason: None,
            lease_end,
            slot: Slot::Never,
            touched: false,
            progress: None,
            checkpoint: None,
            checkpoint_unsent: false,
        };
        Self {
            key: Key { id: operation.id, token: lease.token },
            operation,
            stop: CancellationToken::new(),
            shared,
            state: Mutex::new(state),
        }
    }

    /// Tells the handler to stop. The first reason stands.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.state().reason.get_or_insert(reason);
        self.stop.cancel();
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.state().reason
    }

    pub(crate) fn lease_end(&self) -> Instant {
        self.state().lease_end
    }

    pub(crate) fn set_lease_end(&self, end: Instant) {
        self.state().lease_end = end;
    }

    pub(crate) fn set_progress(&self, percent: f64, detail: String) {
        let mut state = self.state();
        state.progress = Some((percent, detail));
        self.touch(state);
    }

    pub(crate) fn set_checkpoint(&self, checkpoint: Json) {
        let mut state = self.state();
        state.checkpoint = Some(checkpoint);
        state.checkpoint_unsent = true;
        self.touch(state);
    }

    /// The latest checkpoint this attempt made, sent or not.
    pub(crate) fn checkpoint(&self) -> Option<Json> {
        self.state().checkpoint.clone()
    }

    /// Takes what the server has not been told yet; from now on the next change touches again.
    pub(crate) fn take_unsent(&self) -> Unsent {
        let mut state = self.state();
        state.touched = false;
        let unsent = std::mem::take(&mut state.checkpoint_unsent);
        Unsent { progress: state.progress.take(), checkpoint: state.checkpoint.clone().filter(|_| unsent) }
    }

    /// Takes a slot if one is free.
    pub(crate) fn try_slot(&self) {
        if self.shared.slots.try_take() {
            self.enter();
        }
    }

    /// Waits for a slot, but not beyond the moment at which the operation is to stop.
    pub(crate) async fn slot(&self) -> bool {
        if self.state().slot == Slot::Has {
            return true;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.shared.slots.take() => {
                self.enter();
                true
            }
        }
    }

    /// Whether the handler was ever let at it.
    pub(crate) fn started(&self) -> bool {
        self.state().slot != Slot::Never
    }

    /// Gives the slot back; whether there was one.
    pub(crate) fn leave_slot(&self) -> bool {
        let mut state = self.state();
        let had = state.slot == Slot::Has;
        if had {
            state.slot = Slot::Left;
            drop(state);
            self.shared.slots.give();
        }
        had
    }

    fn enter(&self) {
        self.state().slot = Slot::Has;
    }

    fn touch(&self, mut state: MutexGuard<'_, State>) {
        let first = !std::mem::replace(&mut state.touched, true);
        drop(state);
        if first {
            self.shared.touch(self.key);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic is possible while the guard is held: every use is a plain assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // An aborted attempt never gets to give its slot back.
        self.leave_slot();
    }
}
