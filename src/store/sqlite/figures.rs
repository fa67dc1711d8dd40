//! How things stand: the counters summed up, the heads of the ready index, the files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::Connection;

use super::columns::fields;
use super::error::Result;
use super::reader::SqliteReader;
use super::wal::PAGE_BYTES;
use super::{counts, space, wal};
use crate::operation::{QueueName, Timestamp};
use crate::store::figures::{Count, Embedded, Figured, Figures};
use crate::store::stored::text::name;
use crate::store::{AllTenants, StoreError};

/// How long the oldest ready operations are looked for, at most.
const LOOK: Duration = Duration::from_millis(250);

const COUNTS: &str = "SELECT queue, status, held, external, sum(n) FROM counter \
     GROUP BY queue, status, held, external HAVING sum(n) > 0";
const READY: &str =
    "SELECT tenant, queue FROM counter WHERE status = 0 AND held = 0 AND external = 0 AND n > 0";

#[async_trait]
impl Figured for SqliteReader {
    async fn figures(&self, _: AllTenants) -> std::result::Result<Figures, StoreError> {
        let told = self.snapshot(|inner, connection| {
            Ok(Figures {
                counts: counts(connection)?,
                oldest_ready: oldest_ready(connection)?,
                embedded: Some(embedded(connection, &inner.file)?),
                database: None,
            })
        });
        told.await
    }
}

fn counts(connection: &Connection) -> Result<Vec<Count>> {
    let mut statement = connection.prepare_cached(COUNTS)?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        let mut fields = fields(row);
        // A name that cannot be read is one of no queue that anybody can ask for.
        let Ok(queue) = name(fields.text()?) else { continue };
        counts.push(Count {
            queue,
            status: fields.status()?,
            held: fields.flag()?,
            external: fields.flag()?,
            n: fields.small()?,
        });
    }
    Ok(counts)
}

/// Of each queue; none: the time is over.
fn oldest_ready(connection: &Connection) -> Result<Option<Vec<(QueueName, Timestamp)>>> {
    let began = Instant::now();
    let mut statement = connection.prepare_cached(READY)?;
    let mut rows = statement.query([])?;
    let mut oldest = Vec::new();
    while let Some(row) = rows.next()? {
        if began.elapsed() > LOOK {
            return Ok(None);
        }
        let mut fields = fields(row);
        let (tenant, queue) = (fields.text()?, fields.text()?);
        let Ok(queue) = name(queue) else { continue };
        oldest.extend(counts::oldest(connection, tenant, &queue)?.map(|since| (queue, since)));
    }
    Ok(Some(oldest))
}

pub(super) fn embedded(connection: &Connection, file: &Path) -> Result<Embedded> {
    let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    Ok(Embedded {
        bytes: u64::from(pages) * u64::from(PAGE_BYTES),
        log_bytes: std::fs::metadata(PathBuf::from(log)).map_or(0, |log| log.len()),
        reusable_bytes: wal::free_bytes(connection),
        free_bytes: file.parent().and_then(space::free_bytes),
    })
}
