//! One attempt of an operation after the other.
//!
//! The server may give an operation out again while the program of an attempt that lost its lease, or its
//! time, still has its seconds to end in. On this worker the next attempt waits for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::handler::Context;

type Door = Arc<tokio::sync::Mutex<()>>;

/// The operations whose programs run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    doors: Arc<Mutex<HashMap<Uuid, Door>>>,
}

/// The right to start a program for an operation.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    id: Uuid,
    /// Always there until it is dropped.
    inside: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until no program of an earlier attempt is left; `None` when the attempt is to stop before that.
    pub(super) async fn take(&self, context: &Context) -> Option<Turn> {
        let id = context.id();
        let door = Arc::clone(self.doors().entry(id).or_default());
        // Made before the wait, so that one which is given up tidies up as well.
        let mut turn = Turn { turns: self.clone(), id, inside: None };
        tokio::select! {
            biased;
            inside = door.lock_owned() => turn.inside = Some(inside),
            () = context.cancellation().cancelled() => return None,
        }
        Some(turn)
    }

    fn doors(&self) -> MutexGuard<'_, HashMap<Uuid, Door>> {
        // Each use leaves the map whole.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut doors = self.turns.doors();
        drop(self.inside.take());
        if doors.get(&self.id).is_some_and(|door| Arc::strong_count(door) == 1) {
            doors.remove(&self.id);
        }
    }
}
