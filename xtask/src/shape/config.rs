//! Reads `shape.toml`.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::Tree;

#[derive(Debug)]
pub(super) struct Config {
    pub(super) limits: Limits,
    pub(super) words: Vec<String>,
    pub(super) trees: BTreeMap<String, Tree>,
    pub(super) exceptions: Vec<Exception>,
    rooms: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) file_lines: usize,
    pub(super) test_file_lines: usize,
    pub(super) median_lines: usize,
    pub(super) function_lines: usize,
    pub(super) trait_methods: usize,
}

#[derive(Debug)]
pub(super) struct Exception {
    pub(super) rule: String,
    pub(super) path: String,
    /// Narrows it to one function, trait, word or target room.
    pub(super) item: Option<String>,
    /// Where it stands in `shape.toml`.
    pub(super) line: usize,
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|error| error.to_string())?;
        let document = document.get_ref();
        known(document, &["limits", "words", "trees", "rooms", "exception"])?;
        let limits = section(document, "limits")?;
        let config = Self {
            limits: Limits {
                file_lines: number(limits, "file_lines")?,
                test_file_lines: number(limits, "test_file_lines")?,
                median_lines: number(limits, "median_lines")?,
                function_lines: number(limits, "function_lines")?,
                trait_methods: number(limits, "trait_methods")?,
            },
            words: strings(section(document, "words")?, "forbidden")?,
            trees: trees(section(document, "trees")?)?,
            rooms: rooms(section(document, "rooms")?)?,
            exceptions: exceptions(document, text)?,
        };
        config.without_circles()?;
        Ok(config)
    }

    /// What a place may use; the longest name in the table that it stands under counts.
    pub(super) fn allowed(&self, place: &str) -> Option<&Vec<String>> {
        let mut name = place;
        loop {
            match (self.rooms.get(name), name.rsplit_once('/')) {
                (Some(allowed), _) => return Some(allowed),
                (None, Some((outer, _))) => name = outer,
                (None, None) => return None,
            }
        }
    }

    /// A table in which two rooms use each other would allow every backward arrow there is.
    fn without_circles(&self) -> Result<(), String> {
        let mut open: BTreeMap<&String, &Vec<String>> = self.rooms.iter().collect();
        loop {
            let before = open.len();
            let names: Vec<&String> = open.keys().copied().collect();
            open.retain(|_, allowed| allowed.iter().any(|room| room != "*" && names.contains(&room)));
            if open.is_empty() {
                return Ok(());
            }
            if open.len() == before {
                return Err(format!("[rooms] has a circle among {names:?}"));
            }
        }
    }
}

fn trees(table: &DeTable<'_>) -> Result<BTreeMap<String, Tree>, String> {
    let entries = table.iter().map(|(name, kind)| {
        let name = name.get_ref().to_string();
        let tree = match kind.get_ref().as_str() {
            Some("house") => Tree::House,
            Some("tools") => Tree::Tools,
            Some("tests") => Tree::Tests,
            _ => return Err(format!("[trees] {name}: not house, tools or tests")),
        };
        Ok((name, tree))
    });
    entries.collect()
}

fn rooms(table: &DeTable<'_>) -> Result<BTreeMap<String, Vec<String>>, String> {
    let names: Vec<String> = table.keys().map(|name| name.get_ref().to_string()).collect();
    let mut rooms = BTreeMap::new();
    for name in &names {
        let allowed = strings(table, name)?;
        if let Some(stranger) = allowed.iter().find(|room| *room != "*" && !names.contains(room)) {
            return Err(format!("[rooms] {name}: `{stranger}` is no room of the table"));
        }
        rooms.insert(name.clone(), allowed);
    }
    Ok(rooms)
}

fn exceptions(document: &DeTable<'_>, text: &str) -> Result<Vec<Exception>, String> {
    let Some(value) = document.get("exception") else {
        return Ok(Vec::new());
    };
    let list = value.get_ref().as_array().ok_or("write exceptions as [[exception]]")?;
    let exceptions = list.iter().map(|entry| {
        let line = text[..entry.span().start].lines().count() + 1;
        exception(entry, line).map_err(|reason| format!("exception in line {line}: {reason}"))
    });
    exceptions.collect()
}

fn exception(entry: &Spanned<DeValue<'_>>, line: usize) -> Result<Exception, String> {
    const RULES: [&str; 7] = ["arrow", "file", "function", "median", "room", "trait", "word"];
    let table = entry.get_ref().as_table().ok_or("is no table")?;
    known(table, &["rule", "path", "item", "reason"])?;
    let rule = string(table, "rule")?;
    if !RULES.contains(&rule.as_str()) {
        return Err(format!("`{rule}` is none of the rules {RULES:?}"));
    }
    if string(table, "reason")?.trim().is_empty() {
        return Err("gives no reason".to_owned());
    }
    let item = table.get("item").map(|_| string(table, "item")).transpose()?;
    Ok(Exception { rule, path: string(table, "path")?, item, line })
}

/// A key misspelt would be a rule not kept, so an unknown one is refused.
fn known(table: &DeTable<'_>, keys: &[&str]) -> Result<(), String> {
    match table.keys().find(|key| !keys.contains(&key.get_ref().as_ref())) {
        Some(stranger) => Err(format!("`{}` is not known here", stranger.get_ref())),
        None => Ok(()),
    }
}

fn section<'t>(document: &'t DeTable<'_>, name: &str) -> Result<&'t DeTable<'t>, String> {
    let value = document.get(name).ok_or_else(|| format!("[{name}] is missing"))?;
    value.get_ref().as_table().ok_or_else(|| format!("[{name}] is no table"))
}

fn string(table: &DeTable<'_>, key: &str) -> Result<String, String> {
    let text = table.get(key).and_then(|value| value.get_ref().as_str());
    text.map(str::to_owned).ok_or_else(|| format!("`{key}` must be a string"))
}

fn strings(table: &DeTable<'_>, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` must be a list of strings");
    let list = table.get(key).and_then(|value| value.get_ref().as_array()).ok_or_else(wrong)?;
    list.iter().map(|item| item.get_ref().as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn number(table: &DeTable<'_>, key: &str) -> Result<usize, String> {
    let value = table.get(key).and_then(|value| value.get_ref().as_integer());
    value
        .and_then(|integer| usize::from_str_radix(integer.as_str(), integer.radix()).ok())
        .ok_or_else(|| format!("[limits] {key} must be a whole number"))
}
