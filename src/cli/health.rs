//! `longrun health`.

use super::connection::Connection;
use super::exit::{Exit, Failure};
use super::output::Output;

/// Ask whether the server is ready to serve
#[derive(clap::Args)]
pub(super) struct Health {
    #[command(flatten)]
    connection: Connection,
}

impl Health {
    pub(super) async fn run(self, output: &mut Output<'_>) -> Result<Exit, Failure> {
        self.connection.client()?.health().await.map_err(|error| self.connection.failure(&error))?;
        output.show(&serde_json::json!({ "status": "ready" }), |_| "ready".to_owned())?;
        Ok(Exit::Done)
    }
}
