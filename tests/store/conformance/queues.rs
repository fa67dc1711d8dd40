//! What is set for queues, how a turn finds them, and how much of them it loads.

use longrun::operation::{Command, Controls, Seq, Submission};
use longrun::store::queue::{Queue, Standing};
use longrun::store::turn::Touches;
use longrun::store::{Held, QueueDepth};

use crate::store::drafts::{
    bare, claim, claim_as, completed, draft, id, lane, name, report, start, tenant, want, want_of, wants,
    worker,
};
use crate::store::turn::Turn;
use crate::store::world::World;

every_store! {
    controls_are_kept_until_they_are_cleared
    a_queue_with_controls_is_told_though_it_holds_nothing
    one_queue_is_told_by_itself
    a_turn_finds_the_queues_that_it_concerns_and_no_others
    what_runs_is_counted_from_the_leases_over_changes_and_restarts
    what_waits_is_counted_where_something_may_come_to_wait
    nothing_of_a_paused_queue_is_ready
    a_limited_queue_never_hides_another_one
    of_a_limited_queue_so_many_are_ready_as_may_start
    a_lease_that_the_turn_may_end_makes_room
    a_queue_whose_controls_change_is_ready_as_if_it_had_none
    for_a_waiting_claim_only_queues_with_controls_are_looked_at
    a_turn_rolled_back_changes_no_controls
    what_workers_hold_is_told_by_worker_and_arrival
}

fn limited(max_running: u32) -> Controls {
    Controls { max_running: Some(max_running), ..Controls::default() }
}

fn paused() -> Controls {
    Controls { paused: true, ..Controls::default() }
}

fn queue(of: &str, queue: &str, controls: Controls) -> Queue {
    Queue { tenant: tenant(of), name: name(queue), controls }
}

fn set(world: &mut World, of: &str, name: &str, controls: Controls) {
    world.turn(&Touches::default(), |turn| turn.changes.queues.push(queue(of, name, controls)));
}

fn in_queue(number: u128, queue: &str) -> Submission {
    draft(number, |submission| submission.spec.lane = lane("default", queue, "t"))
}

fn submit(world: &mut World, numbers: std::ops::Range<u128>, queue: &str) {
    world.submit_all(&numbers.map(|number| in_queue(number, queue)).collect::<Vec<_>>());
}

fn standing(turn: &Turn, queue: &str) -> Option<Standing> {
    turn.set.queues.get(&tenant("default"), &name(queue)).copied()
}

fn ready(world: &mut World, touches: &Touches) -> Vec<Vec<i64>> {
    let numbers = |seqs: &Vec<Seq>| seqs.iter().map(|seq| seq.0).collect();
    let turn = world.begin(touches);
    turn.set.ready.iter().chain([&turn.set.woken]).map(numbers).collect()
}

fn controls_are_kept_until_they_are_cleared(world: &mut World) {
    let all = Controls { paused: true, max_running: Some(7), max_waiting: Some(0) };
    set(world, "other", "a", limited(0));
    set(world, "default", "b", paused());
    set(world, "default", "a", limited(3));
    set(world, "default", "a", all);
    let kept = [queue("default", "a", all), queue("default", "b", paused()), queue("other", "a", limited(0))];
    assert_eq!(world.registry().queues, kept);
    world.restart();
    assert_eq!(world.registry().queues, kept);
    set(world, "default", "a", Controls::default());
    assert_eq!(world.registry().queues, kept[1..]);
    world.restart();
    assert_eq!(world.registry().queues, kept[1..]);
}

