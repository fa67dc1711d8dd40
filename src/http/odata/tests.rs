use proptest::prelude::*;
use utoipa::PartialSchema;

use super::{Options, filter, order, page};
use crate::http::error::Code;
use crate::http::odata::scanner::Misread;
use crate::http::view::{OperationView, SELECTABLE};
use crate::limits;
use crate::operation::{Labels, Name, Seq, Status, TenantId, Timestamp};
use crate::store::query::{Known, Order, Position, Rest};

const AT: &str = "2026-01-31T09:30:00Z";

/// Whether a filter holds for one operation: Failed, in `media`, of type `thumb`, priority -3, `a` = `it's`, `b` = `2`.
fn holds(text: &str) -> bool {
    let name = |text| Name::parse(text).unwrap();
    let labels: Labels = [(name("a"), "it's".into()), (name("b.c:d-e"), "2".into())].into_iter().collect();
    let at = Timestamp::parse(AT).unwrap();
    let rest =
        Rest { operation_type: "thumb", priority: -3, created: at, last_action: at, labels: Some(&labels) };
    let known = Known { status: Status::Failed, queue: Some("media"), rest: Some(rest) };
    filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).holds(&known).unwrap()
}

#[test]
fn conditions_compare_every_property() {
    for text in [
        "status eq 'Failed'",
        "status ne 'Running'",
        "status in ('Running','Failed')",
        "status gt 'Completed' and status lt 'Faith' and status ge 'Failed' and status le 'Failed'",
        "startswith(status,'Fa')",
        "queue eq 'media'",
        "queue in ( 'x' , 'media' )",
        "startswith( queue , 'me' )",
        "operationType gt 'thum' and operationType lt 'thumc'",
        "priority eq -3 and priority ge -3 and priority lt 0 and priority in (1,-3)",
        "createdDateTime ge 2026-01-31T09:30:00Z",
        "createdDateTime eq 2026-01-31T12:30:00.0000000+03:00",
        "lastActionDateTime gt 2026-01-31T09:29:59.9999999Z",
        "labels/a eq 'it''s'",
        "labels/b.c:d-e eq '2'",
        "labels/none ne 'x'",
        "not (labels/none eq 'x') and not startswith(labels/none,'')",
        "not labels/none in ('')",
        "not labels/none gt ''",
        "  ( ( status  eq\t'Failed' ) )  ",
    ] {
        assert!(holds(text), "{text}");
        assert!(!holds(&format!("not ({text})")), "not ({text})");
    }
}

#[test]
fn not_binds_closest_then_and_then_or() {
    assert!(holds("queue eq 'media' or queue eq 'x' and priority eq 9"));
    assert!(!holds("(queue eq 'media' or queue eq 'x') and priority eq 9"));
    assert!(!holds("not queue eq 'media' and priority eq 9"));
    assert!(holds("not (queue eq 'media' and priority eq 9)"));
    assert!(holds("not not queue eq 'media'"));
    assert!(holds("not queue eq 'media' or status eq 'Failed'"));
}

fn misread(text: &str) -> Misread {
    filter::parse(text).expect_err(text)
}

