//! Cancelling what runs, and what may still follow.

use super::*;

fn canceling() -> Life {
    let mut life = Life::running(|_| {});
    assert_eq!(life.at(10.0).does(&Command::Cancel), Did::Changed(EventKind::Canceling));
    life
}

#[test]
fn a_cancel_of_a_running_one_asks_its_worker() {
    let life = canceling();
    assert_eq!(life.status(), Status::Running);
    assert!(life.operation.cancel_requested);
    assert_eq!(life.lease().until, at(30.0), "the lease's own end comes sooner");
}

#[test]
fn the_request_leaves_thirty_seconds_at_most() {
    let mut life = Life::with(|_| {});
    life.does(&claim(3600));
    life.at(10.0).does(&Command::Cancel);
    assert_eq!(life.lease().until, at(40.0));
    life.at(20.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(40.0));
    assert_eq!(life.at(40.0).tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
}

#[test]
fn heartbeats_last_no_longer_than_the_grace() {
    let mut life = canceling();
    life.at(25.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(40.0));
    life.at(39.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(40.0));
}

#[test]
fn an_attempts_timeout_before_the_grace_stands() {
    let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(20));
    life.at(10.0).does(&Command::Cancel);
    life.at(15.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(20.0));
    life.at(20.0).tick();
    assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
}

#[test]
fn a_second_request_changes_nothing() {
    let mut life = canceling();
    let version = life.operation.version;
    assert_eq!(life.at(20.0).does(&Command::Cancel), Did::Unchanged);
    assert_eq!(life.operation.version, version);
    life.at(25.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(40.0), "the grace counts from the first request");
}

#[test]
fn a_completion_after_the_request_still_completes() {
    let mut life = canceling();
    assert_eq!(life.reports(completed()), Did::Changed(EventKind::Completed));
    assert_eq!(life.status(), Status::Completed);
}

#[test]
fn any_other_end_after_the_request_is_canceled_and_never_retried() {
    let token = LeaseToken(1);
    for (time, command) in [
        (11.0, report(token, failed(true))),
        (11.0, report(token, failed(false))),
        (11.0, report(token, ReportKind::Released)),
        (30.0, Command::Tick),
    ] {
        let mut life = canceling();
        assert_eq!(life.at(time).does(&command), Did::Changed(EventKind::Failed), "{command:?}");
        assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
        assert_eq!(life.attempts[0].outcome, Outcome::Canceled);
    }
}

#[test]
fn a_timeout_after_the_request_is_canceled() {
    let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(20));
    life.at(1.0).does(&Command::Cancel);
    life.at(20.0).tick();
    assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
}

#[test]
fn what_nobody_received_and_somebody_cancelled_ends_uncounted() {
    let mut life = canceling();
    assert_eq!(life.does(&Command::Return { token: LeaseToken(1) }), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
    assert_eq!((life.operation.attempts, life.attempts.len()), (0, 0));
}

#[test]
fn a_repeat_of_the_report_that_ended_a_cancelled_attempt_changes_nothing() {
    let mut life = canceling();
    life.reports(ReportKind::Released);
    assert_eq!(life.reports(ReportKind::Released), Did::Unchanged);
}

#[test]
fn a_cancelled_operation_can_be_cancelled_again_and_no_other_ended_one() {
    let mut life = Life::with(|_| {});
    life.does(&Command::Cancel);
    assert_eq!(life.does(&Command::Cancel), Did::Unchanged);

    let mut completed_one = Life::running(|_| {});
    completed_one.reports(completed());
    assert!(matches!(completed_one.refuses(&Command::Cancel), Refusal::Conflict(_)));

    let mut failed_one = Life::running(|_| {});
    failed_one.reports(failed(false));
    assert!(matches!(failed_one.refuses(&Command::Cancel), Refusal::Conflict(_)));
}
