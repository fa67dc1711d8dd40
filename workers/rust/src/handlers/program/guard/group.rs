//! The process group of a program.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// The group that a program leads.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    /// From then on its number may be another's.
    over: Mutex<bool>,
}

impl Group {
    pub(super) fn of(leader: &Child) -> io::Result<Self> {
        Ok(Self { leader: pid(leader.id())?, over: Mutex::new(false) })
    }

    /// Signals all of it, as long as it is there.
    pub(super) fn signal(&self, signal: Signal) {
        let over = self.over();
        if !*over {
            // None left, or none that may be signaled: there is nothing more to do about it.
            let _ = kill_process_group(self.leader, signal);
        }
    }

    /// Waits for the end of the leader, kills what it has left in its group, and says how the leader ended.
    ///
    /// The number of the group is the leader's and stays so until the leader is waited for; that comes last.
    pub(super) fn end(&self, leader: &mut Child) -> io::Result<ExitStatus> {
        while let Err(error) = waitid(WaitId::Pid(self.leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        self.signal(Signal::KILL);
        let mut over = self.over();
        *over = true;
        leader.wait()
    }

    fn over(&self) -> MutexGuard<'_, bool> {
        // A flag is whole whoever panicked.
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's number as the system calls want it.
pub(super) fn pid(number: u32) -> io::Result<Pid> {
    let number = i32::try_from(number).ok().and_then(Pid::from_raw);
    number.ok_or_else(|| io::Error::other("the number of a process is out of range"))
}
