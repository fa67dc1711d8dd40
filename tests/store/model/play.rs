//! Plays a planned turn on one store, and writes down everything that can be seen of it.

use std::fmt::{Debug, Write as _};
use std::time::Duration;

use longrun::operation::{Command, EventKind, Seq};
use longrun::store::turn::{Changes, Touches, WorkerSeen, WorkingSet};

use super::plan::{Act, Fate, NUMBERS, Plan, TENANTS};
use crate::store::drafts::{id, tenant};
use crate::store::turn::Turn;
use crate::store::view;
use crate::store::world::World;

/// What was seen, a line a thing, and what happened.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) text: String,
    pub(super) events: Vec<EventKind>,
    /// Operations that the turn pruned, whatever became of it.
    pub(super) pruned: usize,
    /// Operations that waiting claims could have had.
    pub(super) woken: usize,
}

impl Seen {
    fn line(&mut self, what: &str, thing: impl Debug) {
        writeln!(self.text, "{what}: {thing:?}").expect("text grows");
    }

    fn block(&mut self, what: &str, text: &str) {
        writeln!(self.text, "{what}:\n{text}").expect("text grows");
    }
}

/// One turn, from the time that passes before it to what readers see after it.
pub(super) fn play(world: &mut World, plan: &Plan) -> Seen {
    let mut seen = Seen::default();
    world.pass(Duration::from_millis(plan.millis));
    let now = world.now();
    let mut turn = world.begin(&plan.touches(now));
    turn.jitter = plan.jitter;
    note_set(&mut seen, &turn.set);
    seen.woken = turn.set.woken.len();
    for act in &plan.acts {
        perform(&mut seen, &mut turn, act);
    }
    seen.line("ticked", turn.tick());
    for (place, ask) in plan.asks.iter().enumerate() {
        let found = std::mem::take(&mut turn.set.ready[place]);
        for seq in found.into_iter().filter(|_| ask.takes) {
            // The turn itself may have deleted what it found.
            if turn.current(seq).is_some() {
                seen.line("claimed", turn.apply(seq, &ask.command));
            }
        }
        if let Command::Claim { worker, .. } = &ask.command {
            turn.changes.workers.push(WorkerSeen {
                tenant: ask.want.tenant.clone(),
                worker: worker.clone(),
                queues: ask.want.queues.clone(),
                operation_types: ask.want.operation_types.clone(),
                address: None,
                at: turn.set.now,
            });
        }
    }
    if let Some(prunes) = plan.prunes {
        seen.pruned = turn.prune(prunes.at(now).ended_before);
        seen.line("pruned", (seen.pruned, turn.changes.events_pruned));
    }
    match plan.fate {
        Fate::Committed => note_changes(&mut seen, &world.commit(turn)),
        Fate::Restarted => {
            note_changes(&mut seen, &world.commit(turn));
            world.restart();
        }
        Fate::Lost => drop(turn),
        Fate::Crashed => {
            drop(turn);
            world.restart();
        }
    }
    observe(&mut seen, world, plan);
    seen
}

fn perform(seen: &mut Seen, turn: &mut Turn, act: &Act) {
    match act {
        Act::Submit(submission) => {
            let spec = &submission.spec;
            let of = &spec.lane.tenant;
            let by_id = turn.set.by_id.get(&(of.clone(), spec.id)).copied();
            let by_key =
                spec.key.as_ref().and_then(|key| turn.set.by_key.get(&(of.clone(), key.clone())).copied());
            let standing = [by_id, by_key].into_iter().flatten().find(|seq| turn.current(*seq).is_some());
            if let Some(seq) = standing {
                seen.line("a repeat of", seq);
            } else {
                let seq = turn.submit(submission);
                seen.line("submitted", seq);
            }
        }
        Act::Control(queue) => turn.changes.queues.push(queue.clone()),
        Act::Command(of, number, asked) => {
            let key = (tenant(of), id(*number));
            let standing = turn.set.by_id.get(&key).copied();
            let standing = standing.and_then(|seq| turn.current(seq));
            match standing {
                Some(operation) => {
                    let did = turn.apply(operation.seq, &asked.of(&operation));
                    seen.line("commanded", did);
                }
                None => seen.line("nobody there", number),
            }
        }
    }
}

/// Everything that a turn was given.
fn note_set(seen: &mut Seen, set: &WorkingSet) {
    seen.line("now", (set.now, set.first_seq));
    let mut by_id: Vec<_> = set.by_id.iter().collect();
    by_id.sort();
    seen.line("by id", by_id);
    let mut by_key: Vec<_> = set.by_key.iter().collect();
    by_key.sort();
    seen.line("by key", by_key);
    let mut by_claim: Vec<_> = set
        .by_claim
        .iter()
        .filter(|(_, held)| !held.is_empty())
        .map(|(claim, held)| {
            let mut held = held.clone();
            held.sort_unstable();
            (claim, held)
        })
        .collect();
    by_claim.sort();
    seen.line("by claim", by_claim);
    seen.line("ready", &set.ready);
    let mut woken = set.woken.clone();
    woken.sort_unstable();
    seen.line("woken", woken);
    let mut queues: Vec<_> = set.queues.iter().collect();
    queues.sort_by_key(|(tenant, queue, _)| (*tenant, *queue));
    seen.line("queues of the turn", queues);
    seen.line("due", &set.due);
    seen.line("stale", (&set.stale, set.stale_events, set.oldest));
    let mut loaded: Vec<_> = set.operations.iter().collect();
    loaded.sort_by_key(|(seq, _)| **seq);
    for (seq, operation) in loaded {
        seen.block(&format!("loaded {seq:?}"), &view::operation(operation));
    }
}

/// What the commit filled in.
fn note_changes(seen: &mut Seen, changes: &Changes) {
    for touched in &changes.operations {
        let after = touched.after.as_ref().map(|after| (after.seq, after.cursor));
        seen.line("committed", (touched.seq(), touched.cursor, after));
    }
    for recorded in &changes.events {
        seen.events.push(recorded.event.kind);
        seen.block("recorded", &view::event(&recorded.event));
    }
}

/// Everything that readers see.
fn observe(seen: &mut Seen, world: &mut World, plan: &Plan) {
    // A turn that was lost is rolled back by the next one.
    let first_seq = world.begin(&Touches::default()).set.first_seq;
    let due = world.next_due();
    seen.line("next", (first_seq, due));
    for of in TENANTS {
        for number in NUMBERS {
            let Some(operation) = world.get(of, id(number)) else { continue };
            seen.block(&format!("shown {of} {number}"), &view::operation(&operation));
            seen.line("attempts", world.attempts(operation.seq));
        }
        for event in world.events(of, 0, usize::MAX) {
            seen.block("told", &view::event(&event));
        }
        let (after, limit) = plan.history;
        let cursors: Vec<i64> = world.events(of, after, limit).iter().map(|event| event.cursor).collect();
        seen.line("history", cursors);
        seen.line("queues", world.queues(of));
        seen.line("one queue", world.queue(of, "a"));
        seen.line("held", world.held(of));
    }
    let numbers: Vec<Seq> = (1..first_seq.0).map(Seq).collect();
    seen.line("payloads", world.payloads(&numbers));
    let registry = world.registry();
    seen.line("workers", registry.workers);
    seen.line("controlled", registry.queues);
}
