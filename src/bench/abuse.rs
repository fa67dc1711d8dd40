//! What good clients notice of bad ones: of slowhttptest, in each of its modes, and of whoever hands in as much at once as the
//! line takes. Each is held against what the same clients saw just before, on the same server.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::Plan;
use super::creates::{BODY, micros};
use super::lifecycles::submit_all;
use super::load::{Call, Connection, Latencies, LoadError};
use super::process::{Scratch, Server};
use super::report::Report;

/// Connections that slowhttptest opens in each of its modes.
const CONNECTIONS: u64 = 500;
/// How many of them in a second.
const CONNECTIONS_PER_SECOND: u64 = 100;
/// Bytes of the lines that are handed in at once.
const LINES_BYTES: usize = 200_000_000;
/// Bytes of one of them, about.
const LINE_BYTES: usize = 1000;
/// Operations that are there before: a page of them is what slow readers ask for, and so many fill the server's caches, as those
/// of any server are that has worked for a while.
const STANDING: usize = 50_000;
/// Clients that do what clients do, each on a connection of its own.
const CLIENTS: usize = 20;
/// Between two creates of one of them, each of which it polls: together four hundred requests a second.
const PACE: Duration = Duration::from_millis(100);
/// Their slowest hundredth may take so many times what it took before.
const SLOWER_MAX: u32 = 2;
/// Below that nothing is noticed: attackers, clients and server share the processors here, and a turn of the scheduler is as long.
const NOTICED_MIN: Duration = Duration::from_millis(5);
/// Mebibytes that the server may hold more than it did before any of it.
const GROWN_MIB_MAX: f64 = 64.0;
/// Between two looks at what it holds.
const LOOK: Duration = Duration::from_millis(20);

/// A mode of slowhttptest.
struct Mode {
    name: &'static str,
    flags: &'static [&'static str],
    path: &'static str,
}

const MODES: [Mode; 4] = [
    Mode { name: "slow headers", flags: &["-H", "-i", "5", "-x", "24"], path: "/v1.0/operations" },
    Mode {
        name: "slow bodies",
        // Of a type that is read; others are refused by their heads.
        flags: &["-B", "-i", "5", "-s", "8192", "-x", "24", "-f", "application/json"],
        path: "/v1.0/operations",
    },
    Mode { name: "ranges", flags: &["-R", "-a", "10", "-b", "3000"], path: "/docs/api" },
    Mode {
        name: "slow readers",
        flags: &["-X", "-n", "5", "-w", "512", "-y", "1024", "-z", "32"],
        path: "/v1.0/operations?$top=1000",
    },
];

/// What good clients have seen in a while.
#[derive(Default)]
struct Seen {
    creates: Latencies,
    polls: Latencies,
}

/// Those clients, for as long as this is there.
struct Clients {
    seen: Arc<Mutex<Seen>>,
    running: JoinSet<Result<(), LoadError>>,
}

impl Clients {
    fn start(authority: &Arc<str>) -> Self {
        let mut clients = Self { seen: Arc::default(), running: JoinSet::new() };
        for _ in 0..CLIENTS {
            clients.running.spawn(create_and_poll(authority.clone(), clients.seen.clone()));
        }
        clients
    }

