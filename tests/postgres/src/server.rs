//! A PostgreSQL server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::ask::{execute, wait_until};
use super::guarded::{self, Guarded};
use super::programs::{give_away, own_directory, path_of, program};
use super::tls;

/// Names to the tests the server that all of a run share.
pub const SHARED: &str = "LONGRUN_TEST_POSTGRES";
/// Room for many tests at once. It syncs as any other does: Longrun takes no server that does not.
const SHARED_SETTINGS: [(&str, &str); 2] = [("max_connections", "500"), ("shared_buffers", "64MB")];

/// A server, on a port of this machine and on a socket in its directory. It ends with the process that started it.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    port: u16,
    password: String,
    settings: Vec<(String, String)>,
    process: Option<Guarded>,
}

/// How a server is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, what is in memory is written.
    Fast,
    /// At once; the next start recovers from the log.
    Immediate,
    /// As in a crash: nobody is told anything.
    Kill,
}

impl Postgres {
    /// Makes and starts one, with settings beside the usual ones.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::fresh("host", settings);
        server.run();
        server
    }

    /// The same, but over the network it speaks TLS with everybody, and nothing else. Who it is says [`Self::authority`].
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start_with_tls(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::fresh("hostssl", settings);
        let tls = tls::certify(server.directory());
        server.settings.extend(tls.map(|(name, value)| (name.to_owned(), value)));
        server.run();
        server
    }

    /// The one that all tests of a run share, named by the URL of a database that it has: given by the environment, or
    /// started by this process.
    pub fn shared() -> &'static str {
        // Never dropped: it ends with the process, by its guard.
        static SERVER: OnceLock<(String, Option<Postgres>)> = OnceLock::new();
        let (url, _) = SERVER.get_or_init(|| {
            if let Ok(url) = std::env::var(SHARED) {
                return (url, None);
            }
            let server = Self::start(&SHARED_SETTINGS);
            (server.url("postgres"), Some(server))
        });
        url
    }

    /// One without any data yet.
    pub(crate) fn empty(password: &str, settings: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            directory: own_directory(),
            port: guarded::free_port(),
            password: password.to_owned(),
            settings: settings.iter().map(own).collect(),
            process: None,
        }
    }

    /// One with data, and with nothing in them. It lets in who comes over the network by a word of its own: anybody
    /// (`host`), or who speaks TLS (`hostssl`); with the password in any case.
    fn fresh(over: &str, settings: &[(&str, &str)]) -> Self {
        let server = Self::empty(&uuid::Uuid::new_v4().simple().to_string(), settings);
        let password = server.directory().join("password");
        fs::write(&password, &server.password).expect("the directory can be written");
        give_away(&password);
        let mut initdb = program("initdb");
        initdb.args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"]);
        initdb.args(["--encoding=UTF8", "--locale=C"]).arg("--pwfile").arg(password);
        let made = initdb.arg("--pgdata").arg(server.data()).output().expect("initdb can be run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let rules = ["all", "replication"]
            .map(|what| format!("local {what} all trust\n{over} {what} all 127.0.0.1/32 scram-sha-256\n"));
        fs::write(server.data().join("pg_hba.conf"), rules.concat()).expect("its rules can be written");
        server
    }

    /// Where a database of it is.
    pub fn url(&self, database: &str) -> String {
        either(&[self], database)
    }

    /// Where a database of it is for who speaks no TLS: on its socket.
    pub(crate) fn local(&self, database: &str) -> String {
        let directory = self.directory().to_str().expect("it has a simple name").replace('/', "%2F");
        format!("postgres://postgres@{directory}:{}/{database}", self.port)
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The process of the server itself; none while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Guarded::pid)
    }

    /// The directory of its data.
    pub fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The certificate to know it by, of a server with TLS.
    pub fn authority(&self) -> PathBuf {
        tls::authority(self.directory())
    }

    /// Starts it after it was stopped, on the same port.
    ///
    /// # Panics
    ///
    /// When it runs, or does not answer in time.
    pub fn run(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut command = Command::new(path_of("postgres"));
        command.arg("-D").arg(self.data());
        let port = self.port.to_string();
        let directory = self.directory().display().to_string();
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
        let process = Guarded::start(&command, self.directory());
        let local = self.local("postgres");
        let answers = || {
            assert!(process.runs(), "the server has ended: {}", self.log());
            execute(&local, "SELECT 1").is_ok()
        };
        wait_until(answers, || format!("the server does not answer: {}", self.log()));
        self.process = Some(process);
    }

    /// Ends it, and waits for that.
    pub fn stop(&mut self, how: Stop) {
        if let Some(process) = self.process.take() {
            process.end(match how {
                Stop::Fast => "INT",
                Stop::Immediate => "QUIT",
                Stop::Kill => "KILL",
            });
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        guarded::log(self.directory())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop(Stop::Immediate);
    }
}

/// Where a database is that several servers have, of which one leads. Who wants only that one adds
/// `?target_session_attrs=read-write`.
pub fn either(servers: &[&Postgres], database: &str) -> String {
    let places = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
    let places = places.collect::<Vec<_>>().join(",");
    let password = servers.first().map_or("", |server| server.password());
    format!("postgres://postgres:{password}@{places}/{database}")
}
