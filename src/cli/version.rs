//! `longrun version`.

use super::exit::{Exit, Failure};
use super::output::Output;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Show the version of this program
#[derive(clap::Args)]
pub(super) struct Version {}

impl Version {
    // By value like every other subcommand.
    #[allow(clippy::unused_self)]
    pub(super) fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let version = serde_json::json!({ "name": "longrun", "version": VERSION });
        output.show(&version, |_| format!("longrun {VERSION}"))?;
        Ok(Exit::Done)
    }
}
