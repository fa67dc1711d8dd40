//! What a worker author writes: one `async fn` for each operation type.
//!
//! A handler takes the operation's input, as a type of its own, and a [`Context`]. It returns a result, or a
//! [`HandlerError`] that says whether another attempt may help. Leases, heartbeats, repetition and shutdown
//! are the runtime's.

mod context;
mod error;
mod held;
mod inbox;
mod slots;
mod success;

use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use serde::de::DeserializeOwned;

pub use context::Context;
pub use error::HandlerError;
pub use held::StopReason;
pub use slots::Slots;
pub use success::Success;

pub(crate) use error::Kind;
pub(crate) use held::{Held, Key};
pub(crate) use inbox::{AttemptEnd, Finished, Shared};

/// How long a handler may take to return once it was told to stop, where nothing else is said of it.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// A handler whose own types are forgotten, so that handlers of all types fit one table.
pub(crate) struct AnyHandler {
    pub(crate) carry_out:
        Box<dyn Fn(Context) -> BoxFuture<'static, Result<Success, HandlerError>> + Send + Sync>,
    /// How long it may take to return once it was told to stop; then it is aborted.
    pub(crate) stop_within: Duration,
}

pub(crate) fn any<I, F, Fut, R>(handler: F) -> AnyHandler
where
    F: Fn(I, Context) -> Fut + Send + Sync + 'static,
    I: DeserializeOwned,
    Fut: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Success>,
{
    let carry_out = move |context: Context| -> BoxFuture<'static, Result<Success, HandlerError>> {
        match context.input() {
            Ok(input) => {
                let attempt = handler(input, context);
                Box::pin(async move { attempt.await.map(Into::into) })
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    };
    AnyHandler { carry_out: Box::new(carry_out), stop_within: STOP_WITHIN }
}
