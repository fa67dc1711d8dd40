//! Random filters over random operations: what SQLite finds is what the model finds, page by page and counted, and what
//! the filter says of each operation by itself.

use std::sync::Arc;

use longrun::operation::{Command, Name, Opening, Status, Submission, Timestamp};
use longrun::store::query::{Filter, Known, Order, Query, Relation, Test, TextField, TimeField};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::drafts::{claim, completed, draft, failed, id, lane, name, report, start, tenant};
use super::world::World;

/// Populations that every run makes; each is asked many times.
const CASES: u32 = 24;
const FILTERS: usize = 16;
const WORDS: [&str; 4] = ["a", "b", "ba", "c"];

/// How far an operation gets.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Waits,
    Runs,
    Completes,
    Fails,
    TriesAgain,
    Canceled,
    Deleted,
}

fn some_instant() -> BoxedStrategy<Timestamp> {
    (0_u32..6).prop_map(|seconds| start().plus_seconds(seconds)).boxed()
}

fn operations() -> impl Strategy<Value = Vec<(Submission, Fate)>> {
    let fates = select(
        &[
            Fate::Waits,
            Fate::Runs,
            Fate::Completes,
            Fate::Fails,
            Fate::TriesAgain,
            Fate::Canceled,
            Fate::Deleted,
        ][..],
    );
    let parts = (
        select(&WORDS[..]),
        select(&WORDS[..]),
        -2_i8..3,
        some_instant(),
        vec((select(&WORDS[..]), select(&WORDS[..])), 0..3),
        option::weighted(0.2, select(&[Opening::Waiting, Opening::Running, Opening::Failed(None)][..])),
        any::<bool>(),
        fates,
        prop::bool::weighted(0.2),
    );
    vec(parts, 0..40).prop_map(|all| {
        (1..)
            .zip(all)
            .map(|(number, (queue, kind, priority, created, labels, external, delayed, fate, theirs))| {
                let submission = draft(number, |submission| {
                    let spec = &mut submission.spec;
                    spec.lane = lane(if theirs { "other" } else { "default" }, queue, kind);
                    spec.priority = priority;
                    spec.created = created;
                    let labels = labels.into_iter().map(|(key, value)| (name(key), Arc::from(value)));
                    spec.labels = Some(labels.collect());
                    spec.external = external.is_some();
                    if let Some(opening) = external {
                        submission.opening = opening;
                    } else if delayed {
                        submission.start_at = Some(start().plus_seconds(3600));
                    }
                });
                (submission, fate)
            })
            .collect()
    })
}

fn tests<T: Clone + std::fmt::Debug + 'static>(values: BoxedStrategy<T>) -> impl Strategy<Value = Test<T>> {
    use Relation::{Eq, Ge, Gt, Le, Lt, Ne};
    let relation = select(&[Eq, Ne, Gt, Ge, Lt, Le][..]);
    prop_oneof![
        3 => (relation, values.clone()).prop_map(|(relation, value)| Test::Is(relation, value)),
        1 => vec(values, 1..3).prop_map(Test::In),
    ]
}

fn fields() -> impl Strategy<Value = TextField> {
    prop_oneof![
        Just(TextField::Queue),
        Just(TextField::OperationType),
        select(&WORDS[..]).prop_map(|word| TextField::Label(Name::parse(word).expect("a name"))),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    let text = select(&["", "a", "b", "ba", "c", "d"][..]).prop_map(Arc::<str>::from).boxed();
    let time = select(&[TimeField::Created, TimeField::LastAction][..]);
    let leaf = prop_oneof![
        3 => subsequence(Status::ALL.to_vec(), 0..=4).prop_map(Filter::Status),
        2 => (fields(), tests(text.clone())).prop_map(|(field, test)| Filter::Text(field, test)),
        1 => (fields(), text).prop_map(|(field, start)| Filter::StartsWith(field, start)),
        1 => tests((-3_i64..4).boxed()).prop_map(Filter::Priority),
        1 => (time, tests(some_instant())).prop_map(|(field, test)| Filter::Time(field, test)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Filter::All),
            vec(inner.clone(), 1..4).prop_map(Filter::Any),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

fn populate(world: &mut World, operations: &[(Submission, Fate)]) {
    for (number, (submission, fate)) in (1..).zip(operations) {
        world.submit(submission);
        world.pass_seconds(1);
        let of_worker = !submission.spec.external && submission.start_at.is_none();
        if submission.spec.lane.tenant != tenant("default") || !of_worker {
            continue;
        }
        let claimed = !matches!(fate, Fate::Waits | Fate::Canceled | Fate::Deleted);
        if claimed {
            world.apply(id(number), &claim(3600));
        }
        match fate {
            Fate::Waits | Fate::Runs => {}
            Fate::Completes => drop(world.apply(id(number), &report(1, completed(None)))),
            Fate::Fails => drop(world.apply(id(number), &report(1, failed(false)))),
            Fate::TriesAgain => drop(world.apply(id(number), &report(1, failed(true)))),
            Fate::Canceled => drop(world.apply(id(number), &Command::Cancel)),
            Fate::Deleted => {
                world.apply(id(number), &Command::Cancel);
                world.apply(id(number), &Command::Delete);
            }
        }
    }
}

/// The ids on all pages, and how many the first page says there are.
fn pages(world: &World, query: &Query) -> (Vec<u128>, Option<u64>) {
    let first = world.list(&Query { count: true, ..query.clone() });
    let count = first.count;
    let (mut found, mut page) = (Vec::new(), first);
    loop {
        found.extend(page.operations.iter().map(|operation| operation.spec.id.0.as_u128()));
        let Some(next) = page.next else { return (found, count) };
        assert!(!page.operations.is_empty(), "no page is empty and goes on");
        page = world.list(&Query { after: Some(next), ..query.clone() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_finds_what_the_model_finds(
        operations in operations(),
        filters in vec((filters(), any::<bool>(), 1_usize..8), FILTERS),
    ) {
        let (mut model, mut sqlite) = (World::memory(), World::sqlite());
        populate(&mut model, &operations);
        populate(&mut sqlite, &operations);
        let everything: Vec<_> = (1..=operations.len() as u128).filter_map(|number| model.get("default", id(number))).collect();
        for (filter, newest, limit) in filters {
            let order = if newest { Order::NewestFirst } else { Order::OldestFirst };
            let mut expected: Vec<_> =
                everything.iter().filter(|operation| filter.holds(&Known::of(operation)) == Some(true)).collect();
            expected.sort_by_key(|operation| (operation.spec.created, operation.seq));
            if newest {
                expected.reverse();
            }
            let expected: Vec<u128> = expected.iter().map(|operation| operation.spec.id.0.as_u128()).collect();
            let count = Some(expected.len() as u64);
            let query = Query {
                tenant: tenant("default"),
                filter: Some(filter),
                order,
                after: None,
                limit,
                payloads: false,
                count: false,
            };
            prop_assert_eq!(pages(&sqlite, &query), (expected.clone(), count), "{:?}", &query);
            prop_assert_eq!(pages(&model, &query), (expected, count), "{:?}", &query);
        }
    }
}
