//! What the owner of an external operation may say of it.

use super::command::{Context, Patch, Refusal};
use super::event::EventKind;
use super::heartbeat;
use super::model::{Carrier, Operation, Payload, Progress, State};
use super::status::{Outcome, Status};
use super::transition::{Step, changed};

pub(super) fn apply(before: &Operation, patch: &Patch, context: Context) -> Result<Step, Refusal> {
    if !before.spec.external {
        return Err(Refusal::Conflict(
            "a queued operation is advanced by its worker; only an external one can be patched",
        ));
    }
    let status = patch.status.unwrap_or(before.status());
    check_patch(patch, status)?;
    if before.status().is_terminal() {
        return if says_what_stands(before, patch) {
            Ok(Step::Unchanged)
        } else {
            Err(Refusal::Conflict("the operation has already ended, and a terminal status is final"))
        };
    }
    if status < before.status() {
        return Err(Refusal::Conflict("the status of an operation never goes back"));
    }
    let mut after = before.clone();
    let progress = Progress { percent: patch.percent, detail: patch.detail.clone() };
    after.progress = heartbeat::merged(&before.progress, &progress);
    let event = match status {
        Status::NotStarted => EventKind::Updated,
        Status::Running if before.status() == Status::Running => EventKind::Updated,
        Status::Running => {
            after.started = Some(context.now);
            after.state = State::Running(Carrier::Owner);
            EventKind::Started
        }
        Status::Completed => {
            after.state = State::Completed {
                result: patch.result.clone().map(Payload::Inline),
                resource_location: patch.resource_location.clone(),
                at: context.now,
            };
            EventKind::Completed
        }
        Status::Failed => {
            let missing = Refusal::Invalid { target: "error", message: "Failed needs an error" };
            let failure = patch.failure.clone().ok_or(missing)?;
            let outcome = if before.cancel_requested { Outcome::Canceled } else { Outcome::Failed };
            after.state = State::Failed { failure, outcome, at: context.now };
            EventKind::Failed
        }
    };
    Ok(changed(after, event))
}

/// Fields that belong to one status only.
fn check_patch(patch: &Patch, status: Status) -> Result<(), Refusal> {
    let invalid = |target, message| Err(Refusal::Invalid { target, message });
    if status != Status::Completed {
        if patch.result.is_some() {
            return invalid("result", "belongs to the status Completed");
        }
        if patch.resource_location.is_some() {
            return invalid("resourceLocation", "belongs to the status Completed");
        }
    }
    if status != Status::Failed && patch.failure.is_some() {
        return invalid("error", "belongs to the status Failed");
    }
    Ok(())
}

/// Whether every field of the patch is what the ended operation shows anyway.
fn says_what_stands(before: &Operation, patch: &Patch) -> bool {
    let same_result = match (&patch.result, before.result()) {
        (None, _) => true,
        (Some(said), Some(Payload::Inline(kept))) => said.get() == kept.get(),
        (Some(_), _) => false,
    };
    same_result
        && patch.status.is_none_or(|status| status == before.status())
        && patch.percent.is_none_or(|percent| before.progress.percent == Some(percent))
        && patch.detail.as_ref().is_none_or(|detail| before.progress.detail.as_ref() == Some(detail))
        && patch
            .resource_location
            .as_ref()
            .is_none_or(|location| before.resource_location() == Some(location))
        && patch.failure.as_ref().is_none_or(|failure| before.failure() == Some(failure))
}
