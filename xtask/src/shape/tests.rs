//! Breaks each rule once, and asks that just that is found.

use super::config::Config;
use super::source::{Source, Tree};
use super::{Violation, check, words};

const CONFIG: &str = r#"
[limits]
file_lines = 20
test_file_lines = 30
median_lines = 10
function_lines = 4
trait_methods = 2

[words]
forbidden = ["job", "ack", "enqueue"]

[trees]
src = "house"
workers = "house"
tests = "tests"

[rooms]
limits = []
store = ["limits"]
tracker = ["store", "limits"]
http = ["tracker", "store", "limits"]
cli = ["sdk"]
"cli/serve" = ["http", "sdk"]
lib = ["*"]
main = ["cli"]
sdk = []
"#;

fn source(path: &str, text: &str) -> Source {
    let tree = if path.starts_with("tests/") { Tree::Tests } else { Tree::House };
    Source::read(path, tree, text).unwrap_or_else(|violation| panic!("{violation}"))
}

fn checked(extra: &str, sources: &[Source]) -> Vec<Violation> {
    let config = Config::parse(&format!("{CONFIG}{extra}")).expect("the table of the tests is right");
    check(&config, sources)
}

/// What is found in one file, as `line rule item`.
fn found(path: &str, text: &str) -> Vec<String> {
    let violations = checked("", &[source(path, text)]);
    violations.iter().map(|v| format!("{} {} {}", v.line, v.rule, v.item)).collect()
}

#[test]
fn arrows_that_point_forward_pass() {
    let text = "use crate::{limits::BODY, store::{Store, sqlite}};\nuse self::watch::Watch;\nmod watch;\n";
    assert!(found("src/tracker/mod.rs", text).is_empty());
    assert!(found("src/tracker/intake.rs", "use super::watch;\nuse crate::tracker::tick;").is_empty());
    assert!(found("src/tracker/intake.rs", "mod tests { use super::*; use super::super::tick; }").is_empty());
    assert!(
        found("src/lib.rs", "mod store;\npub use self::store::Store;\nuse crate::tracker::Tracker;")
            .is_empty()
    );
    assert!(found("src/main.rs", "fn main() { longrun::cli::main() }").is_empty());
    assert!(found("src/cli/submit.rs", "use longrun_sdk::Client;").is_empty());
    assert!(
        found("src/store/mod.rs", "pub(crate) fn f() {}\npub(super) struct S;\nuse http::Method;").is_empty()
    );
}

#[test]
fn an_arrow_backwards_is_found_in_every_way_to_write_it() {
    let ways = [
        "use crate::tracker::Tracker;",
        "use crate::{limits, tracker};",
        "use crate::{limits::{A, B}, tracker::{C}};",
        "use super::tracker::Tracker;",
        "use super::{limits, tracker};",
        "pub use crate::tracker as door;",
        "fn f() -> crate::tracker::Answer { todo!() }",
        "fn f() { crate::tracker::answer() }",
        "fn f(door: &::longrun::tracker::Door) {}",
        "fn f() { select! { _ = crate::tracker::ended() => {} } }",
        "macro_rules! m { () => { $crate::tracker::x() } }",
        "#[cfg(test)] mod tests { use crate::tracker::Tracker; }",
        "#[cfg(test)] mod tests { use super::super::tracker::Tracker; }",
        "fn f() { let x = <crate::tracker::T as Clone>::clone(&t); }",
    ];
    for way in ways {
        assert_eq!(found("src/store/mod.rs", way), ["1 arrow tracker"], "{way}");
    }
}

#[test]
fn depth_counts_for_super() {
    assert_eq!(found("src/store/sqlite/load.rs", "\nuse super::super::super::http::X;"), ["2 arrow http"]);
    assert!(
        found("src/store/sqlite/load.rs", "use super::super::http::X;").is_empty(),
        "that is store::http"
    );
}

