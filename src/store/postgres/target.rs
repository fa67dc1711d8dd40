//! A database that takes in all rows of an embedded store. From its first row to its last a mark stands in `meta`, and no
//! node serves it; what is there already tells where to go on.

use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::StreamExt;

use super::columns::{Value, Values, fields};
use super::connect::Connector;
use super::driver::Driver;
use super::error::{OpenError, Result};
use super::link::{Link, Pipeline};
use super::{keep, open};
use crate::store::sqlite::Standing;
use crate::store::stored::table::{Cell, Column, Kind, Sum, TABLES, Table, cells};

/// One at a time may begin.
const ALONE: &str = "SELECT pg_advisory_xact_lock(7804106204)";
const MARKS: &str =
    "SELECT key, value FROM longrun.meta WHERE key IN ('epoch', 'moving_epoch', 'moving_mark')";
const MARK: &str = "INSERT INTO longrun.meta (key, value) VALUES ('moving_epoch', $1), ('moving_mark', $2) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const UNMARK: &str = "DELETE FROM longrun.meta WHERE key IN ('moving_epoch', 'moving_mark')";
const PUT_LINK_KEY: &str = "INSERT INTO longrun.secret (name, value) VALUES ('links', $1) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const MOVING: &str = "SELECT 1 FROM longrun.meta WHERE key = 'moving_epoch'";
/// When a node was here last, and how long ago that is.
const SEEN: &str = "SELECT value, (extract(epoch FROM clock_timestamp()) * 10000000)::bigint - value \
     FROM longrun.meta WHERE key = 'clock_mark'";
/// Each leaves its mark every second: one that was seen within this may still be there, and is seen again within that.
const LATELY: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(4);
const COLUMNS: &str = "SELECT attname::text, atttypid::regtype::text FROM pg_attribute \
     WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
/// A batch need not outlive a crash of the database: then it is brought again. The last step makes all of it durable.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";
const LAST_CURSOR: &str = "SELECT coalesce(max(cursor), 0) FROM longrun.event";
const NEXT_SEQ: &str = "SELECT setval('longrun.operation_seq', $1, false)";
const NEXT_LANE: &str = "SELECT setval(pg_get_serial_sequence('longrun.lane', 'id'), \
     greatest(max(id), 1), max(id) IS NOT NULL) FROM longrun.lane";
const FORGET_META: &str = "DELETE FROM longrun.meta";
const META: &str = "INSERT INTO longrun.meta (key, value) SELECT * FROM unnest($1::text[], $2::bigint[])";
/// The embedded server's own worker tasks ended with it, as at any start of one.
const END_OWN: &str = "UPDATE longrun.lease SET until = LEAST(until, $1) WHERE own = 1";

/// What stands in a database when a move begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Found {
    /// Nothing.
    Empty,
    /// A part of this very store: the move goes on.
    Part,
    /// A part of this store as it was before it was served once more: that is gone now.
    Stale,
    /// The whole of this store, or of what it was.
    Whole,
    /// A part of another store.
    OtherPart,
    /// Something else, in this table.
    Other(&'static str),
    /// Nothing, but a node serves it.
    Served,
    /// Nothing any more of what was brought there.
    Gone,
}

/// The database.
pub(in crate::store) struct Target {
    driver: Driver,
    client: ClientWrapper,
    name: String,
}

/// A node does not serve what is not whole.
pub(super) async fn whole(link: Link<'_>, connector: &Connector) -> std::result::Result<(), OpenError> {
    let mut pipeline = Pipeline::new(link);
    pipeline.call(MOVING, Vec::new());
    let marks = pipeline.run().await.map_err(|fault| OpenError::Refused(fault.to_string()))?;
    if marks.into_rows().is_empty() { Ok(()) } else { Err(OpenError::Moving { database: connector.name() }) }
}

impl Target {
    /// Reaches a database and makes its tables. Not to be called where tasks run: it blocks, as all of this does.
    pub(in crate::store) fn open(url: &str) -> std::result::Result<Self, OpenError> {
        let connector = Connector::parse(url)?;
        let driver = Driver::new()?;
        let reached = driver.block_on(async { Ok(open::reach(&connector).await) });
        let client = reached.map_err(|fault| OpenError::Refused(fault.to_string()))??;
        Ok(Self { driver, client, name: connector.name() })
    }

    /// Which database it is, without a password.
    pub(in crate::store) fn name(&self) -> &str {
        &self.name
    }

