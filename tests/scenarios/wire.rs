//! What passes between the workers and the server: noted, and where a step says so, its answer is lost once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::like::is_like;
use crate::scenario::Exchange;
use crate::support::proxy::{Fate, Passing, Proxy};
use crate::support::tls::{Authority, Terminator};

/// Where a worker finds the proxy.
pub struct Address {
    pub url: String,
    /// The file of whom it has to trust, where that is an `https` URL.
    pub authority: Option<PathBuf>,
}

/// The proxy through which all workers of a scenario speak.
pub struct Wire {
    proxy: Proxy,
    /// What takes the TLS off before it, once a worker wants it.
    secured: Option<(Terminator, Authority)>,
    passed: Arc<Mutex<Passed>>,
}

#[derive(Default)]
struct Passed {
    /// Whole exchanges, request and answer.
    exchanges: Vec<(Value, Value)>,
    /// Those whose answers are to be lost.
    unlucky: Vec<Exchange>,
    /// The requests of those whose answers were, and whether they came again just so.
    lost: Vec<(Value, bool)>,
}

impl Wire {
    pub async fn before(server: &str) -> Self {
        let passed = Arc::new(Mutex::new(Passed::default()));
        let noting = passed.clone();
        let rule = move |passing: &Passing<'_>| {
            if !passing.path.starts_with("/v1.0/work") {
                return Fate::Pass;
            }
            noting.lock().unwrap_or_else(PoisonError::into_inner).note(passing)
        };
        Self { proxy: Proxy::before(server, rule).await, secured: None, passed }
    }

    /// What a worker is told of it.
    pub async fn address(&mut self, tls: bool) -> Address {
        if !tls {
            return Address { url: self.proxy.url.clone(), authority: None };
        }
        if self.secured.is_none() {
            let authority = Authority::new();
            let certificate = authority.certify("127.0.0.1");
            let terminator = Terminator::before(&self.proxy.url, &certificate, &["h2", "http/1.1"]).await;
            self.secured = Some((terminator, authority));
        }
        let (terminator, authority) = self.secured.as_ref().expect("it was just made");
        Address { url: terminator.url.clone(), authority: Some(authority.file()) }
    }

    /// The next exchange like this loses its answer.
    pub fn swallow(&self, exchange: Exchange) {
        self.passed().unlucky.push(exchange);
    }

    /// Whether there was one like this, with its answer.
    pub fn has_passed(&self, exchange: &Exchange) -> bool {
        self.passed().exchanges.iter().any(|(request, answer)| exchange.is_like(request, answer))
    }

    /// What was to be lost and was not, or was lost and never repeated.
    pub fn owed(&self) -> Option<String> {
        let passed = self.passed();
        let untouched = passed.unlucky.first().map(|exchange| format!("nothing was like {exchange:?}"));
        let dropped = passed.lost.iter().find(|(_, repeated)| !repeated);
        untouched
            .or_else(|| dropped.map(|(request, _)| format!("this was not repeated as it was: {request}")))
    }

    fn passed(&self) -> std::sync::MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passed {
    fn note(&mut self, passing: &Passing<'_>) -> Fate {
        let request: Value = serde_json::from_slice(passing.request).unwrap_or_default();
        let Some(answer) = passing.answer else {
            for (lost, repeated) in &mut self.lost {
                *repeated |= *lost == request;
            }
            return Fate::Pass;
        };
        let answer = serde_json::from_slice(answer).unwrap_or_default();
        if let Some(at) = self.unlucky.iter().position(|exchange| exchange.is_like(&request, &answer)) {
            self.unlucky.remove(at);
            self.lost.push((request, false));
            return Fate::Lose;
        }
        self.exchanges.push((request, answer));
        Fate::Pass
    }
}

impl Exchange {
    fn is_like(&self, request: &Value, answer: &Value) -> bool {
        self.request.as_ref().is_none_or(|expected| is_like(request, expected))
            && self.answer.as_ref().is_none_or(|expected| is_like(answer, expected))
    }
}
