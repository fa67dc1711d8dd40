//! The vocabulary: word parts that no identifier may hold.

use proc_macro2::{Ident, TokenStream, TokenTree};

use super::Violation;
use super::config::Config;
use super::source::Source;

pub(super) fn check(config: &Config, source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    visit(&source.tokens, &mut |ident| {
        let name = ident.to_string();
        for part in parts(&name) {
            let singular = part.strip_suffix('s').unwrap_or(&part);
            if let Some(word) = config.words.iter().find(|word| *word == singular || **word == part) {
                found.push(Violation {
                    path: source.path.clone(),
                    line: ident.span().start().line,
                    rule: "word",
                    item: word.clone(),
                    what: format!("`{name}` holds `{word}`; CONTRIBUTING.md has the house's word for it"),
                });
            }
        }
    });
    found
}

fn visit(tokens: &TokenStream, each: &mut impl FnMut(&Ident)) {
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(ident) => each(&ident),
            TokenTree::Group(group) => visit(&group.stream(), each),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// The words of an identifier in lower case: `HTTPAckFrame_id2` is `http`, `ack`, `frame`, `id`.
pub(super) fn parts(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut parts = vec![String::new()];
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && (before.is_some_and(char::is_lowercase) || after.is_some_and(|a| a.is_lowercase()));
        if !letter.is_alphabetic() || begins {
            parts.push(String::new());
        }
        if let (true, Some(part)) = (letter.is_alphabetic(), parts.last_mut()) {
            part.extend(letter.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
