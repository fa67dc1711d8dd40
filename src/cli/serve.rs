//! `longrun serve`.

use std::sync::Arc;

use super::exit::{Exit, Failure};
use super::{files, log};
use crate::server;
use crate::settings::{Given, Settings};
use crate::store::clock::SetAhead;

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
        serve(self.given.settle().map_err(|error| Failure::usage(error.to_string()))?, None)
    }
}

/// Serves until it is told to stop, by the machine's clock or by one that clients may set ahead.
pub(super) fn serve(settings: Settings, clock: Option<Arc<SetAhead>>) -> Result<Exit, Failure> {
    log::begin(&settings.log, settings.log_format)?;
    files::ask_for_enough();
    let failed = |message: String| Failure::new(Exit::Failed, message);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(format!("cannot begin: {error}")))?;
    runtime.block_on(server::run(settings, clock)).map_err(|error| failed(error.to_string()))?;
    Ok(Exit::Done)
}
