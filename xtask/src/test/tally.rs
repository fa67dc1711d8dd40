//! Counts tests from what their runners print, so that "ok" cannot mean that nothing ran.

use super::plan::Kind;

/// What one command, or all of them together, did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// With `#[ignore]`.
    pub(super) ignored: usize,
    /// Not asked for: by `--skip` or a filter.
    left_out: usize,
    doc_tests: usize,
    /// Of the SDKs in other languages.
    sdk_tests: usize,
    /// What the step of tests without the lonely ones left to the other.
    owed_alone: usize,
    ran_alone: usize,
    ignored_names: Vec<String>,
}

impl Tally {
    /// Reads one line of a test binary or of rustdoc.
    pub(super) fn read(&mut self, line: &str) {
        let line = line.trim();
        let ignored = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ignored"));
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.ignored += count(counts, "ignored");
            self.left_out += count(counts, "filtered out");
        } else if let Some((name, reason)) = ignored {
            self.ignored_names.push(format!("{name}{reason}"));
        }
    }

    /// Reads one line of Node's test runner: `ℹ pass 3`.
    pub(super) fn read_node(&mut self, line: &str) {
        let Some((what, number)) = line.trim().strip_prefix("ℹ ").and_then(|line| line.split_once(' '))
        else {
            return;
        };
        let number = number.parse().unwrap_or(0);
        match what {
            "pass" => self.passed += number,
            "fail" | "cancelled" => self.failed += number,
            "skipped" | "todo" => self.ignored += number,
            _ => {}
        }
    }

    /// Reads one line of pytest: `1 failed, 3 passed in 2.35s`.
    pub(super) fn read_pytest(&mut self, line: &str) {
        let Some((counts, took)) = line.trim().trim_matches('=').trim().rsplit_once(" in ") else { return };
        if !took.starts_with(|first: char| first.is_ascii_digit()) {
            return;
        }
        for (number, what) in counts.split(", ").filter_map(|count| count.split_once(' ')) {
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" | "error" | "errors" => self.failed += number,
                "skipped" | "xfailed" | "xpassed" | "deselected" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Reads one line of nextest, which shows the lines of a failed test's binary too.
    pub(super) fn read_nextest(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with("Summary [") {
            self.passed += count(line, "passed");
            self.failed += count(line, "failed") + count(line, "timed out");
            self.left_out += count(line, "skipped");
        }
    }

    pub(super) fn add(&mut self, kind: Kind, step: Self) {
        match kind {
            Kind::Together => self.owed_alone += step.left_out,
            Kind::Alone => self.ran_alone += step.passed + step.failed + step.ignored,
            // With no filter given, nextest skips exactly the ignored ones.
            Kind::All => self.ignored += step.left_out,
            Kind::Doc | Kind::Sdk | Kind::None => {}
        }
        match kind {
            Kind::Doc => self.doc_tests += step.passed,
            Kind::Sdk => self.sdk_tests += step.passed,
            _ => self.passed += step.passed,
        }
        self.failed += step.failed;
        self.ignored += step.ignored;
        self.ignored_names.extend(step.ignored_names);
    }

    /// An error where the steps succeeded and yet did not do their work.
    pub(super) fn verdict(&self, fast: bool) -> Result<(), String> {
        if self.passed == 0 {
            return Err("no test was run: that is no success".to_owned());
        }
        if !fast && self.owed_alone != self.ran_alone {
            return Err(format!(
                "{} tests in `alone` modules were put off, but {} were run",
                self.owed_alone, self.ran_alone
            ));
        }
        Ok(())
    }

    /// The account: what ran, and what did not.
    pub(super) fn report(&self, fast: bool) -> String {
        let Self { passed, doc_tests, sdk_tests, .. } = self;
        let mut parts = vec![format!(
            "{passed} tests, {doc_tests} doc tests and {sdk_tests} tests of SDKs in other languages passed"
        )];
        if fast {
            parts.push(format!("{} not run: --fast leaves out the `alone` ones", self.owed_alone));
        }
        if self.ignored > 0 {
            parts.push(format!("{} NOT RUN: they are marked to be ignored", self.ignored));
        }
        let names = self.ignored_names.iter().map(|name| format!("\n  ignored: {name}"));
        parts.join("; ") + &names.collect::<String>()
    }
}

/// The number before `what`, wherever it stands: `ok. 3 passed; 0 failed`.
fn count(text: &str, what: &str) -> usize {
    let before = text.match_indices(what).find_map(|(at, _)| {
        let digits = text[..at].trim_end().rsplit(|letter: char| !letter.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    before.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        tally
    }

    #[test]
    fn the_lines_of_both_runners_are_counted() {
        let plain = tally(&[
            "running 4 tests",
            "test promises::slow ... ignored, takes an hour",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
        ]);
        assert_eq!((plain.passed, plain.failed, plain.ignored, plain.left_out), (3, 0, 1, 2));
        assert_eq!(plain.ignored_names, ["promises::slow, takes an hour"]);
        let mut nextest = Tally::default();
        nextest
            .read_nextest("     Summary [   1.204s] 17 tests run: 15 passed (1 slow), 2 failed, 5 skipped");
        nextest
            .read_nextest("test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out");
        assert_eq!((nextest.passed, nextest.failed, nextest.left_out), (15, 2, 5));
    }

    #[test]
    fn the_closing_lines_of_node_are_counted() {
        let mut node = Tally::default();
        for line in
            ["✔ passes 3 of 4 (0.7ms)", "ℹ tests 7", "ℹ pass 4", "ℹ fail 1", "ℹ cancelled 1", "ℹ skipped 1"]
        {
            node.read_node(line);
        }
        assert_eq!((node.passed, node.failed, node.ignored), (4, 2, 1));
        let mut total = Tally::default();
        total.add(Kind::Sdk, node);
        assert!(total.report(false).contains("4 tests of SDKs"), "{}", total.report(false));
        assert!(total.verdict(false).is_err(), "they stand in for no other test");
    }

    #[test]
    fn the_closing_line_of_pytest_is_counted() {
        let mut pytest = Tally::default();
        for line in [
            "E   4 passed in vain",
            "tests/a.py::b passed",
            "1 failed, 3 passed, 2 skipped, 1 error in 2.35s",
        ] {
            pytest.read_pytest(line);
        }
        assert_eq!((pytest.passed, pytest.failed, pytest.ignored), (3, 2, 2));
        let mut total = Tally::default();
        total.add(Kind::Sdk, pytest);
        assert!(total.report(false).contains("3 tests of SDKs"), "{}", total.report(false));
        assert!(total.verdict(false).is_err(), "they stand in for no other test");
    }

    #[test]
    fn no_test_at_all_is_no_success() {
        let mut total = Tally::default();
        total.add(Kind::Together, tally(&["test result: ok. 0 passed; 0 failed; 0 ignored; 0 filtered out"]));
        total.add(Kind::Doc, tally(&["test result: ok. 9 passed; 0 failed; 0 ignored; 0 filtered out"]));
        assert!(total.verdict(false).is_err_and(|reason| reason.contains("no test was run")));
    }

    #[test]
    fn a_test_put_off_must_run_alone() {
        let together = tally(&["test result: ok. 5 passed; 0 failed; 0 ignored; 2 filtered out"]);
        let mut total = Tally::default();
        total.add(Kind::Together, together);
        assert_eq!(total.verdict(true), Ok(()), "--fast owes nothing");
        assert!(total.verdict(false).is_err());
        let alone = tally(&["test result: ok. 1 passed; 0 failed; 1 ignored; 5 filtered out"]);
        total.add(Kind::Alone, alone);
        assert_eq!(total.verdict(false), Ok(()));
        assert!(total.report(false).contains("6 tests"), "{}", total.report(false));
        assert!(total.report(false).contains("1 NOT RUN"));
    }
}
