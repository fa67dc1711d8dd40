//! Every order of steps, and each guard left out once.

use std::collections::HashSet;

use longrun_model::{Cluster, Guard};
use stateright::{Checker, DiscoveryClassification, Expectation, HasDiscoveries, Model};

/// Below this the model would be too small to mean anything.
const STATES_MIN: usize = 1_000_000;

/// One operation, two nodes, two workers, no mishaps but lost and late messages.
fn calm() -> Cluster {
    Cluster {
        nodes: 2,
        workers: 2,
        keys: vec![0],
        deliveries: 1,
        claims: 1,
        heartbeats: 0,
        crashes: 0,
        cancels: 0,
        without: None,
    }
}

/// What it takes to miss a guard.
fn without(guard: Guard) -> Cluster {
    let calm = Cluster { without: Some(guard), ..calm() };
    match guard {
        Guard::TokenCompared | Guard::RowLocked => calm,
        Guard::KeyLocked => Cluster { keys: vec![0, 0], ..calm },
        Guard::TickLooksAgain => Cluster { heartbeats: 1, ..calm },
        Guard::EventsLocked => Cluster { keys: vec![0, 1], ..calm },
        Guard::AnswerAfterCommit => Cluster { crashes: 1, ..calm },
        Guard::ReportRemembered => Cluster { deliveries: 2, ..calm },
        Guard::ClaimRemembered => Cluster { keys: vec![0, 1], deliveries: 2, ..calm },
        Guard::AttemptCountedAtClaim => Cluster { claims: 2, ..calm },
        Guard::TerminalFrozen => Cluster { cancels: 1, ..calm },
    }
}

/// Tries every order of steps; how many states there are. What else is to be seen is added to `seen`.
fn holds(what: &str, cluster: Cluster, seen: &mut HashSet<&'static str>) -> usize {
    let checker = cluster.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = missed(&checker);
    assert!(broken.is_empty(), "{what}: {broken:#?}");
    println!("{what}: {} states, {} steps deep", checker.unique_state_count(), checker.max_depth());
    seen.extend(checker.discoveries().into_keys());
    checker.unique_state_count()
}

/// The promises that are broken, each with the steps that break it.
fn missed(checker: &impl Checker<Cluster>) -> Vec<(&'static str, Vec<String>)> {
    let broken = checker.discoveries().into_iter().filter(|(name, _)| {
        matches!(checker.discovery_classification(name), DiscoveryClassification::Counterexample)
    });
    let steps =
        |path: stateright::Path<_, _>| path.into_actions().iter().map(|step| format!("{step:?}")).collect();
    broken.map(|(name, path)| (name, steps(path))).collect()
}

#[test]
fn many_nodes_keep_every_promise_in_every_order_of_their_steps() {
    let mut seen = HashSet::new();
    let mut states = 0;
    for (what, cluster) in [
        ("calm", calm()),
        ("one key from two clients", Cluster { keys: vec![0, 0], ..calm() }),
        ("cancels", Cluster { cancels: 1, ..calm() }),
        ("heartbeats", Cluster { heartbeats: 1, ..calm() }),
        ("messages that come twice", Cluster { deliveries: 2, ..calm() }),
        ("deaths", Cluster { crashes: 1, ..calm() }),
        ("claims again", Cluster { claims: 2, workers: 1, ..calm() }),
    ] {
        states += holds(what, cluster, &mut seen);
    }
    println!("{states} states");
    assert!(states >= STATES_MIN, "only {states} states");
    let sights = calm().properties().into_iter().filter(|one| one.expectation == Expectation::Sometimes);
    let unseen: Vec<_> = sights.map(|one| one.name).filter(|name| !seen.contains(name)).collect();
    assert!(unseen.is_empty(), "never seen: {unseen:?}");
}

#[test]
fn every_guard_that_is_left_out_is_missed() {
    for guard in Guard::ALL {
        let checker =
            without(guard).checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let broken = missed(&checker);
        let (name, steps) = broken.first().unwrap_or_else(|| panic!("{guard:?} may be left out"));
        println!("{guard:?} is missed after {} steps: {name}", steps.len());
    }
}
