//! The way to the collector.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;

use crate::limits;

/// Speaks to the collector from the server's runtime: whoever has spans to send runs on a thread of its own. Says in the log
/// when the collector is gone and when it is back, once each.
#[derive(Debug)]
pub(super) struct Collector {
    client: HyperClient<HttpsConnector<HttpConnector>>,
    runtime: Handle,
    is_away: AtomicBool,
}

impl Collector {
    /// Verified by the certificates that the system trusts, where it speaks TLS.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = rustls::crypto::ring::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = HyperClient::new(connector, limits::SPANS_SENDING, None);
        Ok(Self { client, runtime: Handle::current(), is_away: AtomicBool::new(false) })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await }).await;
        let sent = sent.unwrap_or_else(|error| Err(error.into()));
        let refusal = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        match (&refusal, self.is_away.swap(refusal.is_some(), Ordering::Relaxed)) {
            (Some(refusal), false) => tracing::warn!(refusal, "the collector takes no spans; they are lost"),
            (None, true) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        sent
    }
}
