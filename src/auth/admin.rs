//! Making, listing and revoking tokens: the same on a running server and without one.
//!
//! Everything here is plain computation from a request to a [`Credential`] that is to be kept. Whoever calls makes it
//! durable and tells [`super::Keys`]; only then is the token shown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::scope::{Scope, Scopes};
use super::token::Token;
use crate::limits;
use crate::operation::names::Tag;
use crate::operation::{QueueName, TenantId, Timestamp};
use crate::store::credential::Credential;

/// What is asked for: `POST /tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRequest {
    /// What people call it; events name their actor by it.
    pub name: String,
    /// Whose operations it opens; `default` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The words of its scopes, at least one.
    pub scopes: Vec<String>,
    /// The queues that it may claim from; absent: every queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// After how many seconds it opens nothing any more; absent: never by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
}

/// A token as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its public part.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whose operations it opens.
    pub tenant: String,
    /// The words of its scopes.
    pub scopes: Vec<String>,
    /// The queues that it may claim from; absent: every queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// When it was made.
    pub created_date_time: String,
    /// From when on it opens nothing any more; absent: never by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_date_time: Option<String>,
    /// When it was last used, give or take a minute; absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_date_time: Option<String>,
    /// Whether it was revoked, and opens nothing any more.
    pub revoked: bool,
    /// Whether its time is over, and it opens nothing any more.
    pub expired: bool,
}

impl TokenView {
    fn of(credential: &Credential, now: Timestamp) -> Self {
        let queues = credential.queues.as_ref();
        Self {
            id: credential.id.to_string(),
            name: credential.name.to_string(),
            tenant: credential.tenant.to_string(),
            scopes: credential.scopes.iter().map(ToString::to_string).collect(),
            queues: queues.map(|queues| queues.iter().map(ToString::to_string).collect()),
            created_date_time: credential.created.to_string(),
            expiration_date_time: credential.expires.map(|expires| expires.to_string()),
            last_used_date_time: credential.used.map(|used| used.to_string()),
            revoked: credential.revoked,
            expired: credential.is_expired(now),
        }
    }
}

/// The answer to a request for a token, and the only one that ever holds it.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenMade {
    /// The whole token.
    pub token: String,
    /// The rest, as lists show it.
    #[serde(flatten)]
    pub view: TokenView,
}

impl std::fmt::Debug for TokenMade {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TokenMade").field("view", &self.view).finish_non_exhaustive()
    }
}

/// What a list answers: `GET /tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenList {
    /// Every token, oldest first, revoked ones too.
    pub value: Vec<TokenView>,
}

/// Why no token was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// The request is wrong.
    #[error("{target}: {message}")]
    Invalid {
        /// The field at fault.
        target: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The system gives no random bits.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(String),
}

fn invalid(target: &'static str, message: &impl ToString) -> TokenRefused {
    TokenRefused::Invalid { target, message: message.to_string() }
}

/// Makes a token: what is to be kept of it, and what is to be shown once that is durable.
pub fn make(request: &TokenRequest, now: Timestamp) -> Result<(Credential, TokenMade), TokenRefused> {
    let name = Tag::parse(&request.name).map_err(|error| invalid("name", &error))?;
    let tenant = match &request.tenant {
        Some(tenant) => TenantId::parse(tenant).map_err(|error| invalid("tenant", &error))?,
        None => TenantId::default(),
    };
    let scopes = scopes(&request.scopes)?;
    let queues = request.queues.as_deref().map(|names| queues(names, scopes)).transpose()?;
    let expires = request.lifetime_seconds.map(|seconds| expires(seconds, now)).transpose()?;
    let token = Token::fresh().map_err(|error| TokenRefused::NoRandomness(error.to_string()))?;
    let credential = Credential {
        id: Arc::from(token.id()),
        tenant,
        name: Arc::from(name.as_str()),
        scopes: scopes.words(),
        queues,
        hash: token.hash(),
        created: now,
        revoked: false,
        expires,
        used: None,
    };
    let made = TokenMade { token: token.reveal(), view: TokenView::of(&credential, now) };
    Ok((credential, made))
}

/// The credential as it is to be kept from now on: it opens nothing any more. Revoking twice changes nothing.
pub fn revoke(credential: &Credential) -> Credential {
    Credential { revoked: true, ..credential.clone() }
}

/// A list of these.
pub fn list<'a>(credentials: impl IntoIterator<Item = &'a Credential>, now: Timestamp) -> TokenList {
    TokenList { value: credentials.into_iter().map(|credential| TokenView::of(credential, now)).collect() }
}

fn expires(seconds: u64, now: Timestamp) -> Result<Timestamp, TokenRefused> {
    let life = Duration::from_secs(seconds);
    if life.is_zero() || life > limits::TOKEN_LIFE_MAX {
        let most = limits::TOKEN_LIFE_MAX.as_secs();
        return Err(invalid("lifetimeSeconds", &format!("must be 1 to {most}")));
    }
    Ok(now.plus(life))
}

