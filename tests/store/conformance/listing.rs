//! One page after another of a tenant's operations, and how many there are.

use std::sync::Arc;

use longrun::http::odata::parse_filter;
use longrun::operation::{Command, Opening, Payload, Submission};
use longrun::store::query::{Order, Page, Query};

use crate::store::drafts::{
    bare, claim, completed, draft, failed, id, json_of, lane, name, report, start, tenant,
};
use crate::store::world::World;

every_store! {
    the_newest_comes_first_unless_the_oldest_is_to
    pages_go_on_where_the_last_one_ended
    pages_hold_still_while_operations_come_and_go
    operations_of_one_instant_are_paged_by_number
    a_list_is_of_one_tenant
    every_status_is_found_wherever_it_stands
    an_operation_is_found_where_it_went
    labels_are_found_by_name
    inputs_and_results_come_only_when_asked_for
    large_operations_make_short_pages
    a_count_is_of_all_pages
    lists_survive_a_restart
}

/// Everything of the default tenant.
fn all() -> Query {
    Query {
        tenant: tenant("default"),
        filter: None,
        order: Order::NewestFirst,
        after: None,
        limit: 1000,
        payloads: false,
        count: false,
    }
}

fn such(filter: &str) -> Query {
    Query { filter: Some(parse_filter(filter).expect("a filter")), ..all() }
}

fn numbers(page: &Page) -> Vec<u128> {
    page.operations.iter().map(|operation| operation.spec.id.0.as_u128()).collect()
}

/// All that is asked for, over pages.
fn pages(world: &World, query: &Query) -> Vec<u128> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = world.list(&query);
        found.extend(numbers(&page));
        let Some(next) = page.next else { return found };
        assert!(!page.operations.is_empty(), "no page is empty and goes on");
        query.after = Some(next);
    }
}

fn found(world: &World, filter: &str) -> Vec<u128> {
    let mut found = pages(world, &Query { limit: 2, ..such(filter) });
    let mut reversed = pages(world, &Query { order: Order::OldestFirst, ..such(filter) });
    reversed.reverse();
    assert_eq!(found, reversed, "{filter}");
    let counted = world.list(&Query { limit: 0, count: true, ..such(filter) });
    assert_eq!(counted.count, Some(found.len() as u64), "{filter}");
    found.sort_unstable();
    found
}

/// A second apart.
fn some(world: &mut World, numbers: impl IntoIterator<Item = u128>) {
    for number in numbers {
        world.submit(&draft(number, |submission| submission.spec.created = world_now(number)));
    }
}

fn world_now(number: u128) -> longrun::operation::Timestamp {
    start().plus_seconds(u32::try_from(number).expect("a small number"))
}

fn the_newest_comes_first_unless_the_oldest_is_to(world: &mut World) {
    assert_eq!(numbers(&world.list(&all())), []);
    some(world, [3, 1, 2]);
    assert_eq!(numbers(&world.list(&all())), [3, 2, 1]);
    assert_eq!(numbers(&world.list(&Query { order: Order::OldestFirst, ..all() })), [1, 2, 3]);
}

fn pages_go_on_where_the_last_one_ended(world: &mut World) {
    some(world, 1..=6);
    let first = world.list(&Query { limit: 4, ..all() });
    assert_eq!(numbers(&first), [6, 5, 4, 3]);
    let last = world.list(&Query { limit: 4, after: first.next, ..all() });
    assert_eq!((numbers(&last), last.next), (vec![2, 1], None));
    let exact = world.list(&Query { limit: 6, ..all() });
    assert_eq!(exact.next, None, "a full page that is the last says so");
}

fn pages_hold_still_while_operations_come_and_go(world: &mut World) {
    some(world, 10..=15);
    let first = world.list(&Query { limit: 2, ..all() });
    assert_eq!(numbers(&first), [15, 14]);
    some(world, [20, 21]);
    world.apply(id(14), &Command::Cancel);
    world.apply(id(14), &Command::Delete);
    world.apply(id(12), &Command::Cancel);
    let second = world.list(&Query { limit: 2, after: first.next, ..all() });
    assert_eq!(numbers(&second), [13, 12]);
    some(world, [11_000]);
    assert_eq!(numbers(&world.list(&Query { after: second.next, ..all() })), [11, 10]);
}

