//! Holding an answer until an operation changes or ends: `Prefer: wait=N`.

use std::sync::Arc;
use std::time::Duration;

use super::app::App;
use super::error::ApiError;
use crate::metrics::Present;
use crate::operation::{Operation, OperationId, TenantId};

/// Reads an operation until `enough` says so, at most for so long; then as it is. No change in between is missed.
pub(super) async fn until(
    app: &App,
    tenant: &TenantId,
    id: OperationId,
    longest: Duration,
    enough: impl Fn(&Operation) -> bool,
) -> Result<Arc<Operation>, ApiError> {
    let _present = Present::of(&app.tracker.metrics().requests.waiting);
    let mut follow = app.tracker.follow(tenant, id);
    let patience = tokio::time::sleep(longest);
    tokio::pin!(patience);
    loop {
        let operation = app.tracker.get(tenant, id).await?;
        if enough(&operation) || app.tracker.is_draining() {
            return Ok(operation);
        }
        tokio::select! {
            () = follow.changed() => {}
            () = app.tracker.drained() => {}
            () = &mut patience => return Ok(operation),
        }
    }
}
