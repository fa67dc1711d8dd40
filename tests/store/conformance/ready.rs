//! What claims may take: the union of the lanes they ask for, in the order of `Rank`.

use longrun::operation::{Command, ReportKind, Seq, Submission};
use longrun::store::turn::{Touches, Want};

use crate::store::drafts::{
    bare, claim, draft, failed, id, lane, report, start, tenant, want, want_of, wants,
};
use crate::store::world::World;

every_store! {
    the_most_urgent_goes_first_and_then_the_oldest
    lanes_are_merged_in_one_order
    a_want_covers_its_queues_and_types_alone
    a_want_is_of_one_tenant
    a_want_takes_no_more_than_its_limit
    an_operation_stands_in_one_list_only
    what_a_want_leaves_is_the_next_ones
    what_may_not_start_is_not_ready
    what_was_claimed_or_has_ended_is_not_ready
    what_comes_back_is_ready_again_in_its_place
    a_lane_that_was_empty_is_found_again
    a_turn_rolled_back_hides_nothing
    an_external_one_is_never_ready
    what_has_expired_is_passed_over_and_ticked_instead
}

fn in_lane(number: u128, queue: &str, operation_type: &str, priority: i8) -> Submission {
    draft(number, |submission| {
        submission.spec.lane = lane("default", queue, operation_type);
        submission.spec.priority = priority;
    })
}

fn ready(world: &mut World, asked: &[Want]) -> Vec<Vec<i64>> {
    let set = world.begin(&wants(asked.to_vec())).set;
    assert_eq!(set.ready.len(), asked.len());
    let ready = set.ready.iter().map(|list| {
        assert!(list.iter().all(|seq| set.operations.contains_key(seq)), "what is ready is loaded");
        list.iter().map(|seq| seq.0).collect()
    });
    ready.collect()
}

/// What one want for everything finds.
fn all_ready(world: &mut World) -> Vec<i64> {
    ready(world, &[want(100)]).remove(0)
}

fn the_most_urgent_goes_first_and_then_the_oldest(world: &mut World) {
    for (number, priority) in [(1, 0), (2, 5), (3, -100), (4, 100), (5, 5)] {
        world.submit(&in_lane(number, "q", "t", priority));
        world.pass_seconds(1);
    }
    assert_eq!(all_ready(world), [4, 2, 5, 1, 3]);
}

fn lanes_are_merged_in_one_order(world: &mut World) {
    for (number, queue, operation_type, priority) in
        [(1, "b", "t", 0), (2, "a", "t", 0), (3, "a", "u", 1), (4, "b", "u", 0), (5, "a", "t", 1)]
    {
        world.submit(&in_lane(number, queue, operation_type, priority));
    }
    assert_eq!(all_ready(world), [3, 5, 1, 2, 4]);
    assert_eq!(ready(world, &[want_of(&["b", "a"], &["u", "t"], 3)]), [[3, 5, 1]]);
}

fn a_want_covers_its_queues_and_types_alone(world: &mut World) {
    world.submit(&in_lane(1, "a", "t", 0));
    world.submit(&in_lane(2, "a", "u", 0));
    world.submit(&in_lane(3, "b", "t", 0));
    let mut asked = |queues: &[&str], types: &[&str]| ready(world, &[want_of(queues, types, 10)]).remove(0);
    assert_eq!(asked(&["a"], &[]), [1, 2]);
    assert_eq!(asked(&[], &["t"]), [1, 3]);
    assert_eq!(asked(&["b"], &["t"]), [3]);
    assert_eq!(asked(&["b"], &["u"]), [0; 0]);
    assert_eq!(asked(&["none", "a"], &["none", "u"]), [2]);
    assert_eq!(asked(&["a", "a"], &["t", "t"]), [1]);
}

fn a_want_is_of_one_tenant(world: &mut World) {
    world.submit(&bare(1));
    world.submit(&draft(2, |submission| submission.spec.lane = lane("other", "default", "noop")));
    let other = Want { tenant: tenant("other"), ..want(10) };
    assert_eq!(ready(world, &[want(10), other]), [[1], [2]]);
}

fn a_want_takes_no_more_than_its_limit(world: &mut World) {
    world.submit_all(&(1..=40).map(bare).collect::<Vec<_>>());
    let mut up_to = |limit| ready(world, &[want(limit)]).remove(0);
    assert_eq!(up_to(0), [0; 0]);
    assert_eq!(up_to(1), [1]);
    assert_eq!(up_to(39), (1..40).collect::<Vec<_>>());
    assert_eq!(up_to(1000), (1..41).collect::<Vec<_>>());
}

