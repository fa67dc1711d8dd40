//! Certificates for a server that speaks TLS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, Error, IsCa, KeyPair};

use super::programs::give_away;

/// What the certificate calls the server.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// The certificate of the authority that speaks for the server of a directory.
pub(crate) fn authority(directory: &Path) -> PathBuf {
    directory.join("authority.crt")
}

/// Makes all that is needed in a directory, and gives the server's settings.
pub(crate) fn certify(directory: &Path) -> [(&'static str, String); 3] {
    let Made { authority: root, certificate, key } = make().expect("certificates can be made");
    let place = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).expect("the directory can be written");
        give_away(&path);
        path
    };
    place("authority.crt", &root);
    let key = place("server.key", &key);
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("the key can be hidden");
    let certificate = place("server.crt", &certificate);
    [
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", certificate.display().to_string()),
        ("ssl_key_file", key.display().to_string()),
    ]
}

struct Made {
    authority: String,
    certificate: String,
    key: String,
}

fn make() -> Result<Made, Error> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Longrun's tests");
    let authority = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let mut server = CertificateParams::new(NAMES.map(str::to_owned))?;
    server.distinguished_name.push(DnType::CommonName, "PostgreSQL");
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    Ok(Made { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}
