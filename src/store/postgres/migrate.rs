//! Brings the tables to the latest schema: one node at a time, forward only, each step in a transaction of its own.

use tokio_postgres::Client;

use super::error::{Fault, OpenError, Result, told};

/// What each schema adds to the one before it.
pub(super) const SCHEMA: [&str; 3] =
    [include_str!("schema/0001.sql"), include_str!("schema/0002.sql"), include_str!("schema/0003.sql")];

const LOCK: &str = "SELECT pg_advisory_xact_lock(7804106200)";
const VERSION: &str = "SELECT version FROM longrun.schema_version";
const FIRST: &str = "CREATE SCHEMA IF NOT EXISTS longrun; \
     CREATE TABLE IF NOT EXISTS longrun.schema_version (version bigint NOT NULL); \
     INSERT INTO longrun.schema_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM longrun.schema_version);";

/// Makes the tables, or brings them up to date.
pub(super) async fn migrate(client: &mut Client, user: &str) -> std::result::Result<(), OpenError> {
    let refused = |fault: Fault| match &fault {
        Fault::Refused(error) if error.code().is_some_and(|code| code.code() == "42501") => {
            OpenError::Rights { user: user.to_owned(), what: "make the tables of longrun", why: told(error) }
        }
        fault => OpenError::Refused(fault.to_string()),
    };
    let known = i64::try_from(SCHEMA.len()).unwrap_or(i64::MAX);
    loop {
        match step(client).await.map_err(refused)? {
            found if found > known => return Err(OpenError::Newer { found, known }),
            found if found == known => return Ok(()),
            _ => {}
        }
    }
}

/// One step, if there is one to take; the schema that the database has then.
async fn step(client: &mut Client) -> Result<i64> {
    if let Some(found) = version(client).await?
        && usize::try_from(found).is_ok_and(|found| found >= SCHEMA.len())
    {
        // The usual case asks for no right to change anything.
        return Ok(found);
    }
    let transaction = client.transaction().await?;
    // That something is there already is no news.
    transaction.batch_execute("SET LOCAL client_min_messages = warning").await?;
    transaction.batch_execute(LOCK).await?;
    transaction.batch_execute(FIRST).await?;
    let found: i64 = transaction.query_typed(VERSION, &[]).await?.first().map_or(0, |row| row.get(0));
    let next = usize::try_from(found).ok().and_then(|found| SCHEMA.get(found));
    let Some(sql) = next else { return Ok(found) };
    transaction.batch_execute(sql).await?;
    transaction.batch_execute("UPDATE longrun.schema_version SET version = version + 1").await?;
    transaction.commit().await?;
    Ok(found + 1)
}

/// The schema that the database has, if it has any.
pub(super) async fn version(client: &Client) -> Result<Option<i64>> {
    let there = "SELECT to_regclass('longrun.schema_version') IS NOT NULL";
    let rows = client.query_typed(there, &[]).await?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(None);
    }
    Ok(client.query_typed(VERSION, &[]).await?.first().map(|row| row.get(0)))
}
