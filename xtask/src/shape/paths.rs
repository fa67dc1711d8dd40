//! The paths in a file that leave its own module: `crate::…`, `super::…`, `longrun::…`, `longrun_sdk::…`.
//!
//! Found in `use` declarations, expressions, types and the bodies of macros alike.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The crates of this workspace, as their names stand in a path.
const CRATES: [&str; 2] = ["longrun", "longrun_sdk"];

/// One path as written, groups spread out, with the inline modules it stands in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) line: usize,
    /// The inline modules (`mod tests { … }`) around it, outermost first.
    pub(super) within: Vec<String>,
    /// `["crate", "store", "Store"]`; ends early at `*`.
    pub(super) segments: Vec<String>,
}

pub(super) fn of(tokens: &TokenStream) -> Vec<Written> {
    let mut found = Vec::new();
    visit(tokens, &mut Vec::new(), &mut found);
    found
}

fn visit(tokens: &TokenStream, within: &mut Vec<String>, found: &mut Vec<Written>) {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if begins_path(&tokens, at) {
            let line = tokens[at].span().start().line;
            let (paths, next) = spread(&tokens, at);
            let path = |segments| Written { line, within: within.clone(), segments };
            found.extend(paths.into_iter().map(path));
            at = next;
            continue;
        }
        if let TokenTree::Group(group) = &tokens[at] {
            let module = module_before(&tokens[..at], group.delimiter());
            let depth = within.len();
            within.extend(module);
            visit(&group.stream(), within, found);
            within.truncate(depth);
        }
        at += 1;
    }
}

/// The name in `mod name { … }`, asked at the braces.
fn module_before(before: &[TokenTree], delimiter: Delimiter) -> Option<String> {
    match before {
        [.., TokenTree::Ident(keyword), TokenTree::Ident(name)]
            if keyword == "mod" && delimiter == Delimiter::Brace =>
        {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// Whether a path that can leave the module begins at `at`: one of its keywords or a crate's name, as the first
/// segment, followed by `::`, renamed by `as`, or named by itself in `use` or `extern crate`.
fn begins_path(tokens: &[TokenTree], at: usize) -> bool {
    let Some(word) = ident(tokens, at) else {
        return false;
    };
    let known = matches!(word.as_str(), "crate" | "super" | "self") || CRATES.contains(&word.as_str());
    if !known || follows_segment(tokens, at) {
        return false;
    }
    let before = at.checked_sub(1).and_then(|before| ident(tokens, before));
    let named = before.is_some_and(|b| b == "use" || (b == "crate" && CRATES.contains(&word.as_str())));
    colons(tokens, at + 1) || ident(tokens, at + 1).is_some_and(|after| after == "as") || named
}

/// `a::crate_name` is inside `a`; `use ::crate_name` and `-> ::crate_name` are not inside anything.
fn follows_segment(tokens: &[TokenTree], at: usize) -> bool {
    let colons_before = at >= 2 && colons(tokens, at - 2);
    let segment = |at: usize| match &tokens[at] {
        TokenTree::Ident(word) => !matches!(word.to_string().as_str(), "use" | "dyn" | "impl" | "as" | "mut"),
        TokenTree::Punct(sign) => sign.as_char() == '>' && !(at >= 1 && sign_at(tokens, at - 1) == Some('-')),
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    };
    colons_before && at >= 3 && segment(at - 3)
}

/// The paths that begin at `at`, and the index behind them.
fn spread(tokens: &[TokenTree], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut segments = Vec::new();
    while let Some(word) = ident(tokens, at) {
        segments.push(word);
        at += 1;
        if !colons(tokens, at) {
            break;
        }
        at += 2;
        if let Some(TokenTree::Group(group)) = tokens.get(at)
            && group.delimiter() == Delimiter::Brace
        {
            return (spread_group(&segments, &group.stream()), at + 1);
        }
    }
    (vec![segments], at)
}

/// `prefix::{a, b::c, *}`, spread out.
fn spread_group(prefix: &[String], group: &TokenStream) -> Vec<Vec<String>> {
    let tokens: Vec<TokenTree> = group.clone().into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',');
    let branches = tokens.split(is_comma).filter(|branch| !branch.is_empty());
    let spread = branches.flat_map(|branch| spread(branch, 0).0);
    spread.map(|rest| [prefix, &rest].concat()).collect()
}

fn ident(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string().trim_start_matches("r#").to_owned()),
        _ => None,
    }
}

fn sign_at(tokens: &[TokenTree], at: usize) -> Option<char> {
    match tokens.get(at) {
        Some(TokenTree::Punct(sign)) => Some(sign.as_char()),
        _ => None,
    }
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    sign_at(tokens, at) == Some(':') && sign_at(tokens, at + 1) == Some(':')
}
