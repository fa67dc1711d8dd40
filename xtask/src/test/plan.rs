//! The steps, and the commands they are made of.
//!
//! A test in a module called `alone` must have the machine to itself: it kills, freezes, traces or floods a server.
//! nextest learns that from `.config/nextest.toml`; with plain `cargo test` those tests get a step of their own.

use super::{python, typescript};

/// Every test that is compiled as one; examples and benches are compiled by clippy.
const TARGETS: [&str; 4] = ["--workspace", "--lib", "--bins", "--tests"];

pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// In this process, so that nothing has to be built for it.
    Shape,
    /// In this process, too: what the tests have seen of what the server says of itself.
    Answers,
    /// Several commands of npm, for the SDK in TypeScript.
    TypeScript,
    /// Several commands, for the SDK in Python.
    Python,
    Command(Vec<&'static str>),
    /// A command whose tests are counted.
    Tests(Vec<&'static str>),
}

/// What the tests of a step are, for the account at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    /// All but those in `alone` modules, which this step leaves out.
    Together,
    Alone,
    /// Both at once: nextest keeps them apart by itself.
    All,
    Doc,
    /// Of an SDK in another language.
    Sdk,
}

impl Step {
    fn command(name: &'static str, words: Vec<&'static str>) -> Self {
        Self { name, kind: Kind::None, work: Work::Command(words) }
    }

    fn tests(name: &'static str, kind: Kind, words: Vec<&'static str>) -> Self {
        Self { name, kind, work: Work::Tests(words) }
    }

    /// The line that runs just this step.
    pub(super) fn again(&self) -> String {
        match &self.work {
            Work::Shape => "cargo xtask shape".to_owned(),
            Work::Answers => "cargo xtask test".to_owned(),
            Work::TypeScript => typescript::AGAIN.to_owned(),
            Work::Python => python::AGAIN.to_owned(),
            Work::Command(words) | Work::Tests(words) => {
                let quoted = |word: &&str| {
                    if word.contains('(') { format!("'{word}'") } else { (*word).to_owned() }
                };
                words.iter().map(quoted).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

pub(super) fn steps(fast: bool, nextest: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::command("format", vec!["cargo", "fmt", "--all", "--", "--check"]),
        Step::command(
            "lints",
            vec!["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        ),
        Step { name: "shape", kind: Kind::None, work: Work::Shape },
        // What the SDKs in other languages are tried on; the scenarios among the tests need those built in turn.
        Step::command("build", [&["cargo", "test", "--no-run"], &TARGETS[..]].concat()),
        // Those that tests build by the words of a guide are there then: a test has less time than they may take.
        Step::command("examples", vec!["cargo", "build", "--workspace", "--examples"]),
        Step { name: "typescript", kind: Kind::Sdk, work: Work::TypeScript },
        Step { name: "python", kind: Kind::Sdk, work: Work::Python },
    ];
    if nextest {
        steps.push(with_nextest(fast));
    } else {
        steps.extend(without_nextest(fast));
    }
    if !fast {
        steps.push(Step { name: "answers", kind: Kind::None, work: Work::Answers });
    }
    steps.push(Step::tests("doc tests", Kind::Doc, vec!["cargo", "test", "--doc", "--workspace"]));
    steps
}

/// Runs a command beside a PostgreSQL server that all its tests share; without it each process starts its own.
const BESIDE_POSTGRES: [&str; 6] = ["cargo", "run", "--quiet", "--package", "longrun-postgres", "--"];

fn with_nextest(fast: bool) -> Step {
    let mut words = BESIDE_POSTGRES.to_vec();
    words.extend(["cargo", "nextest", "run", "--no-fail-fast", "--final-status-level", "skip"]);
    words.extend(TARGETS);
    if !fast {
        return Step::tests("tests", Kind::All, words);
    }
    words.extend(["-E", "not test(/(^|::)alone::/)"]);
    Step::tests("tests", Kind::Together, words)
}

fn without_nextest(fast: bool) -> Vec<Step> {
    let command = |rest: &[&'static str]| {
        [&BESIDE_POSTGRES[..], &["cargo", "test", "--no-fail-fast"], &TARGETS, rest].concat()
    };
    let together = Step::tests("tests", Kind::Together, command(&["--", "--skip", "alone::"]));
    let alone = Step::tests("tests alone", Kind::Alone, command(&["--", "alone::", "--test-threads=1"]));
    if fast { vec![together] } else { vec![together, alone] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(fast: bool, nextest: bool) -> Vec<Kind> {
        let kinds = steps(fast, nextest).iter().map(|step| step.kind).collect::<Vec<_>>();
        kinds.into_iter().filter(|kind| *kind != Kind::None).collect()
    }

    #[test]
    fn every_way_to_run_covers_what_it_says() {
        assert_eq!(kinds(false, true), [Kind::Sdk, Kind::Sdk, Kind::All, Kind::Doc]);
        assert_eq!(kinds(false, false), [Kind::Sdk, Kind::Sdk, Kind::Together, Kind::Alone, Kind::Doc]);
        assert_eq!(kinds(true, true), [Kind::Sdk, Kind::Sdk, Kind::Together, Kind::Doc]);
        assert_eq!(kinds(true, false), [Kind::Sdk, Kind::Sdk, Kind::Together, Kind::Doc]);
    }

    #[test]
    fn a_line_to_run_again_survives_a_shell() {
        let steps = steps(true, true);
        let again = steps.iter().find(|step| step.name == "tests").expect("a step of tests").again();
        assert!(again.ends_with("-E 'not test(/(^|::)alone::/)'"), "{again}");
    }
}
