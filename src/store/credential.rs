//! What the store keeps of a token: never the token itself.

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
}