#[test]
fn the_crates_root_is_no_way_around() {
    for way in ["use crate::*;", "use crate as house;", "use crate::Tracker;", "use super::*;"] {
        assert_eq!(found("src/store.rs", way), ["1 arrow lib"], "{way}");
    }
}

#[test]
fn only_declared_places_know_the_sdk_or_the_server() {
    assert_eq!(found("src/http/work.rs", "use longrun_sdk as sdk;"), ["1 arrow sdk"]);
    assert_eq!(found("src/http/work.rs", "extern crate longrun_sdk;"), ["1 arrow sdk"]);
    assert_eq!(found("src/http/work.rs", "use ::longrun_sdk::Client;"), ["1 arrow sdk"]);
    assert!(
        found("src/http/work.rs", "use wire::longrun_sdk::Client;").is_empty(),
        "another's module of that name"
    );
    assert_eq!(found("src/cli/get.rs", "use crate::http::serve;"), ["1 arrow http"]);
    assert!(found("src/cli/serve.rs", "use crate::http::serve;").is_empty());
    assert!(found("src/cli/serve/stop.rs", "use crate::http::serve;").is_empty());
    assert_eq!(found("workers/rust/src/lib.rs", "use longrun::store;"), ["1 arrow longrun"]);
    assert!(found("workers/rust/src/lib.rs", "use crate::store;").is_empty());
}

#[test]
fn a_room_that_is_not_in_the_table_is_found() {
    assert_eq!(found("src/utils.rs", ""), ["1 room utils"]);
    assert_eq!(found("src/utils/mod.rs", ""), ["1 room utils"]);
    assert!(found("tests/wire/mod.rs", "use longrun::anything;").is_empty(), "tests are no room");
}

#[test]
fn sizes_are_kept() {
    let lines = |count| "// a line\n".repeat(count);
    assert_eq!(found("tests/main.rs", &lines(30)), [] as [&str; 0]);
    assert_eq!(found("tests/main.rs", &lines(31)), ["31 file "]);
    let two = |second| [source("src/store/a.rs", &lines(2)), source("src/store/b.rs", &lines(second))];
    assert!(checked("", &two(18)).is_empty(), "a median of 10");
    assert_eq!(checked("", &two(19))[0].rule, "median", "a median of 11");
    let [short, long] = two(20);
    let (tests, another) = (source("tests/main.rs", &lines(30)), source("workers/a.rs", &lines(1)));
    assert!(checked("", &[short, long, tests, another]).is_empty(), "tests do not count for the median");
    assert_eq!(found("src/store/a.rs", &lines(21)), ["1 median ", "21 file "]);
}

#[test]
fn functions_are_short_wherever_they_stand() {
    let long =
        |before: &str| format!("{before}fn long(\n) -> Result<[u8; {{ 4 }}], Array<{{ 4 }}>> {{\n\n\n}}");
    assert_eq!(found("tests/a.rs", &long("/// Doc.\n\n#[test]\npub async ")), ["4 function long"]);
    assert_eq!(found("tests/a.rs", &format!("impl A for B {{ {} }}", long(""))), ["1 function long"]);
    assert_eq!(found("tests/a.rs", &format!("proptest! {{ {} }}", long(""))), ["1 function long"]);
    assert!(
        found("tests/a.rs", "fn short() {\n\n\n}\ntrait T { fn a();\n\n\n\n\nfn b(f: fn(u8) -> u8); }")
            .is_empty()
    );
    let argument = "fn f() -> Array<fn() -> u8, { 4 }>\n{\n\n\n}";
    assert_eq!(found("tests/a.rs", argument), ["1 function f"]);
    let generic = "fn f<T>(x: T)\nwhere\n  T: Fn() -> u8,\n{\n}";
    assert_eq!(found("tests/a.rs", generic), ["1 function f"]);
}

