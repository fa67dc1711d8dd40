//! What every route works with.

use std::ops::Deref;
use std::sync::Arc;

use http::HeaderValue;

use super::registry::Registry;
use crate::auth::Keys;
use crate::tracker::Tracker;

/// Shared by all routes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// What a server is made of, as its routes see it.
#[derive(Debug)]
pub struct Parts {
    /// The one door to the operations.
    pub tracker: Tracker,
    /// Who may do what.
    pub keys: Arc<Keys>,
    /// Keeps up with what other nodes of a shared store write beside operations.
    pub registry: Option<Arc<Registry>>,
    /// What URLs in answers begin with; none: whatever the request was sent to.
    pub public_url: Option<Arc<str>>,
    /// Origins of web pages that may ask from a browser.
    pub cors_origins: Vec<HeaderValue>,
}

impl App {
    /// An application of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
