//! From a URL to a store that may be used: reached, checked, brought to the latest schema.

use std::sync::Arc;
use std::time::Instant;

use deadpool_postgres::ClientWrapper;

use super::clock::DatabaseClock;
use super::columns::{Value, fields};
use super::connect::Connector;
use super::driver::Driver;
use super::error::{Fault, OpenError, Result};
use super::hints::Hints;
use super::lanes::Lanes;
use super::link::{Link, Pipeline};
use super::numbers::Numbers;
use super::points::Points;
use super::reader::PostgresReader;
use super::starts::Starts;
use super::sweep::Sweep;
use super::{PostgresStore, Resident, keep, load, migrate, target};
use crate::limits;
use crate::metrics::Metrics;
use crate::operation::Timestamp;
use crate::store::clock::{Clock, TimeSource};
use crate::store::credential::LinkKey;
use crate::store::stored::{Damage, narrow};

/// The oldest version that has what is needed.
const VERSION: i64 = 150_000;

/// What is asked of the database before it is used.
const CHECKS: &str = "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'), \
     current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_encoding')";
const META: &str = "SELECT key, value FROM longrun.meta";
const ADD_META: &str = "INSERT INTO longrun.meta (key, value) SELECT * FROM unnest($1::text[], $2::bigint[]) \
     ON CONFLICT (key) DO NOTHING";
const ADD_LINK_KEY: &str =
    "INSERT INTO longrun.secret (name, value) VALUES ('links', $1) ON CONFLICT (name) DO NOTHING";
/// The last commit with an event leaves a mark of the clock, too.
const LAST_EVENT: &str = "SELECT at FROM longrun.event ORDER BY cursor DESC LIMIT 1";
pub(super) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 10000000)::bigint";

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// Where the database is: `postgres://user:password@host:port/database?…`.
    pub url: String,
    /// Whether nodes tell each other of their commits through the database (`LISTEN`, `NOTIFY`); without it they look every
    /// second.
    pub notify: bool,
    /// Connections for reads, at most.
    pub connections: usize,
    /// A clock that tests move; none: the database's.
    pub time: Option<Arc<dyn TimeSource>>,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Options").field("notify", &self.notify).finish_non_exhaustive()
    }
}

/// Opens the store of a database, or makes it. Not to be called where tasks run: it blocks.
pub fn open(options: &Options) -> std::result::Result<(PostgresStore, Arc<PostgresReader>), OpenError> {
    let connector = Connector::parse(&options.url)?;
    let driver = Driver::new()?;
    let prepared = driver.block_on(async { Ok(prepare(&connector, options).await) });
    let (client, found) = prepared.map_err(|fault| OpenError::Refused(fault.to_string()))??;
    let Found { clock, told, epoch, mark } = found;
    let (lanes, damage) = (Arc::new(Lanes::default()), Arc::new(Damage::default()));
    let pool = connector.pool(options.connections)?;
    let metrics = options.metrics.clone();
    let hints = Hints::new(connector.clone(), pool.clone(), options.notify, metrics.clone());
    let hints = Arc::new(hints);
    let reader = PostgresReader {
        pool,
        clock: clock.clone(),
        lanes: lanes.clone(),
        damage: damage.clone(),
        epoch,
        hints: hints.clone(),
        points: Points::default(),
        metrics: metrics.clone(),
    };
    let resident = Resident {
        lanes,
        numbers: Numbers::NONE,
        clock,
        told,
        damage,
        aside: std::collections::BTreeSet::new(),
        controls: false,
        cursor: 0,
        starts: Starts::default(),
        sweep: Sweep::default(),
    };
    let store = PostgresStore {
        driver,
        connector,
        client: Some(client),
        turn: None,
        resident,
        hints,
        metrics,
        mark,
        kept: Instant::now(),
    };
    Ok((store, Arc::new(reader)))
}

/// What is known of a database that may be used.
struct Found {
    clock: Arc<Clock>,
    told: Option<Arc<DatabaseClock>>,
    epoch: u32,
    mark: Timestamp,
}

async fn prepare(
    connector: &Connector,
    options: &Options,
) -> std::result::Result<(ClientWrapper, Found), OpenError> {
    let refused = |fault: Fault| OpenError::Refused(fault.to_string());
    let client = reach(connector).await?;
    let link = Link::once(&client);
    target::whole(link, connector).await?;
    keep::keep(link).await.map_err(refused)?;
    let found = resume(link, options).await.map_err(refused)?;
    // A move that has begun since has not seen this node's mark, or sees the next ones and gives way.
    target::whole(link, connector).await?;
    Ok((client, found))
}