fn operations_of_one_instant_are_paged_by_number(world: &mut World) {
    world.submit_all(&(1..=9).map(bare).collect::<Vec<_>>());
    assert_eq!(pages(world, &Query { limit: 2, ..all() }), (1..=9).rev().collect::<Vec<_>>());
    let oldest = Query { limit: 4, order: Order::OldestFirst, ..all() };
    assert_eq!(pages(world, &oldest), (1..=9).collect::<Vec<_>>());
}

fn in_lane(number: u128, of: &str, queue: &str, operation_type: &str) -> Submission {
    draft(number, |submission| submission.spec.lane = lane(of, queue, operation_type))
}

fn a_list_is_of_one_tenant(world: &mut World) {
    world.submit_all(&[in_lane(1, "default", "q", "t"), in_lane(2, "other", "q", "t")]);
    world.apply(id(1), &claim(30));
    let theirs = |filter: &str| Query { tenant: tenant("other"), count: true, ..such(filter) };
    for (filter, expected) in [("status eq 'Running'", vec![]), ("queue eq 'q'", vec![2])] {
        let page = world.list(&theirs(filter));
        assert_eq!(page.count, Some(expected.len() as u64), "{filter}");
        assert_eq!(numbers(&page), expected, "{filter}");
    }
    assert_eq!(found(world, "queue eq 'q'"), [1]);
}

fn every_status_is_found_wherever_it_stands(world: &mut World) {
    some(world, 1..=5);
    world.submit(&draft(6, |submission| submission.start_at = Some(start().plus_seconds(60))));
    world.submit(&draft(7, |submission| submission.spec.external = true));
    world.submit(&draft(8, |submission| submission.opening = Opening::Running));
    world.submit(&draft(9, |submission| submission.opening = Opening::Failed(None)));
    for number in [2, 3, 4, 5] {
        world.apply(id(number), &claim(30));
    }
    world.apply(id(3), &report(1, completed(None)));
    world.apply(id(4), &report(1, failed(false)));
    world.apply(id(5), &report(1, failed(true)));
    for (filter, expected) in [
        ("status eq 'NotStarted'", vec![1, 5, 6, 7]),
        ("status eq 'Running'", vec![2, 8]),
        ("status eq 'Completed'", vec![3]),
        ("status eq 'Failed'", vec![4, 9]),
        ("status ne 'Completed'", vec![1, 2, 4, 5, 6, 7, 8, 9]),
        ("status in ('Running','Failed')", vec![2, 4, 8, 9]),
        ("status eq 'Failed' or status eq 'Completed'", vec![3, 4, 9]),
        ("queue eq 'default' and status eq 'Running'", vec![2, 8]),
        ("queue eq 'none' and status eq 'Running'", vec![]),
        ("status eq 'Running' and status eq 'Failed'", vec![]),
        ("not (status eq 'NotStarted' or status eq 'Running')", vec![3, 4, 9]),
    ] {
        assert_eq!(found(world, filter), expected, "{filter}");
    }
}

fn an_operation_is_found_where_it_went(world: &mut World) {
    some(world, 1..=2);
    let where_is = |world: &World| {
        ["NotStarted", "Running", "Completed", "Failed"]
            .into_iter()
            .filter(|status| found(world, &format!("status eq '{status}'")).contains(&1))
            .collect::<Vec<_>>()
    };
    assert_eq!(where_is(world), ["NotStarted"]);
    world.apply(id(1), &claim(30));
    assert_eq!(where_is(world), ["Running"]);
    world.apply(id(1), &report(1, failed(true)));
    assert_eq!(where_is(world), ["NotStarted"], "it waits for another attempt");
    world.pass_seconds(60);
    world.tick();
    assert_eq!(where_is(world), ["NotStarted"]);
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(2, failed(false)));
    assert_eq!(where_is(world), ["Failed"]);
    world.apply(id(1), &Command::Retry);
    assert_eq!(where_is(world), ["NotStarted"]);
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(3, completed(None)));
    assert_eq!(where_is(world), ["Completed"]);
    world.apply(id(1), &Command::Delete);
    assert!(where_is(world).is_empty());
}

