//! Room on the disk: the watermark for new work, and the reserve that lets running work end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Name of the reserve file.
const RESERVE: &str = "longrun.reserve";
/// Its bytes: enough for some thousand endings.
pub(super) const RESERVE_BYTES: u64 = 16 << 20;
/// One look at the file system serves this long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known of the disk.
pub(super) struct Space {
    directory: PathBuf,
    min_free_bytes: u64,
    looked: Option<(Instant, bool)>,
    reserved: bool,
}

impl Space {
    /// Makes the reserve when there is room for it.
    pub(super) fn open(directory: &Path, min_free_bytes: u64) -> Self {
        let mut space =
            Self { directory: directory.to_owned(), min_free_bytes, looked: None, reserved: false };
        space.reserved =
            has_reserve(directory) || free_bytes(directory).is_some_and(|free| space.reserve_again(free));
        space
    }

    /// Whether there is room for new work. A file system that cannot say has room until it refuses.
    /// What the file itself has free for new rows counts: pruning frees that, and the file never shrinks.
    pub(super) fn has_room(&mut self, free_within: impl FnOnce() -> u64) -> bool {
        if let Some((at, room)) = self.looked
            && at.elapsed() < LOOK_EVERY
        {
            return room;
        }
        let room = free_bytes(&self.directory).is_none_or(|free| {
            if !self.reserved && free >= self.min_free_bytes {
                self.reserved = self.reserve_again(free);
            }
            free.saturating_add(free_within()) >= self.min_free_bytes
        });
        self.looked = Some((Instant::now(), room));
        room
    }

    /// Gives the reserve back to the file system; false when there is none.
    pub(super) fn release(&mut self) -> bool {
        self.looked = None;
        if !std::mem::take(&mut self.reserved) {
            return false;
        }
        match fs::remove_file(self.reserve()) {
            Ok(()) => tracing::warn!("the disk is full; released the reserve so that running work can end"),
            Err(error) => tracing::error!(%error, "the disk is full, and the reserve cannot be released"),
        }
        true
    }

    fn reserve(&self) -> PathBuf {
        reserve_in(&self.directory)
    }

    /// Only where as much again stays free, so that the reserve itself does not fill the disk.
    fn reserve_again(&self, free: u64) -> bool {
        if free < 2 * RESERVE_BYTES {
            return false;
        }
        let path = self.reserve();
        match allocate(&path) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the reserve file cannot be made");
                // Half a reserve is none; if it cannot go either, the next start tries again.
                let _ = fs::remove_file(&path);
                false
            }
        }
    }
}

fn reserve_in(directory: &Path) -> PathBuf {
    directory.join(RESERVE)
}

/// Whether the whole reserve is there.
pub(super) fn has_reserve(directory: &Path) -> bool {
    fs::metadata(reserve_in(directory)).is_ok_and(|file| file.len() == RESERVE_BYTES)
}

/// Bytes that are free on the disk of a directory; none: the system does not say.
pub(super) fn free_bytes(directory: &Path) -> Option<u64> {
    let stat = statvfs(directory).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Really allocated: a sparse file would reserve nothing.
fn allocate(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    if fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES).is_err() {
        fill(&file)?;
    }
    file.sync_all()
}

fn fill(mut file: &File) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    for _ in 0..RESERVE_BYTES / (1 << 20) {
        file.write_all(&zeros)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_made_released_and_made_again_when_room_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RESERVE);
        let mut space = Space::open(directory.path(), 0);
        assert_eq!(fs::metadata(&path).unwrap().len(), RESERVE_BYTES);
        space.release();
        assert!(!path.exists());
        space.release();
        assert!(space.has_room(|| 0));
        assert_eq!(fs::metadata(&path).unwrap().len(), RESERVE_BYTES);
    }

    #[test]
    fn below_the_watermark_there_is_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let mut space = Space::open(directory.path(), u64::MAX);
        assert!(!space.has_room(|| 0));
        space.min_free_bytes = 0;
        assert!(!space.has_room(|| 0), "the answer holds for a second");
        space.looked = None;
        assert!(space.has_room(|| 0));
        space.min_free_bytes = u64::MAX;
        space.looked = None;
        assert!(space.has_room(|| u64::MAX), "pages that the file has free count");
    }
}