fn a_queue_with_controls_is_told_though_it_holds_nothing(world: &mut World) {
    set(world, "default", "b", limited(3));
    world.submit(&in_queue(1, "a"));
    let told = world.queues("default");
    assert_eq!(told.iter().map(|depth| depth.queue.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((told[0].controls, told[0].ready), (Controls::default(), 1));
    assert_eq!(told[1], QueueDepth { controls: limited(3), ..QueueDepth::empty(name("b")) });
    assert!(world.queues("other").is_empty());
}

fn one_queue_is_told_by_itself(world: &mut World) {
    submit(world, 1..3, "a");
    submit(world, 3..6, "b");
    set(world, "default", "b", limited(3));
    world.apply(id(3), &claim(30));
    let told = world.queues("default");
    assert_eq!(world.queue("default", "a").as_ref(), Some(&told[0]));
    assert_eq!(world.queue("default", "b").as_ref(), Some(&told[1]));
    assert_eq!((told[1].ready, told[1].running), (2, 1));
    assert_eq!(world.queue("default", "c"), None);
    assert_eq!(world.queue("other", "a"), None);
}

fn a_turn_finds_the_queues_that_it_concerns_and_no_others(world: &mut World) {
    for queue in ["a", "b", "c"] {
        set(world, "default", queue, limited(3));
    }
    set(world, "other", "a", limited(3));
    world.submit(&in_queue(1, "a"));
    let found = |world: &mut World, touches: &Touches| {
        let turn = world.begin(touches);
        let mut found: Vec<String> =
            turn.set.queues.iter().map(|(tenant, queue, _)| format!("{tenant}/{queue}")).collect();
        found.sort();
        found
    };
    let none = Touches::default();
    assert_eq!(found(world, &none), [""; 0]);
    let named = Touches { ids: vec![(tenant("default"), id(1))], ..none.clone() };
    assert_eq!(found(world, &named), ["default/a"]);
    let entered =
        Touches { lanes: vec![lane("default", "b", "t"), lane("default", "x", "t")], ..none.clone() };
    assert_eq!(found(world, &entered), ["default/b"]);
    assert_eq!(found(world, &wants(vec![want_of(&["b", "x", "c"], &["t"], 1)])), ["default/b", "default/c"]);
    let waiting = Touches { waiting: vec![want(1)], ..none.clone() };
    assert_eq!(found(world, &waiting), ["default/a", "default/b", "default/c"]);
    let changed = Touches { queues: vec![(tenant("default"), name("x"))], ..none };
    assert_eq!(found(world, &changed), ["default/x"]);
    assert_eq!(world.begin(&changed).set.controlled_of[&tenant("default")], 3);
}

fn what_runs_is_counted_from_the_leases_over_changes_and_restarts(world: &mut World) {
    let running = |world: &mut World| {
        let turn = world.begin(&wants(vec![want(1)]));
        standing(&turn, "q").map(|standing| standing.running)
    };
    submit(world, 1..6, "q");
    world.submit(&in_queue(9, "elsewhere"));
    for number in [1, 2, 9] {
        world.apply(id(number), &claim(30));
    }
    assert_eq!(running(world), None);
    set(world, "default", "q", limited(4));
    assert_eq!(running(world), Some(2));
    world.apply(id(3), &claim(30));
    world.apply(id(1), &report(1, completed(None)));
    world.apply(id(2), &Command::Cancel);
    assert_eq!(running(world), Some(2), "one that is to end runs until it has");
    world.restart();
    assert_eq!(running(world), Some(2));
    set(world, "default", "q", paused());
    world.apply(id(3), &report(1, completed(None)));
    assert_eq!(running(world), Some(1), "though it has no limit now");
    set(world, "default", "q", limited(4));
    world.pass_seconds(60);
    world.tick();
    assert_eq!(running(world), Some(0));
}

fn what_waits_is_counted_where_something_may_come_to_wait(world: &mut World) {
    submit(world, 1..4, "q");
    world.submit(&draft(4, |submission| {
        submission.spec.lane = lane("default", "q", "u");
        submission.start_at = Some(start().plus_seconds(60));
    }));
    world.submit(&draft(5, |submission| {
        submission.spec.lane = lane("default", "q", "t");
        submission.spec.external = true;
    }));
    world.apply(id(1), &claim(30));
    set(world, "default", "q", Controls { max_waiting: Some(3), ..Controls::default() });
    let waiting =
        |world: &mut World, touches: &Touches| standing(&world.begin(touches), "q").unwrap().waiting;
    let entered = Touches { lanes: vec![lane("default", "q", "new")], ..Touches::default() };
    assert_eq!(waiting(world, &entered), 3);
    let named = Touches { ids: vec![(tenant("default"), id(1))], ..Touches::default() };
    assert_eq!(waiting(world, &named), 3);
    let changed = Touches { queues: vec![(tenant("default"), name("q"))], ..Touches::default() };
    assert_eq!(waiting(world, &changed), 3);
    assert_eq!(waiting(world, &wants(vec![want(1)])), 0, "a claim brings nothing that waits");
}

fn nothing_of_a_paused_queue_is_ready(world: &mut World) {
    submit(world, 1..4, "q");
    set(world, "default", "q", paused());
    assert_eq!(ready(world, &wants(vec![want(9)])), [[0; 0], []]);
    set(world, "default", "q", Controls::default());
    assert_eq!(ready(world, &wants(vec![want(9)]))[0], [1, 2, 3]);
}

fn a_limited_queue_never_hides_another_one(world: &mut World) {
    submit(world, 1..5, "first");
    submit(world, 5..9, "full");
    submit(world, 9..13, "last");
    set(world, "default", "first", paused());
    set(world, "default", "full", limited(1));
    world.apply(id(5), &claim(30));
    assert_eq!(ready(world, &wants(vec![want(3)]))[0], [9, 10, 11]);
}

fn of_a_limited_queue_so_many_are_ready_as_may_start(world: &mut World) {
    submit(world, 1..6, "q");
    submit(world, 6..9, "free");
    set(world, "default", "q", limited(3));
    world.apply(id(1), &claim(30));
    assert_eq!(ready(world, &wants(vec![want(9)]))[0], [2, 3, 6, 7, 8]);
    assert_eq!(ready(world, &wants(vec![want(1)]))[0], [2, 6], "the first of each, whichever may be taken");
    let narrow =
        wants(vec![want_of(&["free"], &[], 9), want_of(&["q"], &["none"], 9), want_of(&["q"], &["t"], 1)]);
    assert_eq!(ready(world, &narrow), [vec![6, 7, 8], vec![], vec![2], vec![]]);
}

fn a_lease_that_the_turn_may_end_makes_room(world: &mut World) {
    submit(world, 1..6, "q");
    set(world, "default", "q", limited(2));
    world.apply(id(1), &claim(30));
    world.pass_seconds(10);
    world.apply(id(2), &claim(30));
    let asked = wants(vec![want(9)]);
    assert_eq!(ready(world, &asked)[0], [0; 0]);
    let reported = Touches { ids: vec![(tenant("default"), id(2))], ..asked.clone() };
    assert_eq!(ready(world, &reported)[0], [3]);
    world.pass_seconds(20);
    let ticked = Touches { due: 100, ..asked };
    assert_eq!(ready(world, &ticked)[0], [3]);
    assert_eq!(ready(world, &Touches { due: 100, ..reported })[0], [3, 4]);
}

fn a_queue_whose_controls_change_is_ready_as_if_it_had_none(world: &mut World) {
    submit(world, 1..4, "q");
    set(world, "default", "q", paused());
    let changed = Touches { queues: vec![(tenant("default"), name("q"))], ..wants(vec![want(2)]) };
    assert_eq!(ready(world, &changed)[0], [1, 2]);
    let waited = Touches { wants: Vec::new(), waiting: vec![want(2)], ..changed };
    assert_eq!(ready(world, &waited), [[1, 2]]);
}

fn for_a_waiting_claim_only_queues_with_controls_are_looked_at(world: &mut World) {
    submit(world, 1..4, "free");
    submit(world, 4..8, "q");
    let waiting = Touches { waiting: vec![want(9)], ..Touches::default() };
    assert_eq!(ready(world, &waiting), [[0; 0]]);
    set(world, "default", "q", limited(3));
    assert_eq!(ready(world, &waiting), [[4, 5, 6]]);
    let both = Touches { waiting: vec![want(2)], ..wants(vec![want_of(&["q"], &["t"], 1)]) };
    assert_eq!(ready(world, &both), [vec![4], vec![5, 6]], "what another claim has is not given twice");
}

fn a_turn_rolled_back_changes_no_controls(world: &mut World) {
    let mut turn = world.begin(&Touches::default());
    turn.changes.queues.push(queue("default", "q", paused()));
    drop(turn);
    submit(world, 1..3, "q");
    assert_eq!(ready(world, &wants(vec![want(9)]))[0], [1, 2]);
    assert!(world.registry().queues.is_empty());
}

fn what_workers_hold_is_told_by_worker_and_arrival(world: &mut World) {
    submit(world, 1..5, "q");
    world.submit(&bare(9));
    for (number, by) in [(3, "w1"), (2, "w2"), (1, "w1"), (9, "w2")] {
        world.apply(id(number), &claim_as(by, "c", 30));
    }
    world.apply(id(9), &report(1, completed(None)));
    let held = |by, number, lane| Held {
        worker: worker(by),
        id: id(number),
        lane,
        token: longrun::operation::LeaseToken(1),
        until: start().plus_seconds(30),
    };
    let of = || lane("default", "q", "t");
    let expected = [held("w1", 1, of()), held("w1", 3, of()), held("w2", 2, of())];
    assert_eq!(world.held("default"), expected);
    assert!(world.held("other").is_empty());
}
