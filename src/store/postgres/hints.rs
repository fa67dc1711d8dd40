//! How a node hears of other nodes' commits before it looks by itself: through the database.
//!
//! A hint says only that there may be something new. It may be late or get lost, and behind a pooler that gives each
//! transaction another connection none arrives: who waits for one looks every second all the same.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::AsyncMessage;

use super::connect::Connector;
use super::error::{Fault, Result};
use crate::metrics::Metrics;

/// A node tells others of its commits at most this often.
const TELL_EVERY: Duration = Duration::from_millis(10);
/// A node that listens hears what it says itself within this, or nothing ever.
const ECHO: Duration = Duration::from_secs(1);
/// How often it is seen whether the connection is still there.
const ALIVE: Duration = Duration::from_secs(30);
/// How long it takes until a lost connection is made again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long it takes until a place where nothing is heard is tried again.
const DEAF: Duration = Duration::from_mins(5);

/// What `longrun.submit` of the schema says.
const DEPOSIT: &str = "inbox";

const LISTEN: &str = "LISTEN longrun";
const UNLISTEN: &str = "UNLISTEN *";

/// The hints of one node.
pub(super) struct Hints {
    pub(super) line: Arc<Line>,
    /// Those who listen and tell; they end with this.
    tasks: OnceLock<JoinSet<()>>,
}

/// What goes in and out.
pub(super) struct Line {
    connector: Connector,
    pool: Pool,
    /// Whether others are told and listened to.
    notify: bool,
    metrics: Arc<Metrics>,
    /// This node, as it says itself, to know its own voice by.
    name: String,
    /// Another node has committed something.
    heard: watch::Sender<()>,
    /// What is said on one connection is heard on another: they are sessions.
    sessions: AtomicBool,
    /// Something was handed in without a node.
    deposits: watch::Sender<()>,
    /// Its own voice came back.
    echo: watch::Sender<()>,
    /// There is something to tell.
    news: Notify,
}

impl Hints {
    pub(super) fn new(connector: Connector, pool: Pool, notify: bool, metrics: Arc<Metrics>) -> Self {
        let line = Line {
            connector,
            pool,
            notify,
            metrics,
            name: format!("{:016x}", fastrand::u64(..)),
            heard: watch::Sender::new(()),
            sessions: AtomicBool::new(false),
            deposits: watch::Sender::new(()),
            echo: watch::Sender::new(()),
            news: Notify::new(),
        };
        Self { line: Arc::new(line), tasks: OnceLock::new() }
    }

    /// This node has committed events.
    pub(super) fn tell(&self) {
        self.line.news.notify_one();
    }

    /// Whether connections are known to be sessions of the database, and not a pooler's.
    pub(super) fn are_sessions(&self) -> bool {
        self.line.sessions.load(Ordering::Relaxed)
    }

    /// Changes with every commit of another node that is heard of from now on. The runtime in which this is called first is the one that
    /// listens and tells.
    pub(super) fn heard(&self) -> watch::Receiver<()> {
        if self.line.notify {
            self.tasks.get_or_init(|| {
                let mut tasks = JoinSet::new();
                tasks.spawn(tell(self.line.clone()));
                tasks.spawn(listen(self.line.clone()));
                tasks
            });
        }
        self.line.heard.subscribe()
    }

    /// Changes with every deposit that is heard of, once somebody listens.
    pub(super) fn deposits(&self) -> watch::Receiver<()> {
        self.line.deposits.subscribe()
    }
}

/// Tells others of commits: of the first one at once, of those that follow soon together.
async fn tell(line: Arc<Line>) {
    loop {
        line.news.notified().await;
        if let Err(fault) = line.say().await {
            tracing::debug!(%fault, "the other nodes were not told of a commit");
        }
        sleep(TELL_EVERY).await;
    }
}

/// Listens, over every loss of the connection.
async fn listen(line: Arc<Line>) {
    let mut pause = AGAIN.0;
    let mut is_deaf = false;
    loop {
        let mut heard = false;
        let end = line.listen(&mut heard).await;
        let counted = &line.metrics.database;
        counted.listener_up.set(0);
        if heard {
            (pause, is_deaf) = (AGAIN.0, false);
        }
        match end {
            Ok(()) => {
                counted.listener_deaf.inc();
                if !is_deaf {
                    tracing::warn!(
                        "no notification of the database arrives, as behind a pooler: other nodes' commits are looked for \
                         every second"
                    );
                }
                is_deaf = true;
                sleep(DEAF).await;
            }
            Err(fault) => {
                counted.listener_lost.inc();
                tracing::debug!(%fault, "the connection that hears of commits has ended");
                sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                pause = (pause * 2).min(AGAIN.1);
            }
        }
    }
}

impl Line {
    /// Says that there is something new. It need not outlive a crash, so no disk is waited for.
    async fn say(&self) -> Result<()> {
        let saying = format!(
            "BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_notify('longrun', '{}'); COMMIT",
            self.name
        );
        Ok(self.pool.get().await?.batch_execute(&saying).await?)
    }

    /// Listens until the connection is lost, or it shows that nothing is heard on it.
    pub(super) async fn listen(&self, heard: &mut bool) -> Result<()> {
        // Until it is shown anew: the name may lead elsewhere by now.
        self.sessions.store(false, Ordering::Relaxed);
        let (config, tls) = self.connector.config();
        let (client, mut connection) = config.connect(tls).await?;
        let arriving = async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(said))) => self.hear(said.payload()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Fault::Away("it was closed".to_owned())),
                }
            }
        };
        let asking = async {
            client.batch_execute(LISTEN).await?;
            let are_sessions = self.echoes().await?;
            self.sessions.store(are_sessions, Ordering::Relaxed);
            if !are_sessions {
                return Ok(client.batch_execute(UNLISTEN).await?);
            }
            *heard = true;
            self.metrics.database.listener_up.set(1);
            // Whatever was said before is not repeated.
            self.heard.send_replace(());
            self.deposits.send_replace(());
            loop {
                sleep(ALIVE).await;
                client.check_connection().await?;
            }
        };
        tokio::select! {
            end = arriving => end,
            end = asking => end,
        }
    }

    fn hear(&self, name: &str) {
        let voice = match name {
            DEPOSIT => &self.deposits,
            name if name == self.name => &self.echo,
            _ => &self.heard,
        };
        voice.send_replace(());
    }

    /// Whether what this node says comes back to it. It is said on another connection: behind a pooler the one that listens
    /// may hear itself by chance.
    async fn echoes(&self) -> Result<bool> {
        let mut echo = self.echo.subscribe();
        self.say().await?;
        Ok(timeout(ECHO, echo.changed()).await.is_ok())
    }
}
