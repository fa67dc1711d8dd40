//! Where the programs of PostgreSQL and `PgBouncer` are, and whom they run as.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Names the directory of PostgreSQL's programs, if it is not where Debian puts it or on the path.
const PROGRAMS: &str = "LONGRUN_POSTGRES_BIN";
/// The oldest version that Longrun takes.
const VERSION: u32 = 15;

/// One of PostgreSQL's programs, run as whom its servers are.
///
/// # Panics
///
/// When there is no PostgreSQL, or only one that is too old.
pub fn program(name: &str) -> Command {
    as_other(Command::new(path_of(name)))
}

/// Where one of PostgreSQL's programs is.
pub(crate) fn path_of(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(directory).join(name)
}

fn directory() -> PathBuf {
    let named = std::env::var_os(PROGRAMS).map(PathBuf::from);
    let directory = named.or_else(of_debian).or_else(|| {
        let postgres = on_path("postgres")?.canonicalize().ok()?;
        postgres.parent().map(Path::to_path_buf)
    });
    let directory = directory.unwrap_or_else(|| {
        panic!("PostgreSQL {VERSION} or later is needed: install it, or name its programs' directory by {PROGRAMS}")
    });
    let postgres = directory.join("postgres");
    let said = Command::new(&postgres).arg("--version").output();
    let said = said.unwrap_or_else(|error| panic!("{}: {error}", postgres.display()));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let new_enough = version(&said).is_some_and(|version| version >= VERSION);
    assert!(new_enough, "PostgreSQL {VERSION} or later is needed: {} is {said}", postgres.display());
    directory
}

/// The newest of those that Debian keeps beside each other.
fn of_debian() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let directory = entry.path().join("bin");
        (version >= VERSION && directory.join("postgres").exists()).then_some((version, directory))
    });
    versions.max().map(|(_, newest)| newest)
}

/// Of `postgres (PostgreSQL) 15.18 (Debian …)`, or `… 18beta1`.
fn version(said: &str) -> Option<u32> {
    let (_, number) = said.split_once("(PostgreSQL) ")?;
    let end = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

/// Where a program is that anybody may start; Debian keeps some where only root's path leads.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    directories.map(|directory| directory.join(name)).find(|program| program.exists())
}

/// The servers refuse root: with its rights they run as somebody else.
pub(crate) fn as_other(mut command: Command) -> Command {
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env_remove("PGDATA");
    command
}

/// A directory of whom the servers run as, which nobody else may enter.
pub(crate) fn own_directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("longrun-postgres-").tempdir().expect("a directory");
    give_away(directory.path());
    directory
}

/// Makes a file or directory the servers' own.
pub(crate) fn give_away(path: &Path) {
    if let Some((user, group)) = other_user() {
        chown(path, Some(user), Some(group)).expect("it can be given away");
    }
}

fn other_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
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

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn what_postgres_says_of_its_version_is_read() {
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(version("postgres (PostgreSQL) 9.6.24\n"), Some(9));
        assert_eq!(version("something else"), None);
    }
}
