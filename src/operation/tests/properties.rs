//! What holds of every life, whatever is asked of it and when.

use proptest::prelude::*;

use super::walk::{Taken, lives, walk};
use super::*;
use crate::limits;
use crate::operation::Carrier;

/// Everything of an operation but the end of its lease and its checkpoint, as text.
fn but_the_lease(operation: &Operation) -> String {
    let mut operation = operation.clone();
    operation.checkpoint = None;
    if let State::Running(Carrier::Worker(lease)) = &mut operation.state {
        lease.until = at(0.0);
    }
    format!("{operation:?}")
}

fn all(operation: &Operation) -> String {
    format!("{operation:?}")
}

fn due(operation: &Operation) -> Option<Timestamp> {
    operation.lease().map(Lease::due).or_else(|| operation.wake_at())
}

proptest! {
    #[test]
    fn the_token_only_grows_and_only_by_a_claim((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let claimed = taken.changed() == Some(EventKind::Started) && !life.operation.spec.external;
            let expected = if claimed { taken.before.token.next() } else { taken.before.token };
            assert_eq!(life.operation.token, expected, "{taken:?}");
        });
    }

    #[test]
    fn attempts_never_exceed_their_maximum((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let attempts = life.operation.attempts;
            assert!(attempts <= submission.spec.max_attempts, "{taken:?}");
            let waits = life.status() == Status::NotStarted;
            assert!(!waits || attempts < submission.spec.max_attempts, "a waiting one has an attempt left");
        });
    }

    #[test]
    fn a_terminal_status_is_left_by_retry_and_delete_alone((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            if !taken.before.status().is_terminal() {
                return;
            }
            match (&taken.command, taken.changed()) {
                (Command::Retry, Some(event)) => {
                    assert_eq!(event, EventKind::Retrying);
                    assert_eq!(taken.before.status(), Status::Failed);
                    assert!(!taken.before.spec.external);
                }
                (Command::Delete, Some(event)) => assert_eq!(event, EventKind::Deleted),
                _ => assert_eq!(all(&taken.before), all(&life.operation), "{taken:?}"),
            }
        });
    }

    #[test]
    fn each_change_adds_one_to_the_version_and_nothing_else_does((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let changes = i64::from(taken.changed().is_some());
            assert_eq!(life.operation.version, taken.before.version + changes, "{taken:?}");
        });
    }

    #[test]
    fn the_last_action_never_goes_back_and_moves_with_changes_alone((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let expected = match taken.changed() {
                Some(_) => taken.before.last_action.max(taken.now),
                None => taken.before.last_action,
            };
            assert_eq!(life.operation.last_action, expected, "{taken:?}");
        });
    }

    #[test]
    fn a_lease_exists_exactly_while_a_queued_operation_runs((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let runs = life.status() == Status::Running && !life.operation.spec.external;
            assert_eq!(life.operation.lease().is_some(), runs, "{taken:?}");
            if let Some(lease) = life.operation.lease() {
                assert_eq!(lease.token, life.operation.token);
                assert!(lease.cap.is_none_or(|cap| lease.until <= cap), "{taken:?}");
            }
        });
    }

    #[test]
    fn what_changed_nothing_left_everything_as_it_was((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            if matches!(taken.did, Ok(Did::Unchanged) | Err(_)) {
                assert_eq!(all(&taken.before), all(&life.operation), "{taken:?}");
            }
        });
    }

    #[test]
    fn a_repeated_report_changes_nothing((submission, moves) in lives()) {
        let mut last = None;
        walk(&submission, &moves, |taken, life| {
            if let (Command::Report { report, .. }, Some(event)) = (&taken.command, taken.changed())
                && !matches!(report.kind, ReportKind::Running)
            {
                assert!(event != EventKind::Progress);
                last = Some(taken.command.clone());
            }
            if let Some(last) = &last {
                let mut again = life.clone();
                assert_eq!(again.does(last), Did::Unchanged, "after {taken:?}");
            }
        });
    }

    #[test]
    fn a_report_with_another_token_than_the_leases_changes_nothing((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            if let Command::Report { token, .. } = &taken.command
                && taken.before.lease().is_none_or(|lease| lease.token != *token)
            {
                assert!(!matches!(taken.did, Ok(Did::Changed(_) | Did::Touched)), "{taken:?}");
                assert_eq!(all(&taken.before), all(&life.operation));
            }
        });
    }

    #[test]
    fn progress_is_told_at_most_once_in_each_window((submission, moves) in lives()) {
        let mut last: Option<Timestamp> = None;
        walk(&submission, &moves, |taken, life| {
            if taken.changed() == Some(EventKind::Progress) {
                assert!(last.is_none_or(|last| taken.now.since(last) >= limits::PROGRESS_WINDOW), "{taken:?}");
                assert!(taken.before.progress != life.operation.progress, "something is told");
                last = Some(taken.now);
            }
        });
    }

    #[test]
    fn progress_that_was_said_is_told_or_waits_to_be((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let Command::Report { report, .. } = &taken.command else { return };
            let Some(percent) = report.progress.as_ref().and_then(|said| said.percent) else { return };
            if matches!(taken.did, Ok(Did::Changed(_) | Did::Touched)) {
                let pending = life.operation.lease().and_then(|lease| lease.pending.as_ref());
                let known = pending.map_or(&life.operation.progress, |(pending, _)| pending);
                assert_eq!(known.percent, Some(percent), "{taken:?}");
            }
        });
    }

    #[test]
    fn a_heartbeat_changes_nothing_but_the_end_of_the_lease((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let Some(lease) = life.operation.lease() else { return };
            let mut beaten = life.clone();
            let did = beaten.does(&report(lease.token, ReportKind::Running));
            assert_eq!(did, Did::Touched, "after {taken:?}");
            assert_eq!(but_the_lease(&beaten.operation), but_the_lease(&life.operation));
            assert!(beaten.lease().until >= lease.until, "no heartbeat takes time away");
        });
    }

    #[test]
    fn a_released_attempt_is_given_back_at_most_ten_times((submission, moves) in lives()) {
        let mut given_back = 0;
        walk(&submission, &moves, |taken, life| {
            match (&taken.command, taken.changed()) {
                (Command::Retry, Some(_)) => given_back = 0,
                (Command::Report { .. }, Some(EventKind::Released)) => {
                    given_back += taken.before.attempts - life.operation.attempts;
                }
                (Command::Return { .. }, Some(_)) => {
                    assert_eq!(life.operation.attempts, taken.before.attempts - 1);
                }
                (_, Some(EventKind::Retrying | EventKind::Failed | EventKind::Completed)) => {
                    assert_eq!(life.operation.attempts, taken.before.attempts);
                }
                _ => {}
            }
            assert!(given_back <= limits::FREE_RELEASES);
        });
    }

    #[test]
    fn after_a_cancel_request_nothing_follows_but_completion_or_a_canceled_end((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            if taken.before.status() != Status::Running || !taken.before.cancel_requested {
                return;
            }
            match life.status() {
                Status::Running => assert!(life.operation.cancel_requested),
                Status::Completed => {}
                Status::Failed => assert_eq!(life.failed_as().unwrap().0, Outcome::Canceled, "{taken:?}"),
                Status::NotStarted => panic!("it went back to its queue: {taken:?}"),
            }
        });
    }

    #[test]
    fn a_cancelled_attempt_ends_within_the_grace((submission, moves) in lives()) {
        let mut requested = None;
        walk(&submission, &moves, |taken, life| {
            if taken.changed() == Some(EventKind::Canceling) {
                requested = Some(taken.now);
            }
            let running = life.operation.lease().filter(|_| life.operation.cancel_requested);
            if let (Some(lease), Some(requested)) = (running, requested) {
                assert!(lease.until <= requested.plus(limits::CANCEL_GRACE), "{taken:?}");
            }
        });
    }

    #[test]
    fn a_tick_acts_exactly_when_something_is_due_and_comes_to_rest((submission, moves) in lives()) {
        walk(&submission, &moves, |taken, life| {
            let mut ticking = life.clone();
            for _ in 0..4 {
                let is_due = due(&ticking.operation).is_some_and(|due| due <= ticking.now);
                assert_eq!(ticking.tick() != Did::Unchanged, is_due, "after {taken:?}");
            }
            assert!(due(&ticking.operation).is_none_or(|due| due > ticking.now), "after {taken:?}");
        });
    }

    #[test]
    fn every_attempt_that_ended_badly_is_recorded_once((submission, moves) in lives()) {
        let mut last = LeaseToken(0);
        walk(&submission, &moves, |taken, life| {
            let ended = taken.before.lease().is_some() && life.operation.lease().is_none();
            let badly = ended && life.status() != Status::Completed;
            let returned = matches!(taken.command, Command::Return { .. });
            assert_eq!(taken.attempt.is_some(), badly && !returned, "{taken:?}");
            if let Some(attempt) = &taken.attempt {
                assert!(attempt.token > last && attempt.started <= attempt.ended);
                last = attempt.token;
            }
        });
    }
}

/// The walks reach what they are about: a property that never met its case has shown nothing.
#[test]
fn the_random_lives_meet_every_kind_of_event_and_end() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut events, mut outcomes, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..1000 {
        let (submission, moves) = lives().new_tree(&mut runner).unwrap().current();
        walk(&submission, &moves, |taken: &Taken, life| {
            events.extend(taken.changed().map(EventKind::as_str));
            outcomes.extend(life.failed_as().map(|(outcome, _)| outcome.as_str()));
            refusals.extend(taken.did.as_ref().err().map(std::mem::discriminant));
        });
    }
    let distinct = |words: &mut Vec<&'static str>| {
        words.sort_unstable();
        words.dedup();
        words.len()
    };
    assert_eq!(distinct(&mut events), EventKind::ALL.len() - 1, "all but created: {events:?}");
    assert_eq!(distinct(&mut outcomes), 5, "all but released: {outcomes:?}");
    assert!(refusals.contains(&std::mem::discriminant(&Refusal::Ended)));
    assert!(refusals.contains(&std::mem::discriminant(&Refusal::LeaseLost)));
}
