//! Connections to a server: kept alive, bounded in how long they take to be made, and given up when nobody answers.

use std::io;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than what servers and proxies grant, so that we close idle connections before they do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the other end of a connection is asked whether it is there. Over HTTP/2 a call that is given up leaves its
/// connection behind, and only this finds out that it is dead.
const PING: Duration = Duration::from_secs(10);

#[cfg(feature = "tls")]
pub(super) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
pub(super) type Connector = HttpConnector;

pub(super) type Pool = legacy::Client<Connector, Full<Bytes>>;

/// A pool without connections.
pub(super) fn pool(connector: Connector, only_http2: bool) -> Pool {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http2_only(only_http2)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING / 2)
        .build(connector)
}

/// What makes connections, with TLS where the server wants it.
pub(super) fn connector(tls: bool, authorities: Option<&[u8]>) -> io::Result<Connector> {
    let mut plain = HttpConnector::new();
    plain.set_nodelay(true);
    plain.set_connect_timeout(Some(CONNECT_TIMEOUT));
    plain.set_keepalive(Some(PING));
    with_tls(plain, tls, authorities)
}

/// The certificates are those that were named, else those that the system trusts. They are only read where they are of
/// use: it takes a while, and a small container may have none.
#[cfg(feature = "tls")]
fn with_tls(mut plain: HttpConnector, tls: bool, authorities: Option<&[u8]>) -> io::Result<Connector> {
    use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
    use rustls::crypto::ring::default_provider;
    use rustls::{ClientConfig, RootCertStore};

    plain.enforce_http(false);
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = match authorities {
        Some(pem) if tls => config.with_root_certificates(named(pem)?),
        None if tls => config.with_native_roots()?,
        _ => config.with_root_certificates(RootCertStore::empty()),
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config.with_no_client_auth());
    Ok(builder.https_or_http().enable_all_versions().wrap_connector(plain))
}

/// The authorities of a PEM text.
#[cfg(feature = "tls")]
fn named(pem: &[u8]) -> io::Result<rustls::RootCertStore> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        Err(io::Error::other("the authorities' PEM text has no certificate"))
    } else {
        Ok(roots)
    }
}

#[cfg(not(feature = "tls"))]
fn with_tls(plain: HttpConnector, _: bool, _: Option<&[u8]>) -> io::Result<Connector> {
    Ok(plain)
}

/// What is wrong with the certificate of a server, where that is why no connection came about.
#[cfg(feature = "tls")]
pub(super) fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
            return Some(match why {
                rustls::CertificateError::UnknownIssuer => {
                    "its certificate is of no authority that is trusted here (SSL_CERT_FILE names others)"
                        .to_owned()
                }
                why => format!("its certificate is not valid: {why}"),
            });
        }
        // The source of an I/O error is not what it holds, but the source of that.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

#[cfg(not(feature = "tls"))]
pub(super) fn distrust(_: &(dyn std::error::Error + 'static)) -> Option<String> {
    None
}
