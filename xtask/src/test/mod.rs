//! `cargo xtask test`: everything that has to hold, in the order in which it is cheapest to learn that it does not.

mod answers;
mod plan;
pub(crate) mod process;
mod python;
mod tally;
pub(crate) mod tools;
mod typescript;

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plan::{Step, Work};
use tally::Tally;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    install: bool,
    fast: bool,
}

impl Options {
    pub(crate) fn parse(flags: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        for flag in flags {
            match *flag {
                "--install" => options.install = true,
                "--fast" => options.fast = true,
                unknown => {
                    return Err(format!("cargo xtask test: `{unknown}` is not known\n\n{}", crate::USAGE));
                }
            }
        }
        Ok(options)
    }
}

/// Runs every step, stops at the first that fails, and says how to see just that one again.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), String> {
    let begun = Instant::now();
    tools::ensure(root, &tools::TEST, options.install)?;
    let steps = plan::steps(options.fast, process::succeeds(root, &["cargo", "nextest", "--version"]));
    answers::clear(root)?;
    let mut total = Tally::default();
    for step in &steps {
        println!("\n── {} ── {}", step.name, step.again());
        let at = Instant::now();
        let outcome = carry_out(root, step, &mut total);
        let took = seconds(at.elapsed());
        match outcome {
            Ok(()) => println!("── {}: ok, {took}", step.name),
            Err(reason) => {
                return Err(format!(
                    "\n── {}: FAILED, {took}: {reason}\n   just this step again:  {}",
                    step.name,
                    step.again(),
                ));
            }
        }
    }
    total.verdict(options.fast)?;
    println!("\n{}", total.report(options.fast));
    println!("all {} steps ok, {}", steps.len(), seconds(begun.elapsed()));
    Ok(())
}

fn carry_out(root: &Path, step: &Step, total: &mut Tally) -> Result<(), String> {
    match &step.work {
        Work::Shape => crate::shape::run(root, false),
        Work::Answers => answers::verdict(root),
        Work::Command(words) => process::run(root, words),
        Work::TypeScript => {
            let (outcome, tally) = typescript::run(root);
            total.add(step.kind, tally);
            outcome
        }
        Work::Python => {
            let (outcome, tally) = python::run(root);
            total.add(step.kind, tally);
            outcome
        }
        Work::Tests(words) => {
            let (outcome, tally) = process::run_tests(root, words);
            total.add(step.kind, tally);
            outcome
        }
    }
}

/// Where cargo builds, and so everything else.
fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
