//! A pretended disk: what was synced stays, and of what was only written a power loss keeps what it likes, in sectors.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::ffi;

/// Bytes that a disk writes as one.
const SECTOR: usize = 512;

/// The disk of this process. SQLite's files are on it as soon as it was plugged in.
static DISK: Mutex<Disk> = Mutex::new(Disk::new());
/// One test at a time has it.
static TURN: Mutex<()> = Mutex::new(());

/// Which syncs are not carried out, though they seem to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deaf {
    /// None: every sync is one.
    No,
    /// Those of the write-ahead log, about what `synchronous=NORMAL` leaves out.
    Log,
    /// All of them, as with `synchronous=OFF`.
    All,
}

/// What a write or a sync comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An I/O error. After that of a sync, what it should have made durable is forgotten or not, and no later sync covers it.
    Io,
    /// No room. A sync knows no such error: it fails as above.
    Full,
}

enum Op {
    Write(usize, Vec<u8>),
    Truncate(usize),
    Delete,
}

#[derive(Default)]
struct File {
    /// What a power loss leaves for certain; none: not even its name.
    durable: Option<Vec<u8>>,
    /// What was done since, in order.
    unsynced: Vec<Op>,
}

struct Disk {
    files: BTreeMap<PathBuf, File>,
    /// Writes and syncs so far.
    calls: u64,
    deaf: Deaf,
    fault: Option<(u64, Fault)>,
    cut: Option<Cut>,
    image: Option<Image>,
}

struct Cut {
    at: u64,
    /// Called just before, with nothing going on below.
    before: Box<dyn FnOnce() + Send>,
}

/// What is on the disk after a power loss.
#[derive(Default)]
pub struct Image {
    files: Vec<(OsString, Vec<u8>)>,
    /// Writes that were not synced,
    pub unsynced: usize,
    /// of these lost as a whole,
    pub dropped: usize,
    /// and kept in part.
    pub torn: usize,
}

impl Image {
    /// Puts it into an empty directory.
    pub fn restore(&self, directory: &Path) -> std::io::Result<()> {
        self.files.iter().try_for_each(|(name, bytes)| std::fs::write(directory.join(name), bytes))
    }
}

impl Disk {
    const fn new() -> Self {
        Self { files: BTreeMap::new(), calls: 0, deaf: Deaf::No, fault: None, cut: None, image: None }
    }

    /// Counts a write or a sync, and does what was planned for it.
    fn call(&mut self) -> Option<Fault> {
        self.calls += 1;
        let unsynced = self.files.values().any(|file| !file.unsynced.is_empty());
        if unsynced
            && self.cut.as_ref().is_some_and(|cut| cut.at <= self.calls)
            && let Some(cut) = self.cut.take()
        {
            (cut.before)();
            self.image = Some(self.lose());
        }
        self.fault.take_if(|(at, _)| *at == self.calls).map(|(_, fault)| fault)
    }

    /// What a power loss leaves at this moment.
    fn lose(&self) -> Image {
        let mut image = Image::default();
        // From losing nearly nothing to losing nearly all, and in one case of four everything.
        let kept = if fastrand::u8(..4) == 0 { 0.0 } else { fastrand::f64() };
        for (path, file) in &self.files {
            let mut bytes = file.durable.clone();
            for op in &file.unsynced {
                image.unsynced += 1;
                if fastrand::f64() >= kept {
                    image.dropped += 1;
                } else if let Op::Write(at, data) = op
                    && fastrand::u8(..4) == 0
                {
                    image.torn += 1;
                    tear(bytes.get_or_insert_default(), *at, data);
                } else {
                    apply(&mut bytes, op);
                }
            }
            if let (Some(bytes), Some(name)) = (bytes, path.file_name()) {
                image.files.push((name.to_owned(), bytes));
            }
        }
        image
    }
}

