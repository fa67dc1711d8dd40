//! Looks at a database before a node uses it, and changes nothing.

use super::columns::fields;
use super::connect::Connector;
use super::driver::Driver;
use super::error::{Fault, OpenError};
use super::link::Link;
use super::migrate::{self, SCHEMA};
use super::{open, target};
use crate::operation::Timestamp;

/// What was found.
#[derive(Debug, Clone)]
pub struct Examined {
    /// Its name, without a password.
    pub name: String,
    /// Its schema, if it has one, and the latest one of this version.
    pub schema: (Option<i64>, i64),
    /// Whether it may lose in a crash of its own what it has acknowledged.
    pub loses: bool,
    /// What its clock says, and this machine's.
    pub clocks: (Timestamp, Timestamp),
}

/// Examines the database that a URL names. It blocks: not to be called where tasks run.
pub fn examine(url: &str) -> std::result::Result<Examined, OpenError> {
    let connector = Connector::parse(url)?;
    let name = connector.name();
    let driver = Driver::new()?;
    let refused = |fault: Fault| OpenError::Refused(fault.to_string());
    let examined = driver.block_on(async {
        let client = match connector.connect().await {
            Ok(client) => client,
            Err(fault) => {
                return Ok(Err(OpenError::Unreachable { database: name.clone(), what: fault.to_string() }));
            }
        };
        let loses = match open::check(Link::once(&client)).await {
            Ok(loses) => loses,
            Err(error) => return Ok(Err(error)),
        };
        let schema = migrate::version(&client).await?;
        if schema.is_some()
            && let Err(error) = target::whole(Link::once(&client), &connector).await
        {
            return Ok(Err(error));
        }
        let told = client.query_typed(open::NOW, &[]).await?;
        let now = told.first().map(|row| fields(row).time()).transpose()?.unwrap_or(Timestamp::MIN);
        let known = i64::try_from(SCHEMA.len()).unwrap_or(i64::MAX);
        let clocks = (now, Timestamp::wall());
        Ok(Ok(Examined { name: name.clone(), schema: (schema, known), loses, clocks }))
    });
    let examined = examined.map_err(refused)??;
    match examined.schema {
        (Some(found), known) if found > known => Err(OpenError::Newer { found, known }),
        _ => Ok(examined),
    }
}
