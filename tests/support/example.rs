//! What the Rust SDK's package has to run for its tests: the scenario program, and the test that the guide shows.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::server::LONGRUN;

/// The binary of `workers/rust/examples/scenarios.rs`: a worker with a handler for each behaviour.
pub fn scenario_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(&["build", "--example", "scenarios"], "scenarios"))
}

/// The binary of the test in `workers/rust/tests/guide.rs`.
pub fn guide_test() -> PathBuf {
    build(&["test", "--no-run", "--test", "guide"], "guide")
}

/// Builds a target from how it stands now: cargo builds none of another package for a test.
fn build(words: &[&str], target_name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo or nextest told this process about its own package would make build scripts run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start)) {
            cargo.env_remove(&*name);
        }
    }
    // The whole workspace, so that its features are those that the tests were built with.
    cargo.args(words).args(["--workspace", "--message-format", "json"]);
    cargo.arg("--target-dir").arg(target()).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let output = cargo.output().expect("cargo can be run");
    let built = String::from_utf8_lossy(&output.stdout);
    let executable =
        built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|line| {
            let is_ours = line["target"]["name"] == target_name;
            line["executable"].as_str().filter(|_| is_ours).map(PathBuf::from)
        });
    let errors = String::from_utf8_lossy(&output.stderr);
    executable.filter(|_| output.status.success()).unwrap_or_else(|| panic!("{errors}{built}"))
}

/// The directory into which cargo builds.
pub fn target() -> &'static Path {
    Path::new(LONGRUN).ancestors().nth(2).expect("the binary is in a profile's directory")
}