    /// Looks at what is there, and marks what is to become this store. One that was `brought` there once may only go on.
    pub(in crate::store) fn begin(&self, source: &Standing, brought: bool) -> Result<Found> {
        let link = self.link();
        self.driver.block_on(async {
            link.client().batch_execute("BEGIN").await?;
            let found = begin(link, source, brought).await;
            link.client().batch_execute(if found.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            let found = match found? {
                Found::Empty if is_served(link).await? => Found::Served,
                found => found,
            };
            match found {
                Found::Served => link.client().batch_execute(UNMARK).await?,
                Found::Empty | Found::Part | Found::Stale => {
                    let (first, last) = source.events.unwrap_or((source.last_cursor, source.last_cursor));
                    keep::cover(link, first, last).await?;
                }
                _ => {}
            }
            Ok(found)
        })
    }

    /// The columns of a table, in the order in which everything here takes them.
    pub(in crate::store) fn columns(&self, table: &Table) -> Result<Vec<Column>> {
        let name = format!("longrun.{}", table.name);
        let rows = self.ask(COLUMNS, vec![Value::Text(name.into())])?;
        let read = |row| {
            let mut fields = fields(row);
            let name = fields.text()?.to_owned();
            let kind = match fields.text()? {
                "bytea" => Kind::Blob,
                "text" => Kind::Text,
                _ => Kind::Int,
            };
            Ok(Column { name, kind })
        };
        rows.iter().map(read).collect()
    }

    /// The key of the last row that is there, and how many there are.
    pub(in crate::store) fn last(
        &self,
        table: &Table,
        columns: &[Column],
    ) -> Result<(Option<Vec<Cell>>, u64)> {
        let key: Vec<Column> = key(table, columns).cloned().collect();
        let names = table.key.join(", ");
        let last = format!(
            "SELECT {names} FROM longrun.{} ORDER BY {} DESC LIMIT 1",
            table.name,
            table.key.join(" DESC, ")
        );
        let last = self.ask(&last, Vec::new())?;
        let count = self.ask(&format!("SELECT count(*) FROM longrun.{}", table.name), Vec::new())?;
        let last = last.first().map(|row| cells(&mut fields(row), &key)).transpose()?;
        let count = count.first().map(|row| fields(row).small()).transpose()?;
        Ok((last, count.unwrap_or(0)))
    }

    /// Writes rows.
    pub(in crate::store) fn put(&self, table: &Table, columns: &[Column], rows: &[Vec<Cell>]) -> Result<()> {
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        let holes: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
        // A lane's number is given by the database otherwise.
        let sql = format!(
            "INSERT INTO longrun.{} ({}) OVERRIDING SYSTEM VALUE SELECT * FROM unnest({})",
            table.name,
            names.join(", "),
            holes.join(", ")
        );
        let mut values = Values::default();
        for row in rows {
            let values = values.row();
            for cell in row {
                cell.bind(values);
            }
        }
        self.driver.block_on(async {
            let mut pipeline = Pipeline::new(self.link());
            pipeline.plain(BEGIN);
            pipeline.call(&sql, values.columns());
            pipeline.plain("COMMIT");
            pipeline.run().await.map(drop)
        })
    }

    /// The sum of all rows of a table; tells of each how many there were.
    pub(in crate::store) fn sum(
        &self,
        table: &Table,
        columns: &[Column],
        mut tell: impl FnMut(u64),
    ) -> Result<Sum> {
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        let sql = format!("SELECT {} FROM longrun.{}", names.join(", "), table.name);
        self.driver.block_on(async {
            // They come as fast as they are read: none is kept.
            let rows = self.client.query_typed_raw(&sql, Vec::<(i64, _)>::new()).await?;
            let mut rows = pin!(rows);
            let mut sum = Sum::default();
            while let Some(row) = rows.next().await {
                sum.add(&mut fields(&row?), columns)?;
                tell(sum.rows);
            }
            Ok(sum)
        })
    }

    /// The last cursor that is there.
    pub(in crate::store) fn last_cursor(&self) -> Result<i64> {
        let rows = self.ask(LAST_CURSOR, Vec::new())?;
        Ok(rows.first().map(|row| fields(row).int()).transpose()?.unwrap_or(0))
    }

    /// From now on it may be served, and goes on where the other has stopped.
    pub(in crate::store) fn finish(&self, source: &Standing) -> Result<()> {
        let analyze = format!("ANALYZE {}", all_tables());
        let Standing { epoch, mark, next_seq, pruned_upto, .. } = *source;
        let keys = Value::texts(["epoch", "clock_mark", "pruned_upto"]);
        self.driver.block_on(async {
            // Nobody has counted yet; the first queries would be planned for empty tables.
            self.client.batch_execute(&analyze).await?;
            let mut pipeline = Pipeline::new(self.link());
            pipeline.plain("BEGIN");
            pipeline.call(NEXT_SEQ, vec![Value::Int(next_seq)]);
            pipeline.call(NEXT_LANE, Vec::new());
            pipeline.call(END_OWN, vec![Value::Int(mark)]);
            pipeline.call(FORGET_META, Vec::new());
            pipeline.call(PUT_LINK_KEY, vec![Value::Blob(&source.link_key.0)]);
            pipeline.call(META, vec![keys, Value::ints([i64::from(epoch), mark, pruned_upto])]);
            pipeline.plain("COMMIT");
            pipeline.run().await.map(drop)
        })
    }

    fn link(&self) -> Link<'_> {
        Link::once(&self.client)
    }

