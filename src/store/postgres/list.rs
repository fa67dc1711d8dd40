//! Lists: key rows are read along an index in chunks, held against the filter here, and the page's operations read whole.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::columns::{Value, fields};
use super::counts;
use super::error::Result;
use super::lanes::LaneId;
use super::link::Lent;
use super::load::as_int;
use super::reader::{LIST, PostgresReader};
use crate::limits;
use crate::operation::{Operation, Seq, Timestamp};
use crate::store::query::plan::{self, Few, Index, Way};
use crate::store::query::{Filling, Filter, Known, Listing, Order, Page, Position, Query, Rest};
use crate::store::stored::damage::sound;
use crate::store::stored::{Damaged, narrow, text};

/// Key rows of the first chunk, and of a later one at most.
const CHUNK: (usize, usize) = (512, 8192);

/// What a filter asks of a row.
const COLUMNS: &str = "o.seq, o.created, o.lane, o.status, o.urgency, o.last_action, o.labels";

/// Along an index from a place on.
fn along(index: Index, order: Order) -> String {
    let only = match index {
        Index::Created => "",
        Index::Failed => "AND o.status = 3",
    };
    let (beyond, until, turn) = match order {
        Order::NewestFirst => ("<", ">=", "DESC"),
        Order::OldestFirst => (">", "<=", "ASC"),
    };
    format!(
        "SELECT {COLUMNS} FROM longrun.operation o WHERE o.tenant = $1 {only} \
         AND (o.created, o.seq) {beyond} ($2, $3) AND o.created {until} $4 \
         ORDER BY o.created {turn}, o.seq {turn} LIMIT $5"
    )
}

/// Everything of some statuses: of those that may start by their lanes, of those under a lease, of the others by an index.
fn gathered(of: Few) -> String {
    let ready = "longrun.lane l CROSS JOIN LATERAL (SELECT * FROM longrun.operation \
         WHERE lane = l.id AND status = 0 AND hold = 0) o WHERE l.tenant = $1";
    let leased = "longrun.lease le JOIN longrun.operation o USING (seq) WHERE o.tenant = $1";
    let aside =
        "longrun.operation o WHERE o.tenant = $1 AND o.status < 2 AND (o.hold <> 0 OR o.external <> 0)";
    let failed = "longrun.operation o WHERE o.tenant = $1 AND o.status = 3";
    let parts =
        [(of.waiting, ready), (of.running, leased), (of.waiting || of.running, aside), (of.failed, failed)];
    let asked = parts.into_iter().filter(|(asked, _)| *asked);
    asked.map(|(_, part)| format!("SELECT {COLUMNS} FROM {part}")).collect::<Vec<_>>().join(" UNION ALL ")
}

/// What a scan is for.
enum Aim {
    Page(Filling),
    Count(u64),
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

/// One page, and how many there are.
pub(super) async fn page(reader: &PostgresReader, query: &Query) -> Result<Listing> {
    match look(reader, query).await {
        // A single statement took all the time that there is.
        Err(fault) if fault.code() == Some(&SqlState::QUERY_CANCELED) => Ok(Listing::TooBroad),
        listing => listing,
    }
}

async fn look(reader: &PostgresReader, query: &Query) -> Result<Listing> {
    // Before it takes a connection of its own: who holds one never waits for another.
    let cells = if plan::asks(query) { counts::cells(reader, &query.tenant).await? } else { Vec::new() };
    let client = reader.client().await?;
    let told = plan::told(query, &cells);
    let mut page = Page::default();
    if query.limit > 0 {
        let mut scan = Scan::new(reader, &client, query, Aim::Page(Filling::new(query.limit)));
        scan.at = query.after;
        let end = scan.go(told.way).await?;
        let Aim::Page(filling) = scan.aim else { return Ok(Listing::TooBroad) };
        page.next = match end {
            End::Full => filling.last(),
            End::Late if filling.operations.is_empty() => return Ok(Listing::TooBroad),
            End::Late => scan.at,
            End::Whole => None,
        };
        page.operations = filling.operations;
    }
    if query.count {
        page.count = if let Some(count) = told.count {
            Some(count)
        } else {
            let mut scan = Scan::new(reader, &client, query, Aim::Count(0));
            match (scan.go(told.way).await?, scan.aim) {
                (End::Late, _) => return Ok(Listing::TooBroad),
                (_, Aim::Count(count)) => Some(count),
                (_, Aim::Page(_)) => None,
            }
        };
    }
    Ok(Listing::Found(page))
}

struct Scan<'a> {
    reader: &'a PostgresReader,
    client: &'a Lent,
    query: &'a Query,
    aim: Aim,
    /// The last row that was looked at.
    at: Option<Position>,
    began: Instant,
}

impl<'a> Scan<'a> {
    fn new(reader: &'a PostgresReader, client: &'a Lent, query: &'a Query, aim: Aim) -> Self {
        Self { reader, client, query, aim, at: None, began: Instant::now() }
    }

    fn left(&self) -> Duration {
        limits::SCAN_MAX.saturating_sub(self.began.elapsed())
    }

    async fn go(&mut self, way: Way) -> Result<End> {
        match way {
            Way::Nowhere => Ok(End::Whole),
            Way::Along(index) => self.go_along(index).await,
            Way::Gathered(of) => self.gather(of).await,
        }
    }

