//! The Python SDK: an environment of its own is made, the wheel is built and put into it, then it is checked and tested.
//!
//! The scenarios among the Rust tests start their Python program in the same environment.

use std::fs;
use std::path::Path;

use super::process;
use super::tally::Tally;
use super::target;

/// The line that repeats the tests of the step, once the environment is there.
pub(super) const AGAIN: &str = "target/python/bin/python -m pytest workers/python";

const PACKAGE: &str = "workers/python";
const QUIET_PIP: [&str; 4] = ["-m", "pip", "--quiet", "--disable-pip-version-check"];

/// Everything that has to hold of the SDK, and how many of its tests passed.
pub(super) fn run(root: &Path) -> (Result<(), String>, Tally) {
    let environment = target(root).join("python");
    let python = environment.join("bin/python").display().to_string();
    if let Err(reason) = prepare(root, &environment, &python) {
        return (Err(reason), Tally::default());
    }
    let (outcome, tally) = process::run_tests(root, &[&python, "-m", "pytest", PACKAGE]);
    let outcome = outcome.and_then(|()| match tally.passed {
        0 => Err("no test was run: that is no success".to_owned()),
        _ => Ok(()),
    });
    (outcome, tally)
}

fn prepare(root: &Path, environment: &Path, python: &str) -> Result<(), String> {
    let package = root.join(PACKAGE);
    make(&package, environment, python)?;
    install_wheel(&package, environment, python)?;
    for check in [&["ruff", "format", "--quiet", "--check"][..], &["ruff", "check", "--quiet"], &["mypy"]] {
        process::run(&package, &[&[python, "-m"], check].concat())?;
    }
    Ok(())
}

/// Makes the environment of what `requirements-dev.txt` names, unless just that is there already.
fn make(package: &Path, environment: &Path, python: &str) -> Result<(), String> {
    let requirements = package.join("requirements-dev.txt");
    let wanted = fs::read_to_string(&requirements).map_err(|error| told(&requirements, &error))?;
    let stamp = environment.join("requirements-dev.txt");
    let made = fs::read_to_string(&stamp).is_ok_and(|made| made == wanted);
    if made && process::succeeds(package, &[python, "--version"]) {
        return Ok(());
    }
    process::run(package, &["python3", "-m", "venv", "--clear", &environment.display().to_string()])?;
    let install = ["install", "--requirement", "requirements-dev.txt"];
    process::run(package, &[&[python], &QUIET_PIP[..], &install].concat())?;
    fs::write(&stamp, wanted).map_err(|error| told(&stamp, &error))
}

/// Builds the wheel and installs it as a user would, so that what is tested is what is shipped.
fn install_wheel(package: &Path, environment: &Path, python: &str) -> Result<(), String> {
    let wheels = environment.join("wheel");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).map_err(|error| told(&wheels, &error))?;
    }
    let pip = |words: &[&str]| process::run(package, &[&[python], &QUIET_PIP[..], words].concat());
    let into = wheels.display().to_string();
    pip(&["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", &into, "."])?;
    let built = fs::read_dir(&wheels).map_err(|error| told(&wheels, &error))?.flatten().next();
    let built = built.ok_or("no wheel was built")?.path().display().to_string();
    pip(&["install", "--no-deps", "--force-reinstall", &built])
}

fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
