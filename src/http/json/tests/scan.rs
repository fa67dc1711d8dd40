use serde_json::value::RawValue;

use crate::http::error::ApiError;
use crate::http::json::{Fields, Flaw, FlawKind, fingerprint, scan, scan_parts};

fn flaw(text: &str) -> Flaw {
    scan(text.as_bytes()).expect_err(text)
}

#[test]
fn json_of_every_kind_is_taken() {
    for text in [
        "0",
        "-0",
        "10",
        "-1.5e+10",
        "1E-7",
        "0.0",
        "true",
        "false",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ 1 , [ ] , { } ] ",
        "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}",
        "\t{\r\n\"a\" :\t1\n}\r\n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\uDE00\"",
        "\"\u{7f}é😀\u{2028}\"",
        "1e999",
    ] {
        let checked = scan(text.as_bytes()).expect(text);
        assert_eq!(checked.text(), text.trim());
    }
}

#[test]
fn malformed_json_is_refused_where_it_goes_wrong() {
    for (text, at) in [
        ("nul", 0),
        ("nulll", 4),
        ("tru", 0),
        ("falsehood", 5),
        ("01", 1),
        ("+1", 0),
        (".5", 0),
        ("1.x", 2),
        ("1ex", 2),
        ("--1", 1),
        ("NaN", 0),
        ("Infinity", 0),
        ("'a'", 0),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[1}", 2),
        ("{\"a\"}", 4),
        ("{\"a\" 1}", 5),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\":1]", 6),
        ("{a:1}", 1),
        ("{1:1}", 1),
        ("{,}", 1),
        ("{} {}", 3),
        ("1 2", 2),
        ("\"a\nb\"", 2),
        ("\"a\u{0}b\"", 2),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 5),
        ("// no\n1", 0),
        ("\u{feff}{}", 0),
        ("\u{a0}1", 0),
    ] {
        let found = flaw(text);
        assert!(matches!(found.kind, FlawKind::Expected(_)), "{text}: {found}");
        assert_eq!(found.at, at, "{text}: {found}");
    }
}

#[test]
fn truncated_json_is_refused_at_its_end() {
    let whole = "{\"a\":[1.5e3,-2,\"b\\u00e9\\n\",true,null],\"c\":{}}";
    for end in 0..whole.len() {
        let found = flaw(&whole[..end]);
        let in_a_word = matches!(found.kind, FlawKind::Expected("a value")) && found.at < end;
        assert!(found.kind == FlawKind::Truncated || in_a_word, "{}: {found}", &whole[..end]);
    }
    assert!(scan(whole.as_bytes()).is_ok());
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_where_they_stand() {
    for (bytes, at) in [
        (&b"{\"a\":\"\xff\"}"[..], 6),
        (b"\"\xc3\"", 1),
        (b"\"\xed\xa0\x80\"", 1),
        (b"\"\xc0\x80\"", 1),
        (b"\xff\xfe{\x00}\x00", 0),
    ] {
        let found = scan(bytes).unwrap_err();
        assert_eq!((found.kind, found.at), (FlawKind::NotUtf8, at));
    }
}

#[test]
fn a_key_may_stand_once_at_any_depth_however_it_is_written() {
    let many = |last: &str| {
        let keys: Vec<_> = (0..5000).map(|n| format!("\"k{n}\":0")).collect();
        format!("{{{},{last}:1}}", keys.join(","))
    };
    for (text, at, field) in [
        ("{\"a\":1,\"a\":2}", 8, "a"),
        ("{\"a\":1,\"b\":2,\"\\u0061\":2}", 14, "\\u0061"),
        ("{\"x\":[{\"y\":{\"a\":1,\"b\":{\"a\":1},\"a\":2}}]}", 31, "x"),
        ("{\"\":1,\"\":2}", 7, ""),
        ("{\"x\":{\"\\ud83d\\ude00\":1,\"😀\":2}}", 24, "x"),
    ] {
        let found = flaw(text);
        assert_eq!((found.kind, found.at), (FlawKind::TwiceTheKey, at), "{text}: {found}");
        assert_eq!(found.field.as_deref(), Some(field));
    }
    assert_eq!(flaw(&many("\"k17\"")).kind, FlawKind::TwiceTheKey);
    assert_eq!(flaw(&many("\"k\\u0031\"")).kind, FlawKind::TwiceTheKey);
    assert!(scan(many("\"k5000\"").as_bytes()).is_ok());
    assert!(scan(b"[{\"a\":1},{\"a\":1}]").is_ok());
    assert!(scan(b"{\"a\":1,\"A\":1,\"a \":1}").is_ok());
}

#[test]
fn sixty_four_levels_are_taken_and_not_one_more() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(scan(nested(64).as_bytes()).is_ok());
    assert_eq!((flaw(&nested(65)).kind, flaw(&nested(65)).at), (FlawKind::TooDeep, 64));
    assert_eq!(flaw(&"[".repeat(1 << 20)).kind, FlawKind::TooDeep);
    assert_eq!(flaw(&"{\"a\":".repeat(1 << 18)).kind, FlawKind::TooDeep);
}

