//! The first token, from a file: where nobody can reach the loopback of the server, as in a container.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scope::Scopes;
use super::token::{InvalidToken, Token};
use crate::operation::{TenantId, Timestamp};
use crate::store::credential::Credential;

/// A token and its newline are shorter; whatever is longer is another file.
const FILE_BYTES_MAX: u64 = 256;
/// What events call whoever shows it.
const NAME: &str = "first";

/// Why the file of `LONGRUN_FIRST_TOKEN_FILE` is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FirstTokenError {
    /// It cannot be read.
    #[error("the first token's file {path} cannot be read: {source}")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a directory, a pipe or the like.
    #[error("the first token's file {0} is not a regular file")]
    NotAFile(PathBuf),
    /// Others may do something with it.
    #[error(
        "the first token's file {path} has mode {mode:04o}, but only its owner may read it: chmod 600 it \
         (where it belongs to root, its group may read it too: 0640)"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It was revoked, or its id is that of another token.
    #[error(
        "the first token's id {0} is that of a token which was revoked or differs: put a new one into its file"
    )]
    Spent(Arc<str>),
    /// It holds something else. What, is not said: it may be a secret.
    #[error("the first token's file {path} holds something else than one token: {source}")]
    NotAToken {
        /// The file.
        path: PathBuf,
        /// The form.
        source: InvalidToken,
    },
}

/// Reads the first token: a credential with every scope of the tenant `default`, and so not `Server.Manage`.
///
/// The file is regular (links to one are followed, as secrets are often mounted by them), [is nobody else's to
/// read](is_private), and holds one token, with or without a newline behind it. It is read at each start and only stored
/// when it is revoked, so whoever takes the file away takes the token away.
pub fn first_token(path: &Path, now: Timestamp) -> Result<Credential, FirstTokenError> {
    let text = read(path)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let token =
        Token::parse(line).map_err(|source| FirstTokenError::NotAToken { path: path.to_owned(), source })?;
    Ok(Credential {
        id: Arc::from(token.id()),
        tenant: TenantId::default(),
        name: Arc::from(NAME),
        scopes: Scopes::of_tenant().words(),
        queues: None,
        hash: token.hash(),
        created: now,
        revoked: false,
        expires: None,
        used: None,
    })
}

fn read(path: &Path) -> Result<String, FirstTokenError> {
    let unreadable = |source| FirstTokenError::Unreadable { path: path.to_owned(), source };
    // Looked at before it is opened, since opening a pipe waits for its other end.
    let regular = |found: &fs::Metadata| {
        if found.is_file() { Ok(()) } else { Err(FirstTokenError::NotAFile(path.to_owned())) }
    };
    regular(&fs::metadata(path).map_err(unreadable)?)?;
    let file = File::open(path).map_err(unreadable)?;
    let opened = file.metadata().map_err(unreadable)?;
    regular(&opened)?;
    let mode = opened.mode() & 0o7777;
    if !is_private(opened.uid(), mode, rustix::process::geteuid().as_raw()) {
        return Err(FirstTokenError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes)
        .map_err(|_| FirstTokenError::NotAToken { path: path.to_owned(), source: InvalidToken })
}

/// Whether nobody but this server's user and root may read or change a file.
///
/// Root may have let a group read its own: so Kubernetes hands secrets to a container that does not run as root, and
/// PostgreSQL takes private keys by the same rule.
fn is_private(owner: u32, mode: u32, user: u32) -> bool {
    let others = if owner == 0 && user != 0 { 0o037 } else { 0o077 };
    mode & others == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::scope::Scope;
    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn it_opens_the_default_tenant_and_does_not_cross_tenants() {
        let text = Token::fresh().unwrap().reveal();
        for ending in ["", "\n", "\r\n"] {
            let (_directory, path) = file(&format!("{text}{ending}"), 0o600);
            let credential = first_token(&path, Timestamp::MIN).unwrap();
            assert_eq!(credential.tenant, TenantId::default());
            assert_eq!(credential.hash, Token::parse(&text).unwrap().hash());
            let scopes = Scopes::of_words(&credential.scopes);
            assert!(
                scopes.allow(Scope::ReadWrite) && scopes.allow(Scope::Execute) && scopes.allow(Scope::Manage)
            );
            assert!(!scopes.allow(Scope::ServerManage));
        }
    }

    #[test]
    fn only_its_owner_may_be_able_to_read_it() {
        let text = Token::fresh().unwrap().reveal();
        for mode in [0o600, 0o400, 0o700] {
            let (_directory, path) = file(&text, mode);
            assert!(first_token(&path, Timestamp::MIN).is_ok(), "{mode:o}");
        }
        for mode in [0o644, 0o640, 0o620, 0o604, 0o610, 0o601] {
            let (_directory, path) = file(&text, mode);
            let error = first_token(&path, Timestamp::MIN).unwrap_err();
            assert!(matches!(error, FirstTokenError::Exposed { .. }), "{mode:o}");
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        }
    }

    #[test]
    fn root_may_have_let_the_servers_group_read_it() {
        let (root, me, another) = (0, 1000, 1001);
        assert!(is_private(root, 0o440, me) && is_private(root, 0o640, me));
        assert!(!is_private(root, 0o460, me) && !is_private(root, 0o444, me) && !is_private(root, 0o450, me));
        assert!(!is_private(root, 0o440, root), "a server of root reads it without its group");
        assert!(!is_private(me, 0o440, me) && !is_private(another, 0o440, me));
    }

    #[test]
    fn it_holds_one_token_and_nothing_else_and_is_never_quoted() {
        let text = Token::fresh().unwrap().reveal();
        for bad in [String::new(), "secret".to_owned(), format!("{text}\n\n"), format!("{text}\n{text}")] {
            let (_directory, path) = file(&bad, 0o600);
            let error = first_token(&path, Timestamp::MIN).unwrap_err();
            assert!(matches!(error, FirstTokenError::NotAToken { .. }), "{bad:?}");
            assert!(!error.to_string().contains("secret\n"), "{error}");
        }
    }

    #[test]
    fn a_link_to_it_is_followed_and_a_directory_is_refused() {
        let (directory, path) = file(&Token::fresh().unwrap().reveal(), 0o600);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(first_token(&link, Timestamp::MIN).is_ok());
        let error = first_token(directory.path(), Timestamp::MIN).unwrap_err();
        assert!(matches!(error, FirstTokenError::NotAFile(_)), "{error}");
        let error = first_token(&directory.path().join("none"), Timestamp::MIN).unwrap_err();
        assert!(matches!(error, FirstTokenError::Unreadable { .. }), "{error}");
    }
}
