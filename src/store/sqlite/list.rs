//! Lists: one short look after another until what is asked for is found.

use std::sync::Arc;

use super::counts;
use super::error::Result;
use super::reader::SqliteReader;
use super::scan::Scan;
use crate::store::StoreError;
use crate::store::query::plan::{self, Told};
use crate::store::query::{Listing, Page, Query};
use rusqlite::Connection;

/// Asks the counters.
pub(super) fn ask(connection: &Connection, query: &Query) -> Result<Told> {
    let cells = if plan::asks(query) { counts::cells(connection, &query.tenant)? } else { Vec::new() };
    Ok(plan::told(query, &cells))
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