fn labels_are_found_by_name(world: &mut World) {
    let labelled = |number, labels: &[(&str, &str)]| {
        draft(number, |submission| {
            let labels = labels.iter().map(|(key, value)| (name(key), Arc::from(*value)));
            submission.spec.labels = Some(labels.collect());
        })
    };
    world.submit_all(&[
        labelled(1, &[("a", "x"), ("a.b", "it's \"quoted\"")]),
        labelled(2, &[("a", "y")]),
        labelled(3, &[("b", "x")]),
        bare(4),
    ]);
    for (filter, expected) in [
        ("labels/a eq 'x'", vec![1]),
        ("labels/a in ('x','y')", vec![1, 2]),
        ("labels/a ne 'x'", vec![2, 3, 4]),
        ("labels/a gt 'x'", vec![2]),
        ("startswith(labels/a,'')", vec![1, 2]),
        ("labels/a.b eq 'it''s \"quoted\"'", vec![1]),
        ("not (labels/a eq 'x') and not (labels/b eq 'x')", vec![2, 4]),
    ] {
        assert_eq!(found(world, filter), expected, "{filter}");
    }
}

fn inputs_and_results_come_only_when_asked_for(world: &mut World) {
    for (number, bytes) in [(1, 10), (2, 50_000)] {
        let input = Some(Payload::Inline(json_of(bytes)));
        world.submit(&draft(number, |submission| submission.spec.input = input));
        world.apply(id(number), &claim(30));
        world.apply(id(number), &report(1, completed(Some(json_of(bytes)))));
    }
    let with = world.list(&Query { payloads: true, order: Order::OldestFirst, ..all() });
    let lengths = |payload: Option<&Payload>| payload.and_then(Payload::inline).map(|json| json.get().len());
    for (operation, bytes) in with.operations.iter().zip([10, 50_000]) {
        assert_eq!(lengths(operation.spec.input.as_ref()), Some(bytes));
        assert_eq!(lengths(operation.result()), Some(bytes));
    }
    for operation in world.list(&all()).operations {
        assert!(operation.spec.input.is_none() && operation.result().is_none());
    }
}

fn large_operations_make_short_pages(world: &mut World) {
    for number in 1..=20 {
        let input = Some(Payload::Inline(json_of(256 << 10)));
        world.submit(&draft(number, |submission| submission.spec.input = input));
    }
    let page = world.list(&Query { payloads: true, ..all() });
    assert_eq!(page.operations.len(), 16, "4 MiB of inputs");
    let all_of_them = pages(world, &Query { payloads: true, ..all() });
    assert_eq!(all_of_them, (1..=20).rev().collect::<Vec<_>>());
    assert_eq!(world.list(&all()).operations.len(), 20, "without them they are small");
}

fn a_count_is_of_all_pages(world: &mut World) {
    some(world, 1..=5);
    for filter in ["priority eq 0", "queue eq 'default'"] {
        let first = world.list(&Query { limit: 2, count: true, ..such(filter) });
        assert_eq!((first.operations.len(), first.count), (2, Some(5)), "{filter}");
        let second = world.list(&Query { limit: 2, count: true, after: first.next, ..such(filter) });
        assert_eq!(second.count, Some(5), "{filter}");
    }
    assert_eq!(world.list(&Query { count: true, ..all() }).count, Some(5));
    assert_eq!(world.list(&all()).count, None);
}

fn lists_survive_a_restart(world: &mut World) {
    some(world, 1..=3);
    world.apply(id(2), &claim(30));
    let first = world.list(&Query { limit: 1, ..all() });
    world.restart();
    assert_eq!(numbers(&world.list(&Query { after: first.next, ..all() })), [2, 1]);
    assert_eq!(found(world, "status eq 'Running'"), [2]);
}
