//! What time itself acts on, and when the next of it comes.

use std::time::Duration;

use longrun::operation::{Command, Opening, ReportKind, Status, Timestamp};
use longrun::store::turn::Touches;

use crate::store::drafts::{bare, claim, draft, failed, id, report, report_with, start};
use crate::store::world::World;

every_store! {
    nothing_is_due_in_an_empty_store
    a_start_an_expiry_and_a_silence_are_due_in_their_order
    a_claim_clears_what_was_due_and_the_lease_has_its_own
    what_is_due_later_is_not_loaded
    no_more_is_loaded_than_was_asked_for
    leases_come_before_all_else
    progress_that_was_kept_is_due_at_the_end_of_its_window
    what_is_due_comes_sooner_or_later_with_every_change
    the_next_due_moment_survives_a_restart
    an_ended_operation_is_never_due
}

fn at(seconds: u32) -> Timestamp {
    start().plus_seconds(seconds)
}

fn due(world: &mut World, limit: usize) -> Vec<i64> {
    let set = world.begin(&Touches { due: limit, ..Touches::default() }).set;
    assert!(set.due.iter().all(|seq| set.operations.contains_key(seq)), "what is due is loaded");
    set.due.iter().map(|seq| seq.0).collect()
}

fn nothing_is_due_in_an_empty_store(world: &mut World) {
    assert_eq!(world.next_due(), None);
    assert_eq!(due(world, 10), [0; 0]);
    world.submit(&bare(1));
    assert_eq!(world.next_due(), None);
}

fn a_start_an_expiry_and_a_silence_are_due_in_their_order(world: &mut World) {
    world.submit(&draft(1, |submission| submission.expires = Some(at(30))));
    world.submit(&draft(2, |submission| submission.start_at = Some(at(20))));
    world.submit(&draft(3, |submission| {
        submission.opening = Opening::Running;
        submission.spec.timeout_seconds = Some(10);
    }));
    assert_eq!(world.next_due(), Some(at(10)));
    world.pass_seconds(30);
    assert_eq!(due(world, 10), [3, 2, 1]);
    assert_eq!(world.tick(), 3);
    let statuses = [1, 2, 3].map(|number| world.shown(id(number)).status());
    assert_eq!(statuses, [Status::Failed, Status::NotStarted, Status::Failed]);
    assert_eq!(world.next_due(), None);
    assert_eq!(world.tick(), 0);
}

fn a_claim_clears_what_was_due_and_the_lease_has_its_own(world: &mut World) {
    world.submit(&draft(1, |submission| submission.expires = Some(at(10))));
    world.apply(id(1), &claim(60));
    assert_eq!(world.next_due(), Some(at(60)));
    world.pass_seconds(10);
    assert_eq!(due(world, 10), [0; 0]);
    world.apply(id(1), &report(1, ReportKind::Running));
    assert_eq!(world.next_due(), Some(at(70)));
}

fn what_is_due_later_is_not_loaded(world: &mut World) {
    world.submit(&draft(1, |submission| submission.start_at = Some(at(10))));
    world.pass(Duration::from_nanos(9_999_999_900));
    assert_eq!(due(world, 10), [0; 0]);
    world.pass(Duration::from_nanos(100));
    assert_eq!(due(world, 10), [1]);
}

fn no_more_is_loaded_than_was_asked_for(world: &mut World) {
    for (number, seconds) in [(1, 9), (2, 8), (3, 7), (4, 6), (5, 5)] {
        world.submit(&draft(number, |submission| submission.start_at = Some(at(seconds))));
    }
    world.pass_seconds(10);
    assert_eq!(due(world, 0), [0; 0]);
    assert_eq!(due(world, 2), [5, 4]);
    assert_eq!(due(world, 9), [5, 4, 3, 2, 1]);
}

fn leases_come_before_all_else(world: &mut World) {
    world.submit(&draft(1, |submission| submission.start_at = Some(at(1))));
    world.submit(&bare(2));
    world.apply(id(2), &claim(5));
    world.pass_seconds(5);
    assert_eq!(due(world, 1), [2]);
    assert_eq!(due(world, 2), [2, 1]);
}

fn progress_that_was_kept_is_due_at_the_end_of_its_window(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report_with(1, ReportKind::Running, None, Some(10)));
    world.pass(Duration::from_millis(100));
    world.apply(id(1), &report_with(1, ReportKind::Running, None, Some(20)));
    assert_eq!(world.next_due(), Some(start().plus(Duration::from_millis(250))));
    world.restart();
    world.pass(Duration::from_millis(150));
    assert_eq!(world.tick(), 1);
    assert_eq!(world.shown(id(1)).progress.percent, Some(20));
    assert_eq!(world.next_due(), Some(start().plus(Duration::from_millis(30_100))));
}

fn what_is_due_comes_sooner_or_later_with_every_change(world: &mut World) {
    world.submit(&draft(1, |submission| submission.start_at = Some(at(50))));
    assert_eq!(world.next_due(), Some(at(50)));
    world.submit(&draft(2, |submission| submission.start_at = Some(at(20))));
    assert_eq!(world.next_due(), Some(at(20)));
    world.apply(id(2), &Command::Cancel);
    assert_eq!(world.next_due(), Some(at(50)));
    world.submit(&bare(3));
    world.apply(id(3), &claim(5));
    assert_eq!(world.next_due(), Some(at(5)));
    world.apply(id(3), &report(1, failed(true)));
    assert_eq!(world.next_due(), Some(at(1)), "its backoff");
    let mut turn = world.begin(&Touches::default());
    turn.submit(&draft(4, |submission| submission.expires = Some(start())));
    drop(turn);
    world.begin(&Touches::default());
    assert_eq!(world.next_due(), Some(at(1)), "a lost turn leaves nothing");
}

fn the_next_due_moment_survives_a_restart(world: &mut World) {
    world.submit(&draft(1, |submission| submission.start_at = Some(at(50))));
    world.restart();
    assert_eq!(world.next_due(), Some(at(50)));
    world.pass_seconds(50);
    assert_eq!(due(world, 10), [1]);
}

fn an_ended_operation_is_never_due(world: &mut World) {
    world.submit(&draft(1, |submission| {
        submission.expires = Some(at(50));
        submission.spec.timeout_seconds = Some(20);
    }));
    world.apply(id(1), &claim(10));
    world.apply(id(1), &report(1, failed(false)));
    assert_eq!(world.next_due(), None);
    world.pass_seconds(100);
    assert_eq!(due(world, 10), [0; 0]);
}
