//! What must hold in every state, and what must be seen in some, so that the model is not vacuous.

use std::collections::HashSet;

use longrun::operation::{EventKind, Status};
use stateright::Property;

use crate::Cluster;
use crate::state::{Client, Happened, Number, Said, State, Verdict, is_terminal, status};
use crate::turn::ATTEMPTS_MAX;

pub(crate) fn all() -> Vec<Property<Cluster>> {
    [promises(), sights()].concat()
}

fn promises() -> Vec<Property<Cluster>> {
    vec![
        Property::always("one key makes one operation", |_, state: &State| {
            let keys: HashSet<u8> = state.rows.values().map(|row| row.key).collect();
            keys.len() == state.rows.len()
        }),
        Property::always("what was acknowledged is there", |cluster: &Cluster, state: &State| {
            state.clients.iter().zip(&cluster.keys).all(|(client, key)| match client {
                Client::Acknowledged(number) => state.rows.get(number).is_some_and(|row| row.key == *key),
                Client::Silent | Client::Waiting => true,
            })
        }),
        Property::always("a terminal status stands", |_, state: &State| {
            of_each(state, |events| events.iter().rev().skip(1).all(|event| !is_terminal(event.kind)))
        }),
        Property::always("a token is given once", |_, state: &State| {
            of_each(state, |events| {
                let started = events.iter().filter(|event| event.kind == EventKind::Started);
                let tokens: Vec<_> = started.map(|event| event.token).collect();
                tokens.windows(2).all(|pair| pair[0] < pair[1])
            })
        }),
        Property::always("no more attempts than it may have", |_, state: &State| {
            of_each(state, |events| {
                let started = events.iter().filter(|event| event.kind == EventKind::Started);
                started.count() <= usize::from(ATTEMPTS_MAX)
            })
        }),
        Property::always("only the word of the attempt that runs counts", |_, state: &State| {
            state.events.iter().all(|event| event.by_report.is_none_or(|token| token == event.token))
        }),
        Property::always("a lease is ended only once it is over", |_, state: &State| {
            state.events.iter().all(|event| !event.too_early)
        }),
        Property::always("nothing is written over what was not read", |_, state: &State| {
            state.events.iter().all(|event| !event.unseen)
        }),
        Property::always("a watcher misses nothing", |_, state: &State| {
            let (upto, seen) = state.watched;
            state.events.iter().filter(|event| event.cursor <= upto).count() == seen
        }),
        Property::always("what was taken is never refused when it comes again", |_, state: &State| {
            state.told.iter().all(|(row, token, said, verdict)| {
                *verdict != Verdict::Refused || !was_taken(state, *row, *token, *said)
            })
        }),
        Property::always("a claim holds what it took, however often it comes", |_, state: &State| {
            let leases = state.rows.values().filter_map(|row| row.operation.lease());
            let claims: Vec<_> = leases.map(|lease| (&lease.worker, &lease.claim)).collect();
            claims.iter().collect::<HashSet<_>>().len() == claims.len()
        }),
    ]
}

/// What is to be seen somewhere, so that the promises are not kept for want of anything to break them.
fn sights() -> Vec<Property<Cluster>> {
    vec![
        Property::sometimes("completed", |_, state: &State| ends_as(state, Status::Completed)),
        Property::sometimes("failed", |_, state: &State| ends_as(state, Status::Failed)),
        Property::sometimes("a second attempt", |_, state: &State| {
            state.events.iter().any(|event| event.kind == EventKind::Started && event.token == 2)
        }),
        Property::sometimes("a report that comes again is known", |_, state: &State| {
            state.told.iter().any(|(_, _, _, verdict)| *verdict == Verdict::Repeated)
        }),
        Property::sometimes("a stale report is refused", |_, state: &State| {
            state.told.iter().any(|(row, token, said, verdict)| {
                *verdict == Verdict::Refused && !was_taken(state, *row, *token, *said)
            })
        }),
    ]
}

fn of_each(state: &State, holds: impl Fn(&[Happened]) -> bool) -> bool {
    state.rows.keys().all(|number| {
        let events: Vec<_> = state.events.iter().filter(|event| event.row == *number).copied().collect();
        holds(&events)
    })
}

fn was_taken(state: &State, row: Number, token: i64, said: Said) -> bool {
    let kind = if said == Said::Done { EventKind::Completed } else { EventKind::Failed };
    state.events.iter().any(|event| event.row == row && event.kind == kind && event.by_report == Some(token))
}

fn ends_as(state: &State, ended: Status) -> bool {
    state.rows.values().any(|row| status(row) == ended)
}
