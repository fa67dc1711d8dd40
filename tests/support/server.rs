//! The real binary, in a process of its own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use longrun_postgres::Database;

use super::{Client, PATIENCE, signal};

/// The binary under test.
pub const LONGRUN: &str = env!("CARGO_BIN_EXE_longrun");

/// A server process over a temporary directory. Killed when dropped.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    data: PathBuf,
    /// The subcommand, and what it is told of the data.
    head: Vec<OsString>,
    arguments: Vec<String>,
    /// Removes the directory in the end, unless it is another's.
    _scratch: Option<tempfile::TempDir>,
    /// What it logs goes there; none: to where the test's own errors go.
    log: Option<PathBuf>,
    /// Drops the database in the end, if it has one of its own.
    #[allow(dead_code)] // It is there to be dropped.
    database: Option<Database>,
}

/// With this set, every server with an empty directory is a node over an empty database: so the whole suite is a test of
/// that store, too.
const OVER_POSTGRES: &str = "LONGRUN_TEST_OVER_POSTGRES";

impl Server {
    /// A server with these further arguments, over an empty directory.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_over(std::env::var_os(OVER_POSTGRES).map(|_| Database::create()), arguments, false)
    }

    /// The same over an empty database, where one is given; what it logs is kept for [`Server::log`].
    pub fn start_logged(database: Option<Database>, arguments: &[&str]) -> Self {
        Self::start_over(database, arguments, true)
    }

    fn start_over(database: Option<Database>, arguments: &[&str], is_logged: bool) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory can be made");
        let data = scratch.path().join("data");
        let mut head = serve(&data);
        head.extend(database.iter().flat_map(|database| over(&database.url())));
        let log = is_logged.then(|| scratch.path().join("log"));
        let mut server = Self::new(&data, head, arguments, Some(scratch), log);
        server.database = database;
        server
    }

    /// A node over a database, beside others perhaps.
    pub fn node(url: &str, arguments: &[&str]) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory can be made");
        let data = scratch.path().join("data");
        let head = serve(&data).into_iter().chain(over(url)).collect();
        Self::new(&data, head, arguments, Some(scratch), None)
    }

    /// A server that keeps nothing, whose clock can be set ahead.
    pub fn start_with_test_clock(arguments: &[&str]) -> Self {
        Self::new(Path::new(""), vec!["dev".into(), "--test-clock".into()], arguments, None, None)
    }

    /// A server over a directory that the test keeps.
    pub fn over(data: &Path, arguments: &[&str]) -> Self {
        Self::new(data, serve(data), arguments, None, None)
    }

    fn new(
        data: &Path,
        head: Vec<OsString>,
        arguments: &[&str],
        scratch: Option<tempfile::TempDir>,
        log: Option<PathBuf>,
    ) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (child, url) = spawn(&head, "127.0.0.1:0", &arguments, log.as_deref());
        Self { child, url, data: data.to_owned(), head, arguments, _scratch: scratch, log, database: None }
    }

    /// What it has logged so far, one that was started for it.
    pub fn log(&self) -> String {
        let log = self.log.as_ref().expect("its log is kept");
        std::fs::read_to_string(log).expect("its log can be read")
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("a killed server ends");
    }

    /// Starts it again, on the same port and over the same directory, after it has ended.
    pub fn start_again(&mut self) {
        let listen = self.url.trim_start_matches("http://").to_owned();
        (self.child, self.url) = spawn(&self.head, &listen, &self.arguments, self.log.as_deref());
    }

    /// Sends it a signal by name, as `kill` knows it.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn over(url: &str) -> [OsString; 2] {
    ["--store".into(), url.into()]
}

fn serve(data: &Path) -> Vec<OsString> {
    vec!["serve".into(), "--data".into(), data.into()]
}

#[allow(clippy::zombie_processes)] // Whoever gets the child waits for it.
fn spawn(head: &[OsString], listen: &str, arguments: &[String], log: Option<&Path>) -> (Child, String) {
    let errors = log.map_or_else(Stdio::inherit, |log| {
        let log = File::options().create(true).append(true).open(log);
        log.expect("its log can be written").into()
    });
    let mut child = Command::new(LONGRUN)
        .args(head)
        .args(["--listen", listen])
        .args(arguments)
        .env("LONGRUN_LOG", "warn")
        .env_remove("LONGRUN_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .expect("the server can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut line = String::new();
    loop {
        line.clear();
        let read = lines.read_line(&mut line).expect("its output can be read");
        assert!(read > 0, "the server ended before it said where it listens: {:?}", child.wait());
        if let Some(at) = line.find("http://").or_else(|| line.find("https://")) {
            let url = line[at..].split_whitespace().next().expect("a URL was found").to_owned();
            std::thread::spawn(move || lines.lines().count());
            return (child, url);
        }
    }
}
