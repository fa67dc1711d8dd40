//! The arrows between the rooms of `src`: they point one way.

use super::Violation;
use super::config::Config;
use super::paths;
use super::rooms::Place;
use super::source::Source;

pub(super) fn check(config: &Config, source: &Source) -> Vec<Violation> {
    let Some(place) = Place::of(&source.path) else {
        return Vec::new();
    };
    let violation = |line, rule, item: &str, what| Violation {
        path: source.path.clone(),
        line,
        rule,
        item: item.to_owned(),
        what,
    };
    let Some(allowed) = config.allowed(&place.name) else {
        let what = format!("`{}` is no room of shape.toml", place.room());
        return vec![violation(1, "room", place.room(), what)];
    };
    let mut found: Vec<Violation> = Vec::new();
    for path in paths::of(&source.tokens) {
        let Some(target) = place.target(&path, |name| config.allowed(name).is_some()) else {
            continue;
        };
        if allowed.iter().any(|room| *room == target || room == "*") {
            continue;
        }
        let written = path.segments.join("::");
        let what = format!("`{}` may not use `{target}` (`{written}`)", place.name);
        found.push(violation(path.line, "arrow", &target, what));
    }
    found.dedup();
    found
}
