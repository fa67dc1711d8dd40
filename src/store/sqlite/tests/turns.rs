use super::*;
use crate::operation::{Failure, Hold, Labels, RetryPolicy, State, Status};
use crate::store::{AllTenants, Reader, StoreError};

fn same(left: &Operation, right: &Operation) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

#[test]
fn a_life_is_read_back_as_it_was_written_by_both_halves() {
    let mut house = House::new();
    let mut full = submission("q", "t", 7);
    full.spec.key = Some(Arc::from("key"));
    full.spec.fingerprint = Some([7; 32]);
    full.spec.retry = Some(RetryPolicy { jitter: 0.1 + 0.2, ..RetryPolicy::default() });
    full.spec.labels = Some(Labels::from_iter([(Name::parse("a").unwrap(), Arc::from("é\"b"))]));
    full.spec.timeout_seconds = Some(20);
    full.expires = Some(house.time_now().plus_seconds(60));
    let made = house.submit(&[full])[0].clone();
    let id = made.spec.id;
    same(&Operation { cursor: 1, ..made.clone() }, &house.load(id).unwrap());

    assert_eq!(house.claim(5), [made.seq]);
    let running = house.load(id).unwrap();
    assert_eq!(running.lease().unwrap().cap, Some(house.time_now().plus_seconds(20)));
    same(&running, &block_on(house.reader.get(&TenantId::default(), id)).unwrap().unwrap());

    house.complete(&made, 1);
    let ended = house.load(id).unwrap();
    assert_eq!((ended.status(), ended.version, ended.cursor), (Status::Completed, 3, 3));
    assert_eq!(ended.result().unwrap().inline().unwrap().get(), "7");
    same(&ended, &block_on(house.reader.get(&TenantId::default(), id)).unwrap().unwrap());
    assert_eq!(house.count("SELECT count(*) FROM lease"), 0);
    let keyed = Touches { keys: vec![(TenantId::default(), Arc::from("key"))], ..Touches::default() };
    let set = house.store().begin(&keyed).unwrap();
    assert_eq!(set.by_key[&keyed.keys[0]], made.seq);
}

#[test]
fn a_large_input_and_result_stand_apart_and_go_with_their_operation() {
    let mut house = House::new();
    let large = json(&format!("\"{}\"", "x".repeat(5000)));
    let mut submission = submission("q", "t", 0);
    submission.spec.input = Some(Payload::Inline(large.clone()));
    let made = house.submit(&[submission])[0].clone();
    house.claim(1);
    let running = house.load(made.spec.id).unwrap();
    assert!(matches!(running.spec.input, Some(Payload::Stored { bytes: 5002 })));
    let payloads = block_on(house.reader.payloads(&[made.seq])).unwrap();
    assert_eq!(payloads[0].input.as_ref().unwrap().get(), large.get());
    house.command(made.spec.id, &completed(LeaseToken(1), Some(large.clone())));
    let read = block_on(house.reader.get(&TenantId::default(), made.spec.id)).unwrap().unwrap();
    assert_eq!(read.spec.input.as_ref().unwrap().inline().unwrap().get(), large.get());
    assert_eq!(read.result().unwrap().inline().unwrap().get(), large.get());
    assert_eq!(house.count("SELECT count(*) FROM payload"), 2);
    house.command(made.spec.id, &Command::Delete);
    assert_eq!(house.count("SELECT count(*) FROM payload"), 0);
}

#[test]
fn a_checkpoint_outlives_a_failure_but_not_a_completion() {
    let mut house = House::new();
    let made = house.submit(&[submission("q", "t", 0)])[0].clone();
    let report =
        |kind, checkpoint: Option<&str>| Report { kind, checkpoint: checkpoint.map(json), progress: None };
    house.claim(1);
    let heartbeat = report(ReportKind::Running, Some("[1]"));
    house.command(made.spec.id, &Command::Report { token: LeaseToken(1), report: heartbeat });
    let failure = Arc::new(Failure::new("upstream", "no"));
    let failed = ReportKind::Failed { failure, retryable: true, retry_after: None };
    house.command(
        made.spec.id,
        &Command::Report { token: LeaseToken(1), report: report(failed, Some("[2]")) },
    );
    let waiting = house.load(made.spec.id).unwrap();
    assert!(matches!(waiting.state, State::Waiting { hold: Some(Hold::RetryBackoff), .. }));
    assert_eq!(waiting.failure().unwrap().code.as_ref(), "upstream");
    assert_eq!(block_on(house.reader.attempts(made.seq)).unwrap().len(), 1);
    let payloads = block_on(house.reader.payloads(&[made.seq])).unwrap();
    assert_eq!(payloads[0].checkpoint.as_ref().unwrap().get(), "[2]");

    house.time.advance(Duration::from_secs(5));
    assert_eq!(house.tick(), [made.seq]);
    assert_eq!(house.claim(1), [made.seq]);
    house.complete(&made, 2);
    assert_eq!(house.count("SELECT count(*) FROM checkpoint"), 0);
}

