use super::*;
use crate::operation::Status;
use crate::store::query::plan::{Few, Index, Told, Way};
use crate::store::query::{Filter, Listing, Order, Page, Query, Relation, Test, TextField};
use crate::store::sqlite::list::ask;
use crate::store::sqlite::scan::{Scan, along, aside, failed, leased, ready};
use crate::store::{Reader, sqlite};

fn query(filter: Option<Filter>) -> Query {
    let (tenant, order) = (TenantId::default(), Order::NewestFirst);
    Query { tenant, filter, order, after: None, limit: 10, payloads: false, count: false }
}

fn status(words: &[Status]) -> Filter {
    Filter::Status(words.to_vec())
}

fn queue(name: &str) -> Filter {
    Filter::Text(TextField::Queue, Test::Is(Relation::Eq, Arc::from(name)))
}

fn priority() -> Filter {
    Filter::Priority(Test::Is(Relation::Eq, 0))
}

impl House {
    fn reading(&self) -> rusqlite::Connection {
        sqlite::open::reading(&self.directory.path().join(sqlite::open::FILE)).unwrap()
    }

    fn told(&self, filter: Option<Filter>) -> Told {
        ask(&self.reading(), &Query { count: true, ..query(filter) }).unwrap()
    }

    fn page(&self, query: &Query) -> Page {
        match block_on(self.reader.list(query)).unwrap() {
            Listing::Found(page) => page,
            Listing::TooBroad => panic!("too broad"),
        }
    }
}

/// Two lanes; in `a` one of each status but two that failed, in `b` three that wait.
fn filled() -> House {
    let mut house = House::new();
    let made = house.submit(&(0..5).map(|_| submission("a", "t", 0)).collect::<Vec<_>>());
    assert_eq!(house.claim(2).len(), 2);
    house.complete(&made[1], 1);
    for operation in &made[2..4] {
        house.command(operation.spec.id, &Command::Cancel);
    }
    house.submit(&(0..3).map(|_| submission("b", "t", 0)).collect::<Vec<_>>());
    house
}

#[test]
fn every_look_seeks_in_an_index_and_sorts_nothing() {
    let house = House::new();
    let reading = house.reading();
    let plan = |sql: &str| {
        let mut statement = reading.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // The plan is the same for every value.
        for n in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(n, 1).unwrap();
        }
        let mut rows = statement.raw_query();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            lines.push(row.get::<_, String>(3).unwrap());
        }
        lines
    };
    let search = |index: &str, by: &str| vec![format!("SEARCH operation USING INDEX {index} ({by})")];
    let newest = "tenant=? AND created>? AND (created,rowid)<(?,?)";
    let oldest = "tenant=? AND (created,rowid)>(?,?) AND created<?";
    for (index, name) in [(Index::Created, "operation_created"), (Index::Failed, "operation_failed")] {
        assert_eq!(plan(&along(index, Order::NewestFirst)), search(name, newest));
        assert_eq!(plan(&along(index, Order::OldestFirst)), search(name, oldest));
    }
    assert_eq!(plan(&ready()), search("operation_ready", "lane=?"));
    assert_eq!(plan(&aside()), search("operation_aside", "tenant=?"));
    assert_eq!(plan(&failed()), search("operation_failed", "tenant=?"));
    let by_lease = ["SCAN lease", "SEARCH operation USING INTEGER PRIMARY KEY (rowid=?)"];
    assert_eq!(plan(&leased()), by_lease);
}

#[test]
fn what_is_few_is_gathered_and_all_else_goes_along_an_index() {
    let house = filled();
    let few = |waiting, running, failed| Way::Gathered(Few { waiting, running, failed });
    for (filter, way, count) in [
        (None, Way::Along(Index::Created), Some(8)),
        (Some(status(&[Status::Failed])), Way::Along(Index::Failed), Some(2)),
        (Some(status(&[Status::Running])), few(false, true, false), Some(1)),
        (Some(status(&[Status::NotStarted, Status::Failed])), few(true, false, true), Some(6)),
        (Some(status(&[Status::Running, Status::Completed])), Way::Along(Index::Created), Some(2)),
        (Some(status(&[])), Way::Nowhere, Some(0)),
        (Some(queue("b")), Way::Along(Index::Created), Some(3)),
        (Some(queue("none")), Way::Nowhere, Some(0)),
        (Some(Filter::All(vec![queue("a"), status(&[Status::Failed])])), Way::Along(Index::Failed), Some(2)),
        (Some(Filter::All(vec![queue("b"), status(&[Status::Failed])])), Way::Nowhere, Some(0)),
        (Some(Filter::All(vec![queue("a"), priority()])), Way::Along(Index::Created), None),
        (
            Some(Filter::All(vec![Filter::Not(Box::new(status(&[Status::Completed]))), priority()])),
            few(true, true, true),
            None,
        ),
    ] {
        let told = house.told(filter.clone());
        assert_eq!((told.way, told.count), (way, count), "{filter:?}");
    }
}

#[test]
fn a_list_goes_on_over_many_looks() {
    let mut house = House::new();
    let rare = house.submit(&[submission("rare", "t", 0)]);
    for _ in 0..4 {
        house.submit(&(0..5000).map(|_| submission("many", "t", 0)).collect::<Vec<_>>());
    }
    let counted = Query { count: true, ..query(Some(queue("rare"))) };
    let page = house.page(&counted);
    assert_eq!((page.operations.len(), page.count, page.next), (1, Some(1), None));
    assert_eq!(page.operations[0].seq, rare[0].seq);
    let unsure = Filter::All(vec![queue("many"), priority()]);
    let page = house.page(&Query { count: true, ..query(Some(unsure)) });
    assert_eq!((page.operations.len(), page.count), (10, Some(20_000)));
}

#[test]
fn a_scan_that_is_late_shows_what_it_found_or_is_too_broad() {
    let mut house = House::new();
    for queue in ["rare", "many", "rare", "many", "rare"] {
        house.submit(&(0..100).map(|_| submission(queue, "t", 0)).collect::<Vec<_>>());
    }
    let look = |query: Query, scan: fn(Arc<Query>) -> Scan| {
        let scan = scan(Arc::new(query)).within(Duration::ZERO);
        block_on(house.reader.look(scan)).unwrap()
    };
    let rare = || Filter::All(vec![queue("rare"), priority()]);
    let mut query = Query { limit: 1000, ..query(Some(rare())) };
    // The newest are what it finds, and after the last of them it goes on.
    let (found, next) = look(query.clone(), Scan::of_page).expect("something was found").into_page();
    assert!((1..100).contains(&found.len()), "{}", found.len());
    query.after = next;
    let (more, next) = look(query.clone(), Scan::of_page).expect("more was found").into_page();
    assert_eq!(found.len() + more.len(), 100);
    assert!(next.is_some(), "rarer ones may follow");
    query.after = next;
    assert!(look(query.clone(), Scan::of_page).is_none(), "nothing but others for a while");
    query.after = None;
    assert!(look(query, Scan::of_count).is_none(), "half a count is none");
}
