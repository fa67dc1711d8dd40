//! The life of a lease: heartbeats, its end, the attempt's timeout, and giving back.

use super::*;

#[test]
fn a_heartbeat_moves_the_leases_end_and_nothing_else() {
    let mut life = Life::running(|_| {});
    let before = life.operation.clone();
    assert_eq!(life.at(10.0).reports(ReportKind::Running), Did::Touched);
    assert_eq!(life.lease().until, at(40.0));
    assert_eq!(life.operation.version, before.version);
    assert_eq!(life.operation.last_action, before.last_action);
    assert_eq!(life.operation.changed, before.changed);
}

#[test]
fn only_the_tick_ends_a_lease_so_that_a_late_report_still_counts() {
    let mut life = Life::running(|_| {});
    assert_eq!(life.at(31.0).reports(ReportKind::Running), Did::Touched);
    assert_eq!(life.at(62.0).reports(completed()), Did::Changed(EventKind::Completed));
}

#[test]
fn a_lease_that_ends_makes_it_ready_at_once() {
    let mut life = Life::running(|_| {});
    assert_eq!(life.at(29.9).tick(), Did::Unchanged);
    assert_eq!(life.at(30.0).tick(), Did::Changed(EventKind::Retrying));
    assert_eq!(life.operation.ready_since(), Some(at(30.0)));
    assert_eq!(&*life.operation.failure().unwrap().code, "leaseExpired");
    let attempt = &life.attempts[0];
    assert_eq!((attempt.token, attempt.outcome), (LeaseToken(1), Outcome::LeaseExpired));
    assert_eq!((attempt.started, attempt.ended), (at(0.0), at(30.0)));
    assert_eq!(life.operation.attempts, 1);
}

#[test]
fn a_lease_that_ends_with_no_attempt_left_ends_the_operation() {
    let mut life = Life::running(|submission| submission.spec.max_attempts = 1);
    assert_eq!(life.at(30.0).tick(), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::LeaseExpired, "leaseExpired")));
}

#[test]
fn what_kills_its_workers_runs_out_of_attempts() {
    let mut life = Life::with(|_| {});
    for attempt in 1..=3 {
        life.claim();
        assert_eq!(life.operation.attempts, attempt);
        life.at(f64::from(attempt) * 30.0).tick();
    }
    assert_eq!(life.failed_as(), Some((Outcome::LeaseExpired, "leaseExpired")));
    assert_eq!(life.attempts.len(), 3);
}

#[test]
fn no_heartbeat_takes_an_attempt_beyond_its_timeout() {
    let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(45));
    life.at(20.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(45.0));
    life.at(44.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(45.0));
    assert_eq!(life.at(44.9).tick(), Did::Unchanged);
    assert_eq!(life.at(45.0).tick(), Did::Changed(EventKind::Retrying));
    assert_eq!(life.attempts[0].outcome, Outcome::TimedOut);
}

#[test]
fn a_timeout_is_like_a_failure_and_waits_for_the_backoff() {
    let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(10));
    assert_eq!(life.at(10.0).tick(), Did::Changed(EventKind::Retrying));
    assert_eq!(life.hold(), Some(Hold::RetryBackoff));
    assert_eq!(life.operation.wake_at(), Some(at(11.0)));
    assert_eq!(&*life.operation.failure().unwrap().code, "timeout");
}

#[test]
fn a_timeout_of_the_last_attempt_ends_the_operation() {
    let mut life = Life::running(|submission| {
        submission.spec.timeout_seconds = Some(10);
        submission.spec.max_attempts = 1;
    });
    life.at(10.0).tick();
    assert_eq!(life.failed_as(), Some((Outcome::TimedOut, "timeout")));
}

#[test]
fn silence_before_the_timeout_is_no_timeout() {
    let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(600));
    life.at(30.0).tick();
    assert_eq!(life.attempts[0].outcome, Outcome::LeaseExpired);
    assert_eq!(life.operation.ready_since(), Some(at(30.0)));
}

#[test]
fn each_attempt_has_its_own_timeout() {
    let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(40));
    life.at(30.0).tick();
    life.claim();
    life.at(50.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(70.0));
}

#[test]
fn a_heartbeat_takes_nothing_from_a_lease_that_rests_beyond_its_cap() {
    let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(10));
    let State::Running(crate::operation::Carrier::Worker(lease)) = &mut life.operation.state else {
        unreachable!("it runs")
    };
    lease.until = at(25.0); // The store rested it after an outage.
    life.at(16.0).reports(ReportKind::Running);
    assert_eq!(life.lease().until, at(25.0));
    life.at(25.0).tick();
    assert_eq!(life.attempts[0].outcome, Outcome::TimedOut);
}

#[test]
fn a_release_gives_the_attempt_and_the_place_back() {
    let mut life = Life::with(|_| {});
    life.at(5.0).claim();
    assert_eq!(life.at(6.0).reports(ReportKind::Released), Did::Changed(EventKind::Released));
    assert_eq!((life.operation.attempts, life.operation.releases), (0, 1));
    assert_eq!(life.operation.token, LeaseToken(1));
    assert_eq!(life.operation.ready_since(), Some(at(0.0)));
    assert_eq!(life.attempts[0].outcome, Outcome::Released);
    assert_eq!(life.operation.failure(), None);
}

#[test]
fn a_release_after_a_delayed_start_goes_back_to_that_start() {
    let mut life = Life::with(|submission| submission.start_at = Some(at(10.0)));
    life.at(10.0).tick();
    life.at(20.0).claim();
    life.reports(ReportKind::Released);
    assert_eq!(life.operation.ready_since(), Some(at(10.0)));
}

#[test]
fn from_the_eleventh_release_on_the_attempt_stays_counted() {
    let mut life = Life::with(|submission| submission.spec.max_attempts = 2);
    for _ in 0..10 {
        life.claim();
        life.reports(ReportKind::Released);
        assert_eq!(life.operation.attempts, 0);
    }
    life.claim();
    assert_eq!(life.reports(ReportKind::Released), Did::Changed(EventKind::Released));
    assert_eq!((life.operation.attempts, life.operation.releases), (1, 10));
    assert_eq!(life.operation.ready_since(), Some(at(0.0)));
    assert_eq!(life.operation.failure(), None, "a release is no failure");
    life.claim();
    assert_eq!(life.reports(ReportKind::Released), Did::Changed(EventKind::Failed));
    assert_eq!(life.failed_as(), Some((Outcome::LeaseExpired, "leaseExpired")));
    assert_eq!(life.attempts.len(), 12);
}

#[test]
fn what_nobody_received_goes_back_as_if_it_had_never_been_taken() {
    let mut life = Life::with(|_| {});
    life.at(5.0).claim();
    let token = life.operation.token;
    assert_eq!(life.does(&Command::Return { token }), Did::Changed(EventKind::Released));
    assert_eq!((life.operation.attempts, life.operation.releases), (0, 0));
    assert_eq!(life.operation.ready_since(), Some(at(0.0)));
    assert!(life.attempts.is_empty());
    for _ in 0..20 {
        life.claim();
        life.does(&Command::Return { token: life.operation.token });
    }
    assert_eq!((life.operation.attempts, life.operation.releases), (0, 0));
    assert_eq!(life.operation.token, LeaseToken(21));
}

#[test]
fn a_return_of_an_older_token_is_refused() {
    let mut life = Life::running(|_| {});
    life.reports(ReportKind::Released);
    life.claim();
    assert_eq!(life.refuses(&Command::Return { token: LeaseToken(1) }), Refusal::LeaseLost);
    assert_eq!(life.status(), Status::Running);
}
