//! TLS on the server's own listener: a certificate that is read anew when its files change, HTTP/2 where the client knows it.

use std::fs;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::der::Decode;

use super::listener::Listener;
use crate::http::arrival::Peer;
use crate::limits;
use crate::operation::Timestamp;

/// The protocols that are offered (RFC 7301), the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("the file {path} cannot be read: {source}")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("the file {path} holds no {what} in PEM form: {source}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The two do not go together, or are of a kind that is not known.
    #[error("the certificate {certificate} cannot be used with the key {key}: {source}")]
    Unusable {
        /// The file of the one.
        certificate: PathBuf,
        /// The file of the other.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The files of a certificate with those that lead to its authority, and of its key; both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What stands in them.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(&self) -> Result<Contents, CertificateError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| CertificateError::Unreadable { path: path.to_owned(), source })
        };
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn certified(&self, contents: &Contents) -> Result<CertifiedKey, CertificateError> {
        let not_pem = |path: &Path, what| {
            let path = path.to_owned();
            move |source| CertificateError::NotPem { path, what, source }
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.certificate).collect();
        let chain =
            chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
        let chain = chain.map_err(not_pem(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(not_pem(&self.key, "private key"))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| CertificateError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

/// The certificate that the server shows now.
pub struct Certificate {
    files: Files,
    shown: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads it.
    pub fn open(certificate: &Path, key: &Path) -> Result<Arc<Self>, CertificateError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let shown = files.certified(&files.read()?)?;
        Ok(Arc::new(Self { files, shown: RwLock::new(Arc::new(shown)) }))
    }

    /// From when until when all that is shown holds, the certificates that lead to its authority included (RFC 5280, 4.1.2.5);
    /// none: one of them is not understood.
    pub fn validity(&self) -> Option<Range<Timestamp>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut whole = Timestamp::MIN..Timestamp::MAX;
        for certificate in &shown.cert {
            let of_one = x509_cert::Certificate::from_der(certificate).ok()?.tbs_certificate.validity;
            let at = |time: x509_cert::time::Time| Timestamp::from_ticks(0).plus(time.to_unix_duration());
            whole = whole.start.max(at(of_one.not_before))..whole.end.min(at(of_one.not_after));
        }
        Some(whole)
    }

    /// Looks again and again whether other files are there, and shows what is in them to whoever connects from then on.
    /// Whatever cannot be used is told of once, and what was shown before still is.
    pub async fn follow(&self) {
        let mut seen = self.files.read().ok();
        loop {
            tokio::time::sleep(limits::CERTIFICATE_LOOKED_EVERY).await;
            // They are small, and their time of change tells too little where links are swapped.
            let found = self.files.read();
            if matches!((&seen, &found), (Some(seen), Ok(found)) if seen == found)
                || (seen.is_none() && found.is_err())
            {
                continue;
            }
            let (found, certified) = match found {
                Ok(found) => {
                    let certified = self.files.certified(&found);
                    (Some(found), certified)
                }
                Err(error) => (None, Err(error)),
            };
            seen = found;
            match certified {
                Ok(certified) => {
                    *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                    tracing::info!("another certificate is shown from now on");
                }
                Err(error) => {
                    tracing::error!(%error, "the certificate has changed and cannot be used; the one before still is");
                }
            }
        }
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A listener whose connections speak TLS.
pub struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    /// Shows this certificate to whoever connects. TLS 1.2 and 1.3.
    pub fn new(listener: TcpListener, certificate: Arc<Certificate>) -> Result<Self, rustls::Error> {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider()));
        let mut config = config
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl Listener for TlsListener {
    type Stream = TlsStream<TcpStream>;
    type Opening = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    async fn accept(&self) -> io::Result<(Self::Opening, Peer)> {
        let (stream, address) = self.listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let opening = tokio::time::timeout(limits::HEAD_READ, self.acceptor.accept(stream));
        let opening = async move { opening.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) };
        Ok((Box::pin(opening), Peer::Net { address, secure: true }))
    }
}
