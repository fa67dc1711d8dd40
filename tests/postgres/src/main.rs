//! `longrun-postgres COMMAND…` runs a command beside a server that all tests in it share, and gives what the command gave.

use std::process::{Command, ExitCode};

use longrun_postgres::{Postgres, SHARED};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("longrun-postgres COMMAND…");
        return ExitCode::from(2);
    };
    let status = Command::new(program).args(words).env(SHARED, Postgres::shared()).status();
    match status {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("longrun-postgres: {error}");
            ExitCode::from(127)
        }
    }
}
