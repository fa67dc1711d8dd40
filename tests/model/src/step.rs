//! What may happen next, and what it makes of everything.

use longrun::operation::Status;

use crate::state::{Client, Happened, Lock, Number, Request, Said, State, Token, Verdict, Worker, status};
use crate::turn::{Answer, Turn, Work};
use crate::{Cluster, Guard};

/// One step of anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client sends its operation.
    Submit(usize),
    /// Somebody wants an operation to end.
    Cancel(Number),
    /// A worker asks for work.
    Ask(usize),
    /// A worker reports on what it holds, on time or long after.
    Say(usize, Said),
    /// A worker dies, and another one begins in its place.
    WorkerDies(usize),
    /// A message arrives, perhaps not for the first time.
    Deliver(Request, usize),
    /// A message is lost for good.
    Lose(Request),
    /// A lease is over by the clock.
    LeaseEnds(Number),
    /// A tick looks around, and finds it.
    Find(Number),
    /// A node acts on what a tick has found.
    Tick(Number, usize),
    /// A turn numbers its event.
    Number(usize),
    /// A turn commits; whether its answer arrives.
    Commit(usize, bool),
    /// A node dies in the middle of its turn.
    NodeDies(usize),
    /// The watcher reads on.
    Watch,
}

pub(crate) fn possible(cluster: &Cluster, state: &State, actions: &mut Vec<Action>) {
    for (n, client) in state.clients.iter().enumerate() {
        if *client == Client::Silent {
            actions.push(Action::Submit(n));
        }
    }
    if state.cancels > 0 {
        actions.extend(state.rows.keys().map(|number| Action::Cancel(*number)));
    }
    for (n, worker) in state.workers.iter().enumerate() {
        if worker.asked.is_none() && worker.holds.is_none() && worker.claims < cluster.claims {
            actions.push(Action::Ask(n));
        }
        if worker.holds.is_some() && !worker.reported {
            actions.extend([Action::Say(n, Said::Done), Action::Say(n, Said::GaveUp)]);
            if state.heartbeats > 0 {
                actions.push(Action::Say(n, Said::Alive));
            }
        }
        if state.crashes > 0 && (worker.holds.is_some() || worker.asked.is_some()) {
            actions.push(Action::WorkerDies(n));
        }
    }
    for (number, row) in &state.rows {
        let Some(lease) = row.operation.lease() else { continue };
        if !state.over.contains(&(*number, lease.token.0)) {
            actions.push(Action::LeaseEnds(*number));
        }
    }
    let found = state.over.iter().map(|(number, _)| *number).filter(|number| !state.found.contains(number));
    actions.extend(found.map(Action::Find));
    for (node, turn) in state.nodes.iter().enumerate() {
        match turn {
            None => {
                actions.extend(state.messages.keys().map(|request| Action::Deliver(*request, node)));
                actions.extend(state.found.iter().map(|number| Action::Tick(*number, node)));
            }
            Some(turn) => {
                let numbered =
                    turn.cursor.is_some() || turn.write.as_ref().is_none_or(|write| write.event.is_none());
                if numbered {
                    actions.extend([Action::Commit(node, true), Action::Commit(node, false)]);
                } else {
                    actions.push(Action::Number(node));
                }
                if state.crashes > 0 {
                    actions.push(Action::NodeDies(node));
                }
            }
        }
    }
    if state.events.iter().any(|event| event.cursor > state.watched.0) {
        actions.push(Action::Watch);
    }
}

pub(crate) fn next(cluster: &Cluster, last: &State, action: &Action) -> Option<State> {
    let mut state = last.clone();
    match *action {
        Action::Submit(client) => {
            state.clients[client] = Client::Waiting;
            send(cluster, &mut state, Request::Submit { client, key: cluster.keys[client] });
        }
        Action::Cancel(row) => {
            state.cancels -= 1;
            send(cluster, &mut state, Request::Cancel { row });
        }
        Action::Ask(n) => {
            let worker = &mut state.workers[n];
            let (life, claim) = (worker.life, worker.claims);
            worker.asked = Some(claim);
            worker.claims += 1;
            send(cluster, &mut state, Request::Claim { worker: n, life, claim });
        }
        Action::Say(n, said) => say(cluster, &mut state, n, said)?,
        Action::WorkerDies(n) => {
            state.crashes -= 1;
            state.workers[n] = Worker { life: last.workers[n].life + 1, ..Worker::default() };
        }
        Action::Deliver(request, node) => {
            arrive(&mut state, request)?;
            state.nodes[node] = Some(Turn::begin(cluster, &mut state, node, Work::Request(request))?);
        }
        Action::Lose(request) => {
            state.messages.remove(&request)?;
        }
        Action::LeaseEnds(number) => {
            let token = state.rows.get(&number)?.operation.token.0;
            state.over.insert((number, token));
        }
        Action::Find(number) => {
            state.found.insert(number);
        }
        Action::Tick(number, node) => {
            state.found.remove(&number);
            state.nodes[node] = Some(Turn::begin(cluster, &mut state, node, Work::Tick(number))?);
        }
        Action::Number(node) => number_event(cluster, &mut state, node)?,
        Action::Commit(node, heard) => commit(&mut state, node, heard)?,
        Action::NodeDies(node) => {
            state.crashes -= 1;
            state.nodes[node] = None;
            state.locks.retain(|_, holder| *holder != node);
        }
        Action::Watch => {
            let after = state.watched.0;
            let fresh = state.events.iter().filter(|event| event.cursor > after);
            let upto = fresh.clone().map(|event| event.cursor).max()?;
            state.watched = (upto, state.watched.1 + fresh.count());
        }
    }
    Some(state)
}

