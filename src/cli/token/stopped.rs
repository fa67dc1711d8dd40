//! The store of a server that does not run.

use std::path::Path;
use std::sync::Arc;

use super::{Exit, Failure};
use crate::auth::admin::{self, TokenList, TokenMade, TokenRefused, TokenRequest};
use crate::store::clock::Machine;
use crate::store::credential::Credential;
use crate::store::sqlite::{self, OpenError, Options};
use crate::store::turn::{Changes, Touches};
use crate::store::{AllTenants, Reader, Store, StoreError};

/// A store that was opened for the credentials in it.
pub(super) struct Stopped {
    store: Box<dyn Store>,
    reader: Arc<dyn Reader>,
}

impl Stopped {
    /// Opens the store, if no server holds it.
    pub(super) fn open(data: &Path) -> Result<Self, Failure> {
        let time = Arc::new(Machine::default());
        // However full the disk is, a token finds room: it may be the one that is needed to make some.
        let options = Options { directory: data.to_owned(), min_free_bytes: 0, time };
        let (store, reader) = sqlite::open(options).map_err(|error| match error {
            // One that starts or ends at this moment holds its store and has no socket.
            OpenError::Locked { .. } => {
                let message = format!("a server holds {}, but does not answer on its socket", data.display());
                Failure::new(Exit::Unreachable, message)
            }
            other => Failure::new(Exit::Failed, other.to_string()),
        })?;
        Ok(Self { store: Box::new(store), reader })
    }

    /// Whether there is a store at all, of a running server or a stopped one.
    pub(super) fn is_there(data: &Path) -> bool {
        sqlite::is_there(data)
    }

    pub(super) fn make(&mut self, request: &TokenRequest) -> Result<TokenMade, Failure> {
        let (credential, made) = admin::make(request, self.reader.now()).map_err(|error| match error {
            TokenRefused::Invalid { .. } => Failure::usage(error.to_string()),
            TokenRefused::NoRandomness(_) => Failure::new(Exit::Failed, error.to_string()),
        })?;
        self.put(credential)?;
        Ok(made)
    }

    pub(super) async fn list(&self) -> Result<TokenList, Failure> {
        Ok(admin::list(&self.credentials().await?))
    }

    pub(super) async fn revoke(&mut self, id: &str) -> Result<(), Failure> {
        let credentials = self.credentials().await?;
        match credentials.iter().find(|credential| &*credential.id == id) {
            Some(credential) => self.put(admin::revoke(credential)),
            None => Err(Failure::new(Exit::NotFound, format!("there is no token {id}"))),
        }
    }

    async fn credentials(&self) -> Result<Vec<Credential>, Failure> {
        let registry = self.reader.registry(AllTenants).await.map_err(|error| failed(&error))?;
        let mut credentials = registry.credentials;
        credentials.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        Ok(credentials)
    }

    /// One turn of the store, durable when it ends.
    fn put(&mut self, credential: Credential) -> Result<(), Failure> {
        let mut changes = Changes { credentials: vec![credential], ..Changes::default() };
        self.store
            .begin(&Touches::default())
            .and_then(|_| self.store.commit(&mut changes))
            .map_err(|error| failed(&error))
    }
}

fn failed(error: &StoreError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
