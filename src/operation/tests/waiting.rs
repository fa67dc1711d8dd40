//! What may become of an operation that waits: a claim, a cancel, its expiry.

use super::*;

#[test]
fn a_claim_counts_the_attempt_and_gives_the_next_token() {
    let mut life = Life::with(|_| {});
    life.at(5.0).claim();
    assert_eq!(life.status(), Status::Running);
    assert_eq!((life.operation.attempts, life.operation.token), (1, LeaseToken(1)));
    assert_eq!(life.operation.started, Some(at(5.0)));
    assert_eq!((life.lease().token, life.lease().until), (LeaseToken(1), at(35.0)));
    assert_eq!(life.operation.version, 2);
}

#[test]
fn a_running_operation_is_not_claimed_again() {
    let mut life = Life::running(|_| {});
    assert!(matches!(life.refuses(&claim(30)), Refusal::Conflict(_)));
}

#[test]
fn a_cancel_of_a_waiting_one_ends_it() {
    for delayed in [None, Some(at(60.0))] {
        let mut life = Life::with(|submission| submission.start_at = delayed);
        assert_eq!(life.at(1.0).does(&Command::Cancel), Did::Changed(EventKind::Failed));
        assert_eq!(life.failed_as(), Some((Outcome::Canceled, "canceled")));
        assert_eq!(life.operation.completed(), Some(at(1.0)));
        assert!(life.attempts.is_empty());
    }
}

#[test]
fn one_still_waiting_at_its_expiration_fails() {
    let mut life = Life::with(|submission| submission.expires = Some(at(60.0)));
    assert_eq!(life.operation.wake_at(), Some(at(60.0)));
    assert_eq!(life.at(59.9).tick(), Did::Unchanged);
    assert_eq!(life.at(60.0).tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Expired, "expired")));
    assert!(life.attempts.is_empty());
}

#[test]
fn no_attempt_begins_once_the_expiration_has_passed_even_before_the_tick() {
    let mut life = Life::with(|submission| submission.expires = Some(at(60.0)));
    assert!(matches!(life.at(60.0).refuses(&claim(30)), Refusal::Conflict(_)));
    life.at(59.9).claim();
}

#[test]
fn a_running_attempt_does_not_expire() {
    let mut life = Life::running(|submission| submission.expires = Some(at(10.0)));
    assert_eq!(life.operation.wake_at(), None);
    assert_eq!(life.at(11.0).tick(), Did::Unchanged);
    assert_eq!(life.reports(completed()), Did::Changed(EventKind::Completed));
}

#[test]
fn an_expiration_that_passes_while_held_for_the_backoff_ends_it_then() {
    let mut life = Life::running(|submission| {
        submission.expires = Some(at(10.0));
        submission.spec.retry = Some(RetryPolicy { initial_delay_seconds: 60.0, ..RetryPolicy::default() });
    });
    life.at(1.0).reports(failed(true));
    assert_eq!(life.hold(), Some(Hold::RetryBackoff));
    assert_eq!(life.operation.wake_at(), Some(at(10.0)));
    assert_eq!(life.at(10.0).tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Expired, "expired")));
}

#[test]
fn one_that_comes_back_after_its_expiration_is_claimed_no_more() {
    let mut life = Life::running(|submission| submission.expires = Some(at(10.0)));
    assert_eq!(life.at(30.0).tick(), Did::Changed(EventKind::Retrying));
    life.refuses(&claim(30));
    assert_eq!(life.operation.wake_at(), Some(at(10.0)));
    assert_eq!(life.tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Expired, "expired")));
}

#[test]
fn the_start_that_comes_with_the_expiration_comes_too_late() {
    let mut life = Life::with(|submission| {
        submission.start_at = Some(at(5.0));
        submission.expires = Some(at(10.0));
    });
    assert_eq!(life.operation.wake_at(), Some(at(5.0)));
    assert_eq!(life.at(12.0).tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::Expired, "expired")));
}

#[test]
fn a_claim_takes_the_most_urgent_first_and_then_the_oldest() {
    let rank = |priority, start: f64| {
        let mut submission = submission();
        submission.spec.priority = priority;
        submission.start_at = Some(at(start));
        let mut life = Life::of(&submission);
        life.at(start).tick();
        life.operation.rank().unwrap()
    };
    assert!(rank(100, 9.0) < rank(0, 0.0));
    assert!(rank(0, 9.0) < rank(-100, 0.0));
    assert!(rank(0, 1.0) < rank(0, 2.0));
}
