//! One call, repeated exactly as it is until the server has answered it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::exchange::{Exchange, ExchangeError};
use crate::wire::{Claim, ExchangeAnswer, ExchangeRequest, Status};

/// A call that is outstanding.
pub(super) struct Outstanding {
    /// The claim it carries: its slots are spoken for.
    pub(super) claim: Option<Claim>,
    /// How many reports of it tell the end of an attempt.
    pub(super) ends: usize,
    future: BoxFuture<'static, CallEnd>,
}

/// How a call ended.
pub(super) struct CallEnd {
    pub(super) request: ExchangeRequest,
    /// When the request that was answered was sent; earlier ones may have been lost.
    pub(super) sent: Instant,
    /// `Lost` only when the call was given up.
    pub(super) result: Result<ExchangeAnswer, ExchangeError>,
}

impl Outstanding {
    /// Starts the call, each try of it with this `patience`. Once `give_up` has fired, a lost call is not repeated any more.
    pub(super) fn new(
        exchange: &Arc<dyn Exchange>,
        request: ExchangeRequest,
        patience: Duration,
        give_up: CancellationToken,
    ) -> Self {
        let claim = request.claim.clone();
        let ends = request.reports.iter().filter(|report| report.status != Status::Running).count();
        let future = Box::pin(repeat(Arc::clone(exchange), request, patience, give_up));
        Self { claim, ends, future }
    }
}

/// Waits for the call in `slot`, for ever where there is none, and clears it. Nothing is lost when this is
/// dropped before the call has ended.
pub(super) async fn ended(slot: &mut Option<Outstanding>) -> CallEnd {
    let Some(call) = slot else { return std::future::pending().await };
    let end = (&mut call.future).await;
    *slot = None;
    end
}

async fn repeat(
    exchange: Arc<dyn Exchange>,
    request: ExchangeRequest,
    patience: Duration,
    give_up: CancellationToken,
) -> CallEnd {
    let mut backoff = Backoff::new();
    loop {
        let sent = Instant::now();
        let result = exchange.exchange(request.clone(), patience).await;
        let Err(ExchangeError::Lost { message, retry_after }) = &result else {
            return CallEnd { request, sent, result };
        };
        let delay = backoff.delay(*retry_after);
        tracing::warn!(%message, ?delay, reports = request.reports.len(), "exchange lost, repeating it");
        tokio::select! {
            biased;
            () = give_up.cancelled() => return CallEnd { request, sent, result },
            () = sleep(delay) => {}
        }
    }
}
