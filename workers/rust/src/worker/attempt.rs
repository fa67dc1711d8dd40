//! The task in which one attempt of one operation runs.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::handler::{AnyHandler, AttemptEnd, Context, Finished, Held};
use crate::trace;

/// Runs the handler once there is a slot for it, and leaves how it ended in the inbox.
pub(super) async fn carry_out(handler: Arc<AnyHandler>, held: Arc<Held>) {
    let end = if held.slot().await {
        let context = Context::new(Arc::clone(&held));
        // The call itself may panic as well, hence the block. Nothing of the handler's is used after a
        // panic, so whatever state it broke is unreachable.
        let attempt = async move { (handler.carry_out)(context).await };
        let attempt = AssertUnwindSafe(trace::attempt(&held.operation, attempt));
        match attempt.catch_unwind().await {
            Ok(Ok(success)) => AttemptEnd::Success(success),
            Ok(Err(error)) => AttemptEnd::Failure(error),
            Err(panic) => AttemptEnd::Panic(message(panic.as_ref())),
        }
    } else {
        AttemptEnd::NeverStarted
    };
    // Before the inbox: the runtime counts free slots when it has read it.
    held.leave_slot();
    held.shared.finish(Finished { key: held.key, end });
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the handler panicked".to_owned())
}
