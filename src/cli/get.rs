//! `longrun get`.

use uuid::Uuid;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::wait::{self, Patience};

/// Show an operation
///
/// Ends with 1 when the operation is Failed; with --wait also with 4 when it has not ended.
#[derive(clap::Args)]
pub(super) struct Get {
    /// Its id
    id: Uuid,

    /// Wait until it has ended, at most for so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = Patience::FOREVER)]
    wait: Option<Patience>,

    #[command(flatten)]
    connection: Connection,
}

impl Get {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        let found = match self.wait {
            Some(patience) => wait::until_ended(&client, self.id, patience, output).await,
            None => client.get(self.id).await,
        };
        let found = found.map_err(|error| self.connection.failure(&error))?;
        wait::conclude(&found.operation, self.wait.is_some(), output)
    }
}
