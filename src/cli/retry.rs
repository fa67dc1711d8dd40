//! `longrun retry`.

use uuid::Uuid;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::view;

/// Give a failed operation all its attempts again
#[derive(clap::Args)]
pub(super) struct Retry {
    /// Its id
    id: Uuid,

    #[command(flatten)]
    connection: Connection,
}

impl Retry {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let retried = self.connection.client()?.retry(self.id).await;
        let retried = retried.map_err(|error| self.connection.failure(&error))?;
        output.show(&retried.operation, view::table)?;
        Ok(Exit::Done)
    }
}
