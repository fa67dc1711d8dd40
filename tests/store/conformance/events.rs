//! The history: every change once, in the order of commits, each tenant its own.

use std::sync::Arc;

use longrun::operation::{Command, Event, EventKind, Outcome, Payload, ReportKind, State, Status, Via};
use longrun::store::turn::Touches;
use longrun::store::{History, Whose};

use crate::store::drafts::{
    bare, claim, completed, draft, failed, id, json_of, lane, report, report_with, start, tenant,
};
use crate::store::view;
use crate::store::world::World;

every_store! {
    each_change_is_told_once_and_in_order
    an_event_shows_the_operation_as_it_was_after_it
    every_kind_of_end_is_told_with_what_belongs_to_it
    an_operation_knows_the_cursor_of_its_last_event
    events_come_after_a_cursor_and_up_to_a_limit
    events_are_of_one_tenant
    only_the_event_that_completed_an_operation_carries_a_payload
    the_events_of_one_operation_are_found_among_all
    the_ends_of_the_history_are_known
    what_is_no_change_is_no_event
    cursors_go_on_after_a_restart
    a_commit_numbers_its_events_in_their_order
}

fn each_change_is_told_once_and_in_order(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report_with(1, ReportKind::Running, None, Some(10)));
    world.apply(id(1), &report(1, failed(true)));
    world.pass_seconds(1);
    world.tick();
    world.apply(id(1), &claim(30));
    world.apply(id(1), &Command::Cancel);
    world.apply(id(1), &report(2, completed(None)));
    let told: Vec<(EventKind, i64, i64, i64)> = world
        .events("default", 0, 100)
        .iter()
        .map(|event| (event.kind, event.operation.version, event.cursor, event.previous))
        .collect();
    assert_eq!(
        told,
        [
            (EventKind::Created, 1, 1, 0),
            (EventKind::Started, 2, 2, 1),
            (EventKind::Progress, 3, 3, 2),
            (EventKind::Retrying, 4, 4, 3),
            (EventKind::Started, 5, 5, 4),
            (EventKind::Canceling, 6, 6, 5),
            (EventKind::Completed, 7, 7, 6),
        ]
    );
}

fn an_event_shows_the_operation_as_it_was_after_it(world: &mut World) {
    world.submit(&draft(1, |submission| submission.last_action = Some(start().plus_seconds(200))));
    world.pass_seconds(7);
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report_with(1, ReportKind::Running, None, Some(10)));
    world.apply(id(1), &report(1, failed(true)));
    let [created, started, progress, retrying] = world.events("default", 0, 100).try_into().unwrap();
    assert_eq!((created.at, created.status_before), (start(), None));
    assert_eq!((&*created.actor.name, created.actor.via), ("tester", Via::Http));
    assert_eq!(created.operation.last_action, start().plus_seconds(200));
    assert_eq!((started.at, started.status_before), (start().plus_seconds(7), Some(Status::NotStarted)));
    assert_eq!(started.operation.status(), Status::Running);
    assert_eq!((started.operation.attempts, started.operation.token.0), (1, 1));
    assert_eq!(started.operation.started, Some(started.at));
    assert_eq!(started.operation.progress.percent, None);
    assert_eq!(progress.operation.progress.percent, Some(10));
    assert_eq!(retrying.operation.start_at, Some(start().plus_seconds(8)));
    assert_eq!(&*retrying.operation.failure().unwrap().code, "upstream");
    assert_eq!(view::spec(&retrying.operation.spec), view::spec(&world.shown(id(1)).spec));
}

fn every_kind_of_end_is_told_with_what_belongs_to_it(world: &mut World) {
    world.submit_all(&[1, 2].map(bare));
    world.apply(id(1), &claim(30));
    let url = Some(Arc::from("https://a/b"));
    world.apply(id(1), &report(1, ReportKind::Completed { result: None, resource_location: url }));
    world.apply(id(2), &Command::Cancel);
    let ends = world.events("default", 3, 100);
    assert_eq!(ends[0].operation.resource_location().map(|url| &**url), Some("https://a/b"));
    assert_eq!(ends[0].operation.completed(), Some(start()));
    let State::Failed { outcome, at, failure } = &ends[1].operation.state else { panic!("it failed") };
    assert_eq!((*outcome, *at, &*failure.code), (Outcome::Canceled, start(), "canceled"));
}

fn an_operation_knows_the_cursor_of_its_last_event(world: &mut World) {
    world.submit_all(&[1, 2].map(bare));
    let changes = world.apply(id(1), &claim(30));
    assert_eq!((changes.operations[0].cursor, changes.events[0].event.cursor), (3, 3));
    assert_eq!(changes.events[0].event.previous, 1);
    assert_eq!(changes.operations[0].after.as_ref().unwrap().cursor, 3);
    assert_eq!([1, 2].map(|number| world.shown(id(number)).cursor), [3, 2]);
}

fn events_come_after_a_cursor_and_up_to_a_limit(world: &mut World) {
    world.submit_all(&(1..=5).map(bare).collect::<Vec<_>>());
    let cursors = |after, limit| -> Vec<i64> {
        world.events("default", after, limit).iter().map(|event| event.cursor).collect()
    };
    assert_eq!(cursors(0, 100), [1, 2, 3, 4, 5]);
    assert_eq!(cursors(2, 2), [3, 4]);
    assert_eq!(cursors(4, 1), [5]);
    assert_eq!(cursors(5, 10), [0; 0]);
    assert_eq!(cursors(99, 10), [0; 0]);
    assert_eq!(cursors(0, 0), [0; 0]);
}

