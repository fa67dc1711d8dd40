//! What one token, or the links to one operation, may take of this node at a time: creates, calls that wait, streams of
//! events. So no single client takes all of what others need, too. While no token was made, nobody is told apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::{SmallVec, smallvec};

use super::counts::Counts;
use super::error::{ApiError, Code};
use super::opened::Opened;
use crate::auth::Caller;
use crate::limits;
use crate::operation::{Seq, TenantId};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The counts of a node.
#[derive(Debug)]
pub struct Quotas {
    creates_per_second: u32,
    creates: DashMap<Arc<str>, Bucket>,
    waiting: Crowd,
    watching: Crowd,
    /// How many bulk requests of each tenant are answered.
    bulks: Counts<TenantId>,
}

impl Quotas {
    /// With so many creates a second for each token.
    pub fn new(creates_per_second: u32) -> Self {
        Self {
            creates_per_second,
            creates: DashMap::new(),
            waiting: Crowd::new(limits::TOKEN_WAITING_MAX, limits::LINK_WAITING_MAX),
            watching: Crowd::new(limits::TOKEN_WATCHERS_MAX, limits::LINK_WATCHERS_MAX),
            bulks: Counts::default(),
        }
    }

    /// Counts a create, and says how many more there may be; 429 where it is one too many.
    pub(super) fn create(&self, caller: &Caller) -> Result<Option<Allowance>, ApiError> {
        let Some(token) = &caller.token else { return Ok(None) };
        let limit = self.creates_per_second;
        let mut bucket =
            self.creates.entry(token.clone()).or_insert_with(|| Bucket::full(limit, Instant::now()));
        let (is_granted, allowance) = bucket.take(limit, Instant::now());
        if is_granted { Ok(Some(allowance)) } else { Err(ApiError::too_fast(allowance)) }
    }

    /// A place among those whose answer is held back; 429 where all are taken.
    pub(super) fn wait(&self, visitor: Option<Visitor>) -> Result<Place<'_>, ApiError> {
        self.waiting.take(visitor)
    }

    /// A place among those who watch. A stream outlives the call that began it.
    pub(super) fn watch(self: &Arc<Self>, visitor: Option<Visitor>) -> Result<Seat, ApiError> {
        let entered = self.watching.enter(visitor.as_ref());
        entered.map(|()| Seat { quotas: self.clone(), visitor }).ok_or_else(crowded)
    }

    /// A place among the bulk requests that are answered; 429 where a tenant has as many as are left, so that half stays for the
    /// others.
    pub(super) fn bulk(self: &Arc<Self>, tenant: &TenantId) -> Result<BulkPlace, ApiError> {
        let mut bulks = self.bulks.lock();
        let (all, own) = (bulks.values().sum::<usize>(), bulks.get(tenant).copied().unwrap_or(0));
        if all + own >= limits::BULK_REQUESTS_MAX {
            let message = "as many bulk requests are being answered as may";
            return Err(ApiError::new(Code::TooManyRequests, message).retry_after(limits::BULK_RETRY_SECONDS));
        }
        bulks.insert(tenant.clone(), own + 1);
        Ok(BulkPlace { quotas: self.clone(), tenant: tenant.clone() })
    }
}

/// Who is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Visitor {
    /// Whoever shows this token.
    Token(Arc<str>),
    /// Whoever has a link to this operation of a tenant.
    Link(TenantId, Seq),
}

impl Visitor {
    /// Who asks; none is not counted.
    pub(super) fn of(opened: &Opened) -> Option<Self> {
        match opened {
            Opened::ByToken(caller, _) => Self::of_caller(caller),
            Opened::ByLink(link) => Some(Self::Link(link.tenant.clone(), link.seq)),
        }
    }

    /// The same of a caller.
    pub(super) fn of_caller(caller: &Caller) -> Option<Self> {
        caller.token.clone().map(Self::Token)
    }
}

