//! Looks for what a list asks for, in short read transactions: between two of them the log can be copied back, others
//! can read, and who no longer waits for the list ends it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, Rows};

use super::columns::{RowColumns, fields};
use super::error::Result;
use super::list;
use super::reader::Inner;
use crate::limits;
use crate::operation::{Operation, Seq, Status, Timestamp};
use crate::store::query::plan::{Few, Index, Way};
use crate::store::query::{Filling, Filter, Known, Order, Position, Query, Rest};
use crate::store::stored::damage::sound;
use crate::store::stored::{Fields, narrow, text};

/// How long one look may take.
const LOOK: Duration = Duration::from_millis(20);
/// Rows between two looks at the time.
const ROWS: usize = 64;

/// What a filter asks of a row, in the order in which [`Scan::is_asked_for`] reads it.
const COLUMNS: &str = "operation.seq, created, lane, status, urgency, last_action, labels";
/// Lanes of a tenant.
const LANES: &str = "SELECT id, queue FROM lane WHERE tenant = ?1";

/// Along an index from a place on. Without the collation SQLite would not seek by the number, which has none of its own.
pub(super) fn along(index: Index, order: Order) -> String {
    let (index, only) = match index {
        Index::Created => ("operation_created", ""),
        Index::Failed => ("operation_failed", "AND status = 3"),
    };
    let (beyond, until, turn) = match order {
        Order::NewestFirst => ("<", ">=", "DESC"),
        Order::OldestFirst => (">", "<=", "ASC"),
    };
    format!(
        "SELECT {COLUMNS} FROM operation INDEXED BY {index} WHERE tenant = ?1 {only} \
         AND (created, seq) {beyond} (?2, ?3 COLLATE BINARY) AND created {until} ?4 \
         ORDER BY created {turn}, seq {turn}"
    )
}

/// Everything that is ready in a lane.
pub(super) fn ready() -> String {
    format!(
        "SELECT {COLUMNS} FROM operation INDEXED BY operation_ready \
         WHERE lane = ?1 AND status = 0 AND hold = 0"
    )
}

/// Everything under a lease.
pub(super) fn leased() -> String {
    format!("SELECT {COLUMNS} FROM lease CROSS JOIN operation USING (seq) WHERE tenant = ?1")
}

/// Everything else that has not ended.
pub(super) fn aside() -> String {
    format!(
        "SELECT {COLUMNS} FROM operation INDEXED BY operation_aside \
         WHERE tenant = ?1 AND status < 2 AND (hold <> 0 OR external <> 0)"
    )
}

/// Everything that failed.
pub(super) fn failed() -> String {
    format!("SELECT {COLUMNS} FROM operation INDEXED BY operation_failed WHERE tenant = ?1 AND status = 3")
}

/// What a scan is for.
enum Aim {
    Page(Filling),
    Count(u64),
}

/// A look for what a query asks for, as far as it has come.
pub(super) struct Scan {
    query: Arc<Query>,
    /// None: it has not begun.
    way: Option<Way>,
    aim: Aim,
    /// Bounds of `created`, by the filter.
    created: (i64, i64),
    reads_labels: bool,
    /// The last row that was looked at.
    at: Option<Position>,
    /// Time that is left for it.
    left: Duration,
    ended: Option<End>,
}

/// Why a scan is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything was looked at.
    Whole,
    /// There is more than the page holds.
    Full,
    /// Its time was.
    Late,
}

impl Scan {
    /// Fills the query's page.
    pub(super) fn of_page(query: Arc<Query>) -> Self {
        let (after, filling) = (query.after, Filling::new(query.limit));
        Self { at: after, ..Self::new(query, Aim::Page(filling)) }
    }

    /// Counts what stands on all its pages.
    pub(super) fn of_count(query: Arc<Query>) -> Self {
        Self::new(query, Aim::Count(0))
    }

    /// With another time for it than what is usual.
    #[cfg(test)]
    pub(super) fn within(self, left: Duration) -> Self {
        Self { left, ..self }
    }

