//! How a subcommand that is a client finds its server.

use std::path::PathBuf;
use std::time::Duration;

use longrun_sdk::client::ClientBuilder;
use longrun_sdk::{Client, ClientError};

use super::exit::{Exit, Failure};

// Not `Debug`: it holds a token.
#[derive(clap::Args)]
pub(super) struct Server {
    /// URL of the server
    #[arg(
        long = "server",
        env = "LONGRUN_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8470"
    )]
    url: String,

    /// Token; better given by the environment, since everybody on the machine can see a command line
    #[arg(long, env = "LONGRUN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// File of the authorities to trust at an https:// URL, in PEM form [default: those that the system trusts]
    #[arg(long, env = "LONGRUN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// How a call reaches its server.
#[derive(clap::Args)]
pub(super) struct Connection {
    #[command(flatten)]
    server: Server,

    /// Seconds to go on trying in, where the server does not answer or asks to come back later
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    deadline: u32,
}

impl Connection {
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let builder = self.server.builder()?.deadline(Duration::from_secs(u64::from(self.deadline)));
        builder.build().map_err(|error| self.failure(&error))
    }

    /// What to say where a call came to nothing.
    pub(super) fn failure(&self, error: &ClientError) -> Failure {
        self.server.failure(error)
    }
}

impl Server {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Begins a client of it.
    pub(super) fn builder(&self) -> Result<ClientBuilder, Failure> {
        let mut builder = Client::builder(self.url());
        if let Some(token) = self.token() {
            builder = builder.token(token);
        }
        if let Some(ca) = &self.ca {
            let pem = std::fs::read(ca).map_err(|error| {
                Failure::usage(format!("the authorities' file {} cannot be read: {error}", ca.display()))
            })?;
            builder = builder.authorities(pem);
        }
        Ok(builder)
    }

    pub(super) fn failure(&self, error: &ClientError) -> Failure {
        self.advise(Failure::of_call(error, &self.url))
    }

    /// What may help against a failure.
    pub(super) fn advise(&self, mut failure: Failure) -> Failure {
        if failure.exit == Exit::NotAllowed && self.token().is_none() {
            failure.message.push_str("; give one by LONGRUN_TOKEN or --token");
        }
        failure
    }

    /// An empty variable is how scripts say that there is none.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref().filter(|token| !token.is_empty())
    }
}
