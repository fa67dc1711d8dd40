//! What became of a turn whose connection was lost while it was committed: by what it wrote, if that is there.
//!
//! The transaction's id alone does not tell: after a crash the database may give it to another one. It only says whether
//! something of that id still goes on; the turn's last event, which nobody else can have written, says the rest.

use super::columns::{Value, fields};
use super::error::{Fault, Result};
use super::link::{Link, Pipeline};
use super::save::UNPLACED;
use crate::store::stored::{codes, event};
use crate::store::turn::Changes;

const STATUS: &str = "SELECT pg_xact_status($1::text::xid8)";
/// Among the latest events, of which it is one if it is any.
const WRITTEN: &str = "SELECT cursor FROM longrun.event \
     WHERE cursor > (SELECT max(cursor) FROM longrun.event) - 200000 AND seq = $1 AND version = $2 AND at = $3 AND kind = $4";

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is durable; before its events the last cursor was this.
    Durable(i64),
    /// Nothing of it is there, nor will be. Without events it may be so all the same: then it does no harm to write it again.
    Gone,
}

/// Asks for it; none: it still goes on.
pub(super) async fn fate(link: Link<'_>, transaction: &str, changes: &Changes) -> Result<Option<Fate>> {
    let goes_on = goes_on(link, transaction).await?;
    let last = event::kept(changes).last().map(|(recorded, _)| &recorded.event);
    if let Some(last) = last {
        let mut pipeline = Pipeline::new(link);
        let by = [last.operation.seq.0, last.operation.version, last.at.ticks(), codes::kind(last.kind)];
        let written = pipeline.call(WRITTEN, by.map(Value::Int).into());
        if let Some(row) = pipeline.run().await?.of(written).first() {
            return Ok(Some(Fate::Durable(fields(row).int()? - (last.cursor - UNPLACED))));
        }
    }
    Ok((!goes_on).then_some(Fate::Gone))
}

/// Whether a transaction of that id does.
async fn goes_on(link: Link<'_>, transaction: &str) -> Result<bool> {
    let mut pipeline = Pipeline::new(link);
    let status = pipeline.call(STATUS, vec![Value::Text(transaction.into())]);
    match pipeline.run().await {
        Ok(answers) => {
            let status = answers.of(status).first().and_then(|row| row.get::<_, Option<&str>>(0));
            Ok(status == Some("in progress"))
        }
        // One that the database has never heard of, or no more.
        Err(Fault::Refused(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}
