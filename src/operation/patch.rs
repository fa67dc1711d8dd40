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
    if before.status().is_terminal() {
        return if patch.says_what_stands(before) {
            Ok(Step::Unchanged)
        } else {
            Err(Refusal::Conflict("the operation has already ended, and a terminal status is final"))
        };
    }
    let status = patch.status.unwrap_or(before.status());
    check_patch(patch, status)?;
    if status < before.status() {
        return Err(Refusal::Conflict("the status of an operation never goes back"));
    }
    let mut after = before.clone();
    let progress = Progress { percent: patch.percent, detail: patch.detail.clone() };
    after.progress = heartbeat::merged(&before.progress, &progress);
    let words = before.progress_told.map_or(0, |(words, _)| words);
    after.progress_told = Some((words.saturating_add(1), context.now));
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

impl Patch {
    /// Whether every field of it is what the ended operation shows anyway. A large result has to be at hand for that:
    /// one that was loaded for a turn is not, so that a repeat of it is refused there, and has to be compared again.
    pub fn says_what_stands(&self, operation: &Operation) -> bool {
        let same_result = match (&self.result, operation.result()) {
            (None, _) => true,
            (Some(said), Some(Payload::Inline(kept))) => said.get() == kept.get(),
            (Some(_), _) => false,
        };
        let shown = &operation.progress;
        let location = operation.resource_location();
        operation.status().is_terminal()
            && same_result
            && self.status.is_none_or(|status| status == operation.status())
            && self.percent.is_none_or(|percent| shown.percent == Some(percent))
            && self.detail.as_ref().is_none_or(|detail| shown.detail.as_ref() == Some(detail))
            && self.resource_location.as_ref().is_none_or(|said| location == Some(said))
            && self.failure.as_ref().is_none_or(|failure| operation.failure() == Some(failure))
    }
}
