//! What the subcommands that go on say meanwhile: on stderr, since stdout is for what a subcommand answers.

use std::io::{self, IsTerminal};

use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;

use super::exit::Failure;
use crate::settings::LogFormat;

/// How a subcommand without settings of its own logs.
#[derive(clap::Args)]
pub(super) struct Log {
    /// What is logged: a level, or levels by module as in info,longrun=debug
    #[arg(long, env = "LONGRUN_LOG", value_name = "FILTER", default_value = "info")]
    log: String,

    /// How log lines are written
    #[arg(long, env = "LONGRUN_LOG_FORMAT", value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,
}

impl Log {
    pub(super) fn begin(&self) -> Result<(), Failure> {
        begin(&self.log, self.log_format)
    }
}

/// Begins to log what speaks `tracing`, and nothing of what speaks `log`: the database's client hands that each statement
/// with its parameters, which are what users sent.
pub(super) fn begin(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| Failure::usage(format!("log: {error}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let begun = match format {
        LogFormat::Human => set_global_default(lines.with_ansi(io::stderr().is_terminal()).finish()),
        LogFormat::Json => set_global_default(lines.json().finish()),
    };
    begun.map_err(|error| Failure::usage(format!("log: {error}")))
}
