//! Keeps the write-ahead log short without ever syncing it inside a commit.
//!
//! A thread copies the log back into the file every few MiB, which holds nobody up but under load never catches up with
//! the writer, so the log would grow for ever. Beyond a bound the writer therefore does the rest itself, between turns.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::error::{Fault, Health, Result};
use super::open::is_read_at_length;

/// Bytes of a page, and so (nearly) of a frame of the log.
pub(super) const PAGE_BYTES: u32 = 4096;
/// Growth after which the thread copies.
const COPY_EVERY: u32 = (4 << 20) / PAGE_BYTES;
/// Length beyond which the writer sees to it that the log begins anew. A longer one costs no fewer commits, and whoever waits for
/// that turn the longer: the file is synced then.
pub(super) const LONGEST_BYTES: u32 = 16 << 20;
const LONGEST: u32 = LONGEST_BYTES / PAGE_BYTES;

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Signal {
    #[default]
    Rest,
    Copy,
    Stop,
}

#[derive(Default)]
struct Shared {
    signal: Mutex<Signal>,
    changed: Condvar,
    /// Frames in the log as of the last commit.
    frames: AtomicU32,
}

impl Shared {
    fn send(&self, signal: Signal) {
        let mut standing = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        if *standing != Signal::Stop {
            *standing = signal;
        }
        drop(standing);
        self.changed.notify_one();
    }

    /// Waits for a signal; none: the end.
    fn wait(&self) -> Option<()> {
        let standing = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut standing = self
            .changed
            .wait_while(standing, |signal| *signal == Signal::Rest)
            .unwrap_or_else(PoisonError::into_inner);
        if *standing == Signal::Stop {
            return None;
        }
        *standing = Signal::Rest;
        Some(())
    }
}

/// The thread, and what the writer knows of the log. Dropping it ends the thread.
pub(super) struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Frames when the thread was last asked to copy.
    asked: u32,
    /// Frames at which the writer tries (again) to begin anew.
    longest: u32,
}

impl Log {
    /// Watches the commits of `writer`; `copier` is the thread's own connection.
    pub(super) fn watch(writer: &mut Connection, copier: Connection, health: Arc<Health>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames: std::ffi::c_int| {
            told.frames.store(frames.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let at_work = shared.clone();
        let thread = std::thread::Builder::new().name("longrun-wal".to_owned()).spawn(move || {
            while at_work.wait().is_some() {
                if let Err(fault) = run(&copier, CheckpointMode::PASSIVE) {
                    note(&fault, &health);
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread), asked: 0, longest: LONGEST })
    }

    /// After a commit: time to copy?
    pub(super) fn committed(&mut self) {
        let frames = self.shared.frames.load(Ordering::Relaxed);
        if frames < self.asked {
            // The log began anew.
            self.asked = 0;
            self.longest = LONGEST;
        }
        if frames - self.asked >= COPY_EVERY {
            self.asked = frames;
            self.shared.send(Signal::Copy);
        }
    }

    /// Between turns: begins the log anew when it has become too long. The file is kept and written over, which costs
    /// fewer updates of its metadata than growing it again.
    ///
    /// Each try waits for those who read: the server's own are gone soon. Who reads the whole file, as for a copy, needs the log
    /// until he is through, and says so by a lock on `held`: nothing waits for him.
    pub(super) fn shorten(&mut self, writer: &Connection, held: &File, health: &Health) {
        let frames = self.shared.frames.load(Ordering::Relaxed);
        if frames < self.longest {
            return;
        }
        if is_read_at_length(held) {
            self.longest = frames + COPY_EVERY;
            return;
        }
        match run(writer, CheckpointMode::RESTART) {
            Ok(()) => {
                self.shared.frames.store(0, Ordering::Relaxed);
                (self.asked, self.longest) = (0, LONGEST);
            }
            Err(fault) => {
                // The thread is at it, or a reader still needs the log: a little later, then.
                self.longest += COPY_EVERY / 4;
                note(&fault, health);
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.send(Signal::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

/// Bytes that the file has free for new rows; none where it cannot say.
pub(super) fn free_bytes(connection: &Connection) -> u64 {
    let pages = connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, u32>(0));
    pages.map_or(0, |pages| u64::from(pages) * u64::from(PAGE_BYTES))
}

fn run(connection: &Connection, mode: CheckpointMode) -> Result<()> {
    connection.wal_checkpoint_v2(None::<&str>, mode)?;
    Ok(())
}

/// A full disk only means that the log stays; after any other failure the file may lack what the log no longer will have.
fn note(fault: &Fault, health: &Health) {
    if fault.is_busy() {
        tracing::debug!(%fault, "a checkpoint found somebody at work");
    } else if fault.is_full() {
        tracing::warn!(%fault, "the log cannot be copied back into the file");
    } else {
        health.fail(&fault.to_string());
    }
}
