//! `longrun bench`.

use super::exit::{Exit, Failure};
use super::files;
use crate::bench;

/// Measure this machine's speed
///
/// Starts servers of its own in temporary directories and drives them as real clients do. Speed is shown as ratios
/// within one run. Nothing else should run meanwhile.
#[derive(clap::Args)]
pub(super) struct Bench {
    #[command(flatten)]
    arguments: bench::Arguments,
}

impl Bench {
    pub(super) fn run(self, json: bool) -> Result<Exit, Failure> {
        files::ask_for_enough();
        let failed = |message: String| Failure::new(Exit::Failed, message);
        // Clients take one core at most; what is measured may have all of them.
        let mut runtime = if self.arguments.serves() {
            tokio::runtime::Builder::new_multi_thread()
        } else {
            tokio::runtime::Builder::new_current_thread()
        };
        let runtime =
            runtime.enable_all().build().map_err(|error| failed(format!("cannot begin: {error}")))?;
        runtime.block_on(bench::run(self.arguments, json)).map_err(|error| failed(error.to_string()))?;
        Ok(Exit::Done)
    }
}
