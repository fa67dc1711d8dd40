//! `longrun cancel`.

use uuid::Uuid;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::view;

/// Ask for an operation to end
///
/// One that waits ends at once, one that runs when its worker has heard of it.
#[derive(clap::Args)]
pub(super) struct Cancel {
    /// Its id
    id: Uuid,

    #[command(flatten)]
    connection: Connection,
}

impl Cancel {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let canceled = self.connection.client()?.cancel(self.id).await;
        let canceled = canceled.map_err(|error| self.connection.failure(&error))?;
        output.show(&canceled.operation, view::table)?;
        // It may well be Failed now: that is what was asked for.
        Ok(Exit::Done)
    }
}
