//! A second server that follows a first, and takes over from it.

use super::Postgres;
use super::ask::{ask, execute, wait_until};
use super::programs::program;

/// What the standby is called, to the server that it follows.
const NAME: &str = "standby";

impl Postgres {
    /// Starts a standby. From now on this server confirms a commit only when the standby has it on its disk, too.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start_standby(&self, settings: &[(&str, &str)]) -> Self {
        let mut standby = Self::empty(self.password(), settings);
        let source = format!(
            "host=127.0.0.1 port={} user=postgres password={} application_name={NAME}",
            self.port(),
            self.password()
        );
        let mut copy = program("pg_basebackup");
        copy.args(["--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync"]);
        // What it has not read yet is kept for it, also while it is away.
        copy.args(["--create-slot", "--slot", NAME, "--dbname", &source]).arg("--pgdata").arg(standby.data());
        let copied = copy.output().expect("pg_basebackup can be run");
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        standby.run();
        self.wait_for_standby();
        standby
    }

    fn wait_for_standby(&self) {
        let url = self.local("postgres");
        let name = format!("ALTER SYSTEM SET synchronous_standby_names = '{NAME}'");
        for statement in [name.as_str(), "SELECT pg_reload_conf()"] {
            execute(&url, statement).expect("the server lets itself be set");
        }
        let state = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
        let follows = || ask(&url, state).is_ok_and(|state| state.as_deref() == Some("sync"));
        wait_until(follows, || format!("the standby does not follow: {}", self.log()));
    }

    /// Makes a standby the server that is written to.
    ///
    /// # Panics
    ///
    /// When it does not take over in time.
    pub fn promote(&self) {
        let promoted = ask(&self.local("postgres"), "SELECT pg_promote()").expect("the standby answers");
        assert_eq!(promoted.as_deref(), Some("t"), "{}", self.log());
    }
}
