//! The Unix socket by which a running server is administered: in its data directory, which only its owner can enter.

use std::env;
use std::path::{Path, PathBuf};

use crate::limits;

/// Its name in the data directory.
pub const SOCKET_NAME: &str = "longrun.sock";

/// The system has no room for the path of a socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path {path} has more than the {} bytes that a Unix socket may have: \
     choose a shorter data directory, or start in one above it",
    limits::SOCKET_PATH_BYTES_MAX
)]
pub struct SocketPathTooLong {
    path: PathBuf,
}

/// Where the socket of a data directory is, by a path that can be bound and connected to: where the whole one is too
/// long, seen from the current directory.
pub fn socket_path(data: &Path) -> Result<PathBuf, SocketPathTooLong> {
    let here = env::current_dir().unwrap_or_default();
    shortest(data.join(SOCKET_NAME), &here)
}

fn shortest(path: PathBuf, here: &Path) -> Result<PathBuf, SocketPathTooLong> {
    let fits = |path: &Path| path.as_os_str().len() <= limits::SOCKET_PATH_BYTES_MAX;
    if fits(&path) {
        return Ok(path);
    }
    match path.strip_prefix(here) {
        Ok(below) if fits(below) => Ok(below.to_owned()),
        _ => Err(SocketPathTooLong { path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_seen_from_here() {
        let deep = format!("/{}", "d".repeat(limits::SOCKET_PATH_BYTES_MAX));
        let long = Path::new(&deep).join("data").join(SOCKET_NAME);
        assert_eq!(shortest(long.clone(), Path::new(&deep)), Ok(PathBuf::from("data/longrun.sock")));
        let error = shortest(long.clone(), Path::new("/elsewhere")).unwrap_err();
        assert!(error.to_string().contains(long.to_str().unwrap()), "{error}");
        assert_eq!(socket_path(Path::new("data")), Ok(PathBuf::from("data/longrun.sock")));
    }
}