#[test]
fn what_is_not_understood_is_pointed_at() {
    for (text, character, expected, found) in [
        ("", 1, "a property", "the end"),
        ("Status eq 'Failed'", 1, "a property", "\"Status\""),
        ("state eq 'Failed'", 1, "a property", "\"state\""),
        ("id eq 1", 1, "a property", "\"id\""),
        ("contains(queue,'a')", 1, "a property", "\"contains\""),
        ("status EQ 'Failed'", 8, "an operator", "\"EQ\""),
        ("status = 'Failed'", 8, "an operator", "\"=\""),
        ("status eq", 10, "'NotStarted', 'Running'", "the end"),
        ("status eq 'String'", 11, "'NotStarted', 'Running'", "\"'String'\""),
        ("status eq Failed", 11, "'NotStarted', 'Running'", "\"Failed\""),
        ("status eq 3", 11, "'NotStarted', 'Running'", "\"3\""),
        ("status in ('Failed', 'failed')", 22, "'NotStarted', 'Running'", "\"'failed'\""),
        ("status in 'Failed'", 11, "'('", "\"'Failed'\""),
        ("status in ()", 12, "'NotStarted', 'Running'", "\")\""),
        ("status in ('Failed'", 20, "',' or ')'", "the end"),
        ("queue eq 3", 10, "a string", "\"3\""),
        ("queue eq 'a", 10, "a string that ends", "\"'a\""),
        ("queue eq 'it''s", 10, "a string that ends", "\"'it''s\""),
        ("queue eq \"a\"", 10, "a string", "\"\"a\"\""),
        ("queue eq null", 10, "a string", "\"null\""),
        ("priority eq '1'", 13, "a whole number", "\"'1'\""),
        ("priority eq 1.5", 13, "a whole number", "\"1.5\""),
        ("priority eq 99999999999999999999", 13, "a whole number", "\"99999999999999999999\""),
        ("startswith(priority,'1')", 12, "a property that is text", "\"priority\""),
        ("startswith(queue,1)", 18, "a string", "\"1\""),
        ("startswith(queue 'a')", 18, "','", "\"'a'\""),
        ("createdDateTime gt '2026-01-31T09:30:00Z'", 20, "a date-time without quotes", "\"'2026"),
        ("createdDateTime gt 2026-01-31", 20, "a date-time", "\"2026-01-31\""),
        ("createdDateTime gt 2026-01-31T09:30:00 03:00", 20, "written %2B", "\"2026-01-31T09:30:00\""),
        ("labels eq 'a'", 7, "'/' and the name of a label", "\" eq\""),
        ("labels/ eq 'a'", 8, "the name of a label", "\" eq\""),
        ("labels/-a eq 'a'", 8, "the name of a label", "\"-a\""),
        ("labels/é eq 'a'", 8, "the name of a label", "\"é\""),
        ("queue eq 'é' x", 14, "and, or, or the end", "\"x\""),
        ("queue eq 'a' AND queue eq 'b'", 14, "and, or, or the end", "\"AND\""),
        ("(queue eq 'a'", 14, "and, or, or ')'", "the end"),
        ("queue eq 'a')", 13, "and, or, or the end", "\")\""),
        ("queue eq 'a' and", 17, "a property", "the end"),
        ("queue eq 'a' andqueue eq 'b'", 14, "and, or, or the end", "\"andqueue\""),
        ("queue eq 'a'\u{0}", 13, "and, or, or the end", "\"\\u{0}\""),
    ] {
        let error = misread(text);
        assert_eq!(error.at + 1, character, "{text}: {error}");
        assert!(error.expected.contains(expected), "{text}: {error}");
        assert!(error.found.starts_with(found), "{text}: {error}");
    }
}

#[test]
fn an_error_repeats_little_of_what_was_sent() {
    let long = "é".repeat(500);
    for text in [&long, &format!("queue eq {long}"), &format!("queue eq '{long}")] {
        assert!(misread(text).found.chars().count() <= limits::ECHO_CHARS_MAX + 3, "{}", misread(text));
    }
}

#[test]
fn a_filter_is_bounded_in_length_and_depth() {
    let most = limits::FILTER_BYTES_MAX;
    let padded = |bytes: usize| format!("priority eq 1{}", " ".repeat(bytes - 13));
    assert!(filter::parse(&padded(most)).is_ok());
    assert_eq!(misread(&padded(most + 1)).at, most);
    assert!(misread(&"é".repeat(most)).to_string().contains("2048 bytes"));
    let nested = |depth: usize| format!("{}priority eq 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(filter::parse(&nested(limits::FILTER_DEPTH_MAX)).is_ok());
    assert_eq!(misread(&nested(limits::FILTER_DEPTH_MAX + 1)).at, limits::FILTER_DEPTH_MAX);
    assert_eq!(misread(&"not ".repeat(500)).at, 4 * limits::FILTER_DEPTH_MAX);
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "\\PC{0,80}|[a-z' ()/,0-9:é-]{0,80}") {
        if let Err(error) = filter::parse(&text) {
            prop_assert!(error.at <= text.chars().count());
        }
    }

    #[test]
    fn a_page_token_is_of_one_list(created: i64, seq: i64, n in 0_usize..48, digit in 0_u32..16) {
        let after = Position { created: Timestamp::from_ticks(created), seq: Seq(seq) };
        let token = page::write(after, Some("queue eq 'a'"), Order::NewestFirst);
        prop_assert_eq!(page::read(&token, Some("queue eq 'a'"), Order::NewestFirst), Some(after));
        prop_assert_eq!(page::read(&token, Some("queue eq 'a'"), Order::OldestFirst), None);
        prop_assert_eq!(page::read(&token, Some("queue eq 'b'"), Order::NewestFirst), None);
        prop_assert_eq!(page::read(&token, None, Order::NewestFirst), None);
        prop_assert_eq!(page::read(&token[1..], Some("queue eq 'a'"), Order::NewestFirst), None);
        // Whatever it is changed to, it is refused or some other place in the same list.
        let mut changed = token.into_bytes();
        changed[n] = u8::try_from(char::from_digit(digit, 16).unwrap()).unwrap();
        let _ = page::read(&String::from_utf8(changed).unwrap(), Some("queue eq 'a'"), Order::NewestFirst);
    }
}