    async fn go_along(&mut self, index: Index) -> Result<End> {
        let sql = along(index, self.query.order);
        let mut chunk = CHUNK.0;
        loop {
            let (from, until) = self.bounds();
            let tenant = Value::Text(self.query.tenant.as_str().into());
            let values = [from.0, from.1, until, as_int(chunk)].map(Value::Int);
            let rows = self.read(&sql, [tenant].into_iter().chain(values).collect()).await?;
            let places = self.asked_for(&rows)?;
            let taken = self.take(&places).await?;
            if taken.is_break() {
                return Ok(End::Full);
            }
            if rows.len() < chunk {
                return Ok(End::Whole);
            }
            if let Some(row) = rows.last() {
                self.at = Some(place(row)?);
            }
            if self.left().is_zero() {
                return Ok(End::Late);
            }
            chunk = (chunk * 4).min(CHUNK.1);
        }
    }

    /// From where on, and until when, the filter can hold. A page may lie behind what the filter bounds.
    fn bounds(&self) -> ((i64, i64), i64) {
        let created = self.query.filter.as_ref().map_or(i64::MIN..=i64::MAX, Filter::created);
        let at = self.at.map(|at| (at.created.ticks(), at.seq.0));
        match self.query.order {
            Order::NewestFirst => {
                let from = (*created.end(), i64::MAX);
                (at.map_or(from, |at| at.min(from)), *created.start())
            }
            Order::OldestFirst => {
                let from = (*created.start(), i64::MIN);
                (at.map_or(from, |at| at.max(from)), *created.end())
            }
        }
    }

    async fn gather(&mut self, of: Few) -> Result<End> {
        let sql = gathered(of);
        let rows = self.read(&sql, vec![Value::Text(self.query.tenant.as_str().into())]).await?;
        let mut places = self.asked_for(&rows)?;
        let (order, after) = (self.query.order, self.at);
        order.sort(&mut places);
        places.retain(|place| after.is_none_or(|after| order.is_before(after, *place)));
        Ok(if self.take(&places).await?.is_break() { End::Full } else { End::Whole })
    }

    /// Key rows, on one snapshot and within the scan's time.
    async fn read<'v>(&self, sql: &'v str, values: Vec<Value<'v>>) -> Result<Vec<Row>> {
        let mut pipeline = self.client.reading(&LIST);
        let found = pipeline.call_once(sql, values);
        let rows = pipeline.over().await?.take(found);
        let lanes = rows.iter().filter_map(|row| row.try_get::<_, LaneId>(2).ok());
        self.reader.lanes.meet(self.client.link(), &self.reader.damage, lanes).await?;
        Ok(rows)
    }

    /// The places of those that are asked for; of a row that cannot be read nobody can say so.
    fn asked_for(&self, rows: &[Row]) -> Result<Vec<Position>> {
        let mut places = Vec::new();
        for row in rows {
            let place = place(row)?;
            let asked_for = self.reader.damage.heard_of("operation", place.seq, self.is_asked_for(row));
            if sound(asked_for)?.unwrap_or(false) {
                places.push(place);
            }
        }
        Ok(places)
    }

    fn is_asked_for(&self, row: &Row) -> std::result::Result<bool, Damaged> {
        let Some(filter) = &self.query.filter else { return Ok(true) };
        let mut fields = fields(row);
        let (_, created) = (fields.int()?, fields.time()?);
        let lane = self.reader.lanes.get(fields.int()?)?;
        let status = fields.status()?;
        let priority = narrow(-fields.int()?)?;
        let last_action: Timestamp = fields.time()?;
        let labels = match fields.maybe_text()? {
            Some(labels) if filter.reads_labels() => Some(text::labels(labels)?),
            _ => None,
        };
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

    /// Takes what is asked for into what is found; breaks where it has no room any more.
    async fn take(&mut self, places: &[Position]) -> Result<ControlFlow<()>> {
        let page = match &mut self.aim {
            Aim::Count(count) => {
                *count += places.len() as u64;
                return Ok(ControlFlow::Continue(()));
            }
            Aim::Page(page) => page,
        };
        let mut left = places;
        while let Some(room) = page.room().filter(|_| !left.is_empty()) {
            let (next, rest) = left.split_at(room.min(left.len()));
            left = rest;
            let seqs: Vec<Seq> = next.iter().map(|place| place.seq).collect();
            let found = self.reader.numbered(self.client, &seqs, self.query.payloads).await?;
            let mut found: HashMap<Seq, Operation> =
                found.into_iter().map(|operation| (operation.seq, operation)).collect();
            for (taken, seq) in seqs.iter().enumerate() {
                if page.is_full() {
                    // They are larger than was thought: the rest is of the next page.
                    left = &places[places.len() - rest.len() - (seqs.len() - taken)..];
                    break;
                }
                // It may have changed since its key row was read.
                if let Some(operation) = found.remove(seq)
                    && self
                        .query
                        .filter
                        .as_ref()
                        .is_none_or(|filter| filter.holds(&Known::of(&operation)) == Some(true))
                {
                    page.add(operation);
                }
            }
        }
        Ok(if left.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}

fn place(row: &Row) -> Result<Position> {
    let mut fields = fields(row);
    let seq = Seq(fields.int()?);
    Ok(Position { created: fields.time()?, seq })
}
