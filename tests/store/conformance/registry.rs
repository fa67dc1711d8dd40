//! What is kept beside operations: attempts that ended badly, workers, credentials.

use std::sync::Arc;

use longrun::operation::{Command, Name, Outcome, ReportKind, Seq};
use longrun::store::credential::Credential;
use longrun::store::turn::{Touches, WorkerSeen};

use crate::store::drafts::{bare, claim, completed, draft, failed, id, name, report, start, tenant, worker};
use crate::store::world::World;

every_store! {
    attempts_that_ended_badly_are_kept_oldest_first
    the_happy_path_leaves_no_attempt
    what_comes_and_goes_within_a_turn_takes_nobody_elses_attempts_along
    a_worker_is_kept_as_it_last_asked
    workers_are_told_apart_by_tenant
    a_credential_is_kept_as_it_was_last_written
    credentials_of_every_tenant_are_told_revoked_ones_too
    what_signs_links_is_drawn_once
}

fn attempts_that_ended_badly_are_kept_oldest_first(world: &mut World) {
    let seq = world.submit(&draft(1, |submission| submission.spec.max_attempts = 9));
    world.submit(&bare(2));
    world.apply(id(1), &claim(30));
    world.pass_seconds(1);
    world.apply(id(1), &report(1, failed(true)));
    world.pass_seconds(1);
    world.tick();
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(2, ReportKind::Released));
    world.apply(id(1), &claim(30));
    world.pass_seconds(30);
    world.tick();
    world.restart();
    let attempts = world.attempts(seq);
    let told: Vec<(i64, Outcome)> =
        attempts.iter().map(|attempt| (attempt.token.0, attempt.outcome)).collect();
    assert_eq!(told, [(1, Outcome::Failed), (2, Outcome::Released), (3, Outcome::LeaseExpired)]);
    let first = &attempts[0];
    assert_eq!((first.seq, &first.worker), (seq, &worker("w1")));
    assert_eq!((first.started, first.ended), (start(), start().plus_seconds(1)));
    assert_eq!(&*first.failure.as_ref().unwrap().code, "upstream");
    assert!(attempts[1].failure.is_none());
    assert!(world.attempts(Seq(2)).is_empty());
    assert!(world.attempts(Seq(99)).is_empty());
}

fn the_happy_path_leaves_no_attempt(world: &mut World) {
    let seq = world.submit(&bare(1));
    world.apply(id(1), &claim(30));
    world.apply(id(1), &report(1, completed(None)));
    assert!(world.attempts(seq).is_empty());
}

fn what_comes_and_goes_within_a_turn_takes_nobody_elses_attempts_along(world: &mut World) {
    let stays = world.submit(&bare(1));
    world.apply(id(1), &claim(30));
    let ids = vec![(tenant("default"), id(1))];
    let mut passing = None;
    world.turn(&Touches { ids, ..Touches::default() }, |turn| {
        turn.apply(stays, &report(1, failed(true))).unwrap();
        let seq = turn.submit(&bare(2));
        turn.apply(seq, &claim(30)).unwrap();
        turn.apply(seq, &report(1, failed(false))).unwrap();
        turn.apply(seq, &Command::Delete).unwrap();
        passing = Some(seq);
    });
    assert_eq!(world.attempts(stays).len(), 1);
    assert!(world.attempts(passing.unwrap()).is_empty());
}

fn names(texts: &[&str]) -> Arc<[Name]> {
    texts.iter().map(|text| name(text)).collect()
}

fn seen(of: &str, by: &str, queues: Option<&[&str]>, at_seconds: u32) -> WorkerSeen {
    let at = start().plus_seconds(at_seconds);
    WorkerSeen {
        tenant: tenant(of),
        worker: worker(by),
        queues: queues.map(names),
        operation_types: None,
        address: None,
        at,
    }
}

fn saw(world: &mut World, workers: &[WorkerSeen]) {
    world.turn(&Touches::default(), |turn| turn.changes.workers.extend(workers.iter().cloned()));
}

fn a_worker_is_kept_as_it_last_asked(world: &mut World) {
    saw(world, &[seen("default", "w 1/~", Some(&["a", "b"]), 0)]);
    let again = WorkerSeen {
        operation_types: Some(names(&["t", "u"])),
        address: Some("2001:db8::7".parse().unwrap()),
        ..seen("default", "w 1/~", None, 5)
    };
    saw(world, std::slice::from_ref(&again));
    assert_eq!(world.registry().workers, std::slice::from_ref(&again));
    world.restart();
    assert_eq!(world.registry().workers, [again]);
}

fn workers_are_told_apart_by_tenant(world: &mut World) {
    let (here, there) = (seen("default", "w", None, 0), seen("other", "w", Some(&["q"]), 0));
    saw(world, &[there.clone(), here.clone()]);
    assert_eq!(world.registry().workers, [here, there]);
}

fn credential(public: &str, of: &str, queues: Option<&[&str]>) -> Credential {
    Credential {
        id: Arc::from(public),
        tenant: tenant(of),
        name: Arc::from("render \"farm\""),
        scopes: vec![Arc::from("Operation.Read"), Arc::from("Operation.Execute")],
        queues: queues.map(names),
        hash: [7; 32],
        created: start(),
        revoked: false,
        expires: None,
        used: None,
    }
}

fn wrote(world: &mut World, credentials: &[Credential]) {
    world.turn(&Touches::default(), |turn| turn.changes.credentials.extend(credentials.iter().cloned()));
}

fn a_credential_is_kept_as_it_was_last_written(world: &mut World) {
    let made = credential("p1", "default", Some(&["media"]));
    wrote(world, std::slice::from_ref(&made));
    assert_eq!(world.registry().credentials, std::slice::from_ref(&made));
    let revoked = Credential { revoked: true, ..made };
    wrote(world, std::slice::from_ref(&revoked));
    assert_eq!(world.registry().credentials, std::slice::from_ref(&revoked));
    world.restart();
    assert_eq!(world.registry().credentials, [revoked]);
}

fn credentials_of_every_tenant_are_told_revoked_ones_too(world: &mut World) {
    let here = credential("p2", "default", None);
    let there = Credential { revoked: true, scopes: Vec::new(), ..credential("p1", "other", Some(&[])) };
    wrote(world, &[here.clone(), there.clone()]);
    assert_eq!(world.registry().credentials, [there, here]);
}

fn what_signs_links_is_drawn_once(world: &mut World) {
    let drawn = world.registry().link_key.expect("a store that was opened has one");
    assert_ne!(drawn.0, [0; 32]);
    world.restart();
    assert_eq!(world.registry().link_key, Some(drawn));
}