/// Who is counted as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Party {
    Token(Arc<str>),
    Link(Seq),
    /// All links of a tenant: it makes as many as it likes.
    LinksOf(TenantId),
}

/// How many of each there are.
#[derive(Debug)]
struct Crowd {
    of_token: usize,
    of_link: usize,
    counts: Counts<Party>,
}

impl Crowd {
    fn new(of_token: usize, of_link: usize) -> Self {
        Self { of_token, of_link, counts: Counts::default() }
    }

    fn take(&self, visitor: Option<Visitor>) -> Result<Place<'_>, ApiError> {
        self.enter(visitor.as_ref()).map(|()| Place { crowd: self, visitor }).ok_or_else(crowded)
    }

    /// As what a visitor counts, and how many of each there may be.
    fn parties(&self, visitor: &Visitor) -> SmallVec<[(Party, usize); 2]> {
        match visitor {
            Visitor::Token(token) => smallvec![(Party::Token(token.clone()), self.of_token)],
            Visitor::Link(tenant, seq) => {
                smallvec![(Party::Link(*seq), self.of_link), (Party::LinksOf(tenant.clone()), self.of_token)]
            }
        }
    }

    fn enter(&self, visitor: Option<&Visitor>) -> Option<()> {
        let Some(visitor) = visitor else { return Some(()) };
        let parties = self.parties(visitor);
        let mut counts = self.counts.lock();
        let fits = |(party, most): &(Party, usize)| counts.get(party).is_none_or(|count| count < most);
        if !parties.iter().all(fits) {
            return None;
        }
        for (party, _) in parties {
            *counts.entry(party).or_default() += 1;
        }
        Some(())
    }

    fn leave(&self, visitor: Option<&Visitor>) {
        let Some(visitor) = visitor else { return };
        for (party, _) in self.parties(visitor) {
            self.counts.give_back(&party, 1);
        }
    }
}

fn crowded() -> ApiError {
    ApiError::too_many("as many calls of this token or link wait or watch already as may")
}

/// A place among those who wait, given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'q> {
    crowd: &'q Crowd,
    visitor: Option<Visitor>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.crowd.leave(self.visitor.as_ref());
    }
}

/// A place among those who watch, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    quotas: Arc<Quotas>,
    visitor: Option<Visitor>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.quotas.watching.leave(self.visitor.as_ref());
    }
}

/// A place among the bulk requests, given back when dropped.
#[derive(Debug)]
pub(super) struct BulkPlace {
    quotas: Arc<Quotas>,
    tenant: TenantId,
}

impl Drop for BulkPlace {
    fn drop(&mut self) {
        self.quotas.bulks.give_back(&self.tenant, 1);
    }
}

/// What is left for a token: it fills by the limit each second, and holds no more than that.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(limit: u32, now: Instant) -> Self {
        Self { left: limit.into(), at: now }
    }

    fn take(&mut self, limit: u32, now: Instant) -> (bool, Allowance) {
        let most = f64::from(limit);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left, self.at) = ((self.left + passed * most).min(most), now.max(self.at));
        let is_granted = self.left >= 1.0;
        if is_granted {
            self.left -= 1.0;
        }
        let until = |wanted: f64| Duration::from_secs_f64(((wanted - self.left) / most).max(0.0));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and the limit.
        let left = self.left as u32;
        (is_granted, Allowance { limit, left, next: until(1.0), whole: until(most) })
    }
}

/// How many creates a token has left, as the `RateLimit` headers tell (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    limit: u32,
    left: u32,
    /// Until there is one.
    next: Duration,
    /// Until all are there again.
    whole: Duration,
}

impl Allowance {
    /// Seconds after which there is one, at least 1.
    pub(super) fn retry_after(self) -> u32 {
        seconds(self.next).max(1)
    }

