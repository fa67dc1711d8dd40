//! Real PostgreSQL servers for the tests: each in a directory of its own, on a free port of this machine, ended with the
//! process that started it, however that ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Names a server that is shared by all tests of a run.
pub const SHARED: &str = "LONGRUN_TEST_POSTGRES";
/// Where the server's programs are, if not where Debian puts them or on the path.
const PROGRAMS: &str = "LONGRUN_POSTGRES_BIN";
/// The oldest version that Longrun takes.
const VERSION: u32 = 15;
const PATIENCE: Duration = Duration::from_secs(30);
/// The server runs until its standard input ends: with the process that holds the other end.
const GUARD: &str =
    "\"$@\" & server=$!; read -r end; kill -s \"${end:-QUIT}\" $server 2>/dev/null; wait $server";

/// A server.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    port: u16,
    settings: Vec<(String, String)>,
    guard: Option<Child>,
}

/// How a server is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, what is in memory is written.
    Fast,
    /// At once; the next start recovers from the log.
    Immediate,
}

impl Postgres {
    /// Makes and starts one, with settings beside the usual ones.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("longrun-postgres-").tempdir().expect("a directory");
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("a directory");
        if let Some((user, group)) = other_user() {
            for path in [directory.path(), &data] {
                chown(path, Some(user), Some(group)).expect("the directory is given away");
            }
        }
        let mut initdb = program("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        let made = initdb.arg("--pgdata").arg(&data).output().expect("initdb can be run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Self { directory, port: free_port(), settings, guard: None };
        server.run();
        server
    }

    /// The one that all tests of a run share: given by the environment, or started by this process.
    pub fn shared() -> &'static str {
        // Never dropped: it ends with the process, by its guard.
        static SERVER: OnceLock<(String, Option<Postgres>)> = OnceLock::new();
        let (url, _) = SERVER.get_or_init(|| {
            if let Ok(url) = std::env::var(SHARED) {
                (url, None)
            } else {
                let server = Self::start(&[("max_connections", "300"), ("shared_buffers", "64MB")]);
                (server.url("postgres"), Some(server))
            }
        });
        url
    }

    /// Where a database of it is.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its data.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts it, after it was stopped.
    ///
    /// # Panics
    ///
    /// When it does not answer in time.
    pub fn run(&mut self) {
        let mut command = as_other(Command::new("sh"));
        command.args(["-c", GUARD, "guard"]).arg(path_of("postgres")).arg("-D").arg(self.data());
        let port = self.port.to_string();
        let directory = self.directory.path().display().to_string();
        let usual = [
            ("port", port.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", &directory),
            ("log_line_prefix", "%m [%p] "),
        ];
        let own = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in usual.into_iter().chain(own) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = fs::File::options().create(true).append(true).open(self.directory.path().join("log"));
        let log = log.expect("a log");
        command.stdout(log.try_clone().expect("a log")).stderr(log).stdin(Stdio::piped());
        // A group of its own: what ends the tests does not end the server before them.
        self.guard = Some(command.process_group(0).spawn().expect("the server can be run"));
        let began = Instant::now();
        while !answers(&self.url("postgres")) {
            assert!(began.elapsed() < PATIENCE, "the server does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it, and waits for that.
    pub fn stop(&mut self, how: Stop) {
        self.end(match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        });
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut end) = guard.stdin.take() {
                let _ = writeln!(end, "{signal}");
            }
            let _ = guard.wait();
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let mut log = String::new();
        let file = fs::File::open(self.directory.path().join("log"));
        let _ = file.and_then(|mut file| file.read_to_string(&mut log));
        log
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end("QUIT");
    }
}

/// A database of its own on the shared server, dropped at the end.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// A fresh one on the shared server.
    pub fn create() -> Self {
        Self::create_on(Postgres::shared())
    }

    /// A fresh one on a server.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub fn create_on(server: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(server, &format!("CREATE DATABASE {name} TEMPLATE template0"))
            .expect("the database can be made");
        Self { server: server.to_owned(), name }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let (start, _) = self.server.rsplit_once('/').unwrap_or((&self.server, ""));
        format!("{start}/{}", self.name)
    }

    /// Runs statements in it.
    ///
    /// # Panics
    ///
    /// When they fail.
    pub fn run(&self, sql: &str) {
        execute(&self.url(), sql).expect("the statements are good");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = execute(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Runs statements at a place.
///
/// # Panics
///
/// When the system grants no thread.
pub fn execute(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    // A thread of its own: the caller may be in the middle of a runtime.
    std::thread::scope(|scope| {
        let executing = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
                tokio::spawn(connection);
                client.batch_execute(sql).await
            })
        });
        executing.join().expect("it does not panic")
    })
}

fn answers(url: &str) -> bool {
    execute(url, "SELECT 1").is_ok()
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// Whether somebody listens there.
pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// PostgreSQL refuses root: whom it runs as instead.
fn other_user() -> Option<(u32, u32)> {
    let me = fs::metadata("/proc/self").ok()?.uid();
    if me != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut parts = line.split(':').skip(2);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

fn as_other(mut command: Command) -> Command {
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env_remove("PGDATA");
    command
}

/// One of the server's programs, run as whom the server is.
pub fn program(name: &str) -> Command {
    as_other(Command::new(path_of(name)))
}

/// Where a program of the server is.
///
/// # Panics
///
/// When there is none, or only of a version that is too old.
pub fn path_of(name: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os(PROGRAMS) {
        return Path::new(&directory).join(name);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name)))
        })
        .filter(|(version, path)| *version >= VERSION && path.exists())
        .collect();
    versions.sort();
    if let Some((_, newest)) = versions.pop() {
        return newest;
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .map(|directory| directory.join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!("PostgreSQL {VERSION} or later is needed: there is no {name}; see CONTRIBUTING.md")
        })
}
