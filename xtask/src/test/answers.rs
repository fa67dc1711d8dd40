//! What the server says of itself against what its tests have seen: each answer that is described must have been seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Names the directory to the tests.
pub(super) const VARIABLE: &str = "LONGRUN_ANSWERS";

/// What no test can bring about: the server's own mistake.
const EXCEPTED: &str = "any 500";

pub(super) fn directory(root: &Path) -> PathBuf {
    root.join("target/answers")
}

/// Forgets what was seen in another run.
pub(super) fn clear(root: &Path) -> Result<(), String> {
    let directory = directory(root);
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))
}

/// Names what was described and not seen.
pub(super) fn verdict(root: &Path) -> Result<(), String> {
    let (mut documented, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let directory = directory(root);
    let files = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for file in files.flatten() {
        let lines = fs::read_to_string(file.path()).map_err(|error| error.to_string())?;
        let describes = file.file_name().to_string_lossy().starts_with("documented.");
        let into = if describes { &mut documented } else { &mut seen };
        into.extend(lines.lines().map(str::to_owned));
    }
    judge(&documented, &seen)?;
    println!("{} answers are described, and all were seen", documented.len());
    Ok(())
}

fn judge(documented: &BTreeSet<String>, seen: &BTreeSet<String>) -> Result<(), String> {
    if documented.is_empty() {
        return Err("no test has read what the server says of itself".to_owned());
    }
    let unseen: Vec<&str> =
        documented.difference(seen).map(String::as_str).filter(|line| *line != EXCEPTED).collect();
    if unseen.is_empty() {
        Ok(())
    } else {
        Err(format!("described, and seen by no test:\n   {}", unseen.join("\n   ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_described_must_have_been_seen() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<_>>();
        let documented = lines(&["GET /a 200", "any 404", "any 500"]);
        assert!(judge(&documented, &lines(&["GET /a 200", "any 404", "any 429"])).is_ok());
        assert!(judge(&documented, &lines(&["GET /a 200"])).unwrap_err().contains("any 404"));
        assert!(judge(&lines(&[]), &lines(&[])).is_err());
    }
}
