//! `docs/limits.md` and `docs/errors.md` are made from the code, and are as it says. To write them anew:
//! `LONGRUN_WRITE_DOCS=1 cargo test --test main generated`

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use longrun::http::error::Code;
use longrun::operation::Refusal;
use longrun::tracker::entry::ReportOutcome;

const LIMITS: &str = include_str!("../../src/limits.rs");
const ERRORS: &str = include_str!("../../src/http/error.rs");

/// Holds a document against what the code makes of it.
fn is_made_so(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("LONGRUN_WRITE_DOCS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let stands = fs::read_to_string(&path).unwrap_or_default();
    let differs = stands.lines().zip(made.lines()).find(|(stands, made)| stands != made);
    assert!(
        stands == made,
        "{name} is not as the code says: LONGRUN_WRITE_DOCS=1 writes it anew ({differs:?})"
    );
}

/// What is said of a constant or a variant above it.
fn said<'a>(lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> String {
    let mut said = Vec::new();
    while let Some(line) = lines.peek().and_then(|line| line.trim_start().strip_prefix("///")) {
        said.push(line.trim());
        lines.next();
    }
    said.join(" ")
}

/// A value of `src/limits.rs`: whole numbers, shifts, products, parts, differences, spans of time, and names of others.
fn value(text: &str, known: &HashMap<&str, f64>) -> f64 {
    let text = text.trim();
    if let Some(inside) = text.strip_suffix(')').and_then(|text| text.strip_prefix("Duration::from_")) {
        let (unit, amount) = inside.split_once('(').expect("a span has an amount");
        let seconds = match unit {
            "millis" => 0.001,
            "secs" => 1.0,
            "mins" => 60.0,
            "hours" => 3600.0,
            other => panic!("say here what {other} is"),
        };
        return value(amount, known) * seconds;
    }
    for (operator, apply) in [
        (" - ", (|a, b| a - b) as fn(f64, f64) -> f64),
        (" << ", |a, b| a * b.exp2()),
        (" * ", |a, b| a * b),
        (" / ", |a, b| a / b),
    ] {
        if let Some((a, b)) = text.rsplit_once(operator) {
            return apply(value(a, known), value(b, known));
        }
    }
    known.get(text).copied().unwrap_or_else(|| {
        text.replace('_', "").parse().unwrap_or_else(|_| panic!("say here how {text} is to be read"))
    })
}

