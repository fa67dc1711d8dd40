//! `cargo xtask shape`: keeps the house.
//!
//! Every Rust file is read as a tree of tokens, so strings and comments never count and the bodies of macros do.
//! From it come the arrows between rooms ([`arrows`]), the sizes ([`sizes`]) and the words ([`words`]); what
//! `shape.toml` excuses is taken away, and an excuse that nobody needs is itself a violation ([`exceptions`]).

mod arrows;
mod config;
mod exceptions;
mod median;
mod paths;
mod rooms;
mod sizes;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::path::Path;

use config::Config;
use source::{Source, Tree};

/// One broken rule, printed as `path:line: rule: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    rule: &'static str,
    /// What an exception's `item` is compared with: the function, trait, word or target room.
    item: String,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, what, .. } = self;
        write!(f, "{path}:{line}: {rule}: {what}")
    }
}

/// Checks the repository at `root` and prints what it finds; an error when a rule is broken.
pub(crate) fn run(root: &Path, longest: bool) -> Result<(), String> {
    let text =
        std::fs::read_to_string(root.join("shape.toml")).map_err(|error| format!("shape.toml: {error}"))?;
    let config = Config::parse(&text).map_err(|reason| format!("shape.toml: {reason}"))?;
    let (sources, unread) = source::read_all(root, &config)?;
    let mut violations = unread;
    violations.extend(check(&config, &sources));
    for violation in &violations {
        println!("{violation}");
    }
    if longest {
        print_longest(&sources);
    }
    let summary = summary(&config, &sources);
    if violations.is_empty() {
        println!("shape: {summary}: the house stands");
        return Ok(());
    }
    Err(format!("shape: {summary}: {} violation(s)", violations.len()))
}

/// Every rule over `sources`, less what the exceptions excuse, in the order of path and line.
fn check(config: &Config, sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        found.extend(arrows::check(config, source));
        found.extend(sizes::check(config, source));
        found.extend(words::check(config, source));
    }
    found.extend(median::check(config, sources));
    let mut left = exceptions::apply(&config.exceptions, found);
    left.sort_by(|a, b| (&a.path, a.line, &a.what).cmp(&(&b.path, b.line, &b.what)));
    left
}

fn summary(config: &Config, sources: &[Source]) -> String {
    let lines: usize = sources.iter().map(|source| source.lines).sum();
    let house = sources.iter().filter(|source| source.tree == Tree::House).count();
    format!(
        "{} files, {lines} lines; {house} of the house, median {}; {} exception(s)",
        sources.len(),
        median::of(sources),
        config.exceptions.len(),
    )
}

/// The five longest files and the three longest functions: what to open before calling a piece of work done.
fn print_longest(sources: &[Source]) {
    let mut files: Vec<&Source> = sources.iter().collect();
    files.sort_by_key(|source| std::cmp::Reverse(source.lines));
    for source in files.iter().take(5) {
        println!("{:>5} lines  {}", source.lines, source.path);
    }
    let mut functions: Vec<_> = sources
        .iter()
        .flat_map(|source| sizes::functions(source).into_iter().map(move |f| (f, &source.path)))
        .collect();
    functions.sort_by_key(|(function, _)| std::cmp::Reverse(function.lines));
    for (function, path) in functions.iter().take(3) {
        println!("{:>5} lines  fn {} in {path}:{}", function.lines, function.name, function.line);
    }
}
