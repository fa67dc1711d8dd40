//! From Markdown to HTML: as its library writes it, with headings that can be linked to, and links that lead to pages here or
//! into the repository. HTML inside of it is text.

use std::collections::HashMap;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Where files are that no page shows.
const REPOSITORY: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// A page without what stands around it.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Its first heading.
    pub(super) title: String,
    /// The rest, that heading included.
    pub(super) html: String,
}

/// Renders a page that stands at this path of the repository; `prefix` leads from it to the other pages.
pub(super) fn render(text: &str, path: &str, prefix: &str) -> Rendered {
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let mut names = HashMap::new();
    let mut title = None;
    for at in 0..events.len() {
        match &events[at] {
            Event::Start(Tag::Heading { .. }) => {
                let heading = words(&events[at + 1..]);
                let name = unique(&mut names, &anchor(&heading));
                title.get_or_insert(heading);
                if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
                    *id = Some(CowStr::from(name));
                }
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                let to = target(dest_url, path, prefix);
                if let Event::Start(Tag::Link { dest_url, .. }) = &mut events[at] {
                    *dest_url = CowStr::from(to);
                }
            }
            Event::Html(text) | Event::InlineHtml(text) => events[at] = Event::Text(text.clone()),
            _ => {}
        }
    }
    let mut written = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut written, events.into_iter());
    Rendered { title: title.unwrap_or_default(), html: written }
}

/// Text that can stand in HTML, as in the value of an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            other => shown.push(other),
        }
    }
    shown
}

/// The text of a heading that has begun.
fn words(rest: &[Event<'_>]) -> String {
    let of_heading = rest.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    of_heading
        .filter_map(|event| match event {
            Event::Text(text) | Event::Code(text) | Event::InlineHtml(text) => Some(&**text),
            _ => None,
        })
        .collect()
}

/// The name by which a heading is linked to, as GitHub makes it: the pages are read there, too.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        other => other.is_alphanumeric().then_some(other),
    });
    kept.flat_map(char::to_lowercase).collect()
}

fn unique(names: &mut HashMap<String, usize>, name: &str) -> String {
    let count = names.entry(name.to_owned()).or_default();
    *count += 1;
    if *count == 1 { name.to_owned() } else { format!("{name}-{}", *count - 1) }
}

/// Where a link of a page leads.
fn target(link: &str, path: &str, prefix: &str) -> String {
    if link.starts_with('#') || link.starts_with("mailto:") || link.contains("://") {
        return link.to_owned();
    }
    let (file, fragment) = link.find('#').map_or((link, ""), |at| link.split_at(at));
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    let file = parts.join("/");
    match (&*file, file.strip_prefix("docs/").and_then(|name| name.strip_suffix(".md"))) {
        ("README.md", _) => format!("{}{fragment}", if prefix.is_empty() { "../docs" } else { "docs" }),
        ("CHANGELOG.md", _) => format!("{prefix}changelog{fragment}"),
        ("openapi.json", _) => if prefix.is_empty() { "../openapi.json" } else { "openapi.json" }.to_owned(),
        (_, Some(page)) => format!("{prefix}{page}{fragment}"),
        (file, None) => format!("{REPOSITORY}{file}{fragment}"),
    }
}
