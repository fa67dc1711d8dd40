//! `longrun serve`.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::exit::{Exit, Failure};
use super::files;
use crate::server;
use crate::settings::{Given, LogFormat, Settings};

/// Run the server
///
/// Each setting is taken from its flag, else from its LONGRUN_… variable, else from the settings file, else it has its
/// default.
#[derive(clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    given: Given,
}

impl Serve {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let settings = self.given.settle().map_err(|error| Failure::usage(error.to_string()))?;
        log(&settings)?;
        files::ask_for_enough();
        let failed = |message: String| Failure::new(Exit::Failed, message);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(format!("cannot begin: {error}")))?;
        runtime.block_on(server::run(settings)).map_err(|error| failed(error.to_string()))?;
        Ok(Exit::Done)
    }
}

/// Begins to log, on stderr: stdout is for what a subcommand answers.
fn log(settings: &Settings) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_new(&settings.log).map_err(|error| Failure::usage(format!("log: {error}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
