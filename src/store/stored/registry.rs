//! The small tables: attempts, workers, credentials, what is set for queues.

use std::borrow::Cow;
use std::sync::Arc;

use super::fields::{Bind, Columns, Fields};
use super::{Damaged, Result, codes, text};
use crate::operation::{Attempt, Controls, LeaseToken, Seq};
use crate::store::credential::{Credential, LinkKey};
use crate::store::queue::Queue;
use crate::store::turn::WorkerSeen;

/// An attempt, in the order in which [`bind_attempt`] binds it; [`attempt`] reads what comes after the first.
pub(in crate::store) const ATTEMPT: [&str; 7] =
    ["seq", "token", "worker", "started", "ended", "outcome", "error"];
/// A worker, in the order of [`bind_worker`] and [`worker`].
pub(in crate::store) const WORKER: [&str; 6] = ["tenant", "id", "queues", "operation_types", "address", "at"];
/// A credential, in the order of [`bind_credential`] and [`credential`].
pub(in crate::store) const CREDENTIAL: [&str; 10] =
    ["id", "tenant", "name", "scopes", "queues", "hash", "created", "revoked", "expires", "used"];
/// A queue with controls, in the order of [`bind_queue`] and [`queue`].
pub(in crate::store) const QUEUE: [&str; 5] = ["tenant", "name", "paused", "max_running", "max_waiting"];

pub(in crate::store) fn bind_attempt<'v>(row: &mut impl Bind<'v>, attempt: &'v Attempt) {
    row.put(attempt.seq.0);
    row.put(attempt.token.0);
    row.put_text(attempt.worker.as_str());
    row.time(Some(attempt.started));
    row.time(Some(attempt.ended));
    row.put(codes::outcome(attempt.outcome));
    row.text(attempt.failure.as_ref().map(|failure| Cow::Owned(text::failure_text(failure))));
}

pub(in crate::store) fn attempt<'r>(fields: &mut Fields<impl Columns<'r>>, seq: Seq) -> Result<Attempt> {
    Ok(Attempt {
        seq,
        token: LeaseToken(fields.int()?),
        worker: text::tag(fields.text()?)?,
        started: fields.time()?,
        ended: fields.time()?,
        outcome: codes::outcome_of(fields.int()?).ok_or(Damaged("an outcome has no word"))?,
        failure: fields.maybe_text()?.map(text::failure).transpose()?,
    })
}

pub(in crate::store) fn bind_worker<'v>(row: &mut impl Bind<'v>, worker: &'v WorkerSeen) {
    row.put_text(worker.tenant.as_str());
    row.put_text(worker.worker.as_str());
    row.text(worker.queues.as_deref().map(|names| Cow::Owned(text::names_text(names))));
    row.text(worker.operation_types.as_deref().map(|names| Cow::Owned(text::names_text(names))));
    row.text(worker.address.map(|address| Cow::Owned(address.to_string())));
    row.time(Some(worker.at));
}

pub(in crate::store) fn worker<'r>(fields: &mut Fields<impl Columns<'r>>) -> Result<WorkerSeen> {
    Ok(WorkerSeen {
        tenant: text::tenant(fields.text()?)?,
        worker: text::tag(fields.text()?)?,
        queues: fields.maybe_text()?.map(text::names).transpose()?,
        operation_types: fields.maybe_text()?.map(text::names).transpose()?,
        address: fields.maybe_text()?.map(text::address).transpose()?,
        at: fields.time()?,
    })
}

pub(in crate::store) fn bind_credential<'v>(row: &mut impl Bind<'v>, credential: &'v Credential) {
    let scopes: Vec<&str> = credential.scopes.iter().map(|scope| &**scope).collect();
    row.put_text(&credential.id);
    row.put_text(credential.tenant.as_str());
    row.put_text(&credential.name);
    // Texts always serialise.
    row.text(Some(Cow::Owned(serde_json::to_string(&scopes).unwrap_or_default())));
    row.text(credential.queues.as_deref().map(|names| Cow::Owned(text::names_text(names))));
    row.blob(Some(credential.hash.as_slice()));
    row.time(Some(credential.created));
    row.put(credential.revoked);
    row.time(credential.expires);
    row.time(credential.used);
}

pub(in crate::store) fn credential<'r>(fields: &mut Fields<impl Columns<'r>>) -> Result<Credential> {
    Ok(Credential {
        id: Arc::from(fields.text()?),
        tenant: text::tenant(fields.text()?)?,
        name: Arc::from(fields.text()?),
        scopes: text::words(fields.text()?)?.into_iter().map(Arc::from).collect(),
        queues: fields.maybe_text()?.map(text::names).transpose()?,
        hash: fields.blob()?.try_into().map_err(|_| Damaged("a hash has another length"))?,
        created: fields.time()?,
        revoked: fields.flag()?,
        expires: fields.maybe_time()?,
        used: fields.maybe_time()?,
    })
}

/// What signs links.
pub(in crate::store) fn link_key<'r>(fields: &mut Fields<impl Columns<'r>>) -> Result<LinkKey> {
    fields.blob()?.try_into().map(LinkKey).map_err(|_| Damaged("the key of links has another length"))
}

pub(in crate::store) fn bind_queue<'v>(row: &mut impl Bind<'v>, queue: &'v Queue) {
    let Controls { paused, max_running, max_waiting } = queue.controls;
    row.put_text(queue.tenant.as_str());
    row.put_text(queue.name.as_str());
    row.put(paused);
    row.int(max_running.map(i64::from));
    row.int(max_waiting.map(i64::from));
}

pub(in crate::store) fn queue<'r>(fields: &mut Fields<impl Columns<'r>>) -> Result<Queue> {
    Ok(Queue {
        tenant: text::tenant(fields.text()?)?,
        name: text::name(fields.text()?)?,
        controls: Controls {
            paused: fields.flag()?,
            max_running: fields.maybe_small()?,
            max_waiting: fields.maybe_small()?,
        },
    })
}