    /// Tells it.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let Self { limit, left, whole, .. } = self;
        for (name, text) in [
            (RATE_LIMIT_POLICY, format!("\"creates\";q={limit};w=1")),
            (RATE_LIMIT, format!("\"creates\";r={left};t={}", seconds(whole))),
        ] {
            // Quotes, letters and digits are fit for a header.
            headers.extend(HeaderValue::try_from(text).ok().map(|value| (name, value)));
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(span: Duration) -> u32 {
    let whole = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_the_limit_and_no_more() {
        let began = Instant::now();
        let mut bucket = Bucket::full(50, began);
        let mut take = |millis: u64| bucket.take(50, began + Duration::from_millis(millis));
        for nth in 1..=50 {
            let (is_granted, allowance) = take(0);
            assert!(is_granted && allowance.left == 50 - nth, "{nth}: {allowance:?}");
        }
        let (is_granted, allowance) = take(0);
        assert!(!is_granted);
        assert_eq!((allowance.left, allowance.retry_after(), seconds(allowance.whole)), (0, 1, 1));
        assert!(!take(19).0);
        assert!(take(20).0 && !take(20).0, "one each fiftieth of a second");
        let granted = (0..200).filter(|_| take(5000).0).count();
        assert_eq!(granted, 50, "what is not used does not add up");
        // A clock that stands still or goes back gives nothing.
        assert!(!take(0).0);
    }

    #[test]
    fn what_is_left_is_told_in_two_headers() {
        let mut headers = HeaderMap::new();
        let (next, whole) = (Duration::from_millis(20), Duration::from_millis(1));
        Allowance { limit: 50, left: 49, next, whole }.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"creates\";q=50;w=1");
        assert_eq!(headers["ratelimit"], "\"creates\";r=49;t=1");
    }

    #[test]
    fn a_tenant_has_half_of_the_places_of_bulk_requests_and_others_the_rest() {
        let quotas = Arc::new(Quotas::new(1));
        let most = limits::BULK_REQUESTS_MAX;
        let fill = |name: &str| -> Vec<BulkPlace> {
            let tenant = TenantId::parse(name).unwrap();
            std::iter::from_fn(|| quotas.bulk(&tenant).ok()).collect()
        };
        let (mut greedy, modest) = (fill("greedy"), fill("modest"));
        assert_eq!((greedy.len(), modest.len()), (most / 2, most / 4));
        assert_eq!(fill("greedy").len(), 0);
        drop(modest);
        greedy.pop();
        for _ in 0..2 {
            assert_eq!(fill("greedy").len(), 1, "what ends gives its place back");
        }
        drop(greedy);
        assert!(quotas.bulks.lock().is_empty());
    }

    #[test]
    fn places_are_counted_for_each_visitor_and_given_back() {
        let crowd = Crowd::new(3, 2);
        let token = |name: &str| Some(Visitor::Token(Arc::from(name)));
        let link = |seq| Some(Visitor::Link(TenantId::default(), Seq(seq)));
        for (visitor, most) in [(token("a"), 3), (token("b"), 3), (link(1), 2)] {
            let mut places: Vec<_> = (0..most).map(|_| crowd.take(visitor.clone()).unwrap()).collect();
            let refused = crowd.take(visitor.clone()).unwrap_err();
            assert_eq!(refused.code(), Code::TooManyRequests);
            places.pop();
            places.push(crowd.take(visitor.clone()).unwrap());
            assert!(crowd.take(visitor).is_err());
        }
        assert!(crowd.counts.lock().is_empty());
        // However many links a tenant makes.
        let links = [link(1), link(1), link(2)].map(|link| crowd.take(link).unwrap());
        assert!(crowd.take(link(3)).is_err() && crowd.take(token("a")).is_ok());
        drop(links);
        assert!(crowd.counts.lock().is_empty());
        let nobody: Vec<_> = (0..10).map(|_| crowd.take(None).unwrap()).collect();
        assert_eq!((nobody.len(), crowd.counts.lock().len()), (10, 0));
    }
}
