//! The TypeScript SDK: what it is built with is installed, then it is checked, packed and tested.

use std::fs;
use std::path::Path;

use super::process;
use super::tally::Tally;
use super::target;

/// The line that repeats the step.
pub(super) const AGAIN: &str = "npm --prefix workers/typescript ci && npm --prefix workers/typescript test";

const PACKAGE: &str = "workers/typescript";

/// Everything that has to hold of the SDK, and how many of its tests passed.
pub(super) fn run(root: &Path) -> (Result<(), String>, Tally) {
    if let Err(reason) = prepare(root) {
        return (Err(reason), Tally::default());
    }
    let (outcome, tally) = process::run_tests(root, &npm(&["run", "test:only"]));
    let outcome = outcome.and_then(|()| match tally.passed {
        0 => Err("no test was run: that is no success".to_owned()),
        _ => Ok(()),
    });
    (outcome, tally)
}

fn prepare(root: &Path) -> Result<(), String> {
    install(root)?;
    for script in ["build", "check", "lint"] {
        process::run(root, &npm(&["run", "--silent", script]))?;
    }
    let packed = target(root).join("typescript");
    fs::create_dir_all(&packed).map_err(|error| format!("{}: {error}", packed.display()))?;
    let packed = packed.display().to_string();
    let package = format!("./{PACKAGE}");
    process::run(
        root,
        &["npm", "pack", "--silent", "--ignore-scripts", &package, "--pack-destination", &packed],
    )
}

/// Installs what the lock names, unless just that is there already.
fn install(root: &Path) -> Result<(), String> {
    let package = root.join(PACKAGE);
    let lock = package.join("package-lock.json");
    let lock = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let installed = package.join("node_modules/.installed-lock.json");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    process::run(root, &npm(&["ci"]))?;
    fs::write(&installed, lock).map_err(|error| format!("{}: {error}", installed.display()))
}

fn npm<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["npm", "--prefix", PACKAGE], words].concat()
}
