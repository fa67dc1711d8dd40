//! What is over goes after a while, in steps, and takes all that is its own along.

use std::sync::Arc;

use longrun::operation::{Command, EventKind, Payload, Seq};
use longrun::store::turn::{Prune, Touches, WorkerSeen};

use crate::store::drafts::{
    bare, claim, completed, draft, failed, id, json_of, report, report_with, tenant, worker,
};
use crate::store::world::World;

every_store! {
    what_ended_long_ago_goes_with_all_that_is_its_own
    a_step_takes_no_more_than_it_may_and_those_first_that_ended_first
    what_waits_or_runs_is_kept_however_old_it_is
    what_is_taken_up_again_in_the_same_turn_stays
    events_go_by_their_age_and_their_cursors_are_never_given_again
    a_turn_that_is_lost_has_pruned_nothing
    an_operation_outlives_its_first_events
    of_many_attempts_the_latest_are_kept
    the_rows_of_forgotten_workers_go
}

/// One that failed with everything an operation can have beside its row.
fn with_everything(world: &mut World) -> Seq {
    let seq = world.submit(&draft(1, |submission| {
        submission.spec.key = Some(Arc::from("k"));
        submission.spec.input = Some(Payload::Inline(json_of(5000)));
        submission.spec.max_attempts = 1;
    }));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report_with(1, failed(false), Some(json_of(50)), Some(40)));
    seq
}

fn what_ended_long_ago_goes_with_all_that_is_its_own(world: &mut World) {
    let seq = with_everything(world);
    world.pass_seconds(100);
    assert_eq!(world.prune(100, 10), (0, false), "it ended no more than so long ago");
    world.pass_seconds(1);
    assert_eq!(world.prune(100, 10), (1, false));

    assert!(world.get("default", id(1)).is_none());
    assert_eq!(world.attempts(seq), []);
    let payloads = &world.payloads(&[seq])[0];
    assert!(payloads.input.is_none() && payloads.checkpoint.is_none());
    assert!(world.events("default", 0, 10).is_empty());
    assert!(world.queues("default").iter().all(|depth| depth.failed == 0));

    let keys = vec![(tenant("default"), Arc::from("k"))];
    assert!(world.begin(&Touches { keys, ..Touches::default() }).set.by_key.is_empty(), "its key is free");
    let again = world.submit(&draft(1, |submission| submission.spec.key = Some(Arc::from("k"))));
    assert!(again > seq, "a number is given once");
}

fn a_step_takes_no_more_than_it_may_and_those_first_that_ended_first(world: &mut World) {
    for number in 1..=5 {
        world.submit(&bare(number));
    }
    for (number, token) in [(3, 1), (1, 1), (5, 1), (2, 1), (4, 1)] {
        world.apply(id(number), &claim(30));
        world.apply(id(number), &report(token, completed(None)));
        world.pass_seconds(1);
    }
    let left = |world: &World| {
        (1..=5).filter(|number| world.get("default", id(*number)).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(world.prune(0, 2), (2, true));
    assert_eq!(left(world), [2, 4, 5]);
    world.restart();
    assert_eq!(world.prune(0, 2), (2, true));
    assert_eq!(left(world), [4]);
    assert_eq!(world.prune(0, 200), (1, false));
    assert_eq!(left(world), []);
}

fn what_waits_or_runs_is_kept_however_old_it_is(world: &mut World) {
    world.submit(&bare(1));
    world.submit(&bare(2));
    world.apply(id(2), &claim(3600));
    world.submit(&draft(3, |submission| submission.spec.external = true));
    world.pass_seconds(1_000_000);
    assert_eq!(world.prune(1, 100), (0, false));
    for number in 1..=3 {
        assert!(world.get("default", id(number)).is_some());
    }
}

fn what_is_taken_up_again_in_the_same_turn_stays(world: &mut World) {
    with_everything(world);
    world.pass_seconds(10);
    let before = world.now();
    let prune = Prune { ended_before: before, operations: 9, events_before: before, events: 0 };
    let mut turn = world.begin(&Touches { prune: Some(prune), ..Touches::default() });
    let seq = turn.set.stale[0];
    turn.apply(seq, &Command::Retry).expect("a failed one may be tried again");
    turn.prune(before);
    world.commit(turn);
    assert!(world.shown(id(1)).ready_since().is_some());
    assert_eq!(world.prune(0, 100).0, 0);
}

fn events_go_by_their_age_and_their_cursors_are_never_given_again(world: &mut World) {
    world.submit(&bare(1));
    world.pass_seconds(10);
    world.submit(&bare(2));
    world.apply(id(2), &claim(30));
    let all: Vec<i64> = world.events("default", 0, 10).iter().map(|event| event.cursor).collect();
    world.prune(5, 10);
    let kept: Vec<i64> = world.events("default", 0, 10).iter().map(|event| event.cursor).collect();
    assert_eq!(kept, all[1..]);
    world.pass_seconds(10);
    world.prune(5, 10);
    assert!(world.events("default", 0, 10).is_empty());
    world.restart();
    world.submit(&bare(3));
    let next = world.events("default", 0, 10)[0].cursor;
    assert_eq!(next, all[2] + 1);
}

fn a_turn_that_is_lost_has_pruned_nothing(world: &mut World) {
    with_everything(world);
    world.pass_seconds(10);
    let before = world.now();
    let prune = Prune { ended_before: before, operations: 9, events_before: before, events: 9 };
    let mut turn = world.begin(&Touches { prune: Some(prune), ..Touches::default() });
    assert_eq!(turn.prune(before), 1);
    drop(turn);
    world.restart();
    assert!(world.get("default", id(1)).is_some());
    assert_eq!(world.events("default", 0, 10).len(), 3);
}

fn an_operation_outlives_its_first_events(world: &mut World) {
    world.submit(&bare(1));
    world.pass_seconds(10);
    world.prune(5, 10);
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(1, completed(None)));
    let kinds: Vec<EventKind> = world.events("default", 0, 10).iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Started, EventKind::Completed]);
    world.apply(id(1), &Command::Delete);
    let kinds: Vec<EventKind> = world.events("default", 0, 10).iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Deleted]);
}

fn of_many_attempts_the_latest_are_kept(world: &mut World) {
    let kept = longrun::limits::ATTEMPTS_KEPT_MAX;
    let seq = world.submit(&draft(1, |submission| {
        submission.spec.max_attempts = 1000;
        submission.spec.retry = None;
    }));
    for token in 1..=kept + 3 {
        world.apply(id(1), &claim(1));
        world.pass_seconds(2);
        assert_eq!(world.tick(), 1, "the lease of attempt {token} ends");
    }
    let tokens: Vec<i64> = world.attempts(seq).iter().map(|attempt| attempt.token.0).collect();
    assert_eq!(tokens, (4..=kept + 3).collect::<Vec<_>>());
}

fn the_rows_of_forgotten_workers_go(world: &mut World) {
    let seen = |name: &str, world: &World| WorkerSeen {
        tenant: tenant("default"),
        worker: worker(name),
        queues: None,
        operation_types: None,
        address: None,
        at: world.now(),
    };
    let rows = vec![seen("w1", world), seen("w2", world)];
    world.turn(&Touches::default(), |turn| turn.changes.workers = rows);
    let gone = (tenant("default"), worker("w1"));
    world.turn(&Touches::default(), |turn| turn.changes.workers_forgotten = vec![gone]);
    world.restart();
    let left = world.registry().workers;
    assert_eq!(left.iter().map(|seen| seen.worker.as_str()).collect::<Vec<_>>(), ["w2"]);
}
