//! Every credential, at hand: each request is checked here.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use super::caller::{Caller, Denied, Leave};
use super::first::FirstTokenError;
use super::scope::Scopes;
use super::token::Token;
use crate::operation::Timestamp;
use crate::store::credential::Credential;

/// Compared with where an id is not known, so that such a request costs the same.
const NOBODY: [u8; 32] = [0; 32];

struct Key {
    credential: Arc<Credential>,
    /// Made once, so that a request costs a few counters.
    caller: Caller,
    /// Whether it was used since that was last written.
    is_used: AtomicBool,
}

/// The registry of credentials. Filled at start, and told of each one once that is durable.
pub struct Keys {
    /// By id; revoked ones too, since a server on which a token was ever made is never open again.
    keys: RwLock<HashMap<Arc<str>, Key>>,
    /// Everybody, while no token was made. Their leave ends with the first one.
    anybody: Caller,
}

impl Default for Keys {
    fn default() -> Self {
        Self { keys: RwLock::default(), anybody: Caller::anonymous() }
    }
}

impl Keys {
    /// A registry of these credentials.
    pub fn new(credentials: impl IntoIterator<Item = Credential>) -> Self {
        let keys = Self::default();
        for credential in credentials {
            keys.put(credential);
        }
        keys
    }

    /// Adds a credential, or takes note of what became of one. Only of a durable one: what opens doors now must still
    /// do so after a crash, and what closes them all the more.
    pub fn put(&self, credential: Credential) {
        let scopes = Scopes::of_words(&credential.scopes);
        if scopes.iter().count() != credential.scopes.len() {
            tracing::warn!(token = &*credential.id, "a token has scopes that this version does not know");
        }
        self.anybody.leave.ended.cancel();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let known = keys.get(&credential.id);
        // Whoever waits or watches goes on by what is known of the token now.
        let ended = known.map(|known| known.caller.leave.ended.clone()).unwrap_or_default();
        if credential.revoked {
            ended.cancel();
        }
        let is_used = known.is_some_and(|known| known.is_used.load(Ordering::Relaxed)).into();
        let caller = Caller {
            tenant: credential.tenant.clone(),
            name: Arc::clone(&credential.name),
            token: Some(Arc::clone(&credential.id)),
            scopes,
            queues: credential.queues.clone(),
            leave: Leave { ended, expires: credential.expires },
        };
        let key = Key { credential: Arc::new(credential), caller, is_used };
        keys.insert(Arc::clone(&key.credential.id), key);
    }