#[test]
fn traits_are_narrow() {
    let two = "trait T: Fn() -> u8 { fn a(); fn b() { fn inner() {} } const C: u8; }";
    assert!(found("src/store/mod.rs", two).is_empty());
    let three = "trait T { fn a(); async fn b(&self); fn c(); }";
    assert_eq!(found("src/store/mod.rs", three), ["1 trait T"]);
}

#[test]
fn words_are_parts_of_identifiers_and_nothing_else() {
    let fine =
        "// job ack\n/// A job.\nfn back_pack(tack: &str) -> Stack { feedback(\"ack the job\"); r#\"job\"# }";
    assert!(found("src/store/mod.rs", fine).is_empty());
    for name in ["job", "JobId", "next_job", "HTTPJob", "jobs", "r#job", "JOB_MAX", "job2"] {
        assert_eq!(found("src/store/mod.rs", &format!("static X: u8 = {name};")), ["1 word job"], "{name}");
    }
    assert_eq!(found("src/store/mod.rs", "fn f() { select! { ack => x } }"), ["1 word ack"]);
}

#[test]
fn identifiers_fall_apart_at_case_and_underscore() {
    assert_eq!(words::parts("HTTPAckFrame_id2"), ["http", "ack", "frame", "id"]);
    assert_eq!(words::parts("enqueueAll"), ["enqueue", "all"]);
    assert_eq!(words::parts("BACK_OFF"), ["back", "off"]);
}

#[test]
fn an_exception_excuses_what_it_names_and_nothing_else() {
    let exception =
        "[[exception]]\nrule = 'word'\npath = 'src/store/mod.rs'\nitem = 'ack'\nreason = 'tcp says so'\n";
    let excused = source("src/store/mod.rs", "fn ack() {}");
    assert!(checked(exception, &[excused]).is_empty());
    let rules = |sources: &[Source]| checked(exception, sources).iter().map(|v| v.rule).collect::<Vec<_>>();
    assert_eq!(rules(&[source("src/store/mod.rs", "fn ack() {}\nfn job() {}")]), ["word"], "another word");
    let elsewhere = [source("src/store/mod.rs", "fn ack() {}"), source("src/store/a.rs", "fn ack() {}")];
    assert_eq!(rules(&elsewhere), ["word"], "another file");
    assert_eq!(
        rules(&[source("src/store/mod.rs", "trait ack { fn a(); fn b(); fn c(); }")]),
        ["trait"],
        "another rule"
    );
}

#[test]
fn an_exception_that_no_longer_applies_is_found_where_it_stands() {
    let exception = "[[exception]]\nrule = 'word'\npath = 'src/store/mod.rs'\nreason = 'old'\n";
    let found = checked(exception, &[source("src/store/mod.rs", "fn ok() {}")]);
    assert_eq!((found[0].rule, found[0].path.as_str()), ("exception", "shape.toml"));
    assert_eq!(found[0].line, CONFIG.lines().count() + 1);
}

#[test]
fn a_table_that_keeps_nothing_is_refused() {
    let refused = |extra: &str| Config::parse(&format!("{CONFIG}{extra}")).expect_err(extra);
    assert!(refused("[[exception]]\nrule = 'file'\npath = 'a'\nreason = ' '\n").contains("no reason"));
    assert!(
        refused("[[exception]]\nrule = 'files'\npath = 'a'\nreason = 'b'\n").contains("none of the rules")
    );
    assert!(refused("[roomz]\n").contains("roomz"));
    let circle = CONFIG.replace("store = [\"limits\"]", "store = [\"tracker\"]");
    assert!(Config::parse(&circle).expect_err("a circle").contains("circle"));
    let stranger = CONFIG.replace("cli = [\"sdk\"]", "cli = [\"cellar\"]");
    assert!(Config::parse(&stranger).expect_err("no such room").contains("cellar"));
}

#[test]
fn what_is_not_rust_is_told_and_not_passed_over() {
    let violation = Source::read("src/store/mod.rs", Tree::House, "\nfn f( {").err();
    assert_eq!(violation.map(|violation| violation.rule), Some("parse"));
}