fn events_are_of_one_tenant(world: &mut World) {
    for number in 1..=6 {
        let of = if number % 2 == 0 { "default" } else { "other" };
        world.submit(&draft(number, |submission| submission.spec.lane = lane(of, "default", "noop")));
    }
    let cursors = |of| world.events(of, 0, 2).iter().map(|event| event.cursor).collect::<Vec<_>>();
    assert_eq!(cursors("default"), [2, 4]);
    assert_eq!(cursors("other"), [1, 3]);
    assert!(world.events("third", 0, 10).is_empty());
    assert!(world.events("other", 0, 10).iter().all(|event| *event.operation.tenant() == tenant("other")));
}

fn only_the_event_that_completed_an_operation_carries_a_payload(world: &mut World) {
    for (number, bytes) in [(1, 10), (2, 3000)] {
        let input = Some(Payload::Inline(json_of(bytes)));
        world.submit(&draft(number, |submission| submission.spec.input = input));
        world.apply(id(number), &claim(30));
        world.apply(id(number), &report_with(1, ReportKind::Running, Some(json_of(9)), Some(3)));
        world.apply(id(number), &report(1, completed(Some(json_of(bytes)))));
    }
    let events = world.events("default", 0, 100);
    assert_eq!(events.len(), 8);
    for Event { operation, kind, .. } in &events {
        assert!(operation.spec.input.is_none() && operation.checkpoint.is_none());
        assert_eq!(operation.result().is_some(), *kind == EventKind::Completed);
    }
    let results = events.iter().filter_map(|event| event.operation.result());
    let inline = results.map(|result| result.inline().expect("it is at hand").get().to_owned());
    assert_eq!(inline.collect::<Vec<_>>(), [json_of(10).get(), json_of(3000).get()]);
}

fn the_events_of_one_operation_are_found_among_all(world: &mut World) {
    world.submit_all(&[bare(1), bare(2), bare(3)]);
    world.apply(id(2), &claim(30));
    world.apply(id(1), &Command::Cancel);
    world.apply(id(2), &report(1, completed(Some(json_of(9)))));
    let whose = |number| Whose::Operation(tenant("default"), id(number));
    let cursors = |number, after, limit| {
        let events = world.events_of(&whose(number), after, limit);
        events.iter().map(|event| event.cursor).collect::<Vec<_>>()
    };
    assert_eq!(cursors(2, 0, 10), [2, 4, 6]);
    assert_eq!(cursors(2, 2, 10), [4, 6]);
    assert_eq!(cursors(2, 0, 2), [2, 4]);
    assert_eq!(cursors(2, 6, 10), [0; 0]);
    assert_eq!(cursors(1, 3, 10), [5]);
    assert_eq!(cursors(9, 0, 10), [0; 0]);
    let foreign = Whose::Operation(tenant("other"), id(2));
    assert!(world.events_of(&foreign, 0, 10).is_empty());
    let last = world.events_of(&whose(2), 4, 1);
    assert!(last[0].operation.result().is_some());
}

fn the_ends_of_the_history_are_known(world: &mut World) {
    let fresh = world.history();
    assert_eq!((fresh.whole_after, fresh.last), (0, 0));
    world.submit(&bare(1));
    world.apply(id(1), &Command::Cancel);
    assert_eq!(world.history(), History { last: 2, ..fresh });
    world.apply(id(1), &Command::Delete);
    world.restart();
    assert_eq!(world.history(), History { last: 3, ..fresh });
}

fn what_is_no_change_is_no_event(world: &mut World) {
    world.submit(&draft(1, |submission| submission.start_at = Some(start().plus_seconds(5))));
    world.pass_seconds(5);
    world.tick();
    assert_eq!(world.shown(id(1)).ready_since(), Some(start().plus_seconds(5)));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(1, ReportKind::Running));
    world.apply(id(1), &report_with(1, ReportKind::Running, Some(json_of(9)), None));
    let kinds: Vec<EventKind> = world.events("default", 0, 10).iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Created, EventKind::Started]);
}

fn cursors_go_on_after_a_restart(world: &mut World) {
    world.submit(&bare(1));
    world.restart();
    world.apply(id(1), &Command::Cancel);
    world.apply(id(1), &Command::Delete);
    world.restart();
    world.submit(&bare(2));
    let cursors: Vec<i64> = world.events("default", 0, 10).iter().map(|event| event.cursor).collect();
    assert_eq!(cursors, [3, 4]);
}

fn a_commit_numbers_its_events_in_their_order(world: &mut World) {
    let touches = Touches::default();
    let changes = world.turn(&touches, |turn| {
        let first = turn.submit(&bare(1));
        let second = turn.submit(&bare(2));
        turn.apply(second, &claim(30)).unwrap();
        turn.apply(first, &Command::Cancel).unwrap();
    });
    let numbered: Vec<(i64, i64, i64)> = changes
        .events
        .iter()
        .map(|recorded| (recorded.event.cursor, recorded.event.previous, recorded.event.operation.seq.0))
        .collect();
    assert_eq!(numbered, [(1, 0, 1), (2, 0, 2), (3, 2, 2), (4, 1, 1)]);
    assert_eq!(changes.operations.iter().map(|touched| touched.cursor).collect::<Vec<_>>(), [4, 3]);
    let stored: Vec<_> = world.events("default", 0, 10).iter().map(view::event).collect();
    let told: Vec<_> = changes.events.iter().map(|recorded| view::event(&recorded.event)).collect();
    assert_eq!(stored, told);
}