    fn ask(&self, sql: &str, values: Vec<Value<'_>>) -> Result<Vec<tokio_postgres::Row>> {
        self.driver.block_on(ask(self.link(), sql, values))
    }
}

fn all_tables() -> String {
    TABLES.map(|table| format!("longrun.{}", table.name)).join(", ")
}

fn key<'c>(table: &'c Table, columns: &'c [Column]) -> impl Iterator<Item = &'c Column> {
    table.key.iter().filter_map(|name| columns.iter().find(|column| column.name == *name))
}

async fn ask(link: Link<'_>, sql: &str, values: Vec<Value<'_>>) -> Result<Vec<tokio_postgres::Row>> {
    let mut pipeline = Pipeline::new(link);
    pipeline.call(sql, values);
    Ok(pipeline.run().await?.into_rows())
}

async fn begin(link: Link<'_>, source: &Standing, brought: bool) -> Result<Found> {
    ask(link, ALONE, Vec::new()).await?;
    let (mut epoch, mut moving_epoch, mut moving_mark) = (None, None, None);
    for row in &ask(link, MARKS, Vec::new()).await? {
        let mut fields = fields(row);
        match (fields.text()?, fields.int()?) {
            ("epoch", value) => epoch = Some(value),
            ("moving_epoch", value) => moving_epoch = Some(value),
            (_, value) => moving_mark = Some(value),
        }
    }
    let own = i64::from(source.epoch);
    let found = match moving_epoch {
        Some(epoch) if epoch != own => Found::OtherPart,
        Some(_) if moving_mark == Some(source.mark) => Found::Part,
        Some(_) => Found::Stale,
        None => match filled(link).await? {
            Some(_) if epoch == Some(own) => Found::Whole,
            Some(table) => Found::Other(table),
            None if brought => Found::Gone,
            None => Found::Empty,
        },
    };
    if found == Found::Stale {
        link.client().batch_execute(&format!("TRUNCATE {}", all_tables())).await?;
    }
    if matches!(found, Found::Empty | Found::Stale) {
        ask(link, MARK, vec![Value::Int(own), Value::Int(source.mark)]).await?;
    }
    Ok(found)
}

/// The first table that has rows.
async fn filled(link: Link<'_>) -> Result<Option<&'static str>> {
    for table in &TABLES {
        let sql = format!("SELECT 1 FROM longrun.{} LIMIT 1", table.name);
        if !ask(link, &sql, Vec::new()).await?.is_empty() {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

/// Whether a node is at work. One that has not read the mark of the move has left its own before, and leaves another soon.
pub(super) async fn is_served(link: Link<'_>) -> Result<bool> {
    let seen = async || -> Result<Option<(i64, i64)>> {
        let rows = ask(link, SEEN, Vec::new()).await?;
        let read = |row| -> Result<_> {
            let mut fields = fields(row);
            Ok((fields.int()?, fields.int()?))
        };
        rows.first().map(read).transpose()
    };
    match seen().await? {
        Some((mark, ago)) if u128::from(ago.max(0).unsigned_abs()) * 100 < LATELY.as_nanos() => {
            tokio::time::sleep(AGAIN).await;
            Ok(seen().await?.map(|(mark, _)| mark) != Some(mark))
        }
        _ => Ok(false),
    }
}