    /// The tokens that were used since this was last asked for, by their ids: now, give or take.
    pub fn used(&self, now: Timestamp) -> Vec<(Arc<str>, Timestamp)> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let used = keys.iter_mut().filter(|(_, key)| key.is_used.swap(false, Ordering::Relaxed));
        let noted = used.map(|(id, key)| {
            key.credential = Arc::new(Credential { used: Some(now), ..Credential::clone(&key.credential) });
            (id.clone(), now)
        });
        noted.collect()
    }

    /// Takes note of what became of credentials at other nodes.
    pub fn learn(&self, credentials: Vec<Credential>) {
        for credential in credentials {
            // What was read before a revoke, and arrives after it, brings nothing back.
            let is_news =
                |known: Arc<Credential>| *known != credential && (!known.revoked || credential.revoked);
            if self.get(&credential.id).is_none_or(is_news) {
                self.put(credential);
            }
        }
    }

    /// Adds the first token, which is in no store: unless that says it was revoked.
    pub fn put_first(&self, credential: Credential) -> Result<(), FirstTokenError> {
        match self.get(&credential.id) {
            Some(known) if known.revoked || known.hash != credential.hash => {
                Err(FirstTokenError::Spent(credential.id))
            }
            _ => {
                self.put(credential);
                Ok(())
            }
        }
    }

    /// Whether no token was ever made: then everybody may do everything, on loopback.
    pub fn is_open(&self) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Every credential, oldest first.
    pub fn credentials(&self) -> Vec<Arc<Credential>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut credentials: Vec<_> = keys.values().map(|key| Arc::clone(&key.credential)).collect();
        credentials.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        credentials
    }

    /// The credential of that id.
    pub fn get(&self, id: &str) -> Option<Arc<Credential>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).map(|key| Arc::clone(&key.credential))
    }

    /// Says whom a request with these headers comes from.
    ///
    /// The secret is compared in constant time, whether the id is known or not; an unknown id, a wrong secret, and a token
    /// that was revoked or has expired are one and the same refusal.
    pub fn verify(&self, headers: &HeaderMap, now: impl FnOnce() -> Timestamp) -> Result<Caller, Denied> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.is_empty() {
            return Ok(self.anybody.clone());
        }
        let token = bearer(headers)?;
        let key = keys.get(token.id());
        let expected = key.map_or(&NOBODY, |key| &key.credential.hash);
        let same = bool::from(token.hash().ct_eq(expected));
        let is_over = |credential: &Credential| {
            credential.revoked || (credential.expires.is_some() && credential.is_expired(now()))
        };
        match key {
            Some(key) if same && !is_over(&key.credential) => {
                // Written only where it is news: all requests of a token share it.
                if !key.is_used.load(Ordering::Relaxed) {
                    key.is_used.store(true, Ordering::Relaxed);
                }
                Ok(key.caller.clone())
            }
            _ => Err(Denied::UnknownToken),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// The token of the one `Authorization` header (RFC 9110 §11.6.2; the scheme's case does not count).
fn bearer(headers: &HeaderMap) -> Result<Token<'_>, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Denied::NoToken)?;
    // Of two, a proxy may have checked the one and we the other.
    if values.next().is_some() {
        return Err(Denied::NotAToken);
    }
    let text = value.to_str().map_err(|_| Denied::NotAToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(Denied::NotAToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::NotAToken);
    }
    Token::parse(token.trim_matches(' ')).map_err(|_| Denied::NotAToken)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::scope::Scope;
    use super::*;
    use crate::operation::TenantId;

    fn credential(token: &Token<'_>) -> Credential {
        Credential {
            id: Arc::from(token.id()),
            tenant: TenantId::parse("acme").unwrap(),
            name: Arc::from("ci"),
            scopes: vec![Arc::from("Operation.Read")],
            queues: None,
            hash: token.hash(),
            created: Timestamp::MIN,
            revoked: false,
            expires: None,
            used: None,
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_ticks(1000)
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn bearing(token: &Token<'_>) -> HeaderMap {
        headers(&[&format!("Bearer {}", token.reveal())])
    }

    #[test]
    fn with_no_token_made_everybody_is_let_in() {
        let keys = Keys::default();
        assert!(keys.is_open());
        let caller = keys.verify(&HeaderMap::new(), now).unwrap();
        assert_eq!((caller.tenant.as_str(), &*caller.name), ("default", "anonymous"));
        assert_eq!(caller.scopes, Scopes::all());
        assert_eq!(keys.verify(&headers(&["whatever"]), now), Ok(Caller::anonymous()));
    }

    #[test]
    fn a_token_opens_its_tenant_with_its_scopes() {
        let token = Token::fresh().unwrap();
        let keys = Keys::new([credential(&token)]);
        assert!(!keys.is_open());
        let caller = keys.verify(&bearing(&token), now).unwrap();
        assert_eq!((caller.tenant.as_str(), &*caller.name), ("acme", "ci"));
        assert!(caller.allows(Scope::Read) && !caller.allows(Scope::ReadWrite));
    }

    #[test]
    fn a_revoked_token_opens_nothing_and_does_not_open_the_server() {
        let token = Token::fresh().unwrap();
        let keys = Keys::new([credential(&token)]);
        keys.put(Credential { revoked: true, ..credential(&token) });
        assert_eq!(keys.verify(&bearing(&token), now), Err(Denied::UnknownToken));
        assert!(!keys.is_open());
        assert_eq!(keys.verify(&HeaderMap::new(), now), Err(Denied::NoToken));
        assert_eq!(keys.credentials().len(), 1);
    }

    #[test]
    fn the_first_token_counts_unless_it_was_revoked() {
        let token = Token::fresh().unwrap();
        let keys = Keys::default();
        keys.put_first(credential(&token)).unwrap();
        assert!(!keys.is_open() && keys.verify(&bearing(&token), now).is_ok());
        let keys = Keys::new([Credential { revoked: true, ..credential(&token) }]);
        assert!(keys.put_first(credential(&token)).is_err());
        assert!(keys.verify(&bearing(&token), now).is_err());
    }

    #[test]
    fn an_unknown_id_and_a_wrong_secret_are_the_same_refusal() {
        let (token, other) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        let keys = Keys::new([credential(&token)]);
        assert_eq!(keys.verify(&bearing(&other), now), Err(Denied::UnknownToken));
        let forged = other.reveal().replace(other.id(), token.id());
        assert_eq!(keys.verify(&headers(&[&format!("Bearer {forged}")]), now), Err(Denied::UnknownToken));
    }

    #[test]
    fn the_header_is_one_and_its_scheme_is_bearer_in_any_case() {
        let token = Token::fresh().unwrap();
        let keys = Keys::new([credential(&token)]);
        let text = token.reveal();
        for good in [format!("bearer {text}"), format!("BEARER  {text} ")] {
            assert!(keys.verify(&headers(&[&good]), now).is_ok(), "{good}");
        }
        for bad in [text.clone(), format!("Basic {text}"), "Bearer".to_owned(), "Bearer x".to_owned()] {
            assert_eq!(keys.verify(&headers(&[&bad]), now), Err(Denied::NotAToken), "{bad}");
        }
        let one = format!("Bearer {text}");
        assert_eq!(keys.verify(&headers(&[&one, &one]), now), Err(Denied::NotAToken));
    }

    #[test]
    fn a_token_opens_until_its_time_is_over() {
        let token = Token::fresh().unwrap();
        for (ticks, opens) in [(999, false), (1000, false), (1001, true)] {
            let expires = Some(Timestamp::from_ticks(ticks));
            let keys = Keys::new([Credential { expires, ..credential(&token) }]);
            assert_eq!(keys.verify(&bearing(&token), now).is_ok(), opens, "{ticks}");
        }
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_the_end_of_their_token_and_of_no_other_change() {
        let (token, other) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        let keys = Keys::default();
        let anybody = keys.verify(&HeaderMap::new(), now).unwrap();
        keys.put(credential(&token));
        anybody.lapsed(now).await;
        let caller = keys.verify(&bearing(&token), now).unwrap();
        keys.put(credential(&other));
        keys.put(Credential { used: Some(now()), ..credential(&token) });
        assert!(caller.lapsed(now).now_or_never().is_none());
        keys.put(Credential { revoked: true, ..credential(&token) });
        caller.lapsed(now).await;
        let expires = Some(Timestamp::from_ticks(1001));
        let keys = Keys::new([Credential { expires, ..credential(&token) }]);
        let caller = keys.verify(&bearing(&token), now).unwrap();
        caller.lapsed(|| Timestamp::from_ticks(1001)).await;
    }

    #[test]
    fn what_was_revoked_stays_so_whatever_an_earlier_look_had_found() {
        let token = Token::fresh().unwrap();
        let keys = Keys::new([Credential { revoked: true, ..credential(&token) }]);
        keys.learn(vec![credential(&token)]);
        assert!(keys.verify(&bearing(&token), now).is_err());
        let keys = Keys::new([credential(&token)]);
        keys.learn(vec![Credential { revoked: true, ..credential(&token) }]);
        assert!(keys.verify(&bearing(&token), now).is_err());
    }

    #[test]
    fn that_a_token_was_used_is_told_once() {
        let token = Token::fresh().unwrap();
        let keys = Keys::new([credential(&token)]);
        assert_eq!(keys.used(now()), []);
        let forged = token.reveal().replace(token.id(), "another");
        assert!(keys.verify(&headers(&[&format!("Bearer {forged}")]), now).is_err());
        assert_eq!(keys.used(now()), [], "by nobody who has it");
        for _ in 0..3 {
            keys.verify(&bearing(&token), now).unwrap();
        }
        assert_eq!(keys.used(now()), [(Arc::from(token.id()), now())]);
        assert_eq!(keys.used(now()), []);
        assert_eq!(keys.credentials()[0].used, Some(now()));
    }
}
