//! `longrun move`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::output::{self, Output};
use crate::store::moving::{self, MoveError, Moved, Portion, Told};
use crate::store::postgres;

/// Move a stopped server's data to a PostgreSQL database that nodes share
///
/// Everything goes along: operations, their history, tokens, queues, leases, cursors. Both sides are compared at the end;
/// only then may the database be served, and the data directory no more. When it is interrupted, run it again: it goes on.
#[derive(clap::Args)]
pub(super) struct Move {
    /// The server's data: sqlite:DIR, with what was its --data
    #[arg(long, value_name = "sqlite:DIR")]
    from: Embedded,

    /// An empty database; better by the variable, since everybody on the machine can see a command line
    #[arg(
        long,
        env = "LONGRUN_STORE",
        value_name = "postgres://USER:PASSWORD@HOST/DATABASE",
        hide_env_values = true
    )]
    to: String,
}

/// The data directory of an embedded store.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Embedded(PathBuf);

impl FromStr for Embedded {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite:") {
            Some(directory) if !directory.is_empty() => Ok(Self(directory.into())),
            _ => Err("must be sqlite: and a server's data directory, as in sqlite:./longrun-data".to_owned()),
        }
    }
}

impl Move {
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        if !self.to.starts_with("postgres://") && !self.to.starts_with("postgresql://") {
            // It may hold a password all the same, so it is not repeated.
            return Err(Failure::usage("--to must be a URL such as postgres://longrun@db.example/longrun"));
        }
        let Embedded(directory) = self.from;
        let began = Instant::now();
        let moved = moving::carry(&directory, &self.to, &mut |told| tell(output, told));
        output.end_progress();
        let moved = moved.map_err(|error| Failure::new(exit(&error), error.to_string()))?;
        output.show(&Report::new(&directory, &moved, began.elapsed().as_secs_f64()), Report::table)?;
        output.note("the database may be served now, by longrun serve --store; the data directory no more");
        Ok(Exit::Done)
    }
}

fn exit(error: &MoveError) -> Exit {
    match error {
        MoveError::NoStore(_) | MoveError::To(postgres::OpenError::Url(_)) => Exit::Usage,
        MoveError::To(postgres::OpenError::Unreachable { .. }) | MoveError::Away(_) => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

/// Tells how far it is: by a bar, or a line for each table.
fn tell(output: &mut Output<'_>, told: Told) {
    match told {
        Told::GoesOn => output.tell("an unfinished move goes on"),
        Told::BeginsAnew => output.tell("the store was served since the move began: it begins anew"),
        Told::Carried(portion) => advance(output, "moving", portion),
        Told::Compared(portion) => advance(output, "comparing", portion),
    }
}

fn advance(output: &mut Output<'_>, doing: &str, Portion { table, rows, of }: Portion) {
    if output.is_live() {
        #[allow(clippy::cast_precision_loss)] // Cut to what a bar can show.
        let percent = if of == 0 { 100.0 } else { rows as f64 * 100.0 / of as f64 };
        output.advance(percent, &format!("{doing} {table}: {rows} of {of} rows"));
    } else if rows >= of {
        output.tell(&format!("{doing} {table}: {rows} rows"));
    }
}

/// What was moved.
#[derive(Serialize)]
struct Report {
    from: String,
    to: String,
    tables: Vec<Row>,
    seconds: f64,
}

#[derive(Serialize)]
struct Row {
    table: &'static str,
    rows: u64,
    checksum: String,
}

impl Report {
    fn new(from: &Path, moved: &Moved, seconds: f64) -> Self {
        let rows = moved.tables.iter().map(|table| Row {
            table: table.table,
            rows: table.rows,
            checksum: table.sum.clone(),
        });
        let tables = rows.collect();
        Self { from: from.display().to_string(), to: moved.database.clone(), tables, seconds }
    }

    fn table(&self) -> String {
        let rows = self.tables.iter();
        let rows = rows.map(|row| [row.table.to_owned(), row.rows.to_string(), row.checksum.clone()]);
        let all: u64 = self.tables.iter().map(|row| row.rows).sum();
        format!(
            "{}\n\n{all} rows are the same in {} and in the database {}, after {:.1} s",
            output::table(&["TABLE", "ROWS", "CHECKSUM"], rows),
            self.from,
            self.to,
            self.seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_data_directory_is_moved_from() {
        assert_eq!("sqlite:./data".parse(), Ok(Embedded("./data".into())));
        for wrong in ["./data", "sqlite:", "postgres://db/longrun", ""] {
            assert!(wrong.parse::<Embedded>().is_err(), "{wrong}");
        }
    }
}
