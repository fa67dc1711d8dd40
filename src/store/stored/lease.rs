//! Between a lease and its row.

use std::borrow::Cow;
use std::sync::Arc;

use super::Result;
use super::fields::{Bind, Columns, Fields};
use super::text::tag;
use crate::operation::{ClaimId, Lease, LeaseToken, Progress, Seq};
use crate::store::turn::Touched;

/// A lease, in the order in which [`read`] reads it.
pub(in crate::store) const LEASE: [&str; 10] = [
    "token",
    "until",
    "seconds",
    "own",
    "worker",
    "claim",
    "cap",
    "pending_until",
    "pending_percent",
    "pending_detail",
];

/// What a turn did to the lease of an operation.
pub(in crate::store) enum Fate<'t> {
    /// It goes on, with another end.
    Moved(&'t Lease),
    /// One ended, one began, or both.
    Changed { ended: Option<&'t Lease>, begun: Option<&'t Lease> },
    /// Nothing.
    Same,
}

/// What became of the lease of an operation.
pub(in crate::store) fn fate(touched: &Touched) -> Fate<'_> {
    let before = touched.before.as_ref().and_then(|before| before.lease());
    let after = touched.after.as_ref().and_then(|after| after.lease());
    match (before, after) {
        (Some(before), Some(after)) if before.token == after.token => {
            if before == after {
                Fate::Same
            } else {
                Fate::Moved(after)
            }
        }
        (None, None) => Fate::Same,
        (ended, begun) => Fate::Changed { ended, begun },
    }
}

/// In the order of [`LEASE`], after its operation's number.
pub(in crate::store) fn bind<'v>(row: &mut impl Bind<'v>, seq: Seq, lease: &'v Lease) {
    row.put(seq.0);
    row.put(lease.token.0);
    row.time(Some(lease.until));
    row.put(lease.seconds);
    row.put(lease.own);
    row.put_text(lease.worker.as_str());
    row.put_text(lease.claim.as_str());
    bind_rest(row, lease);
}

/// The columns that a heartbeat may move, after `until`.
pub(in crate::store) fn bind_rest<'v>(row: &mut impl Bind<'v>, lease: &'v Lease) {
    let (progress, until) = match &lease.pending {
        Some((progress, until)) => (Some(progress), Some(*until)),
        None => (None, None),
    };
    row.time(lease.cap);
    row.time(until);
    row.int(progress.and_then(|progress| progress.percent).map(i64::from));
    row.text(progress.and_then(|progress| progress.detail.as_deref()).map(Cow::Borrowed));
}

/// In the order of [`LEASE`].
pub(in crate::store) fn read<'r>(fields: &mut Fields<impl Columns<'r>>) -> Result<Lease> {
    let token = LeaseToken(fields.int()?);
    let until = fields.time()?;
    let seconds = fields.small()?;
    let own = fields.flag()?;
    let worker = tag(fields.text()?)?;
    let claim: ClaimId = tag(fields.text()?)?;
    let cap = fields.maybe_time()?;
    let window_end = fields.maybe_time()?;
    let progress = Progress { percent: fields.maybe_small()?, detail: fields.maybe_text()?.map(Arc::from) };
    let pending = window_end.map(|end| (progress, end));
    Ok(Lease { token, worker, claim, own, seconds, until, cap, pending })
}
