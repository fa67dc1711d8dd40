//! What `longrun serve` is told: by flag, else by `LONGRUN_…`, else by a TOML file, else by default.
//!
//! [`Given`] is what one of these sources says, [`Settings`] what holds in the end.

mod checks;
mod programs;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::limits;
use checks::{Span, database, network, networks, origin, retention, tls, web_url};
use programs::{GivenPrograms, named_path};

pub use programs::{Program, check_executable, check_variable};

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8470);
const DATA: &str = "./longrun-data";
const WORKERS_PER_CORE: usize = 4;
const LOG: &str = "info";
const MIN_FREE: ByteSize = ByteSize::mib(256);
const GRACE_SECONDS: u64 = 10;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// An object a line.
    Json,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Switch {
    #[default]
    On,
    Off,
}

/// What one source says: the flags and the environment together, or a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Given {
    /// Address to listen on; other than loopback only once a token was made [default: 127.0.0.1:8470]
    #[arg(long, env = "LONGRUN_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Second address, for /metrics, /healthz and /readyz without a token, as in 127.0.0.1:9470 [default: none]
    #[arg(long, env = "LONGRUN_ADMIN_LISTEN", value_name = "ADDRESS:PORT")]
    admin_listen: Option<SocketAddr>,

    /// Directory of the data; made where it is missing [default: ./longrun-data]
    #[arg(long, env = "LONGRUN_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// PostgreSQL database that the data is in instead, shared by all nodes that name it:
    /// <postgres://USER:PASSWORD@HOST/DATABASE>
    #[arg(
        long,
        env = "LONGRUN_STORE",
        value_name = "postgres://USER:PASSWORD@HOST/DATABASE",
        hide_env_values = true
    )]
    store: Option<String>,

    /// Whether nodes tell each other of their commits by LISTEN and NOTIFY; off, behind a pooler that gives each
    /// transaction another connection, they look every second [default: on]
    #[arg(long, env = "LONGRUN_NOTIFY", value_name = "ON|OFF")]
    notify: Option<Switch>,

    /// Worker tasks inside the server, for the built-in operation types; 0 for none [default: 4 for each core]
    #[arg(long, env = "LONGRUN_WORKERS", value_name = "N")]
    workers: Option<usize>,

    /// URL by which clients reach the server, for links in answers [default: the host of each request]
    #[arg(long, env = "LONGRUN_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Web pages that may ask from a browser, by their origins, with commas between them
    #[arg(long, env = "LONGRUN_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Option<Vec<String>>,

    /// File of the certificate to serve TLS with, and of those that lead to its authority, in PEM form; read anew when it
    /// changes [default: none]
    #[arg(long, env = "LONGRUN_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// File of its private key, in PEM form; read anew when it changes
    #[arg(long, env = "LONGRUN_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Networks of the proxies that are believed whom they have a request from (Forwarded, X-Forwarded-…), as in
    /// 10.0.0.0/8, with commas between them [default: none]
    #[arg(long, env = "LONGRUN_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    #[serde(default, deserialize_with = "networks")]
    trusted_proxy: Option<Vec<IpNet>>,

    /// Operations that one token may create in a second, at each node [default: 10000]
    #[arg(long, env = "LONGRUN_CREATES_PER_SECOND", value_name = "N")]
    creates_per_second: Option<NonZeroU32>,

    /// Collector of OpenTelemetry that spans are sent to, by OTLP over HTTP, as in <http://127.0.0.1:4318> [default: none]
    #[arg(long, env = "LONGRUN_OTLP", value_name = "URL")]
    otlp: Option<String>,

    /// What is logged: a level, or levels by module as in info,longrun=debug [default: info]
    #[arg(long, env = "LONGRUN_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// How log lines are written [default: human]
    #[arg(long, env = "LONGRUN_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// Free space of the disk below which no operation is accepted any more, as in 256MiB [default: 256MiB]
    #[arg(long, env = "LONGRUN_MIN_FREE", value_name = "BYTES")]
    min_free: Option<ByteSize>,

    /// How long an ended operation is kept, as in 7d or 36h; at least 24h, since clients repeat within a day [default: 7d]
    #[arg(long, env = "LONGRUN_RETAIN", value_name = "SPAN")]
    retain: Option<Span>,

    /// How long events are kept, for watchers that come back; at most as long as operations [default: 3d, or as those]
    #[arg(long, env = "LONGRUN_RETAIN_EVENTS", value_name = "SPAN")]
    retain_events: Option<Span>,

    /// Seconds that running work has to end in after SIGTERM or Ctrl-C [default: 10]
    #[arg(long, env = "LONGRUN_GRACE", value_name = "SECONDS")]
    grace: Option<u64>,

    /// File of mode 0600 with a first token, where nobody can run `longrun token create`
    #[arg(long, env = "LONGRUN_FIRST_TOKEN_FILE", value_name = "FILE")]
    first_token_file: Option<PathBuf>,

    /// Program that carries out the operations of a type, run by the worker tasks; may be repeated. The settings
    /// file says more of one: its tenants, timeout, environment
    #[arg(long, env = "LONGRUN_PROGRAM", value_name = "NAME=PATH", value_parser = named_path)]
    #[serde(skip)]
    program: Vec<(String, PathBuf)>,

    #[arg(skip)]
    #[serde(default)]
    programs: GivenPrograms,

    /// TOML file with the same names as these flags; see longrun.example.toml
    #[arg(long, env = "LONGRUN_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

