//! What every route works with.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri};
use tokio::sync::Semaphore;

use super::arrival::Arrival;
use super::body;
use super::bulk_lines::BulkLines;
use super::error::ApiError;
use super::forwarded::Proxies;
use super::headers::Base;
use super::quota::Quotas;
use super::registry::Registry;
use super::unread::Unread;
use crate::auth::{Caller, Denied, Keys, Links};
use crate::limits;
use crate::tracker::Tracker;

/// Shared by all routes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    bulk_lines: BulkLines,
    pages: Semaphore,
    unread: Arc<Unread>,
}

/// What a server is made of, as its routes see it.
#[derive(Debug)]
pub struct Parts {
    /// The one door to the operations.
    pub tracker: Tracker,
    /// Who may do what.
    pub keys: Arc<Keys>,
    /// Makes links to operations, and knows its own.
    pub links: Links,
    /// Keeps up with what other nodes of a shared store write beside operations.
    pub registry: Option<Arc<Registry>>,
    /// What URLs in answers begin with; none: whatever the request was sent to.
    pub public_url: Option<Arc<str>>,
    /// What each token may take at a time.
    pub quotas: Arc<Quotas>,
    /// Who is believed whom a request comes from.
    pub proxies: Proxies,
    /// Origins of web pages that may ask from a browser.
    pub cors_origins: Vec<HeaderValue>,
}

impl App {
    /// An application of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            parts,
            bulk_lines: BulkLines::default(),
            pages: Semaphore::new(limits::LARGE_PAGES_AT_ONCE_MAX),
            unread: Arc::default(),
        }))
    }

    /// Places of bulk requests' lines on their way to the store.
    pub(super) fn bulk_lines(&self) -> &BulkLines {
        &self.0.bulk_lines
    }

    /// Places of large pages that are made.
    pub(super) fn pages(&self) -> &Semaphore {
        &self.0.pages
    }

    /// What clients have asked for and not read yet.
    pub(super) fn unread(&self) -> &Arc<Unread> {
        &self.0.unread
    }

    /// The JSON that a request brings, of a caller who still may: a body may take its time, and a token end meanwhile.
    pub(super) async fn read_json(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Body,
        bytes_max: usize,
    ) -> Result<Bytes, ApiError> {
        let body = body::read_json(headers, body, bytes_max).await?;
        if caller.has_lapsed(self.tracker.reader().now()) {
            return Err(Denied::UnknownToken.into());
        }
        Ok(body)
    }

    /// What the absolute URLs of an answer begin with.
    pub(super) fn base<'a>(
        &'a self,
        arrival: Arrival,
        uri: &'a Uri,
        headers: &'a HeaderMap,
    ) -> Result<Base<'a>, ApiError> {
        let asked = self.proxies.asked(arrival.peer, headers);
        Base::of_request(self.public_url.as_deref(), asked, uri, headers)
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}
