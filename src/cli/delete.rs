//! `longrun delete`.

use uuid::Uuid;

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;

/// Remove the records of operations that have ended
///
/// Their ids and keys are free again. One that cannot be removed keeps none of the others; the exit code is then that
/// of the first.
#[derive(clap::Args)]
pub(super) struct Delete {
    /// Their ids
    #[arg(required = true)]
    ids: Vec<Uuid>,

    #[command(flatten)]
    connection: Connection,
}

impl Delete {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        let mut first = None;
        for id in &self.ids {
            match client.delete(*id).await {
                Ok(()) => output.show(&serde_json::json!({ "deleted": id }), |_| format!("{id}  deleted"))?,
                Err(error) => {
                    let failure = self.connection.failure(&error);
                    let failure = Failure { message: format!("{id}: {}", failure.message), ..failure };
                    let exit = failure.exit;
                    output.complain(&failure);
                    first = first.or(Some(exit));
                    if exit == Exit::Unreachable {
                        break;
                    }
                }
            }
        }
        Ok(first.unwrap_or(Exit::Done))
    }
}
