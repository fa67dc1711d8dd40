//! Operations that somebody else carries out: their owner's PATCH advances them.

use super::*;

fn patched(life: &mut Life, patch: Patch) -> Did {
    life.does(&Command::Patch(patch))
}

fn percent(percent: u8) -> Patch {
    Patch { percent: Some(percent), ..Patch::default() }
}

fn to_failed(code: &str) -> Patch {
    Patch { failure: Some(failure(code)), ..patch_to(Status::Failed) }
}

#[test]
fn a_queued_operation_is_not_patched() {
    for mut life in [Life::with(|_| {}), Life::running(|_| {})] {
        assert!(matches!(life.refuses(&Command::Patch(percent(5))), Refusal::Conflict(_)));
    }
}

#[test]
fn a_patch_leads_to_the_same_or_a_later_status() {
    let mut life = Life::external(|_| {});
    assert_eq!(patched(&mut life, percent(5)), Did::Changed(EventKind::Updated));
    assert_eq!(life.status(), Status::NotStarted);
    assert_eq!(patched(life.at(3.0), patch_to(Status::Running)), Did::Changed(EventKind::Started));
    assert_eq!(life.operation.started, Some(at(3.0)));
    assert_eq!(patched(&mut life, percent(50)), Did::Changed(EventKind::Updated));
    assert_eq!(patched(&mut life, patch_to(Status::Running)), Did::Changed(EventKind::Updated));
    assert!(matches!(life.refuses(&Command::Patch(patch_to(Status::NotStarted))), Refusal::Conflict(_)));
    let done = Patch { result: Some(json("1")), ..patch_to(Status::Completed) };
    assert_eq!(patched(&mut life, done), Did::Changed(EventKind::Completed));
    assert_eq!((life.operation.version, life.operation.progress.percent), (6, Some(50)));
    assert_eq!(life.operation.token, LeaseToken(0));
}

#[test]
fn a_patch_may_leave_running_out() {
    let mut life = Life::external(|_| {});
    assert_eq!(patched(&mut life, patch_to(Status::Completed)), Did::Changed(EventKind::Completed));
    let mut life = Life::external(|_| {});
    assert_eq!(patched(&mut life, to_failed("theirs")), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Failed, "theirs")));
    assert!(life.attempts.is_empty());
}

#[test]
fn failed_needs_an_error() {
    let mut life = Life::external(|_| {});
    let refusal = life.refuses(&Command::Patch(patch_to(Status::Failed)));
    assert!(matches!(refusal, Refusal::Invalid { target: "error", .. }));
}

#[test]
fn a_field_that_belongs_to_another_status_is_refused() {
    let mut life = Life::external(|_| {});
    for (patch, field) in [
        (Patch { result: Some(json("1")), ..Patch::default() }, "result"),
        (Patch { resource_location: Some(Arc::from("u")), ..patch_to(Status::Running) }, "resourceLocation"),
        (Patch { result: Some(json("1")), ..to_failed("theirs") }, "result"),
        (Patch { failure: Some(failure("theirs")), ..patch_to(Status::Completed) }, "error"),
    ] {
        let refusal = life.refuses(&Command::Patch(patch));
        assert!(matches!(refusal, Refusal::Invalid { target, .. } if target == field), "{field}");
    }
    assert_eq!(life.operation.version, 1);
}

#[test]
fn a_patch_is_never_coalesced() {
    let mut life = Life::external(|submission| submission.opening = Opening::Running);
    for said in [1, 2, 3, 3] {
        assert_eq!(patched(&mut life, percent(said)), Did::Changed(EventKind::Updated));
    }
}

#[test]
fn a_patch_of_an_ended_one_that_says_what_stands_changes_nothing() {
    let mut life = Life::external(|_| {});
    let done = Patch {
        percent: Some(100),
        result: Some(json("{\"a\":1}")),
        resource_location: Some(Arc::from("u")),
        ..patch_to(Status::Completed)
    };
    patched(&mut life, done.clone());
    assert_eq!(patched(life.at(1.0), done), Did::Unchanged);
    assert_eq!(patched(&mut life, Patch::default()), Did::Unchanged);
    assert_eq!(patched(&mut life, percent(100)), Did::Unchanged);
    assert_eq!(life.operation.version, 2);

    let mut life = Life::external(|_| {});
    patched(&mut life, to_failed("theirs"));
    assert_eq!(patched(&mut life, to_failed("theirs")), Did::Unchanged);
    assert_eq!(patched(&mut life, patch_to(Status::Failed)), Did::Unchanged);
}