#[test]
fn what_is_due_is_known_without_looking_and_found_in_order() {
    let mut house = House::new();
    let start = house.time_now();
    assert_eq!(house.store().next_due().unwrap(), None);
    let mut later = submission("q", "t", 0);
    later.start_at = Some(start.plus_seconds(100));
    let mut sooner = submission("q", "t", 0);
    sooner.start_at = Some(start.plus_seconds(50));
    let made = house.submit(&[later, sooner, submission("q", "t", 0)]);
    assert_eq!(house.store().next_due().unwrap(), Some(start.plus_seconds(50)));
    house.claim(1);
    assert_eq!(house.store().next_due().unwrap(), Some(start.plus_seconds(30)), "the lease");
    house.time.advance(Duration::from_secs(200));
    assert_eq!(house.tick(), [made[2].seq, made[1].seq, made[0].seq]);
    assert_eq!(house.store().next_due().unwrap(), None);
    assert_eq!(house.load(made[0].spec.id).unwrap().version, 1, "a start that has come is no change");
    assert_eq!(house.claim(5), [made[1].seq, made[0].seq, made[2].seq]);
}

#[test]
fn after_an_outage_leases_rest_and_a_rollback_takes_that_back() {
    let mut house = House::new();
    let made = house.submit(&[submission("q", "t", 0)])[0].clone();
    house.claim(1);
    house.time.advance(Duration::from_secs(29));
    let until = |house: &mut House| house.load(made.spec.id).unwrap().lease().unwrap().until;
    let first = until(&mut house);
    let rest = Touches { rest_leases: true, due: 10, ..Touches::default() };
    house.store().begin(&rest).unwrap();
    assert_eq!(until(&mut house), first, "the turn that let them rest was never committed");
    house.turn(&rest, |set, _| assert!(set.due.is_empty()));
    let rested = house.time_now().plus_seconds(10);
    assert_eq!(until(&mut house), rested);
    assert_eq!(house.count("SELECT until FROM lease"), rested.ticks());
}

#[test]
fn at_a_start_own_leases_end_and_others_rest() {
    let mut house = House::new();
    let made = house.submit(&[submission("q", "a", 0), submission("q", "b", 0)]);
    let own = Command::Claim {
        worker: WorkerId::parse("own").unwrap(),
        claim: ClaimId::parse("c2").unwrap(),
        own: true,
        lease_seconds: 3600,
    };
    house.command(made[0].spec.id, &own);
    house.claim(1);
    house.restart(Duration::from_mins(5));
    let start = house.time_now();
    let set = house.turn(&Touches { due: 10, ..Touches::default() }, |_, _| {});
    assert_eq!(set.due, [made[0].seq]);
    let claim = (TenantId::default(), WorkerId::parse("w1").unwrap(), ClaimId::parse("c1").unwrap());
    let set = house.turn(&Touches { claims: vec![claim.clone()], ..Touches::default() }, |_, _| {});
    assert_eq!(set.by_claim[&claim], [made[1].seq]);
    assert_eq!(set.operations[&made[1].seq].lease().unwrap().until, start.plus_seconds(10));
}

