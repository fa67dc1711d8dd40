//! What the store keeps of a token, never the token itself; and the key that signs links.

use std::fmt;
use std::sync::Arc;

use crate::operation::{QueueName, TenantId, Timestamp};

/// What a token may do, and the hash that it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its public part.
    pub id: Arc<str>,
    /// Whose operations it opens.
    pub tenant: TenantId,
    /// What people call it; events name their actor by it.
    pub name: Arc<str>,
    /// The words of its scopes.
    pub scopes: Vec<Arc<str>>,
    /// The queues that it may claim from; none: every queue.
    pub queues: Option<Arc<[QueueName]>>,
    /// SHA-256 of its secret. The secret is 256 random bits, so a slow hash would add nothing.
    pub hash: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
    /// Whether it opens nothing any more.
    pub revoked: bool,
    /// From when on it opens nothing any more by itself; none: never.
    pub expires: Option<Timestamp>,
    /// When it was last used, give or take a minute; none: not yet.
    pub used: Option<Timestamp>,
}

impl Credential {
    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What is to be kept of tokens.
#[derive(Debug, Clone)]
pub enum Noted {
    /// A new one, or what became of one.
    Credential(Credential),
    /// By their ids, when these were last used.
    Used(Vec<(Arc<str>, Timestamp)>),
}

/// What signs the links to operations: 256 random bits, drawn when a store is made. No link and no log shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkKey(pub [u8; 32]);

impl LinkKey {
    /// A new one.
    pub(in crate::store) fn fresh() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LinkKey")
    }
}
