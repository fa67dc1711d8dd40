use proptest::prelude::*;
use serde::de::IgnoredAny;

use crate::http::json::{FlawKind, fingerprint, scan};

/// A document, and how to write it: the blanks and the order of keys are drawn apart from what it says.
#[derive(Clone, Debug)]
enum Doc {
    Word(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

fn documents() -> impl Strategy<Value = Doc> {
    let text = || "([a-c\"\\\\/é😀\u{0}\n ]|\\PC){0,6}";
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(Doc::Word),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?".prop_map(Doc::Number),
        text().prop_map(Doc::Text),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Doc::Array),
            prop::collection::btree_map(text(), inner, 0..20)
                .prop_map(|members| Doc::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a document; `seed` draws blanks and the order of keys.
fn write(doc: &Doc, seed: &mut u64, out: &mut String) {
    let mut draw = |most: usize| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap() % most
    };
    let blanks = ["", "", "", " ", "\n\t", "\r "];
    let (before, after) = (blanks[draw(6)], blanks[draw(6)]);
    out.push_str(before);
    match doc {
        Doc::Word(word) => out.push_str(word),
        Doc::Number(number) => out.push_str(number),
        Doc::Text(text) => out.push_str(&serde_json::to_string(text).unwrap()),
        Doc::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                write(item, seed, out);
            }
            out.push_str(if items.is_empty() { after } else { "" });
            out.push(']');
        }
        Doc::Object(members) => {
            let mut order: Vec<_> = members.iter().collect();
            let turn = draw(members.len() + 1);
            order.rotate_left(turn);
            out.push('{');
            for (n, (key, value)) in order.into_iter().enumerate() {
                out.push_str(if n == 0 { before } else { "," });
                out.push_str(&serde_json::to_string(key).unwrap());
                out.push_str(after);
                out.push(':');
                write(value, seed, out);
            }
            out.push('}');
        }
    }
    out.push_str(after);
}

fn written(doc: &Doc, mut seed: u64) -> String {
    let mut out = String::new();
    write(doc, &mut seed, &mut out);
    out
}

/// Whether the scan and `serde_json` say the same of a text, strictness aside.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let found = scan(bytes).map(|_| ()).map_err(|flaw| flaw.kind);
    let Ok(text) = std::str::from_utf8(bytes) else {
        prop_assert_eq!(found, Err(FlawKind::NotUtf8));
        return Ok(());
    };
    let theirs = serde_json::from_str::<IgnoredAny>(text);
    match found {
        Ok(()) => prop_assert!(theirs.is_ok(), "only the scan takes {text}"),
        Err(FlawKind::TooDeep | FlawKind::TwiceTheKey | FlawKind::LoneSurrogate) => {}
        Err(kind) => prop_assert!(theirs.is_err(), "only the scan refuses {text}: {kind:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_document_is_taken_and_its_fingerprint_knows_only_what_it_says(doc in documents(), a: u64, b: u64) {
        let (one, other) = (written(&doc, a), written(&doc, b));
        let print = |text: &str| scan(text.as_bytes()).map(fingerprint).map_err(|flaw| flaw.to_string());
        prop_assert!(print(&one).is_ok(), "{one}");
        prop_assert_eq!(print(&one), print(&other), "{} and {}", one, other);
        agree(one.as_bytes())?;
    }

    #[test]
    fn the_scan_and_serde_agree_on_what_a_mutation_makes(
        doc in documents(),
        seed: u64,
        at: prop::sample::Index,
        with in prop_oneof![
            Just(Vec::new()),
            prop::sample::select(b"{}[],:\"\\/-+.eE019utfn \n\0\xff\xc3\xa9".to_vec()).prop_map(|byte| vec![byte]),
            prop::sample::select(vec!["\\u", "\\ud800", "\\udc00", "\\u00", "1e", "nul", "\"a\":", ",,"])
                .prop_map(|text| text.as_bytes().to_vec()),
        ],
        cut in 0_usize..3,
    ) {
        let mut bytes = written(&doc, seed).into_bytes();
        let start = at.index(bytes.len() + 1);
        let end = (start + cut).min(bytes.len());
        bytes.splice(start..end, with);
        agree(&bytes)?;
        agree(&bytes[..start])?;
    }

    #[test]
    fn the_scan_and_serde_agree_on_soup(soup in "[{}\\[\\],:\"\\\\ 01.eE+tfnul-]{0,24}") {
        agree(soup.as_bytes())?;
    }
}
