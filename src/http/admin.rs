//! What only the machine itself may do, over the Unix socket in the data directory: whoever can open that may.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{delete, get};
use http::StatusCode;

use super::app::App;
use super::error::{ApiError, Code};
use super::{answer, body};
use crate::auth::admin::{self, TokenRefused, TokenRequest};
use crate::limits;
use crate::store::credential::Credential;

/// Tokens: made, listed, revoked.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/tokens", get(list).post(create))
        .route("/tokens/{id}", delete(revoke))
        .with_state(app)
}

async fn create(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = body::read_json(&head.headers, body, limits::BODY_BYTES_MAX).await?;
    let request: TokenRequest =
        serde_json::from_slice(&body).map_err(|error| ApiError::invalid(error.to_string()))?;
    let made = admin::make(&request, app.tracker.reader().now());
    let (credential, made) = made.map_err(|refused| match refused {
        TokenRefused::Invalid { target, .. } => ApiError::invalid(refused.to_string()).target(target),
        TokenRefused::NoRandomness(_) => {
            tracing::error!(%refused, "no token was made");
            ApiError::internal()
        }
    })?;
    keep(&app, credential).await?;
    answer::json(StatusCode::CREATED, &made)
}

async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    let now = app.tracker.reader().now();
    // As of now.
    app.tracker.put_tokens_used(app.keys.used(now)).await?;
    let credentials = app.keys.credentials();
    answer::json(StatusCode::OK, &admin::list(credentials.iter().map(|credential| &**credential), now))
}

async fn revoke(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let Some(credential) = app.keys.get(&id) else {
        return Err(ApiError::new(Code::ItemNotFound, "there is no such token"));
    };
    keep(&app, admin::revoke(&credential)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// First durable, then valid.
async fn keep(app: &App, credential: Credential) -> Result<(), ApiError> {
    app.tracker.put_credential(credential.clone()).await?;
    app.keys.put(credential);
    Ok(())
}
