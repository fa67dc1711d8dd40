//! What drives the writer's connection: a runtime of its own, that turns while the loop's thread waits for the database. So
//! an answer wakes nobody: the thread that asked reads it.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};

use super::error::{Fault, OpenError, Result};

/// The runtime.
pub(super) struct Driver(Option<Runtime>);

impl Driver {
    pub(super) fn new() -> std::result::Result<Self, OpenError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.map(Some).map(Self).map_err(|error| OpenError::Refused(error.to_string()))
    }

    /// Waits for a future.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => Err(Fault::Away("the store is closed".to_owned())),
        }
    }

    /// Whether the thread may wait: not in the middle of another runtime's tasks.
    pub(super) fn may_wait() -> bool {
        Handle::try_current().is_err()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // It may end in the middle of another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}
