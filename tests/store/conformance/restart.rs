//! What a start finds, and what it does to leases.

use std::sync::Arc;

use longrun::operation::{Outcome, ReportKind, Seq, Timestamp};
use longrun::store::turn::Touches;

use crate::store::drafts::{bare, claim, draft, id, json_of, own_claim, report, report_with, start, tenant};
use crate::store::view;
use crate::store::world::World;

every_store! {
    what_was_committed_is_there_after_a_restart
    a_turn_that_was_open_is_gone_after_a_restart
    other_leases_rest_at_the_start
    a_timeout_that_passed_in_an_outage_lets_the_worker_speak_first
    time_does_not_go_back_over_a_restart
}

every_embedded_store! {
    leases_of_own_tasks_end_at_the_start_as_expired_ones
    no_lease_lasts_longer_than_was_asked_for
}

every_shared_store! {
    leases_go_on_over_the_start_of_a_node
}

fn at(seconds: u32) -> Timestamp {
    start().plus_seconds(seconds)
}

fn end(world: &World, number: u128) -> Timestamp {
    world.shown(id(number)).lease().expect("it is held").until
}

fn what_was_committed_is_there_after_a_restart(world: &mut World) {
    world.submit(&draft(1, |submission| submission.spec.key = Some(Arc::from("k"))));
    world.submit(&bare(2));
    world.apply(id(2), &claim(30));
    world.apply(id(2), &report_with(1, ReportKind::Running, Some(json_of(2000)), Some(40)));
    let shown = |world: &World| [1, 2].map(|number| view::operation(&world.shown(id(number))));
    let told = |world: &World| world.events("default", 0, 10).iter().map(view::event).collect::<Vec<_>>();
    let before = (shown(world), told(world));
    world.restart();
    assert_eq!(before, (shown(world), told(world)));
    assert_eq!(world.payloads(&[Seq(2)])[0].checkpoint.as_ref().unwrap().get().len(), 2000);
    let keys = vec![(tenant("default"), Arc::from("k"))];
    assert_eq!(world.begin(&Touches { keys, ..Touches::default() }).set.by_key.len(), 1);
    assert_eq!(world.queues("default").len(), 1);
}

fn a_turn_that_was_open_is_gone_after_a_restart(world: &mut World) {
    world.submit(&bare(1));
    let mut turn = world.begin(&Touches::default());
    turn.submit(&bare(2));
    drop(turn);
    world.restart();
    assert!(world.get("default", id(2)).is_none());
    assert_eq!(world.submit(&bare(3)), Seq(2));
}

fn leases_of_own_tasks_end_at_the_start_as_expired_ones(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &own_claim(60));
    world.pass_seconds(1);
    world.restart();
    assert_eq!(world.next_due(), Some(at(1)));
    assert_eq!(world.tick(), 1);
    let operation = world.shown(id(1));
    assert_eq!((operation.lease(), operation.attempts), (None, 1));
    assert_eq!(operation.ready_since(), Some(at(1)));
    assert_eq!(world.attempts(Seq(1))[0].outcome, Outcome::LeaseExpired);
}

fn other_leases_rest_at_the_start(world: &mut World) {
    world.submit_all(&[1, 2, 3].map(bare));
    for (number, seconds) in [(1, 5), (2, 30), (3, 60)] {
        world.apply(id(number), &claim(seconds));
    }
    world.pass_seconds(40);
    world.restart();
    assert_eq!(world.next_due(), Some(at(45)));
    assert_eq!(world.tick(), 0);
    assert_eq!([1, 2, 3].map(|number| end(world, number)), [at(45), at(50), at(60)]);
    world.pass_seconds(1);
    world.apply(id(1), &report(1, ReportKind::Running));
    assert_eq!(end(world, 1), at(46));
}

fn no_lease_lasts_longer_than_was_asked_for(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &claim(3));
    world.pass_seconds(1);
    for _ in 0..2 {
        world.restart();
        assert_eq!(end(world, 1), at(4));
    }
}

fn a_timeout_that_passed_in_an_outage_lets_the_worker_speak_first(world: &mut World) {
    world.submit(&draft(1, |submission| submission.spec.timeout_seconds = Some(10)));
    world.apply(id(1), &claim(30));
    world.pass_seconds(12);
    world.restart();
    assert_eq!(end(world, 1), at(22));
    world.apply(id(1), &report(1, ReportKind::Running));
    assert_eq!(end(world, 1), at(22));
    world.pass_seconds(10);
    world.tick();
    assert_eq!(world.attempts(Seq(1))[0].outcome, Outcome::TimedOut);
}

fn time_does_not_go_back_over_a_restart(world: &mut World) {
    world.pass_seconds(100);
    world.submit(&bare(1));
    let before = world.now();
    world.set_wall(at(10));
    world.restart();
    assert_eq!(world.now(), before);
}

fn leases_go_on_over_the_start_of_a_node(world: &mut World) {
    world.submit_all(&[1, 2].map(bare));
    world.apply(id(1), &own_claim(60));
    world.apply(id(2), &claim(3));
    for _ in 0..2 {
        world.pass_seconds(1);
        world.restart();
        assert_eq!([1, 2].map(|number| end(world, number)), [at(60), at(3)]);
    }
    world.pass_seconds(1);
    assert_eq!(world.tick(), 1);
}
