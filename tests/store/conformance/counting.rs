//! How many operations of a queue stand where, and since when its oldest ready one waits.

use std::collections::{BTreeMap, BTreeSet};

use longrun::operation::{Command, Opening, ReportKind, Status, Submission};
use longrun::store::QueueDepth;
use longrun::store::figures::Count;
use longrun::store::turn::Touches;

use crate::store::drafts::{bare, claim, completed, draft, failed, id, lane, name, report, start};
use crate::store::world::World;

every_store! {
    a_tenant_without_operations_has_no_queues
    each_operation_is_counted_where_it_stands
    counts_follow_every_change_and_survive_a_restart
    queues_are_told_by_name_and_are_of_one_tenant
    external_ones_are_not_counted
    the_oldest_ready_one_is_found_over_lanes_and_priorities
    a_turn_rolled_back_counts_nothing
    over_all_tenants_each_is_counted_once
}

fn none(queue: &str) -> QueueDepth {
    QueueDepth::empty(name(queue))
}

fn in_lane(number: u128, of: &str, queue: &str, operation_type: &str) -> Submission {
    draft(number, |submission| submission.spec.lane = lane(of, queue, operation_type))
}

fn a_tenant_without_operations_has_no_queues(world: &mut World) {
    world.submit(&bare(1));
    assert_eq!(world.queues("other"), []);
}

fn each_operation_is_counted_where_it_stands(world: &mut World) {
    world.submit_all(&(1..=5).map(bare).collect::<Vec<_>>());
    world.submit(&draft(6, |submission| submission.start_at = Some(start().plus_seconds(9))));
    for number in [2, 3, 4] {
        world.apply(id(number), &claim(30));
    }
    world.apply(id(3), &report(1, completed(None)));
    world.apply(id(4), &report(1, failed(true)));
    world.apply(id(5), &Command::Cancel);
    let oldest_ready = Some(start());
    let expected = QueueDepth {
        ready: 1,
        held: 2,
        running: 1,
        completed: 1,
        failed: 1,
        oldest_ready,
        ..none("default")
    };
    assert_eq!(world.queues("default"), [expected]);
}

fn counts_follow_every_change_and_survive_a_restart(world: &mut World) {
    let depth = |world: &World| world.queues("default").remove(0);
    world.submit(&draft(1, |submission| submission.start_at = Some(start().plus_seconds(9))));
    assert_eq!(depth(world), QueueDepth { held: 1, ..none("default") });
    world.pass_seconds(9);
    world.tick();
    let oldest_ready = Some(start().plus_seconds(9));
    assert_eq!(depth(world), QueueDepth { ready: 1, oldest_ready, ..none("default") });
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(1, ReportKind::Running));
    assert_eq!(depth(world), QueueDepth { running: 1, ..none("default") });
    world.restart();
    assert_eq!(depth(world), QueueDepth { running: 1, ..none("default") });
    world.apply(id(1), &report(1, failed(false)));
    assert_eq!(depth(world), QueueDepth { failed: 1, ..none("default") });
    world.apply(id(1), &Command::Delete);
    assert_eq!(world.queues("default"), []);
}

fn queues_are_told_by_name_and_are_of_one_tenant(world: &mut World) {
    world.submit_all(&[
        in_lane(1, "default", "b", "t"),
        in_lane(2, "default", "B", "t"),
        in_lane(3, "default", "a.z", "t"),
        in_lane(4, "default", "a", "t"),
        in_lane(5, "default", "a", "u"),
        in_lane(6, "other", "c", "t"),
    ]);
    let told = |of| -> Vec<(String, u64)> {
        world.queues(of).into_iter().map(|depth| (depth.queue.to_string(), depth.ready)).collect()
    };
    let expected = [("B", 1), ("a", 2), ("a.z", 1), ("b", 1)].map(|(queue, ready)| (queue.to_owned(), ready));
    assert_eq!(told("default"), expected);
    assert_eq!(told("other"), [("c".to_owned(), 1)]);
}

fn external_ones_are_not_counted(world: &mut World) {
    world.submit(&draft(1, |submission| submission.spec.external = true));
    world.submit(&draft(2, |submission| submission.opening = Opening::Running));
    world.submit(&draft(3, |submission| submission.opening = Opening::Failed(None)));
    assert_eq!(world.queues("default"), []);
    world.submit(&bare(4));
    assert_eq!(world.queues("default")[0].ready, 1);
}

fn the_oldest_ready_one_is_found_over_lanes_and_priorities(world: &mut World) {
    for (number, operation_type, priority) in [(1, "t", 0), (2, "u", -7), (3, "t", 100), (4, "u", 100)] {
        let mut submission = in_lane(number, "default", "q", operation_type);
        submission.spec.priority = priority;
        world.submit(&submission);
        world.pass_seconds(1);
    }
    let oldest = |world: &World| world.queues("default")[0].oldest_ready;
    assert_eq!(oldest(world), Some(start()));
    world.apply(id(1), &claim(30));
    assert_eq!(oldest(world), Some(start().plus_seconds(1)));
    world.apply(id(2), &claim(30));
    assert_eq!(oldest(world), Some(start().plus_seconds(2)));
    world.apply(id(3), &claim(30));
    world.apply(id(4), &claim(30));
    assert_eq!(oldest(world), None);
}

fn a_turn_rolled_back_counts_nothing(world: &mut World) {
    world.submit(&bare(1));
    let mut turn = world.begin(&Touches::default());
    turn.submit(&bare(2));
    drop(turn);
    world.submit(&bare(3));
    assert_eq!(world.queues("default")[0].ready, 2);
}

fn over_all_tenants_each_is_counted_once(world: &mut World) {
    world.submit(&in_lane(1, "default", "q", "t"));
    world.pass_seconds(1);
    world.submit_all(&[
        in_lane(2, "other", "q", "t"),
        in_lane(3, "other", "r", "t"),
        in_lane(4, "third", "r", "t"),
    ]);
    world.submit(&draft(5, |submission| submission.start_at = Some(start().plus_seconds(9))));
    world.submit(&draft(6, |submission| submission.opening = Opening::Running));
    world.apply(id(1), &claim(30));
    let figures = world.figures();
    let mut counts: BTreeMap<(String, Status, bool, bool), u64> = BTreeMap::new();
    for Count { queue, status, held, external, n } in figures.counts {
        *counts.entry((queue.to_string(), status, held, external)).or_default() += n;
    }
    let at = |queue: &str, status, held, external| (queue.to_owned(), status, held, external);
    let expected = [
        (at("default", Status::NotStarted, true, false), 1),
        (at("default", Status::Running, false, true), 1),
        (at("q", Status::NotStarted, false, false), 1),
        (at("q", Status::Running, false, false), 1),
        (at("r", Status::NotStarted, false, false), 2),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    let oldest = figures.oldest_ready.expect("it is found at once");
    let oldest: BTreeSet<_> = oldest.into_iter().map(|(queue, since)| (queue.to_string(), since)).collect();
    let second = start().plus_seconds(1);
    assert_eq!(oldest, BTreeSet::from([("q".to_owned(), second), ("r".to_owned(), second)]));
}