#[test]
fn any_other_patch_of_an_ended_one_is_refused() {
    let mut life = Life::external(|_| {});
    let done = Patch { result: Some(json("1")), ..patch_to(Status::Completed) };
    patched(&mut life, done);
    for patch in [
        percent(100),
        patch_to(Status::Running),
        to_failed("theirs"),
        Patch { result: Some(json("2")), ..patch_to(Status::Completed) },
        Patch { failure: Some(failure("theirs")), ..Patch::default() },
        Patch { failure: Some(failure("theirs")), ..patch_to(Status::Running) },
    ] {
        assert!(matches!(life.refuses(&Command::Patch(patch)), Refusal::Conflict(_)));
    }
    assert_eq!(life.operation.version, 2);
}

#[test]
fn a_large_result_is_compared_where_it_is_at_hand() {
    let mut life = Life::external(|_| {});
    let done = Patch { result: Some(json("\"large\"")), ..patch_to(Status::Completed) };
    patched(&mut life, done.clone());
    assert!(done.says_what_stands(&life.operation));
    if let State::Completed { result, .. } = &mut life.operation.state {
        *result = Some(crate::operation::Payload::Stored { bytes: 7 });
    }
    assert!(!done.says_what_stands(&life.operation));
    assert!(matches!(life.refuses(&Command::Patch(done)), Refusal::Conflict(_)));
    assert!(patch_to(Status::Completed).says_what_stands(&life.operation));
}

#[test]
fn an_owner_silent_for_longer_than_the_timeout_has_failed() {
    let waiting = |submission: &mut Submission| submission.spec.timeout_seconds = Some(60);
    let running = |submission: &mut Submission| {
        submission.spec.timeout_seconds = Some(60);
        submission.opening = Opening::Running;
    };
    for mut life in [Life::external(waiting), Life::external(running)] {
        patched(life.at(50.0), percent(1));
        assert_eq!(life.operation.wake_at(), Some(at(110.0)));
        assert_eq!(life.at(109.0).tick(), Did::Unchanged);
        assert_eq!(life.at(110.0).tick(), Did::Changed(EventKind::Failed));
        assert_eq!(life.failed_as(), Some((Outcome::TimedOut, "timeout")));
    }
}

#[test]
fn a_cancel_request_is_no_word_of_the_owner() {
    let mut life = Life::external(|submission| {
        submission.spec.timeout_seconds = Some(60);
        submission.opening = Opening::Running;
    });
    life.at(50.0).does(&Command::Cancel);
    assert_eq!(life.operation.wake_at(), Some(at(60.0)));
    assert_eq!(life.at(60.0).tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
}

#[test]
fn an_external_one_still_waiting_at_its_expiration_fails() {
    let mut life = Life::external(|submission| submission.expires = Some(at(10.0)));
    assert_eq!(life.operation.wake_at(), Some(at(10.0)));
    let mut started = life.clone();
    assert_eq!(life.at(10.0).tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Expired, "expired")));
    patched(&mut started, patch_to(Status::Running));
    assert_eq!(started.operation.wake_at(), None);
    assert_eq!(started.at(10.0).tick(), Did::Unchanged);
}

#[test]
fn a_cancel_of_a_waiting_external_one_ends_it() {
    let mut life = Life::external(|_| {});
    assert_eq!(life.does(&Command::Cancel), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
}

#[test]
fn the_owner_of_a_running_one_sees_the_request_and_has_the_last_word() {
    let canceling = || {
        let mut life = Life::external(|submission| submission.opening = Opening::Running);
        assert_eq!(life.does(&Command::Cancel), Did::Changed(EventKind::Canceling));
        assert!(life.operation.cancel_requested);
        assert_eq!(life.does(&Command::Cancel), Did::Unchanged);
        life
    };
    let mut life = canceling();
    patched(&mut life, to_failed("stopped"));
    assert_eq!(life.failed_as(), Some((Outcome::Canceled, "stopped")));
    assert_eq!(life.does(&Command::Cancel), Did::Unchanged);

    let mut life = canceling();
    patched(&mut life, percent(90));
    assert_eq!(life.status(), Status::Running);
    patched(&mut life, patch_to(Status::Completed));
    assert_eq!(life.status(), Status::Completed);
}