/// A value as people write it, by what its name says that it counts.
fn written(name: &str, amount: f64, is_span: bool) -> String {
    let scaled = |units: &[(&str, f64)]| {
        let (unit, size) =
            units.iter().rev().find(|(_, size)| amount >= *size && amount % size == 0.0).copied()?;
        Some(format!("{} {unit}", amount / size))
    };
    let told = if is_span || name.contains("_SECONDS") {
        let days = if amount >= 172_800.0 { 86_400.0 } else { f64::INFINITY };
        scaled(&[("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("days", days)])
            .or_else(|| Some(format!("{} ms", amount * 1000.0)))
    } else if name.contains("BYTES") && amount >= 1024.0 {
        scaled(&[("bytes", 1.0), ("KiB", 1024.0), ("MiB", 1_048_576.0)])
    } else {
        None
    };
    told.unwrap_or_else(|| {
        let digits = format!("{amount}");
        let mut grouped = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    })
}

fn limits() -> String {
    let mut made =
        "# Limits\n\nEvery bound of the server, with its reason. This page is made from `src/limits.rs`.\n"
            .to_owned();
    let mut known = HashMap::new();
    let mut lines = LIMITS.lines().peekable();
    while lines.peek().is_some() {
        let about = said(&mut lines);
        let Some(line) = lines.next() else { break };
        if let Some(title) = line.strip_prefix("// ## ") {
            let _ = write!(made, "\n## {title}\n\n| | | |\n| --- | --- | --- |\n");
        }
        let Some(constant) = line.strip_prefix("pub const ") else { continue };
        let mut constant = constant.to_owned();
        while !constant.ends_with(';') {
            constant += lines.next().expect("a constant ends").trim();
        }
        let (name, rest) = constant.trim_end_matches(';').split_once(": ").expect("it has a type");
        let (kind, text) = rest.split_once(" = ").expect("it has a value");
        let is_span = kind == "Duration";
        let shown = if let Some((from, to)) = text.split_once("..") {
            format!("{} to {}", value(from, &known), value(to, &known))
        } else {
            let amount = value(text, &known);
            // The names live as long as the text that they are in.
            let name = &LIMITS[LIMITS.find(name).unwrap()..][..name.len()];
            known.insert(name, amount);
            written(name, amount, is_span)
        };
        // But for one within a piece of code.
        let mut colons =
            about.match_indices(": ").filter(|(at, _)| about[..*at].matches('`').count() % 2 == 0);
        let (what, why) = match colons.next() {
            Some((at, colon)) => (&about[..at], &about[at + colon.len()..]),
            None => (about.trim_end_matches('.'), ""),
        };
        assert!(!what.is_empty(), "{name} has no reason");
        let _ = writeln!(made, "| {what} | {shown} | {why} |");
    }
    made
}

/// Of each code, what its documentation says.
fn reasons() -> HashMap<String, String> {
    let (_, variants) = ERRORS.split_once("pub enum Code {").expect("there are codes");
    let (variants, _) = variants.split_once("\n}").expect("the codes end");
    let mut lines = variants.lines().filter(|line| !line.trim().is_empty()).peekable();
    let mut reasons = HashMap::new();
    while lines.peek().is_some() {
        let about = said(&mut lines);
        let name = lines.next().expect("what is documented has a name").trim().trim_end_matches(',');
        reasons.insert(name.to_owned(), about);
    }
    reasons
}

fn errors() -> String {
    let mut made = "# Errors\n\nEvery error has the one shape that [the protocol](protocol.md#errors) shows. This page is \
                    made from `src/http/error.rs`.\n\n| status | code | when |\n| --- | --- | --- |\n"
        .to_owned();
    let reasons = reasons();
    for code in Code::ALL {
        let reason = &reasons[&format!("{code:?}")];
        let _ = writeln!(made, "| {} | `{}` | {reason} |", code.status().as_u16(), code.as_str());
    }
    made += "\nIn the outcomes of reports, each of which fails alone:\n\n| code | when |\n| --- | --- |\n";
    let invalid =
        Refusal::Invalid { target: "…", message: "the report contradicts itself or its operation" };
    for outcome in [
        ReportOutcome::Refused(Refusal::LeaseLost),
        ReportOutcome::Refused(Refusal::Ended),
        ReportOutcome::Refused(invalid),
        ReportOutcome::NotFound,
        ReportOutcome::Unreadable,
    ] {
        let (code, sentence) = outcome.refusal().expect("it is one");
        let _ = writeln!(made, "| `{code}` | {sentence} |");
    }
    made
}

#[test]
fn the_limits_are_documented_as_they_are() {
    let made = limits();
    let constants = LIMITS.lines().filter(|line| line.starts_with("pub const ")).count();
    let rows = made
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |") && !line.starts_with("| ---"));
    assert_eq!(rows.count(), constants, "each has a row");
    is_made_so("limits.md", &made);
}

#[test]
fn the_errors_are_documented_as_they_are() {
    is_made_so("errors.md", &errors());
}

/// What no client meets, and no test has to name: how the server goes about its own work, and what its owner may set.
const ITS_OWN: [&str; 38] = [
    "SPANS_WAITING_MAX",
    "SPANS_SENT_EVERY",
    "SPANS_SENDING",
    "SPANS_CLOSING",
    "LEASE_REST_SECONDS_MAX",
    "TICK_LATE",
    "BULK_OUTCOMES_BYTES_MAX",
    "BULK_PATIENCE",
    "TURN_REPORTS_MAX",
    "TURN_DUE_MAX",
    "PRUNE_OPERATIONS_MAX",
    "PRUNE_EVENTS_MAX",
    "CACHE_BYTES_MAX",
    "WRITE_WORKERS_MAX",
    "WORKER_FORGOTTEN",
    "TOKENS_USED_WRITTEN_EVERY",
    "FILES_MAX",
    "HTTP2_SEND_BUFFER_BYTES",
    "ACCEPT_PAUSE",
    "RECENT_EVENTS_MAX",
    "RECENT_BYTES_MAX",
    "EVENTS_CHUNK",
    "CATCH_UPS_MAX",
    "TURN_PEEKED_MAX",
    "OWN_RUNS_MAX",
    "DEPOSITS_CHUNK",
    "DEPOSITS_CHUNK_BYTES",
    "LOOK_EVERY",
    "DATABASE_READS_MAX",
    "STREAM_KEEP_ALIVE",
    "RETAIN_MIN",
    "RETAIN_EVENTS_MIN",
    "RETAIN_MAX",
    "WORKER_TASKS_MAX",
    "PROGRAMS_PER_TENANT_MAX",
    "GRACE_SECONDS_MAX",
    "SCRAPE_MAX",
    "SCRAPE_EVERY",
];

/// The words of all tests below a directory; of other files those of their tests.
fn words_of_tests(directory: &Path, words: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            words_of_tests(&path, words);
            continue;
        }
        if path.extension().is_none_or(|kind| kind != "rs") || path.ends_with(file!()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let within = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
        let is_test = within
            .components()
            .any(|part| ["tests", "tests.rs"].map(AsRef::as_ref).contains(&part.as_os_str()));
        let tests =
            if is_test { &*text } else { text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests) };
        let word = |word: &str| word.to_owned();
        words.extend(tests.split(|letter: char| !letter.is_alphanumeric() && letter != '_').map(word));
    }
}

#[test]
fn each_limit_that_a_client_can_meet_is_named_by_a_test() {
    let mut words = BTreeSet::new();
    for directory in ["src", "tests"] {
        words_of_tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut words);
    }
    let constants = LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'));
    let names: Vec<&str> = constants.map(|(name, _)| name).collect();
    for name in &names {
        let (is_own, is_named) = (ITS_OWN.contains(name), words.contains(*name));
        assert!(
            is_own != is_named || name.ends_with("_DEFAULT"),
            "{name}: own {is_own}, named by a test {is_named}"
        );
    }
    for own in ITS_OWN {
        assert!(names.contains(&own), "{own} is no limit any more");
    }
}
