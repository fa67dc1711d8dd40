//! How long files and functions are, and how wide traits.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::Violation;
use super::config::Config;
use super::source::{Source, Tree};

pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

struct Trait {
    name: String,
    line: usize,
    methods: usize,
}

pub(super) fn check(config: &Config, source: &Source) -> Vec<Violation> {
    let violation = |line, rule, item: &str, what| Violation {
        path: source.path.clone(),
        line,
        rule,
        item: item.to_owned(),
        what,
    };
    let limits = &config.limits;
    let mut found = Vec::new();
    let most = if source.tree == Tree::Tests { limits.test_file_lines } else { limits.file_lines };
    if source.lines > most {
        let what = format!("{} lines, at most {most} are allowed", source.lines);
        found.push(violation(source.lines, "file", "", what));
    }
    for Function { name, line, lines } in functions(source) {
        if lines > limits.function_lines {
            let most = limits.function_lines;
            let what = format!("`{name}` has {lines} lines, at most {most} are allowed");
            found.push(violation(line, "function", &name, what));
        }
    }
    for Trait { name, line, methods } in traits(source) {
        if methods > limits.trait_methods {
            let most = limits.trait_methods;
            let what = format!("`{name}` has {methods} methods, at most {most} are allowed");
            found.push(violation(line, "trait", &name, what));
        }
    }
    found
}

/// Every function with a body, those inside other functions and inside macros too.
pub(super) fn functions(source: &Source) -> Vec<Function> {
    let mut found = Vec::new();
    each_item(&source.tokens, "fn", &mut |item| {
        let end = item.body.span_close().end().line;
        found.push(Function { name: item.name, line: item.line, lines: end + 1 - item.line });
    });
    found
}

fn traits(source: &Source) -> Vec<Trait> {
    let mut found = Vec::new();
    each_item(&source.tokens, "trait", &mut |item| {
        let methods = named(&item.body.stream().into_iter().collect::<Vec<_>>(), "fn").len();
        found.push(Trait { name: item.name, line: item.line, methods });
    });
    found
}

struct Item {
    name: String,
    line: usize,
    body: Group,
}

/// Calls `each` for every `keyword name … { … }`, at any depth.
fn each_item(tokens: &TokenStream, keyword: &str, each: &mut impl FnMut(Item)) {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    for (at, name, line) in named(&tokens, keyword) {
        if let Some(body) = body(&tokens[at + 2..]) {
            each(Item { name, line, body });
        }
    }
    for token in &tokens {
        if let TokenTree::Group(group) = token {
            each_item(&group.stream(), keyword, each);
        }
    }
}

/// Where `keyword` is followed by a name, or by the `$name` of a macro: its index, the name and the line.
fn named(tokens: &[TokenTree], keyword: &str) -> Vec<(usize, String, usize)> {
    let pairs = tokens.windows(2).enumerate();
    let named = pairs.filter_map(|(at, pair)| match pair {
        [TokenTree::Ident(word), name] if word == keyword => {
            let is_name = match name {
                TokenTree::Ident(_) => true,
                TokenTree::Punct(sign) => sign.as_char() == '$',
                _ => false,
            };
            is_name.then(|| (at, name.to_string(), word.span().start().line))
        }
        _ => None,
    });
    named.collect()
}

/// The first braces before a `;` that are not a generic argument such as `Array<{ N }>`.
fn body(rest: &[TokenTree]) -> Option<Group> {
    let mut angles = 0_u32;
    let mut before = ' ';
    for token in rest {
        match token {
            TokenTree::Punct(sign) => {
                match sign.as_char() {
                    ';' => return None,
                    '<' => angles += 1,
                    '>' if before != '-' => angles = angles.saturating_sub(1),
                    _ => {}
                }
                before = sign.as_char();
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && angles == 0 => {
                return Some(group.clone());
            }
            _ => before = ' ',
        }
    }
    None
}