fn scopes(words: &[String]) -> Result<Scopes, TokenRefused> {
    let known = || Scope::GRANTED.map(Scope::as_str).join(", ");
    if words.is_empty() {
        return Err(invalid("scopes", &format!("at least one of {}", known())));
    }
    words
        .iter()
        .map(|word| {
            let shown: String = word.chars().take(limits::ECHO_CHARS_MAX).collect();
            Scope::parse(word)
                .ok_or_else(|| invalid("scopes", &format!("{shown:?} is not one of {}", known())))
        })
        .collect()
}

fn queues(names: &[String], scopes: Scopes) -> Result<Arc<[QueueName]>, TokenRefused> {
    if !scopes.allow(Scope::Execute) {
        return Err(invalid("queues", &format!("they narrow {}, which is not asked for", Scope::Execute)));
    }
    let queues = names.iter().map(|name| QueueName::parse(name));
    let queues: BTreeSet<_> = queues.collect::<Result<_, _>>().map_err(|error| invalid("queues", &error))?;
    if queues.is_empty() || queues.len() > limits::TOKEN_QUEUES_MAX {
        return Err(invalid("queues", &format!("1 to {}", limits::TOKEN_QUEUES_MAX)));
    }
    Ok(queues.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;

    fn request(scopes: &[&str]) -> TokenRequest {
        TokenRequest {
            name: "render farm".to_owned(),
            tenant: None,
            scopes: scopes.iter().map(ToString::to_string).collect(),
            queues: None,
            lifetime_seconds: None,
        }
    }

    fn target(request: &TokenRequest) -> &'static str {
        match make(request, Timestamp::MIN) {
            Err(TokenRefused::Invalid { target, .. }) => target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_that_was_made_opens_what_was_asked_for() {
        let request = TokenRequest {
            tenant: Some("acme".to_owned()),
            queues: Some(vec!["media".to_owned(), "media".to_owned()]),
            ..request(&["Operation.Execute", "Operation.Read"])
        };
        let (credential, made) = make(&request, Timestamp::MIN).unwrap();
        assert_eq!(made.view.scopes, ["Operation.Read", "Operation.Execute"]);
        assert_eq!(made.view.queues.as_deref(), Some(&["media".to_owned()][..]));
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", made.token).parse().unwrap());
        let caller = Keys::new([credential]).verify(&headers, || Timestamp::MIN).unwrap();
        assert_eq!((caller.tenant.as_str(), &*caller.name), ("acme", "render farm"));
        assert!(caller.allows(Scope::Execute) && !caller.allows(Scope::Manage));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(target(&request(&[])), "scopes");
        assert_eq!(target(&request(&["Operation.Fly"])), "scopes");
        let read = request(&["Operation.Read"]);
        assert_eq!(target(&TokenRequest { name: "a\nb".to_owned(), ..read.clone() }), "name");
        assert_eq!(target(&TokenRequest { tenant: Some("a b".to_owned()), ..read.clone() }), "tenant");
        assert_eq!(target(&TokenRequest { queues: Some(vec!["media".to_owned()]), ..read }), "queues");
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let most = limits::TOKEN_QUEUES_MAX;
        for queues in [names(most - 1), names(most)] {
            make(&TokenRequest { queues: Some(queues), ..request(&["Operation.Execute"]) }, Timestamp::MIN)
                .unwrap();
        }
        for queues in [vec![], vec!["a b".to_owned()], names(most + 1)] {
            assert_eq!(
                target(&TokenRequest { queues: Some(queues), ..request(&["Operation.Execute"]) }),
                "queues"
            );
        }
    }

    #[test]
    fn neither_lists_nor_debug_prints_show_a_secret() {
        let (credential, made) = make(&request(&["Operation.Read"]), Timestamp::MIN).unwrap();
        let secret = made.token.rsplit_once('_').unwrap().1;
        let listed = serde_json::to_string(&list([&credential], Timestamp::MIN)).unwrap();
        assert!(!listed.contains(secret) && !listed.contains("hash"), "{listed}");
        assert!(!format!("{made:?}").contains(secret));
        assert!(serde_json::to_string(&made).unwrap().contains(secret));
        assert!(revoke(&revoke(&credential)).revoked);
    }

    #[test]
    fn a_life_is_bounded_and_its_end_is_shown() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let most = limits::TOKEN_LIFE_MAX.as_secs();
        let asked =
            |seconds| TokenRequest { lifetime_seconds: Some(seconds), ..request(&["Operation.Read"]) };
        for good in [1, most - 1, most] {
            let (credential, made) = make(&asked(good), now).unwrap();
            let end = now.plus(Duration::from_secs(good));
            assert_eq!(made.view.expiration_date_time, Some(end.to_string()));
            let is_expired = |at| list([&credential], at).value[0].expired;
            let just_before = end.minus(Duration::from_nanos(100));
            assert!(!is_expired(just_before) && is_expired(end));
        }
        for bad in [0, most + 1, u64::MAX] {
            assert_eq!(target(&asked(bad)), "lifetimeSeconds", "{bad}");
        }
    }
}
