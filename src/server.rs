//! Puts the rooms together and serves.

use crate::settings::Settings;

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It has no rooms yet.
    #[error("this build has no server to listen on {0}")]
    NoServer(std::net::SocketAddr),
}

/// Serves until it is told to stop.
// Whoever replaces the body awaits.
#[allow(clippy::unused_async)]
pub async fn run(settings: Settings) -> Result<(), ServeError> {
    Err(ServeError::NoServer(settings.listen))
}
