//! `PgBouncer` in front of a server.

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::ask::{execute, wait_until};
use super::guarded::{self, Guarded};
use super::programs::{give_away, on_path, own_directory};

/// A `PgBouncer` that gives a connection to the server away after each transaction: the next may meet another one.
#[derive(Debug)]
pub struct PgBouncer {
    directory: TempDir,
    port: u16,
    process: Option<Guarded>,
}

impl PgBouncer {
    /// Starts one in front of a server, which is named by the URL of a database that it has.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(server: &str) -> Self {
        let program = on_path("pgbouncer").expect("PgBouncer is needed: install it");
        let directory = own_directory();
        let port = guarded::free_port();
        let settings = settings(server, port, &directory.path().display().to_string());
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, settings).expect("the directory can be written");
        give_away(&file);
        let mut command = Command::new(program);
        let process = Guarded::start(command.arg(file), directory.path());
        let bouncer = Self { directory, port, process: Some(process) };
        let url = bouncer.url("postgres");
        wait_until(
            || execute(&url, "SELECT 1").is_ok(),
            || format!("PgBouncer does not answer: {}", bouncer.log()),
        );
        bouncer
    }

    /// Where a database of the server is, through it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        guarded::log(self.directory.path())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end("TERM");
        }
    }
}

/// Its configuration: anybody is let in, as the user that the URL names.
fn settings(server: &str, port: u16, directory: &str) -> String {
    let server: Config = server.parse().expect("it is the URL of a server");
    let host = match server.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "127.0.0.1".to_owned(),
    };
    let server_port = server.get_ports().first().copied().unwrap_or(5432);
    let user = server.get_user().unwrap_or("postgres");
    let password = String::from_utf8_lossy(server.get_password().unwrap_or_default());
    format!(
        "[databases]
* = host={host} port={server_port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
max_client_conn = 500
"
    )
}
