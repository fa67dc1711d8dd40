//! What was handed in without a request: the same body, read by the same rules. What a request would be refused for becomes
//! an operation that has failed, since nobody waits for an answer.

use std::sync::Arc;

use super::submission;
use crate::auth::{Caller, Scopes};
use crate::http::error::ApiError;
use crate::http::json::Fields;
use crate::limits;
use crate::operation::{
    Actor, Failure, Lane, Name, Opening, OperationId, Progress, Spec, Submission, TenantId, Timestamp, Via,
};
use crate::store::Deposit;
use crate::tracker::entry::Submit;

/// Whom such an operation comes from.
const NAME: &str = "database";

/// The operation that a deposit asks for; or, if what it says would be refused, one that has failed and says why. The checks
/// are those of the time when it was handed in.
pub fn submit_of(deposit: &Deposit, now: Timestamp) -> Submit {
    let at = deposit.at.min(now);
    read(deposit, at).unwrap_or_else(|why| refused(deposit, deposit.id, now, why.message()))
}

fn read(deposit: &Deposit, at: Timestamp) -> Result<Submit, ApiError> {
    let tenant = TenantId::parse(&deposit.tenant).map_err(|error| ApiError::at("tenant", error))?;
    let caller = Caller { tenant, name: Arc::from(NAME), scopes: Scopes::default(), ..Caller::anonymous() };
    let body = deposit.body.as_deref().ok_or_else(|| {
        ApiError::invalid(format!("the request is larger than {} bytes", limits::BODY_BYTES_MAX))
    })?;
    let mut submit = submission::read(body.as_bytes(), None, &caller, at)?;
    let spec = &mut submit.submission.spec;
    if submit.id_chosen && spec.id != deposit.id {
        return Err(ApiError::at("id", "is not the one that longrun.submit returned"));
    }
    spec.id = deposit.id;
    Ok(of_deposit(deposit, submit.submission))
}

/// An operation that has failed from the beginning, without the input: what is left of a deposit that cannot be taken in.
/// It is nobody's to carry out, so that it cannot be retried either.
pub fn refused(deposit: &Deposit, id: OperationId, now: Timestamp, why: &str) -> Submit {
    let at = deposit.at.min(now);
    let spec = Spec {
        id,
        lane: Arc::new(lane(deposit)),
        external: true,
        key: None,
        fingerprint: None,
        created: at,
        received: now,
        input: None,
        priority: 0,
        timeout_seconds: None,
        max_attempts: limits::ATTEMPTS_DEFAULT,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from(NAME),
    };
    let submission = Submission {
        spec,
        last_action: None,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        opening: Opening::Failed(Some(Arc::new(Failure::new("invalidRequest", why)))),
    };
    of_deposit(deposit, submission)
}

/// The id counts as chosen, so that one which is there already is seen.
fn of_deposit(deposit: &Deposit, submission: Submission) -> Submit {
    let actor = Actor { name: Arc::from(NAME), via: Via::Database };
    Submit { submission, id_chosen: true, actor, deposit: Some(deposit.number) }
}

/// Where it was to wait, as far as that can be read: there it is looked for.
fn lane(deposit: &Deposit) -> Lane {
    let mut fields = deposit.body.as_deref().and_then(|body| Fields::read(body.as_bytes()).ok());
    let mut name = |field, otherwise| {
        let said = fields.as_mut().and_then(|fields| fields.name(field).ok().flatten());
        said.unwrap_or(otherwise)
    };
    Lane {
        tenant: TenantId::parse(&deposit.tenant).unwrap_or_default(),
        queue: name("queue", Name::default_queue()),
        operation_type: name("operationType", Name::default_type()),
    }
}
