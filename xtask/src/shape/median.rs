//! The median length of a file of the house.

use super::Violation;
use super::config::Config;
use super::source::{Source, Tree};

/// The median over `src` and `workers`; between two middle files, their mean, rounded up.
pub(super) fn of(sources: &[Source]) -> usize {
    let mut lines: Vec<usize> =
        sources.iter().filter(|source| source.tree == Tree::House).map(|source| source.lines).collect();
    lines.sort_unstable();
    let middle = lines.len() / 2;
    match lines.len() {
        0 => 0,
        odd if odd % 2 == 1 => lines[middle],
        _ => (lines[middle - 1] + lines[middle]).div_ceil(2),
    }
}

pub(super) fn check(config: &Config, sources: &[Source]) -> Option<Violation> {
    let (median, limit) = (of(sources), config.limits.median_lines);
    (median > limit).then(|| Violation {
        path: "src".to_owned(),
        line: 1,
        rule: "median",
        item: String::new(),
        what: format!("the median file of the house has {median} lines, at most {limit} are allowed"),
    })
}
