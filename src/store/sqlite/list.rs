//! Lists: by which index what is asked for is found, and one short look after another until it is.
//!
//! The counters tell before any look where what a filter asks for may stand, and how many stand there. Often they are
//! the whole answer to a count. A list that asks only for what is few (what runs, waits or failed) gathers all of that
//! and puts it in order; any other goes along an index that has the order, and stops when its page is full or its time
//! is over.

use std::sync::Arc;

use super::counts;
use super::error::Result;
use super::reader::SqliteReader;
use super::scan::{Index, Scan};
use crate::operation::Status;
use crate::store::StoreError;
use crate::store::query::{Filter, Known, Listing, Page, Query};
use rusqlite::Connection;

/// Operations that are gathered in one look: some fifty milliseconds.
const GATHERED_MAX: u64 = 50_000;

/// How what a list asks for is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It cannot be there.
    Nowhere,
    /// Along an index, in its order.
    Along(Index),
    /// Everything of some statuses is read, and put in order.
    Gathered(Few),
}

/// Statuses of which there are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Few {
    pub(super) waiting: bool,
    pub(super) running: bool,
    pub(super) failed: bool,
}

/// What the counters tell of a list.
pub(super) struct Told {
    pub(super) way: Way,
    /// How many there are, where they know.
    pub(super) count: Option<u64>,
}

/// Asks the counters.
pub(super) fn ask(connection: &Connection, query: &Query) -> Result<Told> {
    let Some(filter) = &query.filter else {
        let all = if query.count { Some(counts::cells(connection, &query.tenant)?) } else { None };
        let count = all.map(|cells| cells.iter().map(|cell| cell.n).sum());
        return Ok(Told { way: Way::Along(Index::Created), count });
    };
    let mut count = Some(0);
    let mut may_hold = 0;
    for cell in counts::cells(connection, &query.tenant)? {
        let known = Known { status: cell.status, queue: Some(cell.queue.as_str()), rest: None };
        match filter.holds(&known) {
            Some(false) => continue,
            Some(true) => count = count.map(|count| count + cell.n),
            None => count = None,
        }
        may_hold += cell.n;
    }
    Ok(Told { way: way(filter, may_hold), count })
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

impl SqliteReader {
    pub(super) async fn page(&self, query: &Query) -> std::result::Result<Listing, StoreError> {
        let query = Arc::new(query.clone());
        let mut page = Page::default();
        if query.limit > 0 {
            let Some(found) = self.look(Scan::of_page(query.clone())).await? else {
                return Ok(Listing::TooBroad);
            };
            (page.operations, page.next) = found.into_page();
        }
        if query.count {
            let Some(found) = self.look(Scan::of_count(query)).await? else {
                return Ok(Listing::TooBroad);
            };
            page.count = Some(found.count());
        }
        Ok(Listing::Found(page))
    }

    /// Looks until it is over; none: the time for it was, and nothing had been found.
    pub(super) async fn look(&self, mut scan: Scan) -> std::result::Result<Option<Scan>, StoreError> {
        loop {
            scan = self.scan(move |inner, connection| scan.look(inner, connection)).await?;
            if scan.is_over() {
                return Ok((!scan.is_in_vain()).then_some(scan));
            }
        }
    }
}
