//! What a worker says of how far it is.

use super::*;
use crate::limits;

#[test]
fn the_first_progress_is_a_change_and_extends_the_lease_too() {
    let mut life = Life::running(|_| {});
    assert_eq!(life.at(1.0).does(&progress(LeaseToken(1), 10)), Did::Changed(EventKind::Progress));
    assert_eq!(life.operation.progress.percent, Some(10));
    assert_eq!(life.operation.version, 3);
    assert_eq!(life.lease().until, at(31.0));
}

#[test]
fn progress_equal_to_what_stands_is_a_heartbeat() {
    let mut life = Life::running(|_| {});
    life.does(&progress(LeaseToken(1), 10));
    assert_eq!(life.at(5.0).does(&progress(LeaseToken(1), 10)), Did::Touched);
    assert_eq!(life.operation.version, 3);
    assert_eq!(life.lease().until, at(35.0));
}

#[test]
fn progress_within_the_window_is_told_at_its_end() {
    let mut life = Life::running(|_| {});
    life.does(&progress(LeaseToken(1), 10));
    assert_eq!(life.at(0.1).does(&progress(LeaseToken(1), 20)), Did::Touched);
    assert_eq!(life.at(0.2).does(&progress(LeaseToken(1), 30)), Did::Touched);
    assert_eq!(life.operation.progress.percent, Some(10));
    assert_eq!(life.lease().due(), at(0.25));
    assert_eq!(life.at(0.24).tick(), Did::Unchanged);
    assert_eq!(life.at(0.25).tick(), Did::Changed(EventKind::Progress));
    assert_eq!(life.operation.progress.percent, Some(30));
    assert_eq!(life.lease().pending, None);
    assert_eq!(life.lease().due(), at(30.2));
}

#[test]
fn progress_after_the_window_takes_along_what_was_kept() {
    let mut life = Life::running(|_| {});
    life.does(&progress(LeaseToken(1), 10));
    life.at(0.1).does(&progress(LeaseToken(1), 20));
    let detail = Progress { percent: None, detail: Some(Arc::from("halfway")) };
    let said = Report { kind: ReportKind::Running, checkpoint: None, progress: Some(detail) };
    let said = Command::Report { token: LeaseToken(1), report: said };
    assert_eq!(life.at(0.3).does(&said), Did::Changed(EventKind::Progress));
    assert_eq!(life.operation.progress.percent, Some(20));
    assert_eq!(life.operation.progress.detail.as_deref(), Some("halfway"));
}

#[test]
fn progress_that_goes_back_to_what_stands_leaves_nothing_to_tell() {
    let mut life = Life::running(|_| {});
    life.does(&progress(LeaseToken(1), 10));
    life.at(0.1).does(&progress(LeaseToken(1), 20));
    assert_eq!(life.at(0.2).does(&progress(LeaseToken(1), 10)), Did::Touched);
    assert_eq!(life.lease().pending, None);
    assert_eq!(life.at(0.3).tick(), Did::Unchanged);
}

#[test]
fn every_transition_tells_the_progress_that_was_kept() {
    let waiting_for_its_window = || {
        let mut life = Life::running(|submission| submission.spec.timeout_seconds = Some(45));
        life.does(&progress(LeaseToken(1), 10));
        life.at(0.1).does(&progress(LeaseToken(1), 20));
        life
    };
    let token = LeaseToken(1);
    let reported = |kind| report(token, kind);
    for (time, command) in [
        (0.2, reported(completed())),
        (0.2, reported(failed(true))),
        (0.2, reported(failed(false))),
        (0.2, reported(ReportKind::Released)),
        (0.2, Command::Return { token }),
        (0.2, Command::Cancel),
        (30.2, Command::Tick), // The lease ends.
        (45.0, Command::Tick), // The attempt times out.
    ] {
        let mut life = waiting_for_its_window();
        assert!(matches!(life.at(time).does(&command), Did::Changed(_)), "{command:?}");
        assert_eq!(life.operation.progress.percent, Some(20), "{command:?}");
        assert_eq!(life.operation.lease().and_then(|lease| lease.pending.as_ref()), None, "{command:?}");
    }
}

#[test]
fn progress_that_comes_with_the_end_is_kept() {
    let mut life = Life::running(|_| {});
    let progress = Some(Progress { percent: Some(100), detail: None });
    let report = Report { kind: completed(), checkpoint: None, progress };
    life.does(&Command::Report { token: LeaseToken(1), report });
    assert_eq!((life.status(), life.operation.progress.percent), (Status::Completed, Some(100)));
}

#[test]
fn after_a_thousand_events_the_window_is_ten_seconds() {
    let mut life = Life::running(|_| {});
    for event in 0..limits::PROGRESS_EVENTS_FAST {
        let time = f64::from(event) / 4.0;
        let percent = u8::try_from(event % 100).unwrap();
        assert_eq!(
            life.at(time).does(&progress(LeaseToken(1), percent)),
            Did::Changed(EventKind::Progress),
            "event {event}"
        );
    }
    assert_eq!(life.at(250.0).does(&progress(LeaseToken(1), 7)), Did::Touched);
    // Of the last one that was told, 249.75.
    let next = 249.75 + limits::PROGRESS_WINDOW_SLOW.as_secs_f64();
    assert_eq!(life.lease().due(), at(next));
    assert_eq!(life.at(next).tick(), Did::Changed(EventKind::Progress));
}

#[test]
fn the_window_is_the_operations_and_not_the_attempts() {
    let mut life = Life::running(|_| {});
    life.at(1.0).does(&progress(LeaseToken(1), 10));
    life.reports(ReportKind::Released);
    life.claim();
    assert_eq!(life.at(1.1).does(&progress(LeaseToken(2), 20)), Did::Touched);
}

#[test]
fn a_checkpoint_alone_is_no_change() {
    let mut life = Life::running(|_| {});
    let checkpoint = Some(json("{\"page\":5}"));
    let report = Report { kind: ReportKind::Running, checkpoint, progress: None };
    assert_eq!(life.does(&Command::Report { token: LeaseToken(1), report }), Did::Touched);
    assert_eq!(life.operation.checkpoint.as_ref().unwrap().get(), "{\"page\":5}");
    assert_eq!(life.operation.version, 2);
}

#[test]
fn progress_after_a_cancel_request_is_told_but_changes_nothing_of_the_request() {
    let mut life = Life::running(|_| {});
    life.does(&Command::Cancel);
    assert_eq!(life.at(1.0).does(&progress(LeaseToken(1), 10)), Did::Changed(EventKind::Progress));
    assert!(life.operation.cancel_requested);
    assert_eq!(life.lease().until, at(30.0));
}
