//! By which index what a list asks for is found.
//!
//! The counters tell before any look where what a filter asks for may stand, and how many stand there. Often they are
//! the whole answer to a count. A list that asks only for what is few (what runs, waits or failed) gathers all of that
//! and puts it in order; any other goes along an index that has the order, and stops when its page is full or its time
//! is over.

use super::{Filter, Known, Query};
use crate::operation::{QueueName, Status};

/// Operations that are gathered in one look: some fifty milliseconds.
const GATHERED_MAX: u64 = 50_000;

/// How many of a queue are of one status, external ones included.
pub(in crate::store) struct Cell {
    pub(in crate::store) queue: QueueName,
    pub(in crate::store) status: Status,
    pub(in crate::store) n: u64,
}

/// An index that has the order of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Index {
    Created,
    Failed,
}

/// How what a list asks for is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Way {
    /// It cannot be there.
    Nowhere,
    /// Along an index, in its order.
    Along(Index),
    /// Everything of some statuses is read, and put in order.
    Gathered(Few),
}

/// Statuses of which there are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Few {
    pub(in crate::store) waiting: bool,
    pub(in crate::store) running: bool,
    pub(in crate::store) failed: bool,
}

/// What the counters tell of a list.
pub(in crate::store) struct Told {
    pub(in crate::store) way: Way,
    /// How many there are, where they know.
    pub(in crate::store) count: Option<u64>,
}

/// What the counters tell, of every queue and status of the tenant; nobody has to ask them unless [`asks`] says so.
pub(in crate::store) fn told(query: &Query, cells: &[Cell]) -> Told {
    let Some(filter) = &query.filter else {
        let count = query.count.then(|| cells.iter().map(|cell| cell.n).sum());
        return Told { way: Way::Along(Index::Created), count };
    };
    let mut count = Some(0);
    let mut may_hold = 0;
    for cell in cells {
        let known = Known { status: cell.status, queue: Some(cell.queue.as_str()), rest: None };
        match filter.holds(&known) {
            Some(false) => continue,
            Some(true) => count = count.map(|count| count + cell.n),
            None => count = None,
        }
        may_hold += cell.n;
    }
    Told { way: way(filter, may_hold), count }
}

/// Whether the counters are needed.
pub(in crate::store) fn asks(query: &Query) -> bool {
    query.filter.is_some() || query.count
}

/// By the statuses that a filter leaves open, and how many of them there are. Those of which there are none now may
/// come while a long scan goes on.
fn way(filter: &Filter, may_hold: u64) -> Way {
    let open = |status| filter.holds(&Known { status, queue: None, rest: None }) != Some(false);
    let [waiting, running, completed, failed] = Status::ALL.map(open);
    if may_hold == 0 {
        Way::Nowhere
    } else if !(waiting || running || completed) {
        Way::Along(Index::Failed)
    } else if !completed && may_hold <= GATHERED_MAX {
        Way::Gathered(Few { waiting, running, failed })
    } else {
        Way::Along(Index::Created)
    }
}
