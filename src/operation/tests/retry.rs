//! What leaves a terminal status: a person's retry and a delete, and nothing else.

use super::*;

/// Failed in its third attempt, with progress, an expiration and a client's start.
fn exhausted() -> Life {
    let mut life = Life::with(|submission| {
        submission.start_at = Some(at(1.0));
        submission.expires = Some(at(500.0));
    });
    for attempt in 1..=3 {
        life.at(f64::from(attempt) * 10.0).tick();
        life.claim();
        life.does(&progress(LeaseToken(i64::from(attempt)), 40));
        life.reports(failed(true));
    }
    assert_eq!(life.failed_as(), Some((Outcome::Failed, "upstream")));
    life
}

#[test]
fn a_persons_retry_begins_the_attempts_anew_and_goes_on_with_the_token() {
    let mut life = exhausted();
    assert_eq!(life.at(600.0).does(&Command::Retry), Did::Changed(EventKind::Retrying));
    assert_eq!(life.operation.ready_since(), Some(at(600.0)));
    assert_eq!((life.operation.attempts, life.operation.releases), (0, 0));
    life.claim();
    assert_eq!((life.operation.attempts, life.operation.token), (1, LeaseToken(4)));
}

#[test]
fn a_persons_retry_clears_progress_expiration_and_start_but_not_the_last_error() {
    let mut life = exhausted();
    life.at(600.0).does(&Command::Retry);
    assert_eq!(life.operation.progress, Progress::default());
    assert_eq!((life.operation.expires, life.operation.start_at), (None, None));
    assert_eq!(&*life.operation.failure().unwrap().code, "upstream");
    assert_eq!(life.tick(), Did::Unchanged);
}

#[test]
fn a_retry_takes_a_cancel_request_back() {
    let mut life = Life::running(|_| {});
    life.does(&Command::Cancel);
    life.reports(ReportKind::Released);
    life.does(&Command::Retry);
    assert!(!life.operation.cancel_requested);
    life.claim();
    assert_eq!(life.reports(failed(true)), Did::Changed(EventKind::Retrying));
}

#[test]
fn free_releases_begin_anew_with_a_retry() {
    let mut life = Life::with(|_| {});
    for _ in 0..10 {
        life.claim();
        life.reports(ReportKind::Released);
    }
    life.does(&Command::Cancel);
    life.does(&Command::Retry);
    life.claim();
    life.reports(ReportKind::Released);
    assert_eq!((life.operation.attempts, life.operation.releases), (0, 1));
}

#[test]
fn whatever_has_not_failed_is_not_retried() {
    let mut life = Life::with(|_| {});
    assert!(matches!(life.refuses(&Command::Retry), Refusal::Conflict(_)));
    life.claim();
    assert!(matches!(life.refuses(&Command::Retry), Refusal::Conflict(_)));
    life.reports(completed());
    assert!(matches!(life.refuses(&Command::Retry), Refusal::Conflict(_)));
}

#[test]
fn an_external_one_is_not_retried() {
    let mut life = Life::with(|submission| submission.opening = Opening::Failed(None));
    assert!(matches!(life.refuses(&Command::Retry), Refusal::Conflict(_)));
}

#[test]
fn an_ended_operation_can_be_deleted_and_no_other() {
    let mut life = Life::with(|_| {});
    assert!(matches!(life.refuses(&Command::Delete), Refusal::Conflict(_)));
    life.claim();
    assert!(matches!(life.refuses(&Command::Delete), Refusal::Conflict(_)));
    let mut failed_one = life.clone();
    life.reports(completed());
    assert_eq!(life.does(&Command::Delete), Did::Changed(EventKind::Deleted));
    failed_one.reports(failed(false));
    assert_eq!(failed_one.does(&Command::Delete), Did::Changed(EventKind::Deleted));
    let mut external = Life::with(|submission| submission.opening = Opening::Failed(None));
    assert_eq!(external.does(&Command::Delete), Did::Changed(EventKind::Deleted));
}

#[test]
fn whatever_else_is_asked_of_an_ended_operation_is_refused() {
    for kind in [completed(), failed(false)] {
        let mut life = Life::running(|submission| {
            submission.expires = Some(at(60.0));
            submission.spec.timeout_seconds = Some(45);
        });
        life.reports(kind);
        let version = life.operation.version;
        life.refuses(&claim(30));
        life.refuses(&report(LeaseToken(1), ReportKind::Running));
        life.refuses(&Command::Return { token: LeaseToken(1) });
        life.refuses(&Command::Patch(patch_to(Status::Running)));
        assert_eq!(life.at(100.0).tick(), Did::Unchanged);
        assert_eq!(life.operation.version, version);
    }
}
