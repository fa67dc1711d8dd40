//! A database that was brought back from a copy of its own tools: marked as another history, with numbers that go on far
//! beyond any that its nodes may have given since.

use super::columns::Value;
use super::connect::Connector;
use super::driver::Driver;
use super::link::{Link, Pipeline};
use super::open::{self, fresh_epoch};
use super::target;
use crate::store::backup::{BackupError, LEAP};

const META: &str = "INSERT INTO longrun.meta (key, value) SELECT 'epoch', $1 \
     UNION ALL SELECT 'clock_mark', (extract(epoch FROM clock_timestamp()) * 10000000)::bigint \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value";
/// As in the embedded store.
const LEAP_OPERATIONS: &str = "UPDATE longrun.operation SET version = version + $1, \
     token = CASE WHEN external = 0 THEN token + $1 ELSE token END WHERE status <> 2";
const LEAP_LEASES: &str = "UPDATE longrun.lease SET token = token + $1";
/// A block of them is given at a time.
const LEAP_SEQ: &str = "SELECT setval('longrun.operation_seq', nextval('longrun.operation_seq') + $1)";

/// Marks it; its name.
pub(in crate::store) fn mark(url: &str) -> Result<String, BackupError> {
    let connector = Connector::parse(url)?;
    let name = connector.name();
    let refused = |what: String| BackupError::Refused { database: name.clone(), what };
    let driver = Driver::new()?;
    let reached = driver.block_on(async {
        Ok(match open::reach(&connector).await {
            Ok(client) => target::whole(Link::once(&client), &connector).await.map(|()| client),
            Err(error) => Err(error),
        })
    });
    let client = reached.map_err(|fault| refused(fault.to_string()))??;
    let served = driver.block_on(async {
        if target::is_served(Link::once(&client)).await? {
            return Ok(true);
        }
        let leap = || vec![Value::Int(LEAP)];
        let mut pipeline = Pipeline::new(Link::once(&client));
        pipeline.plain("BEGIN");
        pipeline.call(META, vec![Value::Int(i64::from(fresh_epoch()?))]);
        pipeline.call(LEAP_OPERATIONS, leap());
        pipeline.call(LEAP_LEASES, leap());
        pipeline.call(LEAP_SEQ, leap());
        pipeline.plain("COMMIT");
        pipeline.run().await?;
        // A node that has read the old history at this very moment leaves its mark, and others after it.
        target::is_served(Link::once(&client)).await
    });
    match served {
        Ok(false) => Ok(name),
        Ok(true) => Err(BackupError::Served(name)),
        Err(fault) => Err(refused(fault.to_string())),
    }
}
