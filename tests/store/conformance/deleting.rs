//! What a delete leaves: that it was.

use std::sync::Arc;

use longrun::operation::{Command, EventKind, Opening, Payload, ReportKind, Seq, Submission};
use longrun::store::turn::Touches;

use crate::store::drafts::{bare, claim, draft, failed, id, json_of, report, report_with, tenant};
use crate::store::world::World;

every_store! {
    a_deleted_operation_is_gone_and_its_last_event_stays
    the_events_of_others_stay
    a_deleted_ones_id_and_key_are_free_again
    id_and_key_are_free_within_the_very_turn
    an_operation_may_come_and_go_within_one_turn
    a_deleted_ones_payloads_checkpoint_and_attempts_go_with_it
}

fn with_key(number: u128, key: &str) -> Submission {
    draft(number, |submission| submission.spec.key = Some(Arc::from(key)))
}

fn a_deleted_operation_is_gone_and_its_last_event_stays(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &Command::Cancel);
    let changes = world.apply(id(1), &Command::Delete);
    assert!(world.get("default", id(1)).is_none());
    let [deleted] = world.events("default", 0, 10).try_into().unwrap();
    assert_eq!((deleted.kind, deleted.cursor, deleted.previous), (EventKind::Deleted, 3, 2));
    assert_eq!(deleted.operation.version, 3);
    assert_eq!((deleted.operation.spec.id, deleted.operation.seq), (id(1), Seq(1)));
    assert_eq!(changes.operations[0].cursor, 3);
    assert!(world.queues("default").is_empty());
}

fn the_events_of_others_stay(world: &mut World) {
    world.submit_all(&[1, 2, 3].map(bare));
    for number in [2, 1, 3] {
        world.apply(id(number), &Command::Cancel);
    }
    world.apply(id(2), &Command::Delete);
    let left: Vec<(i64, i64)> =
        world.events("default", 0, 20).iter().map(|event| (event.cursor, event.operation.seq.0)).collect();
    assert_eq!(left, [(1, 1), (3, 3), (5, 1), (6, 3), (7, 2)]);
}

fn a_deleted_ones_id_and_key_are_free_again(world: &mut World) {
    let first = world.submit(&with_key(1, "k"));
    world.apply(id(1), &Command::Cancel);
    world.apply(id(1), &Command::Delete);
    let touches = Touches {
        ids: vec![(tenant("default"), id(1))],
        keys: vec![(tenant("default"), Arc::from("k"))],
        ..Touches::default()
    };
    let set = world.begin(&touches).set;
    assert!(set.by_id.is_empty() && set.by_key.is_empty());
    let second = world.submit(&with_key(1, "k"));
    assert!(second > first);
    assert_eq!(world.shown(id(1)).version, 1);
    let kinds: Vec<(i64, EventKind)> =
        world.events("default", 0, 9).iter().map(|event| (event.operation.seq.0, event.kind)).collect();
    assert_eq!(kinds, [(1, EventKind::Deleted), (2, EventKind::Created)]);
}

fn id_and_key_are_free_within_the_very_turn(world: &mut World) {
    let first = world.submit(&with_key(1, "k"));
    world.apply(id(1), &Command::Cancel);
    let ids = vec![(tenant("default"), id(1))];
    world.turn(&Touches { ids, ..Touches::default() }, |turn| {
        turn.apply(first, &Command::Delete).unwrap();
        turn.submit(&with_key(1, "k"));
    });
    assert_eq!(world.shown(id(1)).seq, Seq(2));
    world.restart();
    assert_eq!(world.shown(id(1)).seq, Seq(2));
}

fn an_operation_may_come_and_go_within_one_turn(world: &mut World) {
    let touches = Touches::default();
    world.turn(&touches, |turn| {
        let seq = turn.submit(&draft(1, |submission| submission.opening = Opening::Failed(None)));
        turn.apply(seq, &Command::Delete).unwrap();
    });
    assert!(world.get("default", id(1)).is_none());
    let [deleted] = world.events("default", 0, 10).try_into().unwrap();
    assert_eq!((deleted.kind, deleted.cursor, deleted.operation.spec.id), (EventKind::Deleted, 2, id(1)));
    assert!(world.queues("default").is_empty());
    world.restart();
    assert_eq!(world.submit(&bare(2)), Seq(2));
    assert_eq!(world.shown(id(2)).cursor, 3);
}

fn a_deleted_ones_payloads_checkpoint_and_attempts_go_with_it(world: &mut World) {
    let input = Some(Payload::Inline(json_of(3000)));
    let seq = world.submit(&draft(1, |submission| submission.spec.input = input));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report_with(1, ReportKind::Running, Some(json_of(100)), None));
    world.apply(id(1), &report(1, failed(false)));
    assert_eq!(world.attempts(seq).len(), 1);
    world.apply(id(1), &Command::Delete);
    assert!(world.attempts(seq).is_empty());
    let [left] = world.payloads(&[seq]).try_into().unwrap();
    assert!(left.input.is_none() && left.checkpoint.is_none());
}
