//! What `shape.toml` excuses, and the excuses that nobody needs any more.

use super::Violation;
use super::config::Exception;

/// The violations that no exception excuses, and one more for each exception that excuses nothing.
pub(super) fn apply(exceptions: &[Exception], found: Vec<Violation>) -> Vec<Violation> {
    let mut used = vec![false; exceptions.len()];
    let mut left = Vec::new();
    for violation in found {
        match exceptions.iter().position(|exception| excuses(exception, &violation)) {
            Some(at) => used[at] = true,
            None => left.push(violation),
        }
    }
    let stale = exceptions.iter().zip(used).filter(|(_, used)| !used);
    left.extend(stale.map(|(exception, _)| Violation {
        path: "shape.toml".to_owned(),
        line: exception.line,
        rule: "exception",
        item: String::new(),
        what: format!(
            "nothing in {} breaks `{}` as this exception says: remove it",
            exception.path, exception.rule
        ),
    }));
    left
}

fn excuses(exception: &Exception, violation: &Violation) -> bool {
    exception.rule == violation.rule
        && exception.path == violation.path
        && exception.item.as_ref().is_none_or(|item| *item == violation.item)
}
