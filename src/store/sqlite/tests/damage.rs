//! A row that holds what no version writes is told of and left aside; everything else goes on.

use std::collections::BTreeSet;

use super::*;
use crate::store::query::{Listing, Order, Query};
use crate::store::turn::Prune;
use crate::store::{Reader, StoreError, Whose};

impl House {
    /// Writes into the file what no version writes.
    fn spoil(&self, sql: &str) {
        let file = self.directory.path().join(super::super::open::FILE);
        assert!(rusqlite::Connection::open(file).unwrap().execute(sql, []).unwrap() > 0, "{sql}");
    }

    fn submit_some(&mut self, count: usize) -> Vec<Operation> {
        self.submit(&(0..count).map(|_| submission("q", "t", 0)).collect::<Vec<_>>())
    }

    fn listed(&self) -> Vec<Seq> {
        let query = Query {
            tenant: TenantId::default(),
            filter: None,
            order: Order::OldestFirst,
            after: None,
            limit: 100,
            count: false,
            payloads: true,
        };
        match block_on(self.reader.list(&query)).unwrap() {
            Listing::Found(page) => page.operations.iter().map(|operation| operation.seq).collect(),
            Listing::TooBroad => panic!("it is short"),
        }
    }
}

fn wanted(limit: usize) -> Touches {
    Touches { wants: vec![want(limit)], ..Touches::default() }
}

#[test]
fn a_claim_passes_over_what_cannot_be_read_and_its_lane_goes_on() {
    let mut house = House::new();
    house.submit_some(8);
    house.spoil("UPDATE operation SET labels = '{' WHERE seq = 1");
    house.spoil("UPDATE operation SET input = x'ff' WHERE seq = 2");
    house.spoil("UPDATE operation SET id = x'01' WHERE seq = 3");
    house.spoil("UPDATE operation SET ready_at = NULL WHERE seq = 4");
    house.spoil("UPDATE operation SET urgency = 1000 WHERE seq = 5");
    house.restart(Duration::ZERO);
    assert_eq!(house.claim(1), [Seq(6)]);
    assert_eq!(house.claim(1), [Seq(7)]);
    house.store().resident.lanes.keys_read = 0;
    assert_eq!(house.claim(1), [Seq(8)]);
    let again = house.store().resident.lanes.keys_read;
    assert_eq!(again, 1, "what was put aside lies before the head of its lane");
    assert!(house.claim(10).is_empty());
    house.store().begin(&wanted(10)).unwrap();
    assert!(house.store().writer.is_autocommit(), "the lane counts as empty: it is not looked at");
    let fresh = house.submit_some(1);
    assert_eq!(house.claim(10), [fresh[0].seq]);
}

#[test]
fn every_word_of_a_row_may_be_none_and_only_that_operation_cannot_be_read() {
    for (column, value) in [
        ("status", "7"),
        ("hold", "7"),
        ("lane", "999"),
        ("retry", "'[1]'"),
        ("error", "'x'"),
        ("last_error", "'x'"),
        ("fingerprint", "x'00'"),
        ("max_attempts", "70000"),
        ("percent", "1000"),
        ("labels", "CAST(x'ff' AS TEXT)"),
    ] {
        let mut house = House::new();
        let made = house.submit_some(2);
        house.spoil(&format!("UPDATE operation SET {column} = {value} WHERE seq = 1"));
        let touches = Touches {
            ids: made.iter().map(|it| (TenantId::default(), it.spec.id)).collect(),
            ..Touches::default()
        };
        let set = house.store().begin(&touches).unwrap();
        assert!(set.damaged.contains(&Seq(1)) && !set.operations.contains_key(&Seq(1)), "{column}");
        assert!(set.operations.contains_key(&Seq(2)), "{column}");
        let found = made.iter().map(|it| block_on(house.reader.get(&TenantId::default(), it.spec.id)));
        let found: Vec<_> = found.collect();
        assert!(matches!(found[0], Err(StoreError::Damaged)), "{column}: {:?}", found[0]);
        assert!(found[1].is_ok(), "{column}");
        assert_eq!(house.listed(), [Seq(2)], "{column}");
    }
}

#[test]
fn time_acts_on_the_others_and_does_not_come_back_to_it() {
    let mut house = House::new();
    let held: Vec<Submission> = (0..3)
        .map(|_| {
            let mut held = submission("held", "t", 0);
            held.start_at = Some(house.time_now().plus_seconds(60));
            held
        })
        .collect();
    house.submit(&held);
    house.submit_some(4);
    assert_eq!(house.claim(4).len(), 4);
    house.spoil("UPDATE operation SET labels = '{' WHERE seq IN (1, 4)");
    house.spoil("UPDATE lease SET worker = '' WHERE seq = 5");
    house.spoil("DELETE FROM lease WHERE seq = 6");
    house.restart(Duration::ZERO);
    house.time.advance(Duration::from_secs(61));
    let due: BTreeSet<Seq> = house.tick().into_iter().collect();
    assert_eq!(due, BTreeSet::from([Seq(2), Seq(3), Seq(7)]));
    assert!(house.tick().is_empty());
    assert_eq!(house.store().next_due().unwrap(), None, "the loop does not turn for what was put aside");
}

