//! Reports that repeat, and reports that come too late.

use super::*;

const FIRST: LeaseToken = LeaseToken(1);

fn every_kind() -> [ReportKind; 4] {
    [ReportKind::Running, completed(), failed(true), ReportKind::Released]
}

/// Submitted so that no report can use its attempts up, and claimed.
fn life() -> Life {
    Life::running(|submission| submission.spec.max_attempts = 1000)
}

#[test]
fn a_report_that_repeats_the_one_which_ended_the_attempt_changes_nothing() {
    for kind in [completed(), failed(true), failed(false), ReportKind::Released] {
        let mut life = life();
        life.reports(kind.clone());
        let version = life.operation.version;
        assert_eq!(life.at(1.0).does(&report(FIRST, kind.clone())), Did::Unchanged, "{kind:?}");
        assert_eq!(life.operation.version, version);
    }
}

#[test]
fn a_repeat_is_known_while_a_later_attempt_runs() {
    for kind in [failed(true), ReportKind::Released] {
        let mut life = life();
        life.reports(kind.clone());
        life.at(2.0).tick();
        life.claim();
        assert_eq!(life.does(&report(FIRST, kind)), Did::Unchanged);
        assert_eq!(life.lease().token, LeaseToken(2));
    }
}

#[test]
fn a_repeat_is_known_after_the_tick_ended_a_later_attempt() {
    let mut life = life();
    life.reports(ReportKind::Released);
    life.claim();
    life.at(30.0).tick();
    assert_eq!(life.does(&report(FIRST, ReportKind::Released)), Did::Unchanged);
    assert_eq!(life.refuses(&report(LeaseToken(2), ReportKind::Released)), Refusal::LeaseLost);
}

#[test]
fn a_repeat_is_known_after_a_persons_retry() {
    let mut life = life();
    life.reports(failed(false));
    life.does(&Command::Retry);
    assert_eq!(life.does(&report(FIRST, failed(false))), Did::Unchanged);
}

#[test]
fn the_first_result_stands_and_the_repeats_is_not_compared() {
    let mut life = life();
    life.reports(completed());
    let other = ReportKind::Completed { result: Some(json("\"other\"")), resource_location: None };
    assert_eq!(life.does(&report(FIRST, other)), Did::Unchanged);
    assert_eq!(life.operation.result().unwrap().inline().unwrap().get(), "{\"pages\":12}");
}

#[test]
fn a_heartbeat_of_an_attempt_that_a_report_ended_is_told_so() {
    for kind in [completed(), failed(true), failed(false), ReportKind::Released] {
        let mut life = life();
        life.reports(kind);
        assert_eq!(life.refuses(&report(FIRST, ReportKind::Running)), Refusal::Ended);
    }
}

#[test]
fn another_end_of_an_ended_attempt_is_refused() {
    let mut life = life();
    life.reports(failed(true));
    for kind in [completed(), ReportKind::Released] {
        assert_eq!(life.refuses(&report(FIRST, kind)), Refusal::LeaseLost);
    }
}

#[test]
fn only_the_last_report_that_ended_an_attempt_can_be_repeated() {
    let mut life = life();
    life.reports(ReportKind::Released);
    life.claim();
    life.reports(ReportKind::Released);
    for kind in every_kind() {
        assert_eq!(life.refuses(&report(FIRST, kind)), Refusal::LeaseLost);
    }
}

#[test]
fn a_stale_report_changes_nothing() {
    for kind in every_kind() {
        let mut life = life();
        life.at(30.0).tick();
        assert_eq!(life.refuses(&report(FIRST, kind.clone())), Refusal::LeaseLost, "waiting, {kind:?}");
        life.claim();
        assert_eq!(life.refuses(&report(FIRST, kind.clone())), Refusal::LeaseLost, "running, {kind:?}");
        assert_eq!((life.lease().token, life.lease().until), (LeaseToken(2), at(60.0)));
    }
}

#[test]
fn a_report_with_a_token_never_given_changes_nothing() {
    for kind in every_kind() {
        let mut life = life();
        assert_eq!(life.refuses(&report(LeaseToken(2), kind.clone())), Refusal::LeaseLost);
        let mut waiting = Life::with(|_| {});
        assert_eq!(waiting.refuses(&report(LeaseToken(0), kind.clone())), Refusal::LeaseLost);
        let mut external = Life::external(|submission| submission.opening = Opening::Running);
        assert_eq!(external.refuses(&report(LeaseToken(0), kind)), Refusal::LeaseLost);
    }
}

#[test]
fn a_report_of_an_attempt_that_was_returned_is_refused() {
    let mut life = life();
    life.does(&Command::Return { token: FIRST });
    for kind in every_kind() {
        assert_eq!(life.refuses(&report(FIRST, kind)), Refusal::LeaseLost);
    }
}
