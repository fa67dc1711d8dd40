//! Puts the rooms together and serves: the store, the tracker over it, the routes, the server's own worker tasks. Ends
//! when it is told to, or when the store has failed.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use longrun_sdk::{CancellationToken, WorkerError};
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::adoption::Adoption;
use crate::auth::socket::{SocketPathTooLong, socket_path};
use crate::auth::{FirstTokenError, Keys, Links, ListenRefused, check_listen, first_token};
use crate::http::connection::{Certificate, CertificateError, Listener, TlsListener};
use crate::http::{self, App, Parts, Proxies, Quotas, Registry, connection};
use crate::limits;
use crate::metrics::Metrics;
use crate::settings::{Database, Settings};
use crate::store::clock::{Machine, SetAhead, TimeSource};
use crate::store::{AllTenants, Reader, Store, StoreError, postgres, sqlite};
use crate::tasks;
use crate::traces::{Traces, TracesError};
use crate::tracker::{Options, Retention, Tracker};

/// Of the grace time, what is kept for delivering the last reports and closing the store.
const CLOSING: Duration = Duration::from_secs(1);

/// Why the server does not serve, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] sqlite::OpenError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address is open to others, and no token was made.
    #[error(transparent)]
    Listen(#[from] ListenRefused),
    /// The first token's file is not taken.
    #[error(transparent)]
    FirstToken(#[from] FirstTokenError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS cannot be spoken.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The socket's path is too long.
    #[error(transparent)]
    SocketPath(#[from] SocketPathTooLong),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server's own worker tasks cannot be made.
    #[error(transparent)]
    Tasks(#[from] WorkerError),
    /// Spans cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The system refuses something else.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM, Ctrl-C or a failure of the store; by a clock that its clients may set ahead, if one is given.
pub async fn run(settings: Settings, clock: Option<Arc<SetAhead>>) -> Result<(), ServeError> {
    let (mut stop, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let time: Arc<dyn TimeSource> = match &clock {
        Some(clock) => clock.clone(),
        None => Arc::new(Machine::default()),
    };
    let retention = Retention { operations: settings.retain, events: settings.retain_events };
    let many = settings.database.is_some();
    let metrics = Arc::new(match &settings.database {
        Some(database) => Metrics::over_database(database.notify),
        None => Metrics::default(),
    });
    let _held = hold_directory(&settings)?;
    let (store, reader) = open(&settings, time, metrics.clone()).await?;
    let traces = settings.otlp.as_deref().map(Traces::to).transpose()?.map(Arc::new);
    let options = Options { retention, clock, many, metrics, traces, ..Options::default() };
    let running = Running::start(&settings, store, reader, options).await?;
    running.announce(&settings);
    tell_supervisor(&[NotifyState::Ready, NotifyState::Status(&format!("listens on {}", running.address))]);
    let tracker = running.tracker.clone();
    tokio::select! {
        _ = stop.recv() => tracing::info!("stopping: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: Ctrl-C"),
        () = tracker.failed() => {
            running.stop(Duration::ZERO).await;
            return Err(StoreError::Failed("see the log".to_owned()).into());
        }
    }
    tell_supervisor(&[NotifyState::Stopping]);
    running.stop(settings.grace).await;
    Ok(())
}

/// Tells whoever started this process how it stands, if they asked by `NOTIFY_SOCKET` as systemd does (`sd_notify(3)`).
fn tell_supervisor(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the supervisor that NOTIFY_SOCKET names cannot be told");
    }
}

/// Of a node over a database only the socket is in its directory, and no other server's. An embedded store holds its own.
fn hold_directory(settings: &Settings) -> Result<Option<File>, ServeError> {
    if settings.database.is_none() {
        return Ok(None);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&settings.data)?;
    Ok(Some(sqlite::hold(&settings.data)?))
}

/// The two halves of the store that the settings name.
async fn open(
    settings: &Settings,
    time: Arc<dyn TimeSource>,
    metrics: Arc<Metrics>,
) -> Result<(Box<dyn Store>, Arc<dyn Reader>), ServeError> {
    let Some(Database { url, notify }) = settings.database.clone() else {
        let directory = settings.data.clone();
        let options = sqlite::Options { directory, min_free_bytes: settings.min_free_bytes, time };
        let (store, reader) = sqlite::open(options)?;
        return Ok((Box::new(store), reader));
    };
    let connections = limits::DATABASE_READS_MAX;
    let options = postgres::Options { url, notify, connections, time: None, metrics };
    // It waits for the database.
    let opening = tokio::task::spawn_blocking(move || postgres::open(&options)).await;
    let (store, reader) = opening.map_err(|error| io::Error::other(error.to_string()))??;
    Ok((Box::new(store), reader))
}

/// Serves an application and nothing around it, for as long as it is polled.
pub async fn serve_app(app: App, listener: TcpListener) {
    let metrics = app.tracker.metrics().clone();
    connection::serve(listener, http::router(app), metrics, CancellationToken::new(), Duration::ZERO).await;
}

/// A server that runs in this process.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it gives its metrics without a token, if anywhere.
    pub admin_address: Option<SocketAddr>,
    /// The door to its operations.
    pub tracker: Tracker,
    keys: Arc<Keys>,
    intake: JoinHandle<()>,
    shutdown: CancellationToken,
    parts: JoinSet<()>,
    socket: PathBuf,
}

impl Running {
    /// Starts over a store: what the tests and the binary have in common.
    pub async fn start(
        settings: &Settings,
        store: Box<dyn Store>,
        reader: Arc<dyn Reader>,
        options: Options,
    ) -> Result<Self, ServeError> {
        let kept = reader.registry(AllTenants).await?;
        let keys = Arc::new(Keys::new(kept.credentials));
        // Every store that was opened has one.
        let link_key = kept.link_key.ok_or(StoreError::Damaged)?;
        let links = Links::new(link_key, reader.history().await?.epoch);
        if let Some(file) = &settings.first_token_file {
            keys.put_first(first_token(file, reader.now())?)?;
        }
        check_listen(settings.listen, keys.is_open())?;
        let doors = Doors::open(settings).await?;
        let (address, admin_address, socket) = (doors.address, doors.admin_address, doors.socket.clone());

        let many = options.many;
        let (tracker, intake) = Tracker::open(store, reader.clone(), options).await?;
        let shutdown = CancellationToken::new();
        let metrics = tracker.metrics().clone();
        let mut beside =
            Beside { parts: JoinSet::new(), shutdown: shutdown.clone(), metrics, grace: settings.grace };
        let registry = many.then(|| Registry::new(tracker.clone(), keys.clone()));
        if let Some(registry) = registry.clone() {
            beside.follow(registry.follow());
            let adoption = Adoption::new(tracker.clone(), reader);
            beside.follow(async move { adoption.follow().await });
        }
        beside.follow(note_uses(tracker.clone(), keys.clone()));
        let app = App::new(Parts {
            tracker: tracker.clone(),
            keys: keys.clone(),
            links,
            registry,
            public_url: settings.public_url.as_deref().map(Arc::from),
            quotas: Arc::new(Quotas::new(settings.creates_per_second)),
            proxies: Proxies::new(settings.trusted_proxies.clone()),
            // An origin that was read is fit for a header.
            cors_origins: settings.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect(),
        });
        doors.serve(app, &mut beside)?;
        if settings.workers > 0 {
            let grace = settings.grace.saturating_sub(CLOSING);
            for worker in tasks::workers(&tracker, &settings.programs, settings.workers, grace)? {
                let running = worker.run_until(shutdown.clone());
                beside.parts.spawn(async move {
                    if let Err(error) = running.await {
                        tracing::error!(%error, "the server's own worker tasks have ended");
                    }
                });
            }
        }
        Ok(Self { address, admin_address, tracker, keys, intake, shutdown, parts: beside.parts, socket })
    }

    /// Says on standard output where it is and what to try.
    fn announce(&self, settings: &Settings) {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.address);
        let data = std::fs::canonicalize(&settings.data).unwrap_or_else(|_| settings.data.clone());
        println!("Longrun listens on {url}");
        if settings.database.is_some() {
            println!(
                "its data is in the database; only the socket to administer it is in {}",
                data.display()
            );
        } else {
            println!("its data is in {}", data.display());
        }
        if let Some(address) = self.admin_address {
            println!("its metrics, without a token: http://{address}/metrics");
        }
        if self.keys.is_open() {
            println!("no token was made: it serves this machine only, as tenant default with every scope");
            println!("try: curl -i {url}/v1.0/operations -H 'Content-Type: application/json' -d '{{}}'");
        } else {
            println!(
                "try: curl -i {url}/v1.0/operations -H 'Content-Type: application/json' \
                 -H \"Authorization: Bearer $LONGRUN_TOKEN\" -d '{{}}'"
            );
        }
        if self.tracker.can_travel() {
            println!(
                "an hour ahead: curl {url}/v1.0/test/advance -H 'Content-Type: application/json' -d '{{\"seconds\":3600}}'"
            );
        }
    }

    /// Ends within the grace time: no more claims and connections, what runs may finish or is given back, what was taken
    /// in is carried out.
    pub async fn stop(mut self, grace: Duration) {
        self.tracker.drain();
        self.shutdown.cancel();
        let ended =
            tokio::time::timeout(grace, async { while self.parts.join_next().await.is_some() {} }).await;
        if ended.is_err() && !grace.is_zero() {
            tracing::warn!("the grace time is over; what still runs is left to the ends of its leases");
        }
        // Their ends are waited for: a call that is cut short gives back what it took.
        self.parts.shutdown().await;
        note_used(&self.tracker, &self.keys).await;
        self.tracker.close();
        // Its name would only mislead: the next server makes it anew.
        let _ = std::fs::remove_file(&self.socket);
        let (intake, traces) = (self.intake, self.tracker.traces().cloned());
        let ended = tokio::task::spawn_blocking(move || {
            let ended = intake.join();
            if let Some(traces) = traces {
                traces.close();
            }
            ended
        });
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("the intake loop ended in a panic");
        }
    }
}

/// What goes on beside the intake loop, until the shutdown.
struct Beside {
    parts: JoinSet<()>,
    shutdown: CancellationToken,
    metrics: Arc<Metrics>,
    grace: Duration,
}

impl Beside {
    /// Something that never ends by itself.
    fn follow(&mut self, going: impl Future<Output = ()> + Send + 'static) {
        let ending = self.shutdown.clone();
        self.parts.spawn(async move { ending.run_until_cancelled(going).await.unwrap_or(()) });
    }

    fn serve(&mut self, listener: impl Listener + Sync, router: Router) {
        let (metrics, shutdown) = (self.metrics.clone(), self.shutdown.clone());
        self.parts.spawn(connection::serve(listener, router, metrics, shutdown, self.grace));
    }
}

/// Everything that the server listens on.
struct Doors {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Option<Arc<Certificate>>,
    open: Option<TcpListener>,
    admin_address: Option<SocketAddr>,
    admin: UnixListener,
    socket: PathBuf,
}

impl Doors {
    async fn open(settings: &Settings) -> Result<Self, ServeError> {
        let certificate =
            settings.tls.as_ref().map(|files| Certificate::open(&files.certificate, &files.key));
        let certificate = certificate.transpose()?;
        let (listener, address) = bind(settings.listen).await?;
        let (open, admin_address) = match settings.admin_listen {
            Some(address) => bind(address).await.map(|(listener, bound)| (Some(listener), Some(bound)))?,
            None => (None, None),
        };
        let socket = socket_path(&settings.data)?;
        let admin = bind_socket(&socket)?;
        Ok(Self { listener, address, certificate, open, admin_address, admin, socket })
    }

    fn serve(self, app: App, beside: &mut Beside) -> Result<(), ServeError> {
        beside.serve(self.admin, http::admin_router(app.clone()));
        if let Some((listener, address)) = self.open.zip(self.admin_address) {
            beside.serve(listener, http::open_router(app.clone(), address.ip().is_loopback()));
        }
        let router = http::router(app);
        if let Some(certificate) = self.certificate {
            beside.serve(TlsListener::new(self.listener, certificate.clone())?, router);
            beside.follow(async move { certificate.follow().await });
        } else {
            beside.serve(self.listener, router);
        }
        Ok(())
    }
}

/// Stores again and again which tokens were used.
async fn note_uses(tracker: Tracker, keys: Arc<Keys>) {
    loop {
        tokio::time::sleep(limits::TOKENS_USED_WRITTEN_EVERY).await;
        note_used(&tracker, &keys).await;
    }
}

/// Stores which tokens were used since that was last done.
async fn note_used(tracker: &Tracker, keys: &Keys) {
    let used = keys.used(tracker.reader().now());
    if !used.is_empty()
        && let Err(error) = tracker.put_tokens_used(used).await
    {
        tracing::debug!(%error, "which tokens were used cannot be stored just now");
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// The socket of the machine's own requests. One that a killed server left behind goes: the directory is ours.
fn bind_socket(path: &PathBuf) -> Result<UnixListener, ServeError> {
    let _ = std::fs::remove_file(path);
    let bound = UnixListener::bind(path).and_then(|listener| {
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map(|()| listener)
    });
    bound.map_err(|source| ServeError::Bind { address: path.display().to_string(), source })
}
