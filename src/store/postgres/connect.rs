//! From a URL to connections.

use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{OpenError, Result};
use super::link::{SILENCE, silent};
use super::tls::{self, Trust};

/// A database that does not answer within this is away.
const CONNECT: Duration = Duration::from_secs(5);
/// What was sent and not confirmed for so long: the connection is dead.
const UNCONFIRMED: Duration = Duration::from_secs(10);
/// How long a read waits for one of the connections.
const TURN: Duration = Duration::from_secs(5);

/// How connections are made.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    /// By a URL as PostgreSQL's own programs take it.
    pub(super) fn parse(url: &str) -> std::result::Result<Self, OpenError> {
        let Parts { url, verify, roots } = Parts::of(url)?;
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            OpenError::Url(source.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("longrun");
        }
        config.keepalives_idle(UNCONFIRMED).tcp_user_timeout(UNCONFIRMED);
        let trust = if verify || roots.is_some() { Trust::Known(roots.as_deref()) } else { Trust::Anyone };
        let tls = tls::connector(&trust).map_err(OpenError::Url)?;
        Ok(Self { config, tls })
    }

    /// One connection, driven by the runtime that this is called in.
    pub(super) async fn connect(&self) -> Result<ClientWrapper> {
        // The crate's own time ends once there is a connection, before anything is said on it.
        let connecting = timeout(SILENCE, self.config.connect(self.tls.clone())).await;
        let (client, connection) = connecting.map_err(|_| silent())??;
        let driven = tokio::spawn(async move {
            // Whoever uses the client hears of it, too.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database has ended");
            }
        });
        Ok(ClientWrapper::new(client, driven))
    }

    /// A connection of its own kind: for who listens.
    pub(super) fn config(&self) -> (&Config, MakeRustlsConnect) {
        (&self.config, self.tls.clone())
    }

    /// Connections for reads, made when they are first needed.
    pub(super) fn pool(&self, connections: usize) -> std::result::Result<Pool, OpenError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), recycling);
        Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TURN))
            .create_timeout(Some(CONNECT))
            .build()
            .map_err(|error| OpenError::Refused(error.to_string()))
    }

    /// Who connects.
    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or("of the system")
    }

    /// Which database, without a password.
    pub(super) fn name(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        let ports: Vec<String> = self.config.get_ports().iter().map(ToString::to_string).collect();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!(
            "{database} at {}:{}",
            hosts.join(","),
            if ports.is_empty() { "5432".to_owned() } else { ports.join(",") }
        )
    }
}

/// A URL without what the crate does not know.
struct Parts {
    url: String,
    verify: bool,
    roots: Option<PathBuf>,
}

impl Parts {
    fn of(url: &str) -> std::result::Result<Self, OpenError> {
        let Some((place, query)) = url.split_once('?') else {
            return Ok(Self { url: url.to_owned(), verify: false, roots: None });
        };
        let (mut verify, mut roots, mut mode) = (false, None, None);
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("sslrootcert", file) => roots = Some(PathBuf::from(file)),
                // The name is verified with both: stricter than the word, never laxer.
                ("sslmode", "verify-ca" | "verify-full") => verify = true,
                ("sslmode", "allow") => {
                    return Err(OpenError::Url("sslmode=allow: say disable or prefer".to_owned()));
                }
                ("sslmode", other) => mode = Some(other.to_owned()),
                (name, value) => {
                    rest.append_pair(name, value);
                }
            }
        }
        if roots.take_if(|file| file.as_os_str() == "system").is_some() {
            // Anybody can be known to the system: it says something only together with a name.
            verify |= mode.is_none();
            if !verify {
                return Err(OpenError::Url(
                    "sslrootcert=system goes with sslmode=verify-full only".to_owned(),
                ));
            }
        }
        if let Some(mode) = if verify { Some("require") } else { mode.as_deref() } {
            rest.append_pair("sslmode", mode);
        }
        // The crate takes a space as `%20` only.
        let rest = rest.finish().replace('+', "%20");
        Ok(Self { url: format!("{place}?{rest}"), verify, roots })
    }
}
