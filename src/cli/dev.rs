//! `longrun dev`.

use std::sync::Arc;

use super::exit::{Exit, Failure};
use super::serve;
use crate::settings::Given;
use crate::store::clock::SetAhead;

/// Run a server that keeps nothing, to develop and test against
///
/// It takes the settings of `longrun serve`; its data lies in a temporary directory, which is removed when it ends.
#[derive(clap::Args)]
pub(super) struct Dev {
    /// Let clients set the clock ahead, by POST /v1.0/test/advance: what falls due on the way happens first
    #[arg(long)]
    test_clock: bool,

    #[command(flatten)]
    given: Given,
}

impl Dev {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let failed =
            |error| Failure::new(Exit::Failed, format!("no temporary directory can be made: {error}"));
        let data = tempfile::Builder::new().prefix("longrun-dev-").tempdir().map_err(failed)?;
        let settings = self.given.settle_over(data.path());
        let settings = settings.map_err(|error| Failure::usage(error.to_string()))?;
        serve::serve(settings, self.test_clock.then(|| Arc::new(SetAhead::default())))
    }
}