#[test]
fn half_a_character_is_refused_in_keys_and_values() {
    for (text, at) in [
        ("\"\\ud800\"", 1),
        ("\"\\udc00\"", 1),
        ("\"a\\uD83Db\"", 2),
        ("\"\\ud800\\ud800\\udc00\"", 1),
        ("\"\\ud800\\n\"", 1),
        ("\"\\ud800\\u0041\"", 1),
        ("{\"\\udfff\":1}", 2),
    ] {
        let found = flaw(text);
        assert_eq!((found.kind, found.at), (FlawKind::LoneSurrogate, at), "{text}");
    }
}

#[test]
fn a_flaw_names_the_field_and_nothing_of_an_input() {
    let error = ApiError::from(flaw("{\"input\":{\"secret\":1,\"secret\":2}}"));
    assert_eq!(error.target_name(), Some("input"));
    assert_eq!(error.message(), "the key at byte 22 stands twice in its object");
    let long = format!("{{\"{}\":x}}", "f".repeat(100));
    let target = ApiError::from(flaw(&long));
    assert_eq!(target.target_name().unwrap().chars().count(), 65);
}

#[test]
fn the_fingerprint_knows_no_order_of_keys_and_no_blanks() {
    let print = |text: &str| fingerprint(scan(text.as_bytes()).unwrap());
    let one = print("{\"a\":[1,{\"x\":1,\"y\":[]}],\"b\":{},\"é\":\"s p\"}");
    assert_eq!(one, print(" { \"é\" : \"s p\" ,\n\"b\": { },\t\"a\":[ 1, {\"y\":[ ],\"x\":1} ]} "));
    for other in [
        "{\"a\":[{\"x\":1,\"y\":[]},1],\"b\":{},\"é\":\"s p\"}",
        "{\"a\":[1.0,{\"x\":1,\"y\":[]}],\"b\":{},\"é\":\"s p\"}",
        "{\"a\":[1,{\"x\":1,\"y\":[]}],\"b\":{},\"é\":\"sp\"}",
        "{\"a\":[1,{\"x\":1,\"y\":[]}],\"b\":[],\"é\":\"s p\"}",
        "{\"a\":[1,{\"x\":1,\"y\":[]}],\"é\":\"s p\"}",
    ] {
        assert_ne!(one, print(other), "{other}");
    }
    // That of `{"a":1,"b":2}`: what is stored must mean the same after an upgrade.
    assert_eq!(
        print("{ \"b\":2, \"a\":1 }")[..8],
        [0x43, 0x25, 0x8c, 0xff, 0x78, 0x3f, 0xe7, 0x03],
        "beginning of the SHA-256"
    );
}

#[test]
fn what_is_wrong_inside_a_part_harms_no_other_part() {
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let body = format!(
        "{{\"workerId\":\"w\",\"reports\":[{{\"a\":1}},{{\"a\":1,\"a\":2}},{{\"r\":\"\\ud800 \\ud800\"}},{{\"r\":{deep}}},{{\"b\":2}}]}}"
    );
    let (mut fields, flaws) = Fields::read_parts(body.as_bytes(), "reports").unwrap();
    let reports = fields.items("reports", 10).unwrap().unwrap();
    let refused: Vec<_> = reports.iter().map(|report| report.check(&flaws).err()).collect();
    let targets: Vec<_> =
        refused.iter().map(|error| error.as_ref().and_then(ApiError::target_name)).collect();
    assert_eq!(targets, [None, Some("reports[1]"), Some("reports[2]"), Some("reports[3]"), None]);
    assert!(refused[1].as_ref().unwrap().message().contains("stands twice"));
}

#[test]
fn outside_of_a_part_everything_is_wrong_for_all() {
    for text in [
        "{\"reports\":[{}],\"claim\":{\"a\":1,\"a\":2}}",
        "{\"reports\":[{}],\"reports\":[{}]}",
        "{\"reports\":[{\"a\":1},\"\\ud800\"]}",
        "{\"reports\":{\"x\":{\"a\":1,\"a\":2}}}",
        "{\"reports\":[{\"a\":1,}]}",
        "[[{\"a\":1,\"a\":2}]]",
    ] {
        assert!(scan_parts(text.as_bytes(), Some("reports")).is_err(), "{text}");
    }
    let bottomless = format!("{{\"reports\":[{}]}}", "[".repeat(5000));
    assert_eq!(scan_parts(bottomless.as_bytes(), Some("reports")).unwrap_err().kind, FlawKind::TooDeep);
}

#[test]
fn what_was_taken_is_json_to_everybody_else() {
    let text = "{\"input\": {\"n\": 1e999, \"s\": \"\\u0000\"} }";
    let mut fields = Fields::read(text.as_bytes()).unwrap();
    let input = fields.json("input", 100).unwrap().unwrap();
    assert_eq!(RawValue::get(&input), "{\"n\": 1e999, \"s\": \"\\u0000\"}");
}
