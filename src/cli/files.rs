//! How many files the process may hold open. Many systems grant 1,024 unasked, and much more to whoever asks.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::limits;

/// Asks for as many as a full server needs, or for what the system grants at most. Not for more: some programs, which
/// inherit it, go through all numbers that they might have.
pub(super) fn ask_for_enough() {
    let mut files = getrlimit(Resource::Nofile);
    let enough = files.maximum.map_or(limits::FILES_MAX, |most| most.min(limits::FILES_MAX));
    if files.current.is_some_and(|current| current < enough) {
        files.current = Some(enough);
        // Where it is refused there are fewer connections, each refused with a line in the log.
        let _ = setrlimit(Resource::Nofile, files);
    }
}
