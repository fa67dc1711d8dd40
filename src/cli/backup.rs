//! `longrun backup` and `longrun restore`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::output::{self, Output};
use crate::store::backup::{self, BackupError, Copied, Told};
use crate::store::postgres;

/// What is said of a database.
const OWN_TOOLS: &str = "a database is copied by its own tools: pg_dump --format=custom --schema=longrun, or pg_basebackup \
     with its write-ahead log archived; once a copy of it is back, and before a node serves it, run \
     `longrun restore --mark --store …`";

/// Copy the data of an embedded server, while it runs or not
///
/// Everything that was acknowledged before is in the copy, which was read again and is durable when this ends. It is one
/// file, for `longrun restore`.
#[derive(clap::Args)]
pub(super) struct Backup {
    /// The copy; nothing may be there yet
    file: PathBuf,

    /// Directory of the server's data
    #[arg(long, env = "LONGRUN_DATA", value_name = "DIR", default_value = "./longrun-data")]
    data: PathBuf,

    /// The database of nodes that share one: it is not copied, but told how to
    #[arg(long, env = "LONGRUN_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
}

/// Bring a copy back, into an empty data directory
///
/// Stop the workers and the server first. What happened after the copy is forgotten, so operations that had ended may run
/// again. Watchers that come back are told to begin anew (`reset`), and what workers still report on attempts of before is
/// refused.
#[derive(clap::Args)]
pub(super) struct Restore {
    /// The copy, as `longrun backup` made it
    #[arg(required_unless_present = "mark", conflicts_with = "mark")]
    file: Option<PathBuf>,

    /// Bring nothing back, but mark what other tools brought back: a snapshot of a data directory, or a database
    #[arg(long)]
    mark: bool,

    /// Directory of the server's data; made where it is missing
    #[arg(long, env = "LONGRUN_DATA", value_name = "DIR", default_value = "./longrun-data")]
    data: PathBuf,

    /// With --mark: the database of nodes that share one
    #[arg(long, env = "LONGRUN_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
}

impl Backup {
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        if self.store.is_some() {
            return Err(Failure::usage(OWN_TOOLS));
        }
        let began = Instant::now();
        let copied = backup::back_up(&self.data, &self.file, &mut |told| tell(output, told));
        output.end_progress();
        let report = Report::new(&self.file, &copied.map_err(|error| failure(&error))?, began);
        output.show(&report, |report| report.table("copied to"))?;
        Ok(Exit::Done)
    }
}

impl Restore {
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        match (&self.file, &self.store) {
            (Some(_), Some(_)) => Err(Failure::usage(OWN_TOOLS)),
            (Some(file), None) => {
                let began = Instant::now();
                let copied = backup::restore(file, &self.data, &mut |told| tell(output, told));
                output.end_progress();
                let report = Report::new(&self.data, &copied.map_err(|error| failure(&error))?, began);
                output.show(&report, |report| report.table("restored into"))?;
                output.note("it may be served now");
                Ok(Exit::Done)
            }
            (None, Some(url)) => {
                let name = backup::mark_database(url).map_err(|error| failure(&error))?;
                marked(output, &format!("the database {name}"))
            }
            (None, None) => {
                backup::mark(&self.data).map_err(|error| failure(&error))?;
                marked(output, &self.data.display().to_string())
            }
        }
    }
}

fn marked(output: &mut Output<'_>, place: &str) -> Result<Exit, Failure> {
    let report = serde_json::json!({ "marked": place });
    output.show(&report, |_| format!("{place} is marked as restored, and may be served now"))?;
    Ok(Exit::Done)
}

fn failure(error: &BackupError) -> Failure {
    let exit = match error {
        BackupError::NoStore(_)
        | BackupError::Exists(_)
        | BackupError::NotEmpty { .. }
        | BackupError::NotACopy(_)
        | BackupError::Database(postgres::OpenError::Url(_)) => Exit::Usage,
        BackupError::Database(postgres::OpenError::Unreachable { .. }) => Exit::Unreachable,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

fn tell(output: &mut Output<'_>, told: Told) {
    match told {
        Told::Copying { bytes, of } => {
            #[allow(clippy::cast_precision_loss)] // Cut to what a bar can show.
            let percent = bytes as f64 * 100.0 / of.max(1) as f64;
            output.advance(percent, &format!("copying: {} of {}", size(bytes), size(of)));
        }
        Told::Checking => output.advance(100.0, "reading the copy again"),
    }
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).to_string()
}

/// What was copied.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    place: String,
    bytes: u64,
    operations: u64,
    last_event: i64,
    seconds: f64,
}

impl Report {
    fn new(place: &Path, copied: &Copied, began: Instant) -> Self {
        Self {
            place: place.display().to_string(),
            bytes: copied.bytes,
            operations: copied.operations,
            last_event: copied.last_cursor,
            seconds: began.elapsed().as_secs_f64(),
        }
    }

    fn table(&self, done: &str) -> String {
        let fields = [
            (done, self.place.clone()),
            ("size", size(self.bytes)),
            ("operations", self.operations.to_string()),
            ("last event", self.last_event.to_string()),
            ("seconds", format!("{:.1}", self.seconds)),
        ];
        output::table(&[], fields.map(|(name, value)| [name.to_owned(), value]))
    }
}
