//! What users hand in inside their own transactions, by `longrun.submit` of the schema: a row each, until a turn takes it in.
//!
//! The turn that makes the operation locks the row and deletes it in the same commit, so that it is taken in once, whichever
//! nodes try. Who finds a row locked leaves it to the other; should that one die, the row is there again.

use super::columns::{Value, fields};
use super::error::Result;
use super::reader::PostgresReader;
use crate::limits;
use crate::store::Deposit;
use crate::store::stored::row;
use crate::store::turn::DepositNumber;

/// Locks those of a turn.
pub(super) const TAKE: &str = "SELECT n FROM longrun.inbox WHERE n = ANY ($1) FOR UPDATE SKIP LOCKED";

/// How large a value is, is known without reading it.
const AFTER: &str = "SELECT uuid_send(id), n, tenant, at, CASE WHEN bytes <= $4 THEN request END FROM ( \
         SELECT *, sum(least(bytes, $4)) OVER (ORDER BY n) - least(bytes, $4) AS before FROM ( \
             SELECT *, octet_length(request)::bigint AS bytes FROM longrun.inbox WHERE n > $1 ORDER BY n LIMIT $2) few) summed \
     WHERE before < $3 ORDER BY n";

/// Some of those after a number.
pub(super) async fn after(reader: &PostgresReader, after: DepositNumber) -> Result<Vec<Deposit>> {
    let most = i64::try_from(limits::BODY_BYTES_MAX).unwrap_or(i64::MAX);
    let values = [after, limits::DEPOSITS_CHUNK, limits::DEPOSITS_CHUNK_BYTES, most];
    let rows = reader.ask(AFTER, values.map(Value::Int).into()).await?;
    let read = |row: &tokio_postgres::Row| {
        let mut fields = fields(row);
        Ok(Deposit {
            id: row::id(&mut fields)?,
            number: fields.int()?,
            tenant: fields.text()?.to_owned(),
            at: fields.time()?,
            body: fields.maybe_text()?.map(str::to_owned),
        })
    };
    rows.iter().map(read).collect()
}
