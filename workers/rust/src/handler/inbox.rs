//! What the handlers' tasks and the runtime share: the slots, and the inbox into which handlers drop what
//! the runtime is to know. Nothing here waits while it holds the mutex.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{HandlerError, Key, Slots, Success};

/// Shared by the runtime and every attempt of one worker.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) slots: Slots,
    /// Fires as soon as the worker begins to shut down.
    pub(crate) draining: CancellationToken,
    inbox: Mutex<Inbox>,
    notify: Notify,
}

/// What came in since the runtime last looked.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) finished: Vec<Finished>,
    /// Operations with unsent progress or checkpoint, each once.
    pub(crate) touched: Vec<Key>,
}

/// An attempt that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) key: Key,
    pub(crate) end: AttemptEnd,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    Success(Success),
    Failure(HandlerError),
    Panic(String),
    /// Stopped before there was a slot for it.
    NeverStarted,
}

impl Shared {
    pub(crate) fn new(slots: Slots) -> Self {
        Self { slots, draining: CancellationToken::new(), inbox: Mutex::default(), notify: Notify::new() }
    }

    pub(crate) fn finish(&self, finished: Finished) {
        self.inbox().finished.push(finished);
        self.notify.notify_one();
    }

    pub(crate) fn touch(&self, key: Key) {
        self.inbox().touched.push(key);
        self.notify.notify_one();
    }

    /// Lets the runtime look again, for example since a slot is free.
    pub(crate) fn nudge(&self) {
        self.notify.notify_one();
    }

    pub(crate) async fn notified(&self) {
        self.notify.notified().await;
    }

    pub(crate) fn finished_count(&self) -> usize {
        self.inbox().finished.len()
    }

    pub(crate) fn take(&self) -> Inbox {
        std::mem::take(&mut *self.inbox())
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // Pushing and taking leave the inbox whole at every point, so a panic elsewhere spoils nothing.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