fn apply(bytes: &mut Option<Vec<u8>>, op: &Op) {
    match op {
        Op::Write(at, data) => put(bytes.get_or_insert_default(), *at, data),
        Op::Truncate(length) => bytes.get_or_insert_default().resize(*length, 0),
        Op::Delete => *bytes = None,
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

/// Some of its sectors were written, in whatever order.
fn tear(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    let mut from = 0;
    while from < data.len() {
        let to = data.len().min((at + from) / SECTOR * SECTOR + SECTOR - at);
        if fastrand::bool() {
            put(bytes, at + from, &data[from..to]);
        }
        from = to;
    }
}

fn disk() -> MutexGuard<'static, Disk> {
    DISK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What SQLite's files do, from [`crate::vfs`]. Each holds the disk until the file below has done the same, so that
/// nothing is ever half there.
pub(crate) fn opened(path: &Path) {
    let mut disk = disk();
    if !disk.files.contains_key(path) {
        let file = File { durable: std::fs::read(path).ok(), unsynced: Vec::new() };
        disk.files.insert(path.to_owned(), file);
    }
}

fn written(path: &Path, op: Op, below: impl FnOnce() -> i32) -> i32 {
    let mut disk = disk();
    match disk.call() {
        Some(Fault::Io) => return ffi::SQLITE_IOERR_WRITE,
        Some(Fault::Full) => return ffi::SQLITE_FULL,
        None => {}
    }
    let code = below();
    if code == ffi::SQLITE_OK {
        disk.files.entry(path.to_owned()).or_default().unsynced.push(op);
    }
    code
}

pub(crate) fn write(path: &Path, at: usize, data: &[u8], below: impl FnOnce() -> i32) -> i32 {
    written(path, Op::Write(at, data.to_vec()), below)
}

pub(crate) fn truncate(path: &Path, length: usize, below: impl FnOnce() -> i32) -> i32 {
    written(path, Op::Truncate(length), below)
}

pub(crate) fn delete(path: &Path, synced: bool, below: impl FnOnce() -> i32) -> i32 {
    let code = written(path, Op::Delete, below);
    if let Some(directory) = path.parent().filter(|_| code == ffi::SQLITE_OK && synced) {
        directory_synced(directory);
    }
    code
}

/// The file below needs none: the machine that this runs on keeps its power.
pub(crate) fn sync(path: &Path, is_log: bool) -> i32 {
    let mut disk = disk();
    let fault = disk.call();
    if disk.deaf == Deaf::All || disk.deaf == Deaf::Log && is_log {
        return ffi::SQLITE_OK;
    }
    let file = disk.files.entry(path.to_owned()).or_default();
    for op in std::mem::take(&mut file.unsynced) {
        if fault.is_none() || fastrand::bool() {
            apply(&mut file.durable, &op);
        }
    }
    if fault.is_some() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    ffi::SQLITE_OK
}

/// Somebody synced the directory itself: what was deleted there stays so. Its own sync makes a file's name durable.
pub(crate) fn directory_synced(directory: &Path) {
    let mut disk = disk();
    if disk.deaf == Deaf::All {
        return;
    }
    for (path, file) in &mut disk.files {
        let last = file.unsynced.iter().rposition(|op| matches!(op, Op::Delete));
        if let Some(last) = last.filter(|_| path.parent() == Some(directory)) {
            file.unsynced.drain(..=last);
            file.durable = None;
        }
    }
}

/// The disk, for one test. Empty; what is opened from now on is on it.
pub struct Plugged {
    _turn: MutexGuard<'static, ()>,
}

impl Plugged {
    /// Puts SQLite onto the disk and waits for whoever has it.
    pub fn in_turn() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        crate::vfs::register();
        let mut plugged = Self { _turn: turn };
        plugged.reset(Deaf::No);
        plugged
    }

    /// Forgets all files and plans. Nothing may be open.
    pub fn reset(&mut self, deaf: Deaf) {
        *disk() = Disk { deaf, ..Disk::new() };
    }

    /// Writes and syncs since the reset.
    pub fn calls(&self) -> u64 {
        disk().calls
    }

    /// The call of that number, from the reset on, fails.
    pub fn fail(&mut self, at: u64, fault: Fault) {
        disk().fault = Some((at, fault));
    }

    /// Power goes so many calls from now, or a little later, when there is something to lose; `before` is called just then.
    pub fn cut(&mut self, calls: u64, before: impl FnOnce() + Send + 'static) {
        let mut disk = disk();
        let at = disk.calls + calls;
        disk.cut = Some(Cut { at, before: Box::new(before) });
    }

    /// Waits for that power loss.
    pub fn image(&mut self, patience: Duration) -> Option<Image> {
        let began = Instant::now();
        loop {
            if let Some(image) = disk().image.take() {
                return Some(image);
            }
            if began.elapsed() > patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Power goes now.
    pub fn cut_now(&mut self) -> Image {
        disk().lose()
    }
}