/// What holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to give metrics without a token.
    pub admin_listen: Option<SocketAddr>,
    /// The directory of the data.
    pub data: PathBuf,
    /// The database that the data is in instead.
    pub database: Option<Database>,
    /// How many worker tasks run inside the server.
    pub workers: usize,
    /// By what clients reach the server, without a slash at its end; none: by the host of each request.
    pub public_url: Option<String>,
    /// Origins of web pages that may ask from a browser.
    pub cors_origins: Vec<String>,
    /// What TLS is served with; none: it is not.
    pub tls: Option<TlsFiles>,
    /// Networks of proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many operations one token may create in a second.
    pub creates_per_second: u32,
    /// Where spans are sent to.
    pub otlp: Option<String>,
    /// What is logged, in the syntax of [`EnvFilter`]; it has been read once and is correct.
    pub log: String,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Free bytes of the disk below which no operation is accepted.
    pub min_free_bytes: u64,
    /// How long an operation is kept after its end.
    pub retain: Duration,
    /// How long an event is kept.
    pub retain_events: Duration,
    /// How long running work has to end in.
    pub grace: Duration,
    /// Where a first token is.
    pub first_token_file: Option<PathBuf>,
    /// What the worker tasks carry operations out with, by operation type.
    pub programs: Vec<Program>,
}

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A database that several nodes share.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// Where it is, and as whom.
    pub url: String,
    /// Whether nodes tell each other of their commits through it.
    pub notify: bool,
}

/// Without the password.
impl std::fmt::Debug for Database {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Database").field("notify", &self.notify).finish_non_exhaustive()
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {source}")]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file says something that is not understood.
    #[error("{path}:{line}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong in it.
        message: String,
    },
    /// A program cannot be one.
    #[error("program {name}: {message}")]
    Program {
        /// Its name.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A value is of no use.
    #[error("{name}: {message}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

impl Given {
    /// What holds, after the file that is named, and the defaults.
    pub fn settle(self) -> Result<Settings, SettingsError> {
        let file = self.config.as_deref().map(Self::read).transpose()?;
        self.or(file.unwrap_or_default()).with_defaults()
    }

    /// What holds for a server whose data is in a directory of its own making.
    pub fn settle_over(self, data: &Path) -> Result<Settings, SettingsError> {
        let settings = Self { data: self.data.or_else(|| Some(data.to_owned())), ..self }.settle()?;
        if settings.database.is_some() {
            Err(value("store", &"a server that keeps nothing needs none; `longrun serve` takes it"))
        } else if settings.data == data {
            Ok(settings)
        } else {
            Err(value("data", &"a server that keeps nothing has no place for it; `longrun serve` keeps it"))
        }
    }

    fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            // What is to be done stands in the first line; the others draw what the line number says.
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            SettingsError::File { path: path.to_owned(), line: before.matches('\n').count() + 1, message }
        })
    }

    /// This, and the other where this says nothing.
    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            admin_listen: self.admin_listen.or(other.admin_listen),
            data: self.data.or(other.data),
            store: self.store.or(other.store),
            notify: self.notify.or(other.notify),
            workers: self.workers.or(other.workers),
            public_url: self.public_url.or(other.public_url),
            cors_origin: self.cors_origin.or(other.cors_origin),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            trusted_proxy: self.trusted_proxy.or(other.trusted_proxy),
            creates_per_second: self.creates_per_second.or(other.creates_per_second),
            otlp: self.otlp.or(other.otlp),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            min_free: self.min_free.or(other.min_free),
            retain: self.retain.or(other.retain),
            retain_events: self.retain_events.or(other.retain_events),
            grace: self.grace.or(other.grace),
            first_token_file: self.first_token_file.or(other.first_token_file),
            program: self.program,
            programs: other.programs,
            config: self.config,
        }
    }

    fn with_defaults(self) -> Result<Settings, SettingsError> {
        let log = self.log.unwrap_or_else(|| LOG.to_owned());
        EnvFilter::try_new(&log).map_err(|error| value("log", &error))?;
        let workers = self.workers.unwrap_or_else(default_workers);
        if workers > limits::WORKER_TASKS_MAX {
            return Err(value("workers", &format!("at most {}", limits::WORKER_TASKS_MAX)));
        }
        let grace = self.grace.unwrap_or(GRACE_SECONDS);
        if grace > limits::GRACE_SECONDS_MAX {
            return Err(value("grace", &format!("at most {} seconds", limits::GRACE_SECONDS_MAX)));
        }
        let (retain, retain_events) = retention(self.retain, self.retain_events)?;
        Ok(Settings {
            listen: self.listen.unwrap_or(LISTEN),
            admin_listen: self.admin_listen,
            data: self.data.unwrap_or_else(|| PathBuf::from(DATA)),
            database: database(self.store, self.notify)?,
            workers,
            public_url: self.public_url.as_deref().map(|url| web_url("public-url", url)).transpose()?,
            cors_origins: self
                .cors_origin
                .unwrap_or_default()
                .iter()
                .map(|text| origin(text))
                .collect::<Result<_, _>>()?,
            tls: tls(self.tls_cert, self.tls_key)?,
            trusted_proxies: self.trusted_proxy.unwrap_or_default(),
            creates_per_second: self
                .creates_per_second
                .map_or(limits::TOKEN_CREATES_PER_SECOND_DEFAULT, NonZeroU32::get),
            otlp: self.otlp.as_deref().map(|url| web_url("otlp", url)).transpose()?,
            log,
            log_format: self.log_format.unwrap_or_default(),
            min_free_bytes: self.min_free.unwrap_or(MIN_FREE).as_u64(),
            retain,
            retain_events,
            grace: Duration::from_secs(grace),
            first_token_file: self.first_token_file,
            programs: programs::settle(self.program, self.programs, workers)?,
        })
    }
}

fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get) * WORKERS_PER_CORE
}

fn value(name: &'static str, message: &impl ToString) -> SettingsError {
    SettingsError::Value { name, message: message.to_string() }
}

#[cfg(test)]
mod tests;
