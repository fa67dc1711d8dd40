//! TLS as a test needs it: an authority, certificates that it has signed, and what speaks TLS in front of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::Datelike;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::task::AbortOnDropHandle;

/// Signs the certificates of servers. Nobody trusts it but who is told of its file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    scratch: tempfile::TempDir,
    issued: AtomicUsize,
}

/// A server's certificate and its key, as the files that a server is given.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Two of one name would be taken for the same.
        params.distinguished_name.push(DnType::CommonName, uuid::Uuid::new_v4().to_string());
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority can sign itself");
        let scratch = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(scratch.path().join("authority.pem"), issuer.pem()).expect("it can be written");
        Self { issuer, scratch, issued: AtomicUsize::new(0) }
    }

    /// The file by which a client trusts it: for `SSL_CERT_FILE` and its like.
    pub fn file(&self) -> PathBuf {
        self.scratch.path().join("authority.pem")
    }

    /// A certificate for a server of this name or address.
    pub fn certify(&self, name: &str) -> Certificate {
        self.sign(CertificateParams::new([name.to_owned()]).expect("it is a name or an address"))
    }

    /// One for this machine that holds between these days, counted from today.
    pub fn certify_for(&self, days: Range<i64>) -> Certificate {
        let midnight = |days| {
            let date = chrono::Utc::now().date_naive() + chrono::Duration::days(days);
            let part = |part| u8::try_from(part).expect("months and days are small");
            rcgen::date_time_ymd(date.year(), part(date.month()), part(date.day()))
        };
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("it is an address");
        (params.not_before, params.not_after) = (midnight(days.start), midnight(days.end));
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Certificate {
        let key = key();
        // Who is strict, as Python is, asks for it.
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let nth = self.issued.fetch_add(1, Ordering::Relaxed);
        let file = |suffix: &str| self.scratch.path().join(format!("{nth}.{suffix}"));
        let files = Certificate { chain: file("pem"), key: file("key") };
        std::fs::write(&files.chain, certificate.pem()).expect("it can be written");
        std::fs::write(&files.key, key.serialize_pem()).expect("it can be written");
        files
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

/// Takes the TLS off what clients send to a server. Closed, with all its connections, when dropped.
pub struct Terminator {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// What the last client and it agreed to speak.
    spoken: Arc<OnceLock<Vec<u8>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Terminator {
    /// In front of a server at `http://host:port`, offering these protocols, the one it likes best first.
    pub async fn before(server: &str, certificate: &Certificate, protocols: &[&str]) -> Self {
        let address = server.trim_start_matches("http://").parse().expect("the server has an address");
        let acceptor = TlsAcceptor::from(Arc::new(config(certificate, protocols)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a free port");
        let url = format!("https://{}", listener.local_addr().expect("it has an address"));
        let spoken = Arc::new(OnceLock::new());
        let accepting = tokio::spawn(accept(listener, acceptor, address, Arc::clone(&spoken)));
        Self { url, spoken, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// What the first client that trusted it has agreed to speak; none: nothing was said of it.
    pub fn spoken(&self) -> Option<&str> {
        let spoken = self.spoken.get().expect("somebody has spoken to it");
        Some(std::str::from_utf8(spoken).expect("protocols are texts")).filter(|text| !text.is_empty())
    }

    /// Whether a client has trusted it.
    pub fn is_trusted(&self) -> bool {
        self.spoken.get().is_some()
    }
}

fn config(certificate: &Certificate, protocols: &[&str]) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(&certificate.chain).expect("there is a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("they are certificates");
    let key = PrivateKeyDer::from_pem_file(&certificate.key).expect("there is a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("the provider has them");
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).expect("they belong together");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    server: SocketAddr,
    spoken: Arc<OnceLock<Vec<u8>>>,
) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (acceptor, spoken) = (acceptor.clone(), Arc::clone(&spoken));
        connections.spawn(async move {
            // Who does not trust the certificate ends the connection here.
            let Ok(mut client) = acceptor.accept(stream).await else { return };
            let protocol = client.get_ref().1.alpn_protocol();
            let _ = spoken.set(protocol.unwrap_or_default().to_vec());
            if let Ok(mut server) = TcpStream::connect(server).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
