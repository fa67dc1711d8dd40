//! Leases: under which claim they are held, and how they rest after an outage.

use longrun::operation::{Lease, LeaseToken, OperationId, ReportKind, Seq, Timestamp};
use longrun::store::turn::Touches;

use crate::store::drafts::{
    bare, claim, claim_as, claim_id, draft, id, lane, own_claim, report, start, tenant, worker,
};
use crate::store::world::World;

every_store! {
    a_lease_is_kept_with_all_that_belongs_to_it
    a_claim_is_found_by_tenant_worker_and_id_together
    a_claim_holds_only_what_still_runs_under_it
    a_heartbeat_writes_the_lease_and_nothing_else
    leases_that_end_soon_rest_and_the_others_stay
    a_turn_that_rests_leases_and_is_not_committed_leaves_them
    leases_rest_even_in_a_turn_that_changes_nothing
    a_lease_that_rests_can_be_changed_in_the_same_turn
}

fn at(seconds: u32) -> Timestamp {
    start().plus_seconds(seconds)
}

fn lease(world: &World, of: OperationId) -> Lease {
    world.shown(of).lease().expect("it is held").clone()
}

fn held(world: &mut World, of: &str, by: &str, under: &str) -> Vec<i64> {
    let key = (tenant(of), worker(by), claim_id(under));
    let set = world.begin(&Touches { claims: vec![key.clone()], ..Touches::default() }).set;
    let mut held: Vec<i64> = set.by_claim.get(&key).into_iter().flatten().map(|seq| seq.0).collect();
    assert!(held.iter().all(|seq| set.operations.contains_key(&Seq(*seq))), "what is held is loaded");
    held.sort_unstable();
    held
}

fn a_lease_is_kept_with_all_that_belongs_to_it(world: &mut World) {
    world.submit(&draft(1, |submission| submission.spec.timeout_seconds = Some(90)));
    world.apply(id(1), &own_claim(30));
    let lease = lease(world, id(1));
    assert_eq!((lease.token, lease.seconds, lease.own), (LeaseToken(1), 30, true));
    assert_eq!((lease.worker, lease.claim), (worker("own"), claim_id("c")));
    assert_eq!((lease.until, lease.cap, lease.pending), (at(30), Some(at(90)), None));
}

fn a_claim_is_found_by_tenant_worker_and_id_together(world: &mut World) {
    world.submit_all(&[1, 2, 3, 4].map(bare));
    world.apply(id(1), &claim_as("w1", "c1", 30));
    world.apply(id(2), &claim_as("w1", "c2", 30));
    world.apply(id(3), &claim_as("w2", "c1", 30));
    world.apply(id(4), &claim_as("w1", "c1", 30));
    let other = draft(5, |submission| submission.spec.lane = lane("other", "default", "noop"));
    world.turn(&Touches::default(), |turn| {
        let seq = turn.submit(&other);
        turn.apply(seq, &claim_as("w1", "c1", 30)).unwrap();
    });
    assert_eq!(held(world, "default", "w1", "c1"), [1, 4]);
    assert_eq!(held(world, "default", "w1", "c2"), [2]);
    assert_eq!(held(world, "default", "w2", "c1"), [3]);
    assert_eq!(held(world, "other", "w1", "c1"), [5]);
    assert_eq!(held(world, "default", "w2", "c2"), [0; 0]);
    world.restart();
    assert_eq!(held(world, "default", "w1", "c1"), [1, 4]);
}

fn a_claim_holds_only_what_still_runs_under_it(world: &mut World) {
    world.submit_all(&[1, 2, 3].map(bare));
    for number in [1, 2, 3] {
        world.apply(id(number), &claim(30));
    }
    world.apply(id(1), &report(1, ReportKind::Released));
    assert_eq!(held(world, "default", "w1", "c1"), [2, 3]);
    world.apply(id(1), &claim_as("w1", "c9", 30));
    assert_eq!(held(world, "default", "w1", "c1"), [2, 3]);
    assert_eq!(held(world, "default", "w1", "c9"), [1]);
    world.pass_seconds(30);
    world.tick();
    assert_eq!(held(world, "default", "w1", "c1"), [0; 0]);
}

fn a_heartbeat_writes_the_lease_and_nothing_else(world: &mut World) {
    world.submit(&bare(1));
    world.apply(id(1), &claim(30));
    let before = world.shown(id(1));
    world.pass_seconds(10);
    let changes = world.apply(id(1), &report(1, ReportKind::Running));
    assert!(changes.events.is_empty());
    let after = world.shown(id(1));
    assert_eq!((after.version, after.cursor), (before.version, before.cursor));
    assert_eq!(after.last_action, before.last_action);
    assert_eq!(after.lease().unwrap().until, at(40));
}

/// Claimed for 5, 12 and 60 seconds; the first of them should have ended one second ago.
fn outage(world: &mut World) {
    world.submit_all(&[1, 2, 3].map(bare));
    for (number, seconds) in [(1, 5), (2, 12), (3, 60)] {
        world.apply(id(number), &claim(seconds));
    }
    world.pass_seconds(6);
}

fn ends(world: &World) -> [Timestamp; 3] {
    [1, 2, 3].map(|number| lease(world, id(number)).until)
}

fn leases_that_end_soon_rest_and_the_others_stay(world: &mut World) {
    outage(world);
    let turn = world.begin(&Touches { rest_leases: true, due: 10, ..Touches::default() });
    assert!(turn.set.due.is_empty(), "nothing ends while it rests");
    world.commit(turn);
    assert_eq!(ends(world), [at(6 + 5), at(6 + 10), at(60)]);
    assert_eq!(world.next_due(), Some(at(11)));
    world.pass_seconds(5);
    assert_eq!(world.tick(), 1);
}

fn a_turn_that_rests_leases_and_is_not_committed_leaves_them(world: &mut World) {
    outage(world);
    drop(world.begin(&Touches { rest_leases: true, ..Touches::default() }));
    let set = world.begin(&Touches { due: 10, ..Touches::default() }).set;
    assert_eq!(set.due, [Seq(1)]);
    assert_eq!(ends(world), [at(5), at(12), at(60)]);
}

fn leases_rest_even_in_a_turn_that_changes_nothing(world: &mut World) {
    outage(world);
    world.turn(&Touches { rest_leases: true, ..Touches::default() }, |_| {});
    let set = world.begin(&Touches { due: 10, ..Touches::default() }).set;
    assert!(set.due.is_empty());
    assert_eq!(ends(world), [at(11), at(16), at(60)]);
}

fn a_lease_that_rests_can_be_changed_in_the_same_turn(world: &mut World) {
    outage(world);
    let ids = [1, 2].map(|number| (tenant("default"), id(number))).to_vec();
    world.turn(&Touches { rest_leases: true, ids, ..Touches::default() }, |turn| {
        turn.apply(Seq(1), &report(1, ReportKind::Released)).unwrap();
        turn.apply(Seq(2), &report(1, ReportKind::Running)).unwrap();
    });
    assert!(world.shown(id(1)).lease().is_none());
    assert_eq!(lease(world, id(2)).until, at(18));
    assert_eq!(lease(world, id(3)).until, at(60));
}