fn send(cluster: &Cluster, state: &mut State, request: Request) {
    state.messages.insert(request, cluster.deliveries);
}

fn arrive(state: &mut State, request: Request) -> Option<()> {
    let left = state.messages.get_mut(&request)?;
    *left -= 1;
    if *left == 0 {
        state.messages.remove(&request);
    }
    Some(())
}

fn say(cluster: &Cluster, state: &mut State, worker: usize, said: Said) -> Option<()> {
    let life = state.workers[worker].life;
    let (row, token) = state.workers[worker].holds?;
    if said == Said::Alive {
        state.heartbeats -= 1;
    } else {
        state.workers[worker].reported = true;
    }
    send(cluster, state, Request::Report { worker, life, row, token, said });
    Some(())
}

fn number_event(cluster: &Cluster, state: &mut State, node: usize) -> Option<()> {
    if cluster.has(Guard::EventsLocked) {
        if state.locks.get(&Lock::Events).is_some_and(|holder| *holder != node) {
            return None;
        }
        state.locks.insert(Lock::Events, node);
    }
    let turn = state.nodes[node].as_mut()?;
    turn.cursor = Some(state.next_cursor);
    state.next_cursor += 1;
    if !cluster.has(Guard::AnswerAfterCommit) {
        turn.answered = true;
        let (work, answer) = (turn.work, turn.answer);
        hear(state, work, answer);
    }
    Some(())
}

fn commit(state: &mut State, node: usize, heard: bool) -> Option<()> {
    let turn = state.nodes[node].take()?;
    state.locks.retain(|_, holder| *holder != node);
    if let Some(write) = &turn.write {
        let standing = state.rows.get(&write.number).map(|row| row.operation.version);
        let unseen = standing != write.read;
        let before = state.rows.get(&write.number).map_or(0, |row| row.operation.token.0);
        let token = write.row.operation.token.0;
        let too_early = matches!(turn.work, Work::Tick(_)) && !state.over.contains(&(write.number, before));
        if let Some((kind, cursor)) = write.event.zip(turn.cursor) {
            let by_report = match turn.work {
                Work::Request(Request::Report { token, .. }) => Some(token),
                _ => None,
            };
            let row = write.number;
            state.events.push(Happened { cursor, row, kind, token, by_report, too_early, unseen });
        }
        state.rows.insert(write.number, write.row.clone());
        // A heartbeat moves the end of the lease; whatever else was written ends it, or begins another.
        if status(&write.row) != Status::Running || write.event.is_none() {
            state.over.retain(|(number, _)| *number != write.number);
        }
    }
    if heard && !turn.answered {
        hear(state, turn.work, turn.answer);
    }
    Some(())
}

/// An answer arrives.
fn hear(state: &mut State, work: Work, answer: Answer) {
    match (work, answer) {
        (Work::Request(Request::Submit { client, .. }), Answer::Operation(number)) => {
            state.clients[client] = Client::Acknowledged(number);
        }
        (Work::Request(Request::Claim { worker, life, claim }), Answer::Claimed(claimed)) => {
            let worker = &mut state.workers[worker];
            // Nobody waits for it any more: a dead one, or one that was answered before.
            if worker.life == life && worker.asked == Some(claim) {
                worker.asked = None;
                worker.holds = claimed;
                worker.reported = false;
            }
        }
        (Work::Request(Request::Report { worker, life, row, token, said }), Answer::Told(verdict)) => {
            heard_verdict(state, (worker, life), (row, token), said, verdict);
        }
        _ => {}
    }
}

fn heard_verdict(
    state: &mut State,
    (worker, life): (usize, u8),
    held: (Number, Token),
    said: Said,
    verdict: Verdict,
) {
    if said != Said::Alive {
        state.told.insert((held.0, held.1, said, verdict));
    }
    let worker = &mut state.workers[worker];
    if worker.life == life
        && worker.holds == Some(held)
        && (said != Said::Alive || verdict == Verdict::Refused)
    {
        worker.holds = None;
        worker.reported = false;
    }
}
