//! Which room a file stands in, and which room a path leads to.

use super::paths::Written;

/// Where a file stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The longest name `shape.toml` may give it: `cli/serve`, `http/routes/submit`, `limits`.
    pub(super) name: String,
    /// Its module path in the crate: `["http", "routes"]` for `src/http/routes/mod.rs`.
    module: Vec<String>,
    is_sdk: bool,
}

impl Place {
    /// None for a file outside of `src` and the SDK's crate.
    pub(super) fn of(path: &str) -> Option<Self> {
        if path.starts_with("workers/rust/") {
            return Some(Self { name: "sdk".to_owned(), module: Vec::new(), is_sdk: true });
        }
        let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let name = inside.strip_suffix("/mod").unwrap_or(inside);
        let is_root = matches!(name, "lib" | "main") || name.starts_with("bin/");
        let module = if is_root { Vec::new() } else { name.split('/').map(str::to_owned).collect() };
        Some(Self { name: name.to_owned(), module, is_sdk: false })
    }

    /// The first part of the name: the room as a newcomer sees it in the tree.
    pub(super) fn room(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }

    /// The room that `path` leads to, or None where it stays in its own. `is_room` says whether a name at the crate's
    /// root is a room; anything else there, the root itself included, is `lib`.
    pub(super) fn target(&self, path: &Written, is_room: impl Fn(&str) -> bool) -> Option<String> {
        let first = path.segments.first().map(String::as_str);
        if self.is_sdk {
            // Its own `crate::` is none of the house's business; the server's crate is.
            return (first == Some("longrun")).then(|| "longrun".to_owned());
        }
        if first == Some("longrun_sdk") {
            return Some("sdk".to_owned());
        }
        let absolute = self.resolve(path);
        match absolute.first() {
            Some(name) if Some(name) == self.module.first() => None,
            Some(name) if is_room(name) => Some(name.clone()),
            // The root may name what lies in the root.
            _ if self.module.is_empty() && first != Some("longrun") => None,
            _ => Some("lib".to_owned()),
        }
    }

    fn resolve(&self, path: &Written) -> Vec<String> {
        let mut absolute = [self.module.as_slice(), path.within.as_slice()].concat();
        for (at, segment) in path.segments.iter().enumerate() {
            match (at, segment.as_str()) {
                (0, "crate" | "longrun") => absolute.clear(),
                (_, "self") => {}
                (_, "super") => {
                    absolute.pop();
                }
                (_, name) => absolute.push(name.to_owned()),
            }
        }
        absolute
    }
}