    fn new(query: Arc<Query>, aim: Aim) -> Self {
        let created = query.filter.as_ref().map_or(i64::MIN..=i64::MAX, Filter::created);
        let reads_labels = query.filter.as_ref().is_some_and(Filter::reads_labels);
        Self {
            query,
            way: None,
            aim,
            created: (*created.start(), *created.end()),
            reads_labels,
            at: None,
            left: limits::SCAN_MAX,
            ended: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether its time was over with nothing to show for it.
    pub(super) fn is_in_vain(&self) -> bool {
        self.ended == Some(End::Late)
            && match &self.aim {
                Aim::Page(page) => page.operations.is_empty(),
                Aim::Count(_) => true,
            }
    }

    pub(super) fn count(&self) -> u64 {
        match self.aim {
            Aim::Count(count) => count,
            Aim::Page(_) => 0,
        }
    }

    /// The page, and where the next one begins. After a scan that was late that is the last row it looked at.
    pub(super) fn into_page(self) -> (Vec<Operation>, Option<Position>) {
        let Aim::Page(page) = self.aim else { return (Vec::new(), None) };
        let next = match self.ended {
            Some(End::Full) => page.last(),
            Some(End::Late) => self.at,
            Some(End::Whole) | None => None,
        };
        (page.operations, next)
    }

    /// Looks for a while, on one snapshot.
    pub(super) fn look(mut self, inner: &Inner, connection: &Connection) -> Result<Self> {
        let began = Instant::now();
        let way = match self.way {
            Some(way) => way,
            None => self.begin(connection)?,
        };
        match way {
            Way::Nowhere => self.ended = Some(End::Whole),
            Way::Along(index) => self.ended = self.go_along(inner, connection, index, began)?,
            Way::Gathered(of) => {
                let mut found = self.gather(inner, connection, of)?;
                self.ended = Some(self.put(inner, connection, &mut found)?);
            }
        }
        self.left = self.left.saturating_sub(began.elapsed());
        if self.ended.is_none() && self.left.is_zero() {
            self.ended = Some(End::Late);
        }
        Ok(self)
    }

    /// Decides on the way. What is few and gathered is gathered on this very snapshot, so that nothing slips through
    /// while it goes from one status to another.
    fn begin(&mut self, connection: &Connection) -> Result<Way> {
        let told = list::ask(connection, &self.query)?;
        let way = match (&mut self.aim, told.count) {
            (Aim::Count(count), Some(told)) => {
                *count = told;
                Way::Nowhere
            }
            _ => told.way,
        };
        self.way = Some(way);
        Ok(way)
    }

    /// None: it is not over yet.
    fn go_along(
        &mut self,
        inner: &Inner,
        connection: &Connection,
        index: Index,
        began: Instant,
    ) -> Result<Option<End>> {
        let (first, last) = self.created;
        let (from, until) = match self.query.order {
            Order::NewestFirst => ((last, i64::MAX), first),
            Order::OldestFirst => ((first, i64::MIN), last),
        };
        // A page may lie behind what the filter bounds.
        let from = match self.at.map(|at| (at.created.ticks(), at.seq.0)) {
            Some(at) if self.query.order == Order::NewestFirst => at.min(from),
            Some(at) => at.max(from),
            None => from,
        };
        let mut statement = connection.prepare_cached(&along(index, self.query.order))?;
        let mut rows = statement.query((self.query.tenant.as_str(), from.0, from.1, until))?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let (place, asked_for) = self.looked_at(inner, connection, row)?;
            if asked_for && self.take(inner, connection, place)?.is_break() {
                return Ok(Some(End::Full));
            }
            self.at = Some(place);
            seen += 1;
            if seen % ROWS == 0 && began.elapsed() >= LOOK.min(self.left) {
                return Ok(None);
            }
        }
        Ok(Some(End::Whole))
    }

    /// Takes what is asked for into what is found; breaks where it has no room any more.
    fn take(&mut self, inner: &Inner, connection: &Connection, place: Position) -> Result<ControlFlow<()>> {
        match &mut self.aim {
            Aim::Count(count) => *count += 1,
            Aim::Page(page) if page.is_full() => return Ok(ControlFlow::Break(())),
            Aim::Page(page) => {
                if let Some(listed) = sound(inner.listed(connection, place.seq, self.query.payloads))? {
                    page.add(listed);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Everything of these statuses that is asked for.
    fn gather(&self, inner: &Inner, connection: &Connection, of: Few) -> Result<Vec<Position>> {
        let tenant = self.query.tenant.as_str();
        let mut found = Vec::new();
        if of.waiting {
            let mut lanes = connection.prepare_cached(LANES)?;
            let mut of_lane = connection.prepare_cached(&ready())?;
            let mut lanes = lanes.query([tenant])?;
            while let Some(lane) = lanes.next()? {
                let mut fields = fields(lane);
                let (id, queue) = (fields.int()?, fields.text()?);
                let known = Known { status: Status::NotStarted, queue: Some(queue), rest: None };
                if self.query.filter.as_ref().is_none_or(|filter| filter.holds(&known) != Some(false)) {
                    self.collect(inner, connection, of_lane.query([id])?, &mut found)?;
                }
            }
        }
        let whole = [(of.running, leased()), (of.waiting || of.running, aside()), (of.failed, failed())];
        for (_, sql) in whole.iter().filter(|(asked_for, _)| *asked_for) {
            let mut statement = connection.prepare_cached(sql)?;
            self.collect(inner, connection, statement.query([tenant])?, &mut found)?;
        }
        Ok(found)
    }

    fn collect(
        &self,
        inner: &Inner,
        connection: &Connection,
        mut rows: Rows<'_>,
        found: &mut Vec<Position>,
    ) -> Result<()> {
        while let Some(row) = rows.next()? {
            let (place, asked_for) = self.looked_at(inner, connection, row)?;
            if asked_for {
                found.push(place);
            }
        }
        Ok(())
    }

    /// Puts what was gathered where it belongs.
    fn put(&mut self, inner: &Inner, connection: &Connection, found: &mut [Position]) -> Result<End> {
        let (order, after) = (self.query.order, self.at);
        order.sort(found);
        for place in found.iter().filter(|place| after.is_none_or(|after| order.is_before(after, **place))) {
            if self.take(inner, connection, *place)?.is_break() {
                return Ok(End::Full);
            }
        }
        Ok(End::Whole)
    }

    /// Where a row is, and whether it is asked for; of one that cannot be read nobody can say so.
    fn looked_at(&self, inner: &Inner, connection: &Connection, row: &Row<'_>) -> Result<(Position, bool)> {
        let mut fields = fields(row);
        let (seq, created) = (Seq(fields.int()?), fields.time()?);
        let asked_for = self.is_asked_for(inner, connection, &mut fields, created);
        let asked_for = sound(inner.damage.heard_of("operation", seq, asked_for))?;
        Ok((Position { created, seq }, asked_for.unwrap_or(false)))
    }

    /// By the columns after the first two.
    fn is_asked_for(
        &self,
        inner: &Inner,
        connection: &Connection,
        fields: &mut Fields<RowColumns<'_>>,
        created: Timestamp,
    ) -> Result<bool> {
        let Some(filter) = &self.query.filter else { return Ok(true) };
        let lane = inner.lane(connection, fields.int()?)?;
        let status = fields.status()?;
        let priority = narrow(-fields.int()?)?;
        let last_action: Timestamp = fields.time()?;
        let labels =
            if self.reads_labels { fields.maybe_text()?.map(text::labels).transpose()? } else { None };
        let rest = Rest {
            operation_type: lane.operation_type.as_str(),
            priority,
            created,
            last_action,
            labels: labels.as_ref(),
        };
        let known = Known { status, queue: Some(lane.queue.as_str()), rest: Some(rest) };
        Ok(filter.holds(&known) == Some(true))
    }
}
