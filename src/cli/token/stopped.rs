//! The store of a server that does not run, or the database that nodes share, whether any runs or not.

use std::path::Path;
use std::sync::Arc;

use super::{Exit, Failure};
use crate::auth::admin::{self, TokenList, TokenMade, TokenRefused, TokenRequest};
use crate::store::clock::Machine;
use crate::store::credential::Credential;
use crate::store::sqlite::{self, OpenError, Options};
use crate::store::turn::{Changes, Touches};
use crate::store::{AllTenants, Reader, Store, StoreError, postgres};

/// A store that was opened for the credentials in it.
pub(super) struct Stopped {
    /// None while a turn of it goes on.
    store: Option<Box<dyn Store>>,
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
        Ok(Self { store: Some(Box::new(store)), reader })
    }

    /// Opens a database.
    pub(super) async fn database(url: String) -> Result<Self, Failure> {
        let options =
            postgres::Options { url, notify: false, connections: 1, time: None, metrics: Arc::default() };
        let opening = tokio::task::spawn_blocking(move || postgres::open(&options)).await;
        let opened = opening.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let (store, reader) = opened.map_err(|error| {
            let exit = match error {
                postgres::OpenError::Url(_) => Exit::Usage,
                postgres::OpenError::Unreachable { .. } => Exit::Unreachable,
                _ => Exit::Failed,
            };
            Failure::new(exit, error.to_string())
        })?;
        Ok(Self { store: Some(Box::new(store)), reader })
    }

    /// Whether there is a store at all, of a running server or a stopped one.
    pub(super) fn is_there(data: &Path) -> bool {
        sqlite::is_there(data)
    }

    pub(super) async fn make(&mut self, request: &TokenRequest) -> Result<TokenMade, Failure> {
        let (credential, made) = admin::make(request, self.reader.now()).map_err(|error| match error {
            TokenRefused::Invalid { .. } => Failure::usage(error.to_string()),
            TokenRefused::NoRandomness(_) => Failure::new(Exit::Failed, error.to_string()),
        })?;
        self.put(credential).await?;
        Ok(made)
    }

    pub(super) async fn list(&self) -> Result<TokenList, Failure> {
        Ok(admin::list(&self.credentials().await?, self.reader.now()))
    }

    pub(super) async fn revoke(&mut self, id: &str) -> Result<(), Failure> {
        let credentials = self.credentials().await?;
        match credentials.iter().find(|credential| &*credential.id == id) {
            Some(credential) => self.put(admin::revoke(credential)).await,
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
    async fn put(&mut self, credential: Credential) -> Result<(), Failure> {
        let mut changes = Changes { credentials: vec![credential], ..Changes::default() };
        let Some(mut store) = self.store.take() else { return Ok(()) };
        // It blocks until it is durable.
        let turn = tokio::task::spawn_blocking(move || {
            let done = store.begin(&Touches::default()).and_then(|_| store.commit(&mut changes));
            (store, done)
        });
        let (store, done) = turn.await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        self.store = Some(store);
        done.map_err(|error| failed(&error))
    }
}

fn failed(error: &StoreError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}