    /// What they see while something goes on, and the most bytes that the server holds meanwhile.
    async fn during(
        &mut self,
        server: &Server,
        something: impl Future<Output = Result<(), LoadError>>,
    ) -> Result<(Seen, u64), LoadError> {
        drop(self.take());
        let mut something = std::pin::pin!(something);
        let (mut looks, mut most) = (tokio::time::interval(LOOK), 0);
        loop {
            tokio::select! {
                over = &mut something => {
                    over?;
                    return Ok((self.take(), most));
                }
                // They go on for ever unless something is wrong.
                Some(ended) = self.running.join_next() => {
                    ended.map_err(|error| LoadError::Other(error.to_string()))??;
                }
                _ = looks.tick() => most = most.max(server.resident_bytes()),
            }
        }
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Creates at a steady pace, however slow the answers are, and polls what was made. What comes late counts from when it was due.
async fn create_and_poll(authority: Arc<str>, seen: Arc<Mutex<Seen>>) -> Result<(), LoadError> {
    let mut connection = Connection::open(&authority).await?;
    // Not all at once.
    tokio::time::sleep(PACE.mul_f64(fastrand::f64())).await;
    let mut pace = tokio::time::interval(PACE);
    loop {
        let due = pace.tick().await;
        let path = connection.submit(BODY).await?;
        let (created, asked) = (due.elapsed(), Instant::now());
        connection.call(StatusCode::OK, Call::get(&path)).await?;
        let polled = asked.elapsed();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.creates.record(created);
        seen.polls.record(polled);
    }
}

pub(super) async fn measure(plan: &Plan) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let lines = write_lines(&scratch.0)?;
    let server = Server::serve(&scratch.0.join("data"), 0)?;
    submit_all(&server, CLIENTS, STANDING, BODY).await?;
    let idle = server.resident_bytes();
    let mut clients = Clients::start(&server.authority);
    for mode in &MODES {
        let before = calm(&mut clients, &server, plan).await?;
        let attacked = clients.during(&server, mode.last(&server, &scratch.0, plan.span)).await?;
        tell(&mut report, mode.name, &before, attacked, idle);
    }
    let before = calm(&mut clients, &server, plan).await?;
    let flooded = clients.during(&server, hand_in(&server, &lines)).await?;
    tell(&mut report, "200 MB of lines", &before, flooded, idle);
    Ok(report)
}

/// What clients see with nobody else there.
async fn calm(clients: &mut Clients, server: &Server, plan: &Plan) -> Result<Seen, LoadError> {
    let nothing = async {
        tokio::time::sleep(plan.span).await;
        Ok(())
    };
    Ok(clients.during(server, nothing).await?.0)
}

fn tell(report: &mut Report, what: &str, before: &Seen, (during, most): (Seen, u64), idle: u64) {
    for (kind, before, during) in
        [("creates", &before.creates, &during.creates), ("polls", &before.polls, &during.polls)]
    {
        let [before, after] = [before, during].map(|seen| seen.quantile(0.99));
        let bound = (before * SLOWER_MAX).max(NOTICED_MIN);
        let detail = format!("of {}; before {before:.1?}, at most {bound:.1?}", during.count());
        report.bounded(&format!("{what}: p99 of {kind}"), micros(after), "µs", micros(bound), detail);
    }
    #[allow(clippy::cast_precision_loss)] // Bytes of memory are far below 2^52.
    let grown = most.saturating_sub(idle) as f64 / f64::from(1 << 20);
    let detail = format!("at most {GROWN_MIB_MAX}");
    report.bounded(&format!("{what}: memory over idle"), grown, "MiB", GROWN_MIB_MAX, detail);
}

impl Mode {
    /// Attacks again and again for so long.
    async fn last(&self, server: &Server, scratch: &Path, span: Duration) -> Result<(), LoadError> {
        let began = Instant::now();
        while began.elapsed() < span {
            // It ends sooner where the server has closed all connections.
            if !self.attack(server, &scratch.join("attack"), &span.as_secs().to_string()).await? {
                let name = self.name;
                return Err(LoadError::Other(format!(
                    "{name}: fewer than {CONNECTIONS} connections were opened"
                )));
            }
        }
        Ok(())
    }

    /// Attacks once; whether all connections were opened.
    async fn attack(&self, server: &Server, told: &Path, seconds: &str) -> Result<bool, LoadError> {
        let mut command = Command::new("slowhttptest");
        command.args(self.flags).args(["-l", seconds, "-u", &format!("{}{}", server.url(), self.path)]);
        command.args(["-c", &CONNECTIONS.to_string(), "-r", &CONNECTIONS_PER_SECOND.to_string()]);
        command.arg("-g").arg("-o").arg(told);
        // Its status is none of ours: a server that closes connections is an end to it, too.
        let ended = quietly(&mut command).output().await;
        let ended = ended.map_err(|error| LoadError::Other(format!("slowhttptest: {error}")))?;
        if String::from_utf8_lossy(&ended.stdout).contains("No open connections left") {
            return Ok(true);
        }
        let told = std::fs::read_to_string(told.with_extension("csv"))?;
        let last = told.lines().next_back().unwrap_or_default();
        // Seconds, closed, pending, connected, and whether it was answered itself.
        let counts: Vec<u64> = last.split(',').filter_map(|field| field.trim().parse().ok()).collect();
        Ok(counts.get(1).unwrap_or(&0) + counts.get(3).unwrap_or(&0) >= CONNECTIONS)
    }
}

/// Writes the file of lines, and has it on the disk before anything is measured there.
fn write_lines(scratch: &Path) -> Result<PathBuf, LoadError> {
    let path = scratch.join("lines");
    let head = r#"{"operationType":"thumbnail","input":""#;
    let line = format!("{head}{}\"}}\n", "x".repeat(LINE_BYTES - head.len() - 3));
    let mut file = File::create(&path)?;
    file.write_all(line.repeat(LINES_BYTES / LINE_BYTES).as_bytes())?;
    file.sync_all()?;
    Ok(path)
}

/// Hands in a file of lines, as fast as they are taken.
async fn hand_in(server: &Server, lines: &Path) -> Result<(), LoadError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["submit", "--server", &server.url(), "--bulk"]).arg(lines);
    let status = quietly(&mut command).stdout(Stdio::null()).status().await?;
    if status.success() { Ok(()) } else { Err(LoadError::Other(format!("longrun submit --bulk: {status}"))) }
}

fn quietly(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true)
}
