//! Holding an answer until an operation changes or ends: `Prefer: wait=N`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::app::App;
use super::error::ApiError;
use super::opened::Opened;
use super::quota::Place;
use crate::metrics::Present;
use crate::operation::Operation;

/// Reads an operation until `enough` says so, at most for so long; then as it is. No change in between is missed. Whoever
/// waits has a place among those who do.
pub(super) async fn until(
    app: &App,
    opened: &Opened,
    longest: Duration,
    _place: Place<'_>,
    enough: impl Fn(&Operation) -> bool,
) -> Result<Arc<Operation>, ApiError> {
    let _present = Present::of(&app.tracker.metrics().requests.waiting);
    let mut follow = app.tracker.follow(opened.tenant(), opened.id());
    let mut lapsed = pin!(opened.lapsed(app));
    let patience = tokio::time::sleep(longest);
    tokio::pin!(patience);
    loop {
        let operation = opened.read(app).await?;
        if enough(&operation) || app.tracker.is_draining() {
            return Ok(operation);
        }
        tokio::select! {
            () = follow.changed() => {}
            () = app.tracker.drained() => {}
            () = &mut patience => return Ok(operation),
            () = &mut lapsed => return Err(opened.closed()),
        }
    }
}
