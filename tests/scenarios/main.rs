//! What every SDK does, in each language: a test for each language and file of `workers/scenarios`, named after both, like
//! `scenarios::rust::lease_lost`. `workers/scenarios/README.md` tells what is in the files and how an SDK joins.
//!
//! * `scenario`: the files, read strictly; `like`: what a step expects of JSON;
//! * `language`: how a scenario program is started; `worker`: its process;
//! * `wire`: what passes between workers and server, and what is lost there;
//! * `guide`: the tests that `docs/testing-handlers.md` shows;
//! * `run`: the world of one scenario, and its steps; `check`: those that look.

mod check;
mod guide;
mod language;
mod like;
mod run;
mod scenario;
mod wire;
mod worker;

#[allow(dead_code, unused_imports)] // It serves the other test binary, too.
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use language::Language;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/workers/scenarios");

fn main() -> ExitCode {
    let mut trials = vec![
        Trial::test("runner::a_step_that_nobody_knows_is_refused", scenario::unknown_steps_are_refused),
        Trial::test("runner::what_is_like_something_holds_all_of_it", || {
            like::likeness_is_tested();
            Ok(())
        }),
    ];
    for language in Language::ALL {
        let name = format!("guide::{}::shows_a_test_that_passes", language.name());
        trials.push(Trial::test(name, move || guide::carry_out(language)));
    }
    for path in files() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for language in Language::ALL {
            let path = path.clone();
            let name = format!("scenarios::{}::{name}", language.name());
            trials.push(Trial::test(name, move || carry_out(language, &path)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The scenarios, in the order of their names.
fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(DIRECTORY).expect("the scenarios are there");
    let paths = entries.map(|entry| entry.expect("a directory can be read").path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
    files.sort();
    assert!(!files.is_empty(), "there are no scenarios in {DIRECTORY}");
    files
}

fn carry_out(language: Language, path: &Path) -> Result<(), Failed> {
    let scenario = scenario::read(path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok(runtime.block_on(run::carry_out(language, &scenario))?)
}
