//! How a client is made.

use std::time::Duration;

use super::transport::Transport;
use super::{Client, ClientError};

const DEADLINE: Duration = Duration::from_secs(30);

/// Settings of a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    url: String,
    token: Option<String>,
    deadline: Duration,
    prior_http2: bool,
    authorities: Option<Vec<u8>>,
}

impl ClientBuilder {
    pub(super) fn new(url: String) -> Self {
        Self { url, token: None, deadline: DEADLINE, prior_http2: false, authorities: None }
    }

    /// Sets the bearer token; a server on loopback may need none.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets how long one call may take in all, its repetitions included; 30 s unless set. One that
    /// may be repeated is repeated after 10 s without an answer, or a third of this. Time that the server was asked to
    /// wait comes on top.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Speaks HTTP/2 to a server at an `http://` URL that is known to do so too, as the server of Longrun does: all calls
    /// and watches of the client then share one connection. At an `https://` URL that is found out without being told.
    #[must_use]
    pub fn http2_prior_knowledge(mut self) -> Self {
        self.prior_http2 = true;
        self
    }

    /// Trusts, at an `https://` URL, the authorities whose certificates are in this PEM text, in place of those that the
    /// system trusts: for a server with a certificate of a company's own.
    #[must_use]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::InvalidRequest`] when the URL is not an `http://` or `https://` URL, the token cannot be one, or
    /// there are no certificates to trust.
    pub fn build(self) -> Result<Client, ClientError> {
        let (token, authorities) = (self.token.as_deref(), self.authorities.as_deref());
        let transport = Transport::new(&self.url, token, self.prior_http2, authorities)?;
        Ok(Client { transport, deadline: self.deadline })
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a secret and stays out.
        f.debug_struct("ClientBuilder").field("url", &self.url).finish_non_exhaustive()
    }
}
