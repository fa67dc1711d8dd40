//! Finds the Rust files and reads each into tokens.

use std::fs;
use std::path::Path;

use proc_macro2::TokenStream;

use super::Violation;
use super::config::Config;

/// What the tree a file stands in asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// `src` and `workers`: every rule, and the median.
    House,
    /// The repository's own tools: every rule that is about one file.
    Tools,
    /// Tests and the like: the same, with longer files.
    Tests,
}

pub(super) struct Source {
    /// From the repository's root, with `/`.
    pub(super) path: String,
    pub(super) tree: Tree,
    pub(super) lines: usize,
    pub(super) tokens: TokenStream,
}

impl Source {
    /// Reads `text`; a violation where it is not Rust.
    pub(super) fn read(path: &str, tree: Tree, text: &str) -> Result<Self, Violation> {
        let tokens = text.parse().map_err(|error: proc_macro2::LexError| Violation {
            path: path.to_owned(),
            line: error.span().start().line,
            rule: "parse",
            item: String::new(),
            what: format!("is not Rust: {error}"),
        })?;
        Ok(Self { path: path.to_owned(), tree, lines: text.lines().count(), tokens })
    }
}

/// All sources of the declared trees in the order of their paths, and a violation for each that cannot be read.
pub(super) fn read_all(root: &Path, config: &Config) -> Result<(Vec<Source>, Vec<Violation>), String> {
    let (mut sources, mut unread) = (Vec::new(), Vec::new());
    for (name, tree) in &config.trees {
        let mut paths = Vec::new();
        if root.join(name).is_dir() {
            walk(root, name, &mut paths)?;
        }
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
            match Source::read(&path, *tree, &text) {
                Ok(source) => sources.push(source),
                Err(violation) => unread.push(violation),
            }
        }
    }
    Ok((sources, unread))
}

fn walk(root: &Path, directory: &str, paths: &mut Vec<String>) -> Result<(), String> {
    let say = |error: std::io::Error| format!("{directory}: {error}");
    for entry in fs::read_dir(root.join(directory)).map_err(say)? {
        let entry = entry.map_err(say)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{directory}/{name}");
        // What other people wrote or a build made: `target`, `node_modules`, and hidden directories.
        let foreign = name.starts_with('.') || name == "target" || name == "node_modules";
        if entry.file_type().map_err(say)?.is_dir() {
            if !foreign {
                walk(root, &path, paths)?;
            }
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}