/// Connects, and makes sure that the database is fit and has the latest tables.
pub(super) async fn reach(connector: &Connector) -> std::result::Result<ClientWrapper, OpenError> {
    let unreachable =
        |fault: Fault| OpenError::Unreachable { database: connector.name(), what: fault.to_string() };
    let mut client = connector.connect().await.map_err(unreachable)?;
    if check(Link::once(&client)).await? {
        tracing::warn!(
            "the database runs with synchronous_commit=off: what longrun acknowledges can be lost in a crash of it"
        );
    }
    migrate::migrate(&mut client, connector.user()).await?;
    Ok(client)
}

/// Makes sure that a database is fit; whether it may lose what it has acknowledged in a crash of its own.
pub(super) async fn check(link: Link<'_>) -> std::result::Result<bool, OpenError> {
    let refused = |fault: Fault| OpenError::Refused(fault.to_string());
    let mut pipeline = Pipeline::new(link);
    let checks = pipeline.call(CHECKS, Vec::new());
    let answers = pipeline.run().await.map_err(refused)?;
    let Some(row) = answers.of(checks).first() else { return Ok(false) };
    let mut fields = fields(row);
    let mut said = || -> Result<_> {
        Ok((fields.int()?, fields.text()?, fields.text()?, fields.text()?, fields.text()?))
    };
    let (number, version, fsync, synchronous, encoding) = said().map_err(refused)?;
    if number < VERSION {
        return Err(OpenError::Version { found: version.to_owned() });
    }
    if fsync == "off" {
        return Err(OpenError::NoSync);
    }
    if encoding != "UTF8" {
        return Err(OpenError::Refused(format!("its encoding is {encoding}, not UTF8")));
    }
    Ok(synchronous == "off")
}

/// Reads the clock's mark and the epoch. Where no node has looked for so long that live workers could not be heard, leases
/// rest, so that those speak first.
async fn resume(link: Link<'_>, options: &Options) -> Result<Found> {
    let epoch = i64::from(fresh_epoch()?);
    let link_key = LinkKey::fresh().map_err(|error| Fault::Away(error.to_string()))?;
    let mut pipeline = Pipeline::new(link);
    pipeline.call(ADD_META, vec![Value::texts(["epoch"]), Value::ints([epoch])]);
    pipeline.call(ADD_LINK_KEY, vec![Value::Blob(&link_key.0)]);
    let (meta, now) = (pipeline.call(META, Vec::new()), pipeline.call(NOW, Vec::new()));
    let last_event = pipeline.call(LAST_EVENT, Vec::new());
    let answers = pipeline.run().await?;
    let (mut epoch, mut mark): (u32, Option<Timestamp>) = (0, None);
    for row in answers.of(meta) {
        let mut fields = fields(row);
        match (fields.text()?, fields.int()?) {
            ("epoch", value) => epoch = narrow(value)?,
            ("clock_mark", value) => mark = Some(Timestamp::from_ticks(value)),
            _ => {}
        }
    }
    let last_event = answers.of(last_event).first().map(|row| fields(row).time()).transpose()?;
    let mark = mark.max(last_event);
    let now = answers.of(now).first().map(|row| fields(row).time()).transpose()?.unwrap_or(Timestamp::MIN);
    let (source, told): (Arc<dyn TimeSource>, _) = if let Some(time) = &options.time {
        (time.clone(), None)
    } else {
        let told = Arc::new(DatabaseClock::new(now));
        (told.clone(), Some(told))
    };
    let clock = Arc::new(Clock::new(source, mark));
    let now = clock.now();
    let mut pipeline = Pipeline::new(link);
    if mark.is_none_or(|mark| now.since(mark) > limits::TICK_LATE) {
        let most = i64::from(limits::LEASE_REST_SECONDS_MAX);
        pipeline.call(load::REST, vec![Value::Int(now.ticks()), Value::Int(most)]);
    }
    pipeline.call(super::MARK, vec![Value::Int(now.ticks())]);
    pipeline.run().await?;
    Ok(Found { clock, told, epoch, mark: now })
}

pub(super) fn fresh_epoch() -> Result<u32> {
    let mut epoch = [0; 4];
    getrandom::fill(&mut epoch).map_err(|error| Fault::Away(error.to_string()))?;
    Ok(u32::from_le_bytes(epoch))
}