#[test]
fn pruning_leaves_it_and_takes_the_others() {
    let mut house = House::new();
    let made = house.submit_some(3);
    house.claim(3);
    for operation in &made {
        house.complete(operation, 1);
    }
    house.spoil("UPDATE operation SET result = x'7b' WHERE seq = 1");
    house.time.advance(Duration::from_secs(10));
    let now = house.time_now();
    let prune = Prune { ended_before: now, operations: 2, events_before: Timestamp::MIN, events: 0 };
    let touches = Touches { prune: Some(prune), ..Touches::default() };
    assert_eq!(house.store().begin(&touches).unwrap().stale, [Seq(2)]);
    let set = house.store().begin(&touches).unwrap();
    assert_eq!(set.stale, [Seq(2), Seq(3)]);
    assert_eq!(set.oldest.ended, None, "nor is it what goes next");
}

#[test]
fn an_input_kept_apart_is_a_part_of_the_operation() {
    let mut house = House::new();
    let mut large = submission("q", "t", 0);
    large.spec.input = Some(Payload::Inline(json(&format!("\"{}\"", "x".repeat(5000)))));
    let mut larger = large.clone();
    larger.spec.id = OperationId::fresh();
    let mut lost = large.clone();
    lost.spec.id = OperationId::fresh();
    house.submit(&[large, larger, lost]);
    house.spoil("UPDATE payload SET json = x'7b' WHERE slot = 2");
    house.spoil("DELETE FROM payload WHERE slot = 6");
    let claimed = house.claim(3);
    let payloads = block_on(house.reader.payloads(&claimed)).unwrap();
    assert_eq!(payloads.iter().map(|it| it.seq).collect::<Vec<_>>(), [Seq(2)]);
    house.time.advance(Duration::from_secs(31));
    assert_eq!(house.tick(), [Seq(2)], "of the others the lease is nobody's business any more");
}

#[test]
fn a_lane_that_is_none_takes_only_its_own_operations_along() {
    let mut house = House::new();
    house.submit(&[submission("a", "t", 0), submission("b", "t", 0)]);
    house.spoil("UPDATE lane SET queue = 'no name' WHERE queue = 'a'");
    house.restart(Duration::ZERO);
    assert_eq!(house.claim(10), [Seq(2)]);
    assert_eq!(house.listed(), [Seq(2)]);
    let fresh = house.submit(&[submission("a", "t", 0)]);
    assert_eq!(house.claim(10), [fresh[0].seq], "its queue may be used again");
}

#[test]
fn an_event_that_cannot_be_read_does_not_end_the_streams() {
    let mut house = House::new();
    house.submit_some(3);
    house.spoil("UPDATE event SET kind = 99 WHERE cursor = 2");
    let events = block_on(house.reader.events(&Whose::Tenant(TenantId::default()), 0, 10)).unwrap();
    assert_eq!(events.events.iter().map(|event| event.cursor).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(events.upto, 3);
}

#[test]
fn a_worker_that_is_none_keeps_no_server_from_starting() {
    let house = House::new();
    let worker =
        "INSERT INTO worker (tenant, id, at) VALUES ('default', 'no' || char(10), 1), ('default', 'w', 1)";
    house.spoil(worker);
    let workers = block_on(house.reader.registry(crate::store::AllTenants)).unwrap().workers;
    assert_eq!(workers.len(), 1);
}

#[test]
fn a_queue_whose_controls_are_none_has_none_and_the_others_keep_theirs() {
    let mut house = House::new();
    house.submit_some(3);
    house.spoil(
        "INSERT INTO queue (tenant, name, paused, max_running) \
         VALUES ('default', 'q', 0, -1), ('default', 'no' || char(10), 1, 1), ('default', 'r', 1, 7)",
    );
    house.restart(Duration::ZERO);
    let told = block_on(house.reader.queues(&TenantId::default(), None)).unwrap();
    let told: Vec<_> = told.iter().map(|it| (it.queue.as_str(), it.controls.max_running)).collect();
    assert_eq!(told, [("q", None), ("r", Some(7))]);
    assert_eq!(house.store().begin(&wanted(10)).unwrap().ready[0], [Seq(1), Seq(2), Seq(3)]);
}

#[test]
fn each_row_is_told_of_once_with_its_table_and_number() {
    let mut house = House::new();
    house.submit_some(3);
    house.spoil("UPDATE operation SET labels = '{' WHERE seq < 3");
    let said = tempfile::NamedTempFile::new().unwrap();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(said.reopen().unwrap())).finish();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..3 {
            assert_eq!(house.store().begin(&wanted(10)).unwrap().ready[0], [Seq(3)]);
        }
    });
    let said = std::fs::read_to_string(said.path()).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("table=\"operation\" row=1 what=\"labels do not parse\""), "{said}");
}
