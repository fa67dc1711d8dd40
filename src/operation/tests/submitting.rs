//! How an operation begins.

use super::*;
use crate::operation::Carrier;

#[test]
fn a_bare_submission_is_ready_at_once() {
    let life = Life::with(|_| {});
    assert_eq!(life.status(), Status::NotStarted);
    assert_eq!(life.operation.ready_since(), Some(at(0.0)));
    assert_eq!(life.operation.wake_at(), None);
    assert_eq!((life.operation.version, life.operation.attempts), (1, 0));
    assert_eq!(life.operation.last_action, at(0.0));
}

#[test]
fn a_start_to_come_holds_it_until_then() {
    let mut life = Life::with(|submission| submission.start_at = Some(at(60.0)));
    assert_eq!(life.hold(), Some(Hold::Delayed));
    assert_eq!(life.operation.wake_at(), Some(at(60.0)));
    life.at(59.0).refuses(&claim(30));
    assert_eq!(life.tick(), Did::Unchanged);
    assert_eq!(life.at(60.0).tick(), Did::Touched);
    assert_eq!(life.operation.ready_since(), Some(at(60.0)));
    life.claim();
}

#[test]
fn a_start_that_has_passed_holds_nothing() {
    let life = Life::with(|submission| submission.start_at = Some(at(0.0)));
    assert_eq!(life.operation.ready_since(), Some(at(0.0)));
}

#[test]
fn the_clients_last_action_is_kept_and_never_goes_back() {
    let mut life = Life::with(|submission| submission.last_action = Some(at(200.0)));
    assert_eq!(life.operation.last_action, at(200.0));
    life.at(1.0).claim();
    assert_eq!(life.operation.last_action, at(200.0));
    assert_eq!(life.operation.changed, at(1.0));
    life.at(201.0).does(&Command::Cancel);
    assert_eq!(life.operation.last_action, at(201.0));
}

#[test]
fn the_store_says_when_it_was_received() {
    let life = Life::with(|submission| {
        submission.spec.received = at(50.0);
        submission.spec.created = at(60.0);
    });
    assert_eq!(life.operation.spec.received, at(0.0));
    assert_eq!(life.operation.spec.created, at(60.0));
}

#[test]
fn an_external_one_is_never_in_a_queue() {
    let mut life = Life::external(|_| {});
    assert_eq!(life.status(), Status::NotStarted);
    assert_eq!(life.hold(), Some(Hold::External));
    life.refuses(&claim(30));
}

#[test]
fn whatever_begins_elsewhere_than_waiting_is_external() {
    let running = Life::with(|submission| submission.opening = Opening::Running);
    assert!(running.operation.spec.external);
    assert!(matches!(running.operation.state, State::Running(Carrier::Owner)));
    assert_eq!(running.operation.started, Some(at(0.0)));
    assert_eq!(running.operation.lease(), None);

    let opening = Opening::Completed { result: Some(json("1")), resource_location: Some(Arc::from("u")) };
    let completed = Life::with(|submission| submission.opening = opening);
    assert_eq!(completed.status(), Status::Completed);
    assert_eq!(completed.operation.result().unwrap().inline().unwrap().get(), "1");
    assert_eq!(completed.operation.completed(), Some(at(0.0)));

    let failed = Life::with(|submission| submission.opening = Opening::Failed(Some(failure("theirs"))));
    assert_eq!(failed.failed_as(), Some((Outcome::Failed, "theirs")));
}

#[test]
fn one_submitted_as_failed_without_an_error_gets_one() {
    let failed = Life::with(|submission| submission.opening = Opening::Failed(None));
    assert_eq!(failed.failed_as(), Some((Outcome::Failed, "unspecified")));
}