fn an_operation_stands_in_one_list_only(world: &mut World) {
    world.submit_all(&[1, 2, 3, 4].map(bare));
    assert_eq!(ready(world, &[want(1), want(2), want(5)]), [vec![1], vec![2, 3], vec![4]]);
}

fn what_a_want_leaves_is_the_next_ones(world: &mut World) {
    for (number, queue) in [(1, "a"), (2, "b"), (3, "a"), (4, "b")] {
        world.submit(&in_lane(number, queue, "t", 0));
    }
    let asked = [want_of(&["b"], &[], 1), want(2), want_of(&["a", "b"], &["t"], 9)];
    assert_eq!(ready(world, &asked), [vec![2], vec![1, 3], vec![4]]);
}

fn what_may_not_start_is_not_ready(world: &mut World) {
    world.submit(&draft(1, |submission| submission.start_at = Some(start().plus_seconds(60))));
    world.submit(&bare(2));
    world.apply(id(2), &claim(30));
    world.apply(id(2), &report(1, failed(true)));
    assert_eq!(all_ready(world), [0; 0]);
    world.pass_seconds(60);
    assert_eq!(all_ready(world), [0; 0], "until the tick says so");
    assert_eq!(world.tick(), 2);
    assert_eq!(all_ready(world), [2, 1], "since the backoff ended, and since the start");
}

fn what_was_claimed_or_has_ended_is_not_ready(world: &mut World) {
    world.submit_all(&[1, 2, 3].map(bare));
    world.apply(id(1), &claim(30));
    world.apply(id(2), &Command::Cancel);
    assert_eq!(all_ready(world), [3]);
}

fn what_comes_back_is_ready_again_in_its_place(world: &mut World) {
    world.submit(&bare(1));
    world.pass_seconds(1);
    world.submit(&bare(2));
    world.apply(id(1), &claim(30));
    assert_eq!(all_ready(world), [2]);
    world.apply(id(1), &report(1, ReportKind::Released));
    assert_eq!(all_ready(world), [1, 2]);
    world.apply(id(1), &claim(30));
    world.pass_seconds(30);
    world.tick();
    assert_eq!(all_ready(world), [2, 1], "a lease that ended makes it ready from then on");
}

fn a_lane_that_was_empty_is_found_again(world: &mut World) {
    world.submit(&in_lane(1, "q", "t", 0));
    assert_eq!(all_ready(world), [1]);
    world.apply(id(1), &claim(30));
    assert_eq!(all_ready(world), [0; 0]);
    world.submit(&in_lane(2, "q", "t", -3));
    world.submit(&in_lane(3, "q", "t", 3));
    assert_eq!(all_ready(world), [3, 2]);
    world.restart();
    assert_eq!(ready(world, &[want_of(&["q"], &["t"], 10)]), [[3, 2]]);
}

fn a_turn_rolled_back_hides_nothing(world: &mut World) {
    world.submit_all(&[1, 2].map(bare));
    let mut turn = world.begin(&wants(vec![want(1)]));
    turn.apply(Seq(1), &claim(30)).unwrap();
    turn.submit(&in_lane(3, "new", "new", 9));
    drop(turn);
    assert_eq!(all_ready(world), [1, 2]);
    world.submit(&in_lane(4, "new", "new", 9));
    assert_eq!(all_ready(world), [3, 1, 2]);
}

fn an_external_one_is_never_ready(world: &mut World) {
    world.submit(&draft(1, |submission| submission.spec.external = true));
    assert_eq!(all_ready(world), [0; 0]);
}

fn what_has_expired_is_passed_over_and_ticked_instead(world: &mut World) {
    let doomed: Vec<_> = (1..=30)
        .map(|number| draft(number, |submission| submission.expires = Some(start().plus_seconds(10))))
        .collect();
    world.submit_all(&doomed);
    let last = world.submit(&bare(31));
    world.pass_seconds(20);
    // The turn's own look at what is due would come to only some of them.
    let mut turn = world.begin(&Touches { due: 4, ..wants(vec![want(1)]) });
    assert_eq!(turn.set.ready, [vec![last]]);
    assert_eq!(turn.tick(), 30);
    world.commit(turn);
    assert!(doomed.iter().all(|it| world.shown(it.spec.id).completed().is_some()));
}
