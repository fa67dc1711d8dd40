//! One operation as it is opened to whoever asks: by a token of its tenant, or by a link, which shows less and ends.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, header};

use super::app::App;
use super::error::{ApiError, Code};
use super::view::OperationView;
use crate::auth::{Caller, Denied, Link};
use crate::limits;
use crate::operation::{Operation, OperationId, TenantId};
use crate::tracker::entry;

/// By what it is opened.
#[derive(Clone, Debug)]
pub(super) enum Opened {
    /// Somebody of its tenant asks for one of that name.
    ByToken(Caller, OperationId),
    /// Somebody has a link to it.
    ByLink(Link),
}

impl Opened {
    /// Whose it is.
    pub(super) fn tenant(&self) -> &TenantId {
        match self {
            Self::ByToken(caller, _) => &caller.tenant,
            Self::ByLink(link) => &link.tenant,
        }
    }

    /// Its name.
    pub(super) fn id(&self) -> OperationId {
        match self {
            Self::ByToken(_, id) => *id,
            Self::ByLink(link) => link.id,
        }
    }

    /// The operation as it is now.
    pub(super) async fn read(&self, app: &App) -> Result<Arc<Operation>, ApiError> {
        let found = app.tracker.get(self.tenant(), self.id()).await;
        let Self::ByLink(link) = self else { return Ok(found?) };
        match found {
            Ok(operation) if link.opens(&operation, app.tracker.reader().now()) => Ok(operation),
            Ok(_) | Err(entry::Denied::NotFound) => Err(no_such_link()),
            Err(denied) => Err(denied.into()),
        }
    }

    /// What is shown of it. A link never shows what it works on.
    pub(super) fn view<'a>(&self, operation: &'a Operation) -> OperationView<'a> {
        let view = OperationView::of(operation);
        match self {
            Self::ByToken(..) => view,
            Self::ByLink(_) => view.input(None),
        }
    }

    /// What whoever waits for it is told then.
    pub(super) fn closed(&self) -> ApiError {
        match self {
            Self::ByToken(..) => Denied::UnknownToken.into(),
            Self::ByLink(_) => no_such_link(),
        }
    }

    /// Resolves once it is not open any more to whoever waits or watches: a little later, where somebody has ended it.
    pub(super) async fn lapsed(&self, app: &App) {
        let now = || app.tracker.reader().now();
        let link = match self {
            Self::ByToken(caller, _) => return caller.lapsed(now).await,
            Self::ByLink(link) => link,
        };
        loop {
            let left = link.expires.since(now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(limits::LEAVE_CHECKED_EVERY)).await;
            match self.read(app).await {
                Err(error) if error.code() == Code::ItemNotFound => return,
                // Where the store cannot be read just now, nothing is shown of it either.
                _ => {}
            }
        }
    }
}

/// One answer for all that was never made here, has ended, or was to something that is gone.
pub(super) fn no_such_link() -> ApiError {
    ApiError::new(Code::ItemNotFound, "no such link, or it has ended")
}

/// Lets only those pass whose link opens something, and tells the route what.
pub(super) async fn by_link(
    State(app): State<App>,
    Path(text): Path<String>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let opened = Opened::ByLink(app.links.read(&text).ok_or_else(no_such_link)?);
    opened.read(&app).await?;
    request.extensions_mut().insert(opened);
    let mut response = next.run(request).await;
    // Where the page that asks leads to is not told by what address it was asked.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
