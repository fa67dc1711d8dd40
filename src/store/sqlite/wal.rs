//! Keeps the write-ahead log short, and all but a little of that work away from the writer.
//!
//! A thread copies the log back into the file every few MiB, which holds nobody up but under load never catches up with
//! the writer, so the log would grow for ever. Once it is long, the thread syncs the file, too; what has come meanwhile is
//! little, and the writer copies and syncs that itself, between turns, and begins the log anew.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::error::{Fault, Health, Result};
use super::open::is_read_at_length;

/// Bytes of a page, and so (nearly) of a frame of the log.
pub(super) const PAGE_BYTES: u32 = 4096;
/// Growth after which the thread copies.
const COPY_EVERY: u32 = (4 << 20) / PAGE_BYTES;
/// Length beyond which the thread prepares that the log begins anew.
pub(super) const LONG_BYTES: u32 = 8 << 20;
const LONG: u32 = LONG_BYTES / PAGE_BYTES;
/// Length beyond which the writer waits for the thread, so that the log is bounded however slow the disk is; it grows beyond that
/// only while others read what is in it.
pub(super) const LONGEST_BYTES: u32 = 4 * LONG_BYTES;
const LONGEST: u32 = LONGEST_BYTES / PAGE_BYTES;

/// What the thread is asked for, the more after the less.
#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    #[default]
    Nothing,
    Copy,
    /// A copy that is synced.
    Sync,
    Stop,
}

/// What is between the writer and the thread.
#[derive(Default)]
struct Desk {
    wanted: Wanted,
    /// The thread is at work.
    busy: bool,
    /// The thread has ended.
    left: bool,
}

impl Desk {
    fn rests(&self) -> bool {
        self.left || !self.busy && self.wanted == Wanted::Nothing
    }
}

#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
    /// Frames in the log as of the last commit.
    frames: AtomicU32,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, standing: impl Fn(&Desk) -> bool) -> MutexGuard<'_, Desk> {
        self.changed.wait_while(self.desk(), |desk| standing(desk)).unwrap_or_else(PoisonError::into_inner)
    }

    fn want(&self, more: Wanted) {
        let mut desk = self.desk();
        desk.wanted = more.max(desk.wanted);
        self.changed.notify_all();
    }

    /// Waits for work, and begins it.
    fn take(&self) -> Wanted {
        let mut desk = self.wait_while(|desk| desk.wanted == Wanted::Nothing);
        desk.busy = true;
        std::mem::take(&mut desk.wanted)
    }

    fn done(&self) {
        self.desk().busy = false;
        self.changed.notify_all();
    }
}

/// Says that the thread has ended, even by a panic: nobody waits for it then.
struct Leaves(Arc<Shared>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.desk().left = true;
        self.0.changed.notify_all();
    }
}

/// The thread, and what the writer knows of the log. Dropping it ends the thread.
pub(super) struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Frames when the thread was last asked to copy.
    asked: u32,
    /// Frames at which it is (again) prepared that the log begins anew.
    long: u32,
    /// Whether that has been asked for.
    preparing: bool,
}

impl Log {
    /// Watches the commits of `writer`; `copier` is the thread's own connection, to `file`.
    pub(super) fn watch(
        writer: &mut Connection,
        copier: Connection,
        file: Arc<File>,
        health: Arc<Health>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames: std::ffi::c_int| {
            told.frames.store(frames.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let at_work = Leaves(shared.clone());
        let thread = std::thread::Builder::new().name("longrun-wal".to_owned()).spawn(move || {
            loop {
                let wanted = at_work.0.take();
                if wanted == Wanted::Stop {
                    return;
                }
                if let Err(fault) = copy(&copier, (wanted == Wanted::Sync).then_some(&file)) {
                    note(&fault, &health);
                }
                at_work.0.done();
            }
        })?;
        Ok(Self { shared, thread: Some(thread), asked: 0, long: LONG, preparing: false })
    }

    /// After a commit: time to copy?
    pub(super) fn committed(&mut self) {
        let frames = self.shared.frames.load(Ordering::Relaxed);
        if frames < self.asked {
            self.began_anew();
        }
        if self.preparing {
            return;
        }
        if frames >= self.long {
            self.preparing = true;
            self.asked = frames;
            self.shared.want(Wanted::Sync);
        } else if frames - self.asked >= COPY_EVERY {
            self.asked = frames;
            self.shared.want(Wanted::Copy);
        }
    }

    fn began_anew(&mut self) {
        (self.asked, self.long, self.preparing) = (0, LONG, false);
    }

    /// Between turns: begins the log anew when it has become too long. The file is kept and written over, which costs
    /// fewer updates of its metadata than growing it again.
    ///
    /// Each try waits for those who read: the server's own are gone soon. Who reads the whole file, as for a copy, needs the log
    /// until he is through, and says so by a lock on `held`: nothing waits for him.
    pub(super) fn shorten(&mut self, writer: &Connection, held: &File, health: &Health) {
        if !self.preparing {
            return;
        }
        let frames = self.shared.frames.load(Ordering::Relaxed);
        if frames < self.long.saturating_add(LONGEST - LONG) && !self.shared.desk().rests() {
            return;
        }
        drop(self.shared.wait_while(|desk| !desk.rests()));
        if !health.is_sound() {
            return;
        }
        if is_read_at_length(held) {
            (self.long, self.preparing) = (frames + COPY_EVERY, false);
            return;
        }
        match checkpoint(writer, CheckpointMode::RESTART) {
            Ok(()) => {
                self.shared.frames.store(0, Ordering::Relaxed);
                self.began_anew();
            }
            Err(fault) => {
                // A reader still needs the log: a little later, then.
                (self.long, self.preparing) = (frames + COPY_EVERY / 4, false);
                note(&fault, health);
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.want(Wanted::Stop);
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

/// As much as goes without holding anybody up; SQLite syncs the file only where that is all of the log.
fn copy(copier: &Connection, sync: Option<&Arc<File>>) -> Result<()> {
    checkpoint(copier, CheckpointMode::PASSIVE)?;
    if let Some(file) = sync {
        file.sync_data()?;
    }
    Ok(())
}

fn checkpoint(connection: &Connection, mode: CheckpointMode) -> Result<()> {
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
