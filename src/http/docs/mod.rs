//! The documentation, as pages that a browser shows: what the repository's own pages say, and what the API is, made of the
//! document that describes it. Everything is in the binary; no page asks for anything else, or runs anything.

mod api;
mod markdown;

use std::collections::BTreeMap;

use bytes::Bytes;
use include_dir::{Dir, include_dir};

use markdown::{Rendered, escaped, render};

static DOCS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs");
const README: &str = include_str!("../../../README.md");
const CHANGELOG: &str = include_str!("../../../CHANGELOG.md");
const STYLE: &str = include_str!("style.css");

/// The page on top of all others, without a name of its own.
const HOME: &str = "";
/// In this order; whatever else there is stands between them and the last ones.
const FIRST: [&str; 4] = [HOME, "protocol", API, "operating"];
const API: &str = "api";
const LAST: &str = "changelog";

/// All of them, by their names, as they are sent.
#[derive(Debug)]
pub(super) struct Pages(BTreeMap<String, Bytes>);

/// Where a page stands in the repository, which its links go by, and what it says.
struct Source {
    name: String,
    path: String,
    text: String,
}

impl Pages {
    /// With the API that a document describes.
    pub(super) fn new(document: &[u8]) -> Self {
        let mut rendered: Vec<(String, Rendered)> = sources(document)
            .into_iter()
            .map(|source| (source.name.clone(), render(&source.text, &source.path, prefix(&source.name))))
            .collect();
        rendered.sort_by_key(|(name, _)| (place(name), name.clone()));
        let list: Vec<(String, String)> =
            rendered.iter().map(|(name, page)| (name.clone(), page.title.clone())).collect();
        let pages = rendered.into_iter().map(|(name, page)| {
            let shown = whole(&name, &page, &list);
            (name, Bytes::from(shown))
        });
        Self(pages.collect())
    }

    /// The page of a name; none: there is no such page.
    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        self.0.get(name).cloned()
    }

    /// The one on top.
    pub(super) fn home(&self) -> Bytes {
        self.get(HOME).unwrap_or_default()
    }
}

/// How all of them look.
pub(super) fn style() -> Bytes {
    Bytes::from_static(STYLE.as_bytes())
}

fn sources(document: &[u8]) -> Vec<Source> {
    let page = |name: &str, path: &str, text: &str| Source {
        name: name.to_owned(),
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let mut sources = vec![
        page(HOME, "README.md", README),
        page(LAST, "CHANGELOG.md", CHANGELOG),
        page(API, "docs/api.md", &api::markdown(document)),
    ];
    for file in DOCS.files() {
        let name = file.path().file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let path = format!("docs/{}", file.path().display());
        sources.extend(file.contents_utf8().map(|text| page(name, &path, text)));
    }
    sources
}

fn place(name: &str) -> usize {
    let last = FIRST.len() + usize::from(name == LAST);
    FIRST.iter().position(|first| *first == name).unwrap_or(last)
}

/// What leads from a page to the others: the one on top stands a step above them.
fn prefix(name: &str) -> &'static str {
    if name == HOME { "docs/" } else { "" }
}

/// A page with what stands around it.
fn whole(name: &str, page: &Rendered, list: &[(String, String)]) -> String {
    use std::fmt::Write;

    let prefix = prefix(name);
    let mut links = String::new();
    for (other, title) in list {
        let to = if other == HOME { home_from(name).to_owned() } else { format!("{prefix}{other}") };
        let here = if other == name { " aria-current=\"page\"" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(links, "<li><a href=\"{}\"{here}>{}</a></li>", escaped(&to), escaped(title));
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Longrun {version}</title>\n<link rel=\"stylesheet\" href=\"{prefix}style.css\">\n</head>\n\
         <body>\n<nav>\n<ul>\n{links}</ul>\n</nav>\n<main>\n{body}</main>\n</body>\n</html>\n",
        title = escaped(&page.title),
        version = env!("CARGO_PKG_VERSION"),
        body = page.html,
    )
}

/// How the page on top is reached from another.
fn home_from(name: &str) -> &'static str {
    if name == HOME { "docs" } else { "../docs" }
}

#[cfg(test)]
mod tests;