#[test]
fn an_order_is_one_of_two() {
    assert_eq!(order::parse("createdDateTime"), Some(Order::OldestFirst));
    assert_eq!(order::parse("createdDateTime  asc"), Some(Order::OldestFirst));
    assert_eq!(order::parse(" createdDateTime desc "), Some(Order::NewestFirst));
    for other in
        ["", "createdDateTime DESC", "status", "createdDateTime desc, id", "createdDateTime desc asc"]
    {
        assert_eq!(order::parse(other), None, "{other}");
    }
}

fn refused(query: &str) -> (Code, Option<String>) {
    let error = Options::of_list(Some(query)).expect_err(query);
    (error.code(), error.target_name().map(str::to_owned))
}

#[test]
fn options_are_read_decoded_and_others_left_alone() {
    let query = "$filter=queue%20eq+'a%26b'&api-version=1&%24top=7&$count=true&$orderby=createdDateTime&x&=&&filter=(";
    let options = Options::of_list(Some(query)).unwrap();
    assert_eq!(options.filter.as_ref().unwrap().0, "queue eq 'a&b'");
    assert_eq!((options.top, options.count, options.order), (Some(7), true, Order::OldestFirst));
    let asked = options.query(&TenantId::default());
    assert_eq!((asked.limit, asked.payloads, asked.count), (7, false, true));
    let plain = Options::of_list(None).unwrap().query(&TenantId::default());
    assert_eq!((plain.limit, plain.order, plain.filter), (100, Order::NewestFirst, None));
    assert!(Options::of_list(Some("$select=id,%20input")).unwrap().query(&TenantId::default()).payloads);

    let after = Position { created: Timestamp::from_ticks(5), seq: Seq(9) };
    let next = options.next(Some(query), after);
    assert!(next.starts_with("$filter=queue%20eq+'a%26b'&api-version=1&%24top=7&$count=true&"), "{next}");
    let followed = Options::of_list(Some(&next)).unwrap();
    assert_eq!(followed.after, Some(after));
    let again = followed.next(Some(&next), after);
    assert_eq!(again, next, "the token is replaced");
}

#[test]
fn options_that_are_none_are_refused() {
    for (query, target) in [
        ("$top=0", "$top"),
        ("$top=1001", "$top"),
        ("$top=-1", "$top"),
        ("$top=", "$top"),
        ("$top=x", "$top"),
        ("$top=1&$top=1", "$top"),
        ("$top=1&%24top=1", "$top"),
        ("$count=1", "$count"),
        ("$count=True", "$count"),
        ("$select=", "$select"),
        ("$select=id,waiting", "$select"),
        ("$select=Id", "$select"),
        ("$select=*", "$select"),
        ("$orderby=status", "$orderby"),
        ("$filter=", "$filter"),
        ("$filter=queue%20eq%20'%ff'", "$filter"),
        ("$filter=queue%2", "$filter"),
        ("$skip=1", "$skip"),
        ("$expand=x", "$expand"),
        ("$", "$"),
        ("$Top=1", "$Top"),
    ] {
        assert_eq!(refused(query), (Code::InvalidFilter, Some(target.to_owned())), "{query}");
    }
    for token in ["", "x", "0123456789abcdef0123456789abcdef0123456789abcdef", "%ff0"] {
        let (code, target) = refused(&format!("$skiptoken={token}"));
        assert_eq!(target.as_deref(), Some("$skiptoken"), "{token}");
        assert!(matches!(code, Code::InvalidCursor | Code::InvalidFilter), "{token}");
    }
    assert!(Options::of_count(Some("$filter=priority%20eq%201&x=1")).is_ok());
    assert!(Options::of_count(Some("$top=1")).is_err());
}

#[test]
fn everything_that_is_described_can_be_selected() {
    let utoipa::openapi::RefOr::T(utoipa::openapi::Schema::Object(schema)) = OperationView::schema() else {
        panic!("an operation is an object");
    };
    let mut described: Vec<&str> = schema.properties.keys().map(String::as_str).collect();
    described.retain(|name| !["@odata.type", "waiting"].contains(name));
    let mut selectable = SELECTABLE.to_vec();
    described.sort_unstable();
    selectable.sort_unstable();
    assert_eq!(described, selectable);
}
