//! What a program has started, and what of it is still there when the program itself is not.

use std::ffi::OsStr;
use std::io;

use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, getppid, kill_process, waitid};

use super::group::pid;

/// Lets the orphans among the descendants of this process become its children.
pub(super) fn adopt() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Lets this process be killed when its parent, of which the number is given, is.
pub(super) fn end_with_parent(parent: &OsStr) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before that.
    let alive = getppid().is_some_and(|pid| parent == pid.to_string().as_str());
    if alive { Ok(()) } else { Err(io::Error::other("the guard has ended")) }
}

/// Kills every descendant that is left, and waits until none is. The killing of one makes its children ours.
pub(super) fn end() -> io::Result<()> {
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(None) => {
                kill_children()?;
                // Whether this is one of them: it is looked again.
                let _ = waitid(WaitId::All, WaitIdOptions::EXITED);
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn kill_children() -> io::Result<()> {
    let own = std::process::id();
    for entry in std::fs::read_dir("/proc")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(number) = number else { continue };
        // It may end between the two, but its number is not given anew before it is waited for, by us.
        if parent_of(number) == Some(own) {
            let _ = kill_process(pid(number)?, Signal::KILL);
        }
    }
    Ok(())
}

/// Elsewhere orphans go to the first process of the system, and whatever is a child of the guard is in the group.
#[cfg(not(target_os = "linux"))]
fn kill_children() -> io::Result<()> {
    Ok(())
}

/// The parent of a process, if it is there.
#[cfg(target_os = "linux")]
fn parent_of(number: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name before may hold anything; behind its last parenthesis come state and parent.
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_who_is_whose_child() {
        let parent = std::os::unix::process::parent_id();
        assert_eq!(parent_of(std::process::id()), Some(parent));
        assert_eq!(parent_of(u32::MAX), None);
    }
}
