//! What a turn finds: by id, by key, and the numbers set aside for it.

use std::sync::Arc;

use longrun::operation::{Command, Opening, Seq, Submission};
use longrun::store::turn::Touches;

use crate::store::drafts::{bare, claim, completed, draft, failed, id, lane, report, tenant};
use crate::store::view;
use crate::store::world::World;

every_store! {
    what_was_committed_is_loaded_as_it_was_made
    every_field_of_a_submission_is_kept
    ids_and_keys_are_of_one_tenant
    what_is_not_there_is_not_loaded
    a_turn_never_committed_leaves_nothing
    a_turn_without_changes_leaves_nothing
    a_turn_begun_anew_forgets_the_one_before
    numbers_go_up_and_those_of_a_lost_turn_are_given_again
    a_number_is_never_given_twice_even_after_the_highest_is_deleted
    an_operation_named_twice_is_loaded_once
    a_lane_is_new_until_an_operation_was_in_it
    a_turn_changes_many_operations_and_each_several_times
}

fn ids(of: &str, numbers: &[u128]) -> Touches {
    let ids = numbers.iter().map(|number| (tenant(of), id(*number))).collect();
    Touches { ids, ..Touches::default() }
}

fn keys(of: &str, keys: &[&str]) -> Touches {
    let keys = keys.iter().map(|key| (tenant(of), Arc::from(*key))).collect();
    Touches { keys, ..Touches::default() }
}

fn of_tenant(of: &str, number: u128, key: &str) -> Submission {
    draft(number, |submission| {
        submission.spec.lane = lane(of, "default", "noop");
        submission.spec.key = Some(Arc::from(key));
    })
}

fn what_was_committed_is_loaded_as_it_was_made(world: &mut World) {
    let touches = Touches::default();
    let changes = world.turn(&touches, |turn| {
        turn.submit(&bare(1));
    });
    let made = changes.operations[0].after.clone().unwrap();
    let turn = world.begin(&ids("default", &[1]));
    let seq = turn.set.by_id[&(tenant("default"), id(1))];
    assert_eq!(view::operation(&turn.current(seq).unwrap()), view::operation(&made));
    assert_eq!(view::operation(&world.shown(id(1))), view::operation(&made));
}

fn every_field_of_a_submission_is_kept(world: &mut World) {
    for submission in view::full_submissions() {
        let named = submission.spec.id;
        let touches = Touches::default();
        let changes = world.turn(&touches, |turn| {
            turn.submit(&submission);
        });
        let made = changes.operations[0].after.clone().unwrap();
        assert_eq!(view::operation(&world.shown(named)), view::operation(&made));
        world.restart();
        assert_eq!(view::operation(&world.shown(named)), view::operation(&made));
    }
}

fn ids_and_keys_are_of_one_tenant(world: &mut World) {
    let here = world.submit(&of_tenant("default", 1, "k"));
    let there = world.submit(&of_tenant("other", 1, "k"));
    for (of, seq) in [("default", here), ("other", there)] {
        let set = world.begin(&ids(of, &[1])).set;
        assert_eq!((set.by_id.len(), set.by_id[&(tenant(of), id(1))]), (1, seq));
        let set = world.begin(&keys(of, &["k"])).set;
        assert_eq!((set.by_key.len(), set.by_key[&(tenant(of), Arc::from("k"))]), (1, seq));
        assert_eq!(world.get(of, id(1)).unwrap().seq, seq);
    }
    assert!(world.get("third", id(1)).is_none());
    assert!(world.begin(&ids("third", &[1])).set.by_id.is_empty());
    assert!(world.begin(&keys("third", &["k"])).set.by_key.is_empty());
}

fn what_is_not_there_is_not_loaded(world: &mut World) {
    world.submit(&bare(1));
    let touches = Touches { keys: keys("default", &["none"]).keys, ..ids("default", &[2]) };
    let set = world.begin(&touches).set;
    assert!(set.by_id.is_empty() && set.by_key.is_empty() && set.operations.is_empty());
    assert!(world.get("default", id(2)).is_none());
}

fn a_turn_never_committed_leaves_nothing(world: &mut World) {
    world.submit(&bare(1));
    let cursor = world.events("default", 0, 10).last().unwrap().cursor;
    let mut turn = world.begin(&Touches { ..ids("default", &[1]) });
    turn.submit(&of_tenant("default", 2, "k"));
    turn.apply(Seq(1), &Command::Cancel).unwrap();
    drop(turn);
    let touches = Touches { keys: keys("default", &["k"]).keys, ..ids("default", &[1, 2]) };
    let set = world.begin(&touches).set;
    assert_eq!((set.by_id.len(), set.by_key.len()), (1, 0));
    assert_eq!(set.operations[&Seq(1)].version, 1);
    assert!(world.events("default", cursor, 10).is_empty());
    assert_eq!(world.queues("default")[0].ready, 1);
}

