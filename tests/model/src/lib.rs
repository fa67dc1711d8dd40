//! Many nodes over one database, as a model: clients, workers and nodes that may die, messages that may be lost or come
//! twice, a tick on every node. The checker tries every order of their steps.
//!
//! What becomes of an operation is decided by the product's own state machine (`longrun::operation`). What is modelled is
//! what stands around it: a turn that locks and reads, numbers its events and commits; its answer that may be lost. Each
//! rule by which nodes keep out of each other's way is a [`Guard`] that can be left out, and then has to be missed.
//!
//! [`state`] is what there is at a moment, [`step`] what may happen next, [`turn`] what a node does for one request,
//! [`properties`] what must hold.

mod properties;
pub mod state;
mod step;
mod turn;

use stateright::{Model, Property};

use state::State;
use step::Action;

/// A rule by which nodes, clients and workers keep out of each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A report counts only with the token of the attempt that runs.
    TokenCompared,
    /// A row is locked before it is read to be written.
    RowLocked,
    /// A key is locked before it is looked for.
    KeyLocked,
    /// The tick looks again, under the lock, whether a lease is over.
    TickLooksAgain,
    /// Events are numbered under one lock that is held until the commit.
    EventsLocked,
    /// Nothing is answered before it is committed.
    AnswerAfterCommit,
    /// The report that ended an attempt is remembered.
    ReportRemembered,
    /// A claim that comes again gets what it still holds.
    ClaimRemembered,
    /// An attempt is counted when it begins.
    AttemptCountedAtClaim,
    /// What has ended stays as it ended.
    TerminalFrozen,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::TokenCompared,
        Self::RowLocked,
        Self::KeyLocked,
        Self::TickLooksAgain,
        Self::EventsLocked,
        Self::AnswerAfterCommit,
        Self::ReportRemembered,
        Self::ClaimRemembered,
        Self::AttemptCountedAtClaim,
        Self::TerminalFrozen,
    ];
}

/// How much may happen.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Nodes.
    pub nodes: usize,
    /// Workers.
    pub workers: usize,
    /// The key that each client submits its one operation with.
    pub keys: Vec<u8>,
    /// How often a message may be delivered.
    pub deliveries: u8,
    /// How often a worker may ask for work, heartbeats it may send.
    pub claims: u8,
    /// Heartbeats that all workers together may send.
    pub heartbeats: u8,
    /// Nodes and workers that may die, together.
    pub crashes: u8,
    /// Cancels that may be asked for.
    pub cancels: u8,
    /// The guard that is left out.
    pub without: Option<Guard>,
}

impl Cluster {
    /// Whether this guard stands.
    pub(crate) fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::empty(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        step::possible(self, state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        step::next(self, last, &action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
