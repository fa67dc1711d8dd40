//! How an attempt ends by its worker's word: well, or badly and perhaps again.

use super::*;

#[test]
fn a_completion_ends_the_operation_and_keeps_its_result() {
    let mut life = Life::running(|_| {});
    let kind =
        ReportKind::Completed { result: Some(json("[1]")), resource_location: Some(Arc::from("https://a")) };
    assert_eq!(life.at(2.0).reports(kind), Did::Changed(EventKind::Completed));
    assert_eq!(life.status(), Status::Completed);
    assert_eq!(life.operation.result().unwrap().inline().unwrap().get(), "[1]");
    assert_eq!(life.operation.resource_location().map(|url| &**url), Some("https://a"));
    assert_eq!(life.operation.completed(), Some(at(2.0)));
    assert_eq!(life.operation.lease(), None);
    assert!(life.attempts.is_empty());
}

#[test]
fn a_failure_with_attempts_left_waits_for_the_backoff() {
    let mut life = Life::running(|_| {});
    assert_eq!(life.at(10.0).reports(failed(true)), Did::Changed(EventKind::Retrying));
    assert_eq!(life.hold(), Some(Hold::RetryBackoff));
    assert_eq!(life.operation.start_at, Some(at(11.0)));
    assert_eq!(life.operation.wake_at(), Some(at(11.0)));
    assert_eq!(&*life.operation.failure().unwrap().code, "upstream");
    assert_eq!((life.attempts[0].outcome, life.attempts[0].ended), (Outcome::Failed, at(10.0)));
    assert_eq!(life.at(10.9).tick(), Did::Unchanged);
    assert_eq!(life.at(11.0).tick(), Did::Touched);
    assert_eq!(life.operation.ready_since(), Some(at(11.0)));
}

#[test]
fn the_backoff_grows_with_each_attempt() {
    let mut life = Life::running(|submission| submission.spec.max_attempts = 4);
    life.reports(failed(true));
    assert_eq!(life.operation.start_at, Some(at(1.0)));
    life.at(1.0).tick();
    life.claim();
    life.reports(failed(true));
    assert_eq!(life.operation.start_at, Some(at(3.0)));
    life.at(3.0).tick();
    life.claim();
    life.reports(failed(true));
    assert_eq!(life.operation.start_at, Some(at(7.0)));
}

#[test]
fn a_retry_is_never_sooner_than_the_report_asks_and_jitter_comes_on_top() {
    let asked = |jitter| {
        let mut life = Life::running(|submission| submission.spec.retry = None);
        life.jitter = jitter;
        let failure = Arc::new(Failure::new("busy", "Later."));
        let retry_after = Some(Duration::from_secs(50));
        life.reports(ReportKind::Failed { failure, retryable: true, retry_after });
        life.operation.start_at
    };
    assert_eq!(asked(0.0), Some(at(50.0)));
    assert_eq!(asked(1.0), Some(at(60.0)));
}

#[test]
fn a_policy_without_delay_makes_it_ready_at_once() {
    let mut life = Life::running(|submission| {
        submission.spec.retry =
            Some(RetryPolicy { initial_delay_seconds: 0.0, jitter: 0.0, ..RetryPolicy::default() });
    });
    life.at(2.0).reports(failed(true));
    assert_eq!(life.operation.ready_since(), Some(at(2.0)));
}

#[test]
fn a_failure_that_no_attempt_can_mend_ends_the_operation() {
    let mut life = Life::running(|_| {});
    assert_eq!(life.reports(failed(false)), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Failed, "upstream")));
    assert_eq!(life.attempts[0].outcome, Outcome::Failed);
}

#[test]
fn a_failure_of_the_last_attempt_ends_the_operation() {
    let mut life = Life::running(|submission| submission.spec.max_attempts = 2);
    life.reports(failed(true));
    life.at(1.0).tick();
    life.claim();
    assert_eq!(life.reports(failed(true)), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Failed, "upstream")));
    assert_eq!((life.operation.attempts, life.attempts.len()), (2, 2));
}

#[test]
fn a_success_after_a_failure_shows_no_error() {
    let mut life = Life::running(|_| {});
    life.reports(failed(true));
    life.at(1.0).tick();
    life.claim();
    assert_eq!(life.operation.failure(), None);
    life.reports(completed());
    assert_eq!(life.operation.failure(), None);
    assert_eq!(life.attempts.len(), 1);
}

#[test]
fn the_checkpoint_of_a_report_that_ends_an_attempt_goes_along() {
    let mut life = Life::running(|_| {});
    let report = Report { kind: failed(true), checkpoint: Some(json("5")), progress: None };
    life.does(&Command::Report { token: LeaseToken(1), report });
    assert_eq!(life.operation.checkpoint.as_ref().unwrap().get(), "5");
}

#[test]
fn links_end_wherever_it_stands_and_nothing_else_changes() {
    let mut lives =
        [Life::with(|_| {}), Life::running(|_| {}), Life::running(|_| {}), Life::external(|_| {})];
    lives[2].reports(completed());
    for mut life in lives {
        let before = life.operation.clone();
        for ended in 1..=2 {
            assert_eq!(life.does(&Command::EndLinks), Did::Touched);
            assert_eq!(life.operation.links_ended, ended);
        }
        let after = Operation { links_ended: 0, ..life.operation.clone() };
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
    }
}
