use super::*;
use crate::store::Reader;

fn in_order(house: &mut House) -> Vec<Seq> {
    let mut ranked: Vec<_> = house.all().iter().map(|it| (it.rank().unwrap(), it.seq)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, seq)| seq).collect()
}

#[test]
fn a_claim_over_many_lanes_merges_them_by_rank_and_reads_little() {
    let mut house = House::new();
    for round in 0..16 {
        let lanes: Vec<Submission> = (0..100)
            .map(|lane| submission(&format!("q{lane}"), "t", i8::try_from((lane * 7 + round) % 5).unwrap()))
            .collect();
        house.submit(&lanes);
        house.time.advance(Duration::from_millis(1));
    }
    let expected = in_order(&mut house);
    house.restart(Duration::ZERO);

    let touches = Touches { wants: vec![want(16)], ..Touches::default() };
    let set = house.store().begin(&touches).unwrap();
    assert_eq!(set.ready[0], expected[..16]);
    assert_eq!(set.operations.len(), 16, "each row is loaded once, and no other");
    let cold = house.store().resident.lanes.keys_read;
    assert!(cold <= 132, "a head of each lane and little more, but {cold}");

    house.store().resident.lanes.keys_read = 0;
    let set = house.store().begin(&touches).unwrap();
    assert_eq!(set.ready[0], expected[..16]);
    let warm = house.store().resident.lanes.keys_read;
    assert!(warm <= 48, "the lanes that come later are not looked at, but {warm}");
    assert_eq!(house.claim(1000), expected[..1000]);
    assert_eq!(house.claim(1000), expected[1000..]);
}

#[test]
fn an_empty_lane_is_not_looked_at_and_one_nobody_asks_for_costs_nothing() {
    let mut house = House::new();
    house.submit(&(0..50).map(|_| submission("q", "other", 0)).collect::<Vec<_>>());
    let mine = house.submit(&[submission("q", "mine", 0)])[0].clone();
    let types: Arc<[Name]> = Arc::from([Name::parse("mine").unwrap()]);
    let queues: Arc<[Name]> = Arc::from([Name::parse("q").unwrap(), Name::parse("none").unwrap()]);
    for queues in [None, Some(queues)] {
        let want = Want { queues, operation_types: Some(types.clone()), ..want(10) };
        let touches = Touches { wants: vec![want], ..Touches::default() };
        house.store().resident.lanes.keys_read = 0;
        assert_eq!(house.store().begin(&touches).unwrap().ready[0], [mine.seq]);
        assert_eq!(house.store().resident.lanes.keys_read, 1);
    }
    assert_eq!(house.claim(100).len(), 51);
    assert!(house.claim(100).is_empty());
    house.store().begin(&Touches { wants: vec![want(10)], ..Touches::default() }).unwrap();
    assert!(house.store().writer.is_autocommit(), "not even a transaction was begun");
}

#[test]
fn an_operation_goes_to_one_want_only_and_the_next_goes_on_from_there() {
    let mut house = House::new();
    let made = house.submit(&(0..7).map(|_| submission("q", "t", 0)).collect::<Vec<_>>());
    let seqs: Vec<Seq> = made.iter().map(|it| it.seq).collect();
    let touches = Touches { wants: vec![want(2), want(3), want(10), want(1)], ..Touches::default() };
    let set = house.store().begin(&touches).unwrap();
    assert_eq!(set.ready, [&seqs[..2], &seqs[2..5], &seqs[5..], &[]]);
}

#[test]
fn a_rolled_back_turn_does_not_hide_what_it_did_not_take() {
    let mut house = House::new();
    house.submit(&[submission("q", "t", 0)]);
    let touches = Touches { wants: vec![want(5)], ..Touches::default() };
    for _ in 0..2 {
        assert_eq!(house.store().begin(&touches).unwrap().ready[0], [Seq(1)]);
    }
    assert_eq!(house.claim(1), [Seq(1)]);
    assert!(house.claim(1).is_empty());
    let urgent = house.submit(&[submission("q", "t", 0), submission("q", "t", 9)]);
    assert_eq!(house.claim(1), [urgent[1].seq]);
}

#[test]
fn what_a_claim_reads_is_answered_by_the_ready_index_alone() {
    let house = House::new();
    let file = house.directory.path().join("longrun.db");
    let plan: String = rusqlite::Connection::open(file)
        .unwrap()
        .query_row(&format!("EXPLAIN QUERY PLAN {}", super::super::claim::NEXT), [1, 1, 1, 1, 1], |row| {
            row.get(3)
        })
        .unwrap();
    assert_eq!(
        plan,
        "SEARCH operation USING COVERING INDEX operation_ready (lane=? AND (urgency,ready_at,rowid)>(?,?,?))"
    );
}

#[test]
fn queues_are_counted_by_the_commits() {
    let mut house = House::new();
    let mut held = submission("a", "t", 0);
    held.start_at = Some(house.time_now().plus_seconds(60));
    house.submit(&[held, submission("a", "t", 5)]);
    let first = house.time_now();
    house.time.advance(Duration::from_secs(1));
    let late = house.submit(&[submission("a", "t", 9), submission("b", "t", 0)]);
    house.claim(1);
    house.complete(&late[0], 1);
    let queues = block_on(house.reader.queues(&TenantId::default(), None)).unwrap();
    assert_eq!(queues.iter().map(|it| it.queue.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let a = &queues[0];
    assert_eq!((a.ready, a.held, a.running, a.completed, a.failed), (1, 1, 0, 1, 0));
    assert_eq!(a.oldest_ready, Some(first));
}
