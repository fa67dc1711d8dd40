//! Whom a request comes from.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::scope::{Scope, Scopes};
use crate::limits;
use crate::operation::{QueueName, TenantId, Timestamp};

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It shows no token, and the server is not open.
    #[error("a token is needed: Authorization: Bearer lr_…")]
    NoToken,
    /// What it shows is no token, or there are several.
    #[error("Authorization must be one header of the form: Bearer lr_<id>_<secret>")]
    NotAToken,
    /// It shows a token that opens nothing. Whether it never did or does no longer is not told.
    #[error("the token is not known")]
    UnknownToken,
    /// Its token opens other things.
    #[error("the token needs the scope {0}")]
    Scope(Scope),
}

impl Denied {
    /// Whether the caller is unknown (401), rather than known and not allowed (403).
    pub fn is_unauthenticated(self) -> bool {
        !matches!(self, Self::Scope(_))
    }
}

/// How long a caller may go on: until their token is revoked, or its time is over.
#[derive(Debug, Clone, Default)]
pub struct Leave {
    /// Shared as a whole, since it counts its own clones under a lock.
    pub(super) ended: Arc<CancellationToken>,
    pub(super) expires: Option<Timestamp>,
}

/// It is no part of who somebody is: two callers are the same whatever it says.
impl PartialEq for Leave {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Leave {}

/// Whom a request comes from, and what they may do. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose operations they see and change, and no others.
    pub tenant: TenantId,
    /// The actor that events name.
    pub name: Arc<str>,
    /// The id of the token that they show; none, while no token was made.
    pub token: Option<Arc<str>>,
    /// What they may do.
    pub scopes: Scopes,
    /// The queues that they may claim from; none: every queue.
    pub queues: Option<Arc<[QueueName]>>,
    /// How long they may go on.
    pub leave: Leave,
}

impl Caller {
    /// Everybody, while no token was made.
    pub fn anonymous() -> Self {
        Self {
            tenant: TenantId::default(),
            name: Arc::from("anonymous"),
            token: None,
            scopes: Scopes::all(),
            queues: None,
            leave: Leave::default(),
        }
    }

    /// Whether they may not go on.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.leave.ended.is_cancelled() || self.leave.expires.is_some_and(|expires| expires <= now)
    }

    /// Resolves once they may not go on, by the store's clock: whoever waits or watches does so no longer.
    pub async fn lapsed(&self, now: impl Fn() -> Timestamp) {
        let expired = async {
            let Some(expires) = self.leave.expires else { return std::future::pending().await };
            loop {
                let left = expires.since(now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(limits::LEAVE_CHECKED_EVERY)).await;
            }
        };
        tokio::select! {
            () = self.leave.ended.cancelled() => {}
            () = expired => {}
        }
    }

    /// Whether they may use a route that stands under this scope.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }

    /// The same as a refusal, to be answered as it is.
    pub fn require(&self, scope: Scope) -> Result<(), Denied> {
        if self.allows(scope) { Ok(()) } else { Err(Denied::Scope(scope)) }
    }

    /// Whether they may claim from this queue, given that they may claim at all.
    pub fn may_claim_from(&self, queue: &QueueName) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_a_403_and_a_missing_token_a_401() {
        let caller = Caller { scopes: [Scope::Execute].into_iter().collect(), ..Caller::anonymous() };
        assert_eq!(caller.require(Scope::Execute), Ok(()));
        let denied = caller.require(Scope::Read).unwrap_err();
        assert!(!denied.is_unauthenticated());
        assert_eq!(denied.to_string(), "the token needs the scope Operation.Read");
        for denied in [Denied::NoToken, Denied::NotAToken, Denied::UnknownToken] {
            assert!(denied.is_unauthenticated());
        }
    }

    #[test]
    fn a_token_may_be_narrowed_to_queues() {
        let media = QueueName::parse("media").unwrap();
        let mail = QueueName::parse("mail").unwrap();
        let narrowed = Caller { queues: Some(Arc::from([media.clone()])), ..Caller::anonymous() };
        assert!(narrowed.may_claim_from(&media) && !narrowed.may_claim_from(&mail));
        assert!(Caller::anonymous().may_claim_from(&mail));
    }
}