#[test]
fn a_turn_that_fails_leaves_memory_as_the_file_is() {
    let mut house = House::new();
    let first = house.submit(&[submission("q", "t", 0)])[0].clone();
    let set = house.store().begin(&Touches::default()).unwrap();
    let mut changes = Changes::default();
    create(&set, &mut changes, 0, &submission("new", "lane", 0));
    // Somebody else's program holds the file's write lock.
    let other = rusqlite::Connection::open(house.directory.path().join("longrun.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(house.store().commit(&mut changes), Err(StoreError::Busy(_))));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(house.count("SELECT count(*) FROM lane"), 1);
    // The same numbers, and the lane is interned anew.
    let made = house.submit(&[submission("new", "lane", 0)])[0].clone();
    assert_eq!((made.seq, house.load(made.spec.id).unwrap().cursor), (Seq(2), 2));
    assert_eq!(house.claim(5), [first.seq, made.seq]);
}

#[test]
fn a_guard_that_finds_another_version_poisons_the_store() {
    let mut house = House::new();
    let made = house.submit(&[submission("q", "t", 0)])[0].clone();
    let touches = Touches { ids: vec![(TenantId::default(), made.spec.id)], ..Touches::default() };
    let set = house.store().begin(&touches).unwrap();
    let mut changes = Changes::default();
    advance(&set, &mut changes, made.seq, &Command::Cancel);
    let mut stale = (*set.operations[&made.seq]).clone();
    stale.version = 9;
    changes.operations[0].before = Some(Arc::new(stale));
    assert!(matches!(house.store().commit(&mut changes), Err(StoreError::Failed(_))));
    assert!(matches!(house.store().begin(&touches), Err(StoreError::Failed(_))));
    assert_eq!(house.count("SELECT version FROM operation"), 1);
}

#[test]
fn a_turn_without_changes_writes_nothing() {
    let mut house = House::new();
    house.submit(&[submission("q", "t", 0)]);
    let log = house.directory.path().join("longrun.db-wal");
    let before = std::fs::metadata(&log).unwrap().len();
    house.turn(&Touches { wants: vec![want(5)], due: 5, ..Touches::default() }, |set, _| {
        assert_eq!(set.ready[0].len(), 1);
    });
    house.turn(&Touches::default(), |_, _| {});
    assert_eq!(std::fs::metadata(&log).unwrap().len(), before);
}

#[test]
fn workers_and_credentials_are_kept() {
    use crate::store::credential::Credential;
    use crate::store::turn::WorkerSeen;
    let mut house = House::new();
    let now = house.time_now();
    let worker = WorkerSeen {
        tenant: TenantId::default(),
        worker: WorkerId::parse("w 1").unwrap(),
        queues: Some(Arc::from([Name::parse("q").unwrap()])),
        operation_types: None,
        address: None,
        at: now,
    };
    let credential = Credential {
        id: Arc::from("id"),
        tenant: TenantId::default(),
        name: Arc::from("ci"),
        scopes: vec![Arc::from("Operation.Read")],
        queues: None,
        hash: [3; 32],
        created: now,
        revoked: false,
        expires: None,
        used: None,
    };
    house.turn(&Touches::default(), |_, changes| {
        changes.workers.push(worker.clone());
        changes.credentials.push(credential.clone());
    });
    let registry = block_on(house.reader.registry(AllTenants)).unwrap();
    assert_eq!((registry.workers, registry.credentials), (vec![worker], vec![credential]));
}

#[test]
fn a_full_disk_refuses_the_turn_poisons_nothing_and_lets_work_end() {
    let mut house = House::new();
    let running = house.submit(&[submission("q", "t", 0)])[0].clone();
    house.claim(1);
    let limit = |house: &mut House, pages: i64| {
        house.store().writer.pragma_update(None, "max_page_count", pages).unwrap();
    };
    let pages: i64 = house.store().writer.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    limit(&mut house, pages);
    let mut large = submission("new", "lane", 0);
    large.spec.input = Some(Payload::Inline(json(&format!("\"{}\"", "x".repeat(100_000)))));
    let set = house.store().begin(&Touches::default()).unwrap();
    let mut changes = Changes::default();
    create(&set, &mut changes, 0, &large);
    assert!(matches!(house.store().commit(&mut changes), Err(StoreError::Full)));
    assert_eq!(house.count("SELECT count(*) FROM lane"), 1);
    house.complete(&running, 1);
    limit(&mut house, 1 << 20);
    assert_eq!(house.submit(&[large])[0].seq, Seq(2));
    assert_eq!(house.claim(9), [Seq(2)]);
}

#[test]
fn a_claim_of_one_instant_does_not_pass_over_what_was_claimed_before() {
    let mut house = House::new();
    house.submit(&(0..500).map(|_| submission("q", "t", 0)).collect::<Vec<_>>());
    for turn in 0..50 {
        assert_eq!(house.claim(10).first(), Some(&Seq(turn * 10 + 1)));
    }
    assert_eq!(house.store().resident.lanes.keys_read, 500);
}

#[test]
fn what_time_and_pruning_look_for_is_read_in_its_order_from_the_first_on() {
    use super::super::{due, prune};
    let house = House::new();
    let file = rusqlite::Connection::open(house.directory.path().join("longrun.db")).unwrap();
    for sql in [due::FIRST, due::DUE, prune::ENDED, prune::EVENTS] {
        let mut plan = file.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let bound = vec![1; plan.parameter_count()];
        let steps = plan.query_map(rusqlite::params_from_iter(bound), |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        let walks =
            steps.len() == 1 && (steps[0].contains("COVERING INDEX") || steps[0].contains("PRIMARY KEY"));
        assert!(walks, "{sql}: {steps:?}");
    }
}
