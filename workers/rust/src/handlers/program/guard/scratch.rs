//! The directory of one attempt: its own, empty but for its checkpoint, gone in the end.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Where one attempt's directory may be.
pub(crate) fn fresh_path() -> PathBuf {
    std::env::temp_dir().join(format!("longrun-{}", Uuid::new_v4().simple()))
}

/// Removes what is there. What a program has protected against its own user stays: nothing depends on it.
pub(crate) fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A fresh directory which nobody else may enter. One of that name that is there already is an error,
    /// whoever made it.
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        let told =
            |error| io::Error::other(format!("the directory {} of the attempt: {error}", path.display()));
        DirBuilder::new().mode(0o700).create(&path).map_err(told)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        File::create_new(&path)?.write_all(content)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_its_attempts_own_and_goes_with_all_that_is_in_it() {
        let scratch = Scratch::at(fresh_path()).unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let file = scratch.file("a", b"b").unwrap();
        assert_eq!(fs::read(file).unwrap(), b"b");
        assert!(Scratch::at(path.clone()).is_err(), "another's is never taken");
        fs::create_dir(path.join("c")).unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