fn a_turn_without_changes_leaves_nothing(world: &mut World) {
    world.submit(&bare(1));
    let changes = world.turn(&ids("default", &[1]), |_| {});
    assert!(changes.is_empty());
    assert_eq!(world.events("default", 0, 10).len(), 1);
}

fn a_turn_begun_anew_forgets_the_one_before(world: &mut World) {
    let mut lost = world.begin(&Touches::default());
    lost.submit(&bare(1));
    world.submit(&bare(2));
    assert!(world.get("default", id(1)).is_none());
    assert!(world.get("default", id(2)).is_some());
}

fn numbers_go_up_and_those_of_a_lost_turn_are_given_again(world: &mut World) {
    let first = world.submit(&bare(1));
    let mut lost = world.begin(&Touches::default());
    let unborn = lost.submit(&bare(2));
    assert_eq!(unborn, Seq(first.0 + 1));
    assert_eq!(world.submit(&bare(3)), unborn);
    world.restart();
    assert_eq!(world.submit(&bare(4)), Seq(first.0 + 2));
}

fn a_number_is_never_given_twice_even_after_the_highest_is_deleted(world: &mut World) {
    world.submit(&bare(1));
    let highest = world.submit(&draft(2, |submission| submission.opening = Opening::Failed(None)));
    world.apply(id(2), &Command::Delete);
    world.restart();
    assert_eq!(world.submit(&bare(3)), Seq(highest.0 + 1));
}

fn an_operation_named_twice_is_loaded_once(world: &mut World) {
    let seq = world.submit(&of_tenant("default", 1, "k"));
    let touches = Touches { keys: keys("default", &["k"]).keys, ..ids("default", &[1, 1]) };
    let set = world.begin(&touches).set;
    assert_eq!(set.operations.len(), 1);
    assert_eq!((set.by_id.len(), set.by_key.len()), (1, 1));
    assert!(set.operations.contains_key(&seq));
}

fn a_lane_is_new_until_an_operation_was_in_it(world: &mut World) {
    world.submit(&of_tenant("other", 1, "k"));
    world.submit(&of_tenant("default", 1, "k"));
    let known = lane("default", "default", "noop");
    let new = lane("default", "default", "unheard");
    let touches = Touches { lanes: vec![known, new.clone()], ..Touches::default() };
    for _ in 0..2 {
        let set = world.begin(&touches).set;
        assert_eq!(set.new_lanes, [new.clone()].into());
        assert_eq!(set.lanes_of, [(tenant("default"), 1)].into());
        world.restart();
    }
    // That of a turn that was lost stays new, that of an operation that was deleted does not.
    let draft = draft(2, |submission| {
        submission.spec.lane = new.clone();
        submission.opening = Opening::Failed(None);
    });
    let mut lost = world.begin(&touches);
    lost.submit(&draft);
    drop(lost);
    assert_eq!(world.begin(&touches).set.lanes_of[&tenant("default")], 1);
    world.submit(&draft);
    world.apply(id(2), &Command::Delete);
    world.restart();
    assert!(world.begin(&touches).set.new_lanes.is_empty());
}

fn a_turn_changes_many_operations_and_each_several_times(world: &mut World) {
    let touches = Touches::default();
    world.turn(&touches, |turn| {
        let lived = turn.submit(&bare(1));
        turn.apply(lived, &claim(30)).unwrap();
        turn.apply(lived, &report(1, completed(None))).unwrap();
        let failing = turn.submit(&bare(2));
        turn.apply(failing, &claim(30)).unwrap();
        turn.apply(failing, &report(1, failed(true))).unwrap();
        let held = turn.submit(&bare(3));
        turn.apply(held, &claim(30)).unwrap();
    });
    let versions = [1, 2, 3].map(|number| world.shown(id(number)).version);
    assert_eq!(versions, [3, 3, 2]);
    let [depth] = world.queues("default").try_into().unwrap();
    assert_eq!((depth.completed, depth.held, depth.running), (1, 1, 1));
    assert_eq!(world.attempts(Seq(2)).len(), 1);
    assert!(world.shown(id(3)).lease().is_some());
}
