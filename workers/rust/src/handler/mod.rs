//! What a worker author writes: one `async fn` for each operation type.
//!
//! A handler takes a [`Context`] and returns something that is a [`Success`], or a [`HandlerError`] that
//! says whether another attempt may help. Leases, heartbeats, repetition and shutdown are the runtime's.

mod context;
mod error;
mod held;
mod inbox;
mod success;

use futures_util::future::BoxFuture;

pub use context::Context;
pub use error::HandlerError;
pub use held::StopReason;
pub use success::Success;

pub(crate) use error::Kind;
pub(crate) use held::{Held, Key};
pub(crate) use inbox::{AttemptEnd, Finished, Shared};

/// A handler whose own types are forgotten, so that handlers of all types fit one table.
pub(crate) type AnyHandler =
    Box<dyn Fn(Context) -> BoxFuture<'static, Result<Success, HandlerError>> + Send + Sync>;

pub(crate) fn any<F, Fut, S>(handler: F) -> AnyHandler
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S, HandlerError>> + Send + 'static,
    S: Into<Success>,
{
    Box::new(move |context| {
        let attempt = handler(context);
        Box::pin(async move { attempt.await.map(Into::into) })
    })
}
