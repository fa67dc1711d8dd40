use crate::http::error::{ApiError, Code};
use crate::http::json::{Fields, Value};
use crate::operation::{Name, Status};

/// Reads the one field `f` of `{"f": <json>}`.
fn one<T>(json: &str, read: impl FnOnce(Value<'static>) -> Result<T, ApiError>) -> Result<Option<T>, String> {
    // Leaked, so that a method of `Value` is a reader without a closure around it.
    let body: &'static str = Box::leak(format!("{{\"f\":{json}}}").into_boxed_str());
    let mut fields = Fields::read(body.as_bytes()).map_err(|error| error.to_string())?;
    let read = fields.get("f", read).map_err(|error| {
        assert_eq!(error.code(), Code::InvalidRequest);
        error.message().to_owned()
    })?;
    fields.finish().map_err(|error| error.to_string())?;
    Ok(read)
}

fn refused<T: std::fmt::Debug>(
    read: impl Fn(Value<'static>) -> Result<T, ApiError>,
    cases: &[&str],
    message: &str,
) {
    for case in cases {
        let found = one(case, &read).expect_err(case);
        assert!(found.starts_with("f: ") && found.contains(message), "{case}: {found}");
    }
}

#[test]
fn every_type_is_exactly_what_it_is() {
    assert_eq!(one("\"media\"", Value::name).unwrap().unwrap().as_str(), "media");
    assert_eq!(one("\"med\\u0069a\"", Value::name).unwrap().unwrap().as_str(), "media");
    assert_eq!(one("true", Value::boolean), Ok(Some(true)));
    assert_eq!(one("-100", |value| value.integer(-100_i8..=100)), Ok(Some(-100)));
    assert_eq!(one("-0", |value| value.integer(0_u32..=5)), Ok(Some(0)));
    assert_eq!(one("0.25", |value| value.number(0.0..=1.0)), Ok(Some(0.25)));
    assert_eq!(one("1e0", |value| value.number(0.0..=1.0)), Ok(Some(1.0)));
    assert_eq!(one("\"a\\nb\"", |value| value.text(3).map(String::from)), Ok(Some("a\nb".to_owned())));
    assert_eq!(one("\"ééé\"", |value| value.text(3).map(String::from)), Ok(Some("ééé".to_owned())));
    assert_eq!(one("\"Running\"", |value| value.word(Status::parse, "x")), Ok(Some(Status::Running)));
    let names = one("[\"a\", \"b\"]", |value| value.names(2)).unwrap().unwrap();
    assert_eq!(names, [Name::parse("a").unwrap(), Name::parse("b").unwrap()]);
    for url in ["https://a.example/b?c=d#e", "s3://bucket/key", "http://[::1]:80"] {
        assert!(one(&format!("\"{url}\""), |value| value.url().map(String::from)).is_ok(), "{url}");
    }
    let json = one("{ \"a\" : null }", |value| value.json(14)).unwrap().unwrap();
    assert_eq!(json.get(), "{ \"a\" : null }");
}

#[test]
fn another_type_is_refused_and_told_what_it_should_be() {
    refused(Value::name, &["1", "true", "[]", "{}"], "must be a string");
    refused(Value::name, &["\"\"", "\"a b\"", "\"-a\"", "\"é\""], "characters of A-Z");
    refused(Value::name, &["\"a\\u0000b\""], "U+0000");
    refused(Value::tag, &["\"\"", "\"é\"", "\"a\\n\""], "printable ASCII");
    refused(Value::boolean, &["0", "\"true\"", "[]"], "true or false");
    let integers = ["1.0", "1e2", "\"1\"", "101", "-101", "99999999999999999999", "true", "1e999"];
    refused(|value| value.integer(-100_i8..=100), &integers, "must be a whole number from -100 to 100");
    let numbers = ["\"1\"", "1.01", "-0.1", "1e999", "true", "[]"];
    refused(|value| value.number(0.0..=1.0), &numbers, "must be a number from 0 to 1");
    refused(|value| value.text(3).map(drop), &["\"abcd\"", "\"éééé\""], "at most 3 characters");
    refused(Value::id, &["\"x\"", "\"7986a22fa22f79862fa286792fa28679\""], "is not a UUID");
    let times = ["\"tomorrow\"", "\"2017-01-01\"", "\"2017-13-01T00:00:00Z\"", "\"99999-01-01T00:00:00Z\""];
    refused(Value::timestamp, &times, "is not an RFC 3339 date-time");
    refused(Value::timestamp, &["0", "{}"], "must be a string");
    let words = "NotStarted, Running, Completed, Failed";
    let read = |value: Value<'static>| value.word(Status::parse, words);
    refused(read, &["\"String\"", "\"notStarted\"", "\"COMPLETED\""], "' is not one of NotStarted, Running");
    refused(|value| value.names(2), &["[]"], "must not be empty");
    refused(|value| value.names(2), &["[\"a\",\"b\",\"c\"]"], "at most 2 elements");
    refused(|value| value.names(2), &["\"a\"", "{}"], "must be an array");
    refused(|value| value.json(3).map(drop), &["1234", "[12]", "\"ab\""], "at most 3");
    refused(|value| value.object().map(drop), &["1", "[]", "\"\""], "must be an object");
    let urls = [
        "\"\"",
        "\"/a\"",
        "\"a://\"",
        "\"javascript://x/%0aalert(1)\"",
        "\"http://a b\"",
        "\"1://a\"",
        "\"://a\"",
    ];
    refused(|value| value.url().map(drop), &urls, "absolute URL");
}

#[test]
fn null_is_no_value_but_where_it_is_said_to_be() {
    refused(Value::name, &["null"], "must not be null");
    let mut fields = Fields::read(br#"{"input":null,"maxRunning":null,"maxWaiting":5}"#).unwrap();
    assert_eq!(fields.json("input", 10).unwrap().unwrap().get(), "null");
    let limit = |value: Value<'_>| value.integer(1_u32..=10);
    assert_eq!(fields.clearable("maxRunning", limit), Ok(Some(None)));
    assert_eq!(fields.clearable("maxWaiting", limit), Ok(Some(Some(5))));
    assert_eq!(fields.clearable("paused", Value::boolean), Ok(None));
}

#[test]
fn a_field_that_nobody_asked_for_is_refused_by_name() {
    let body = br##"{"@odata.type":"#x","odata.metadata":1,"queue@odata.type":"y","quue":"a"}"##;
    let error = Fields::read(body).unwrap().finish().unwrap_err();
    assert_eq!(error.target_name(), Some("quue"));
    let mut fields = Fields::read(body).unwrap();
    assert!(fields.has("quue"));
    assert!(fields.name("quue").unwrap().is_some());
    assert!(!fields.has("quue"));
    assert_eq!(fields.finish(), Ok(()));
}

#[test]
fn only_objects_are_requests() {
    for body in ["[]", "1", "\"a\"", "null", "true"] {
        let error = Fields::read(body.as_bytes()).unwrap_err();
        assert_eq!(error.message(), "the body must be a JSON object");
        assert_eq!(error.target_name(), None);
    }
}

#[test]
fn a_constant_says_the_one_thing_or_is_absent() {
    let read = |body: &'static str| {
        Fields::read(body.as_bytes()).unwrap().constant("@odata.type", "#microsoft.graph.operation")
    };
    assert_eq!(read("{}"), Ok(()));
    assert_eq!(read(r##"{"@odata.type":"#microsoft.graph.operation"}"##), Ok(()));
    let error = read(r##"{"@odata.type":"#other"}"##).unwrap_err();
    assert_eq!(error.message(), "@odata.type: '#other' is not '#microsoft.graph.operation'");
    assert!(read(r#"{"@odata.type":1}"#).is_err() && read(r#"{"@odata.type":null}"#).is_err());
}

#[test]
fn errors_name_the_place_however_deep() {
    let body = br#"{"reports":[{},{"error":{"code":7}}],"labels":{"a b":"x"}}"#;
    let mut fields = Fields::read(body).unwrap();
    let report = fields.items("reports", 5).unwrap().unwrap()[1];
    let mut error = report.object().unwrap().object("error").unwrap().unwrap();
    assert_eq!(error.text("code", 9).unwrap_err().target_name(), Some("reports[1].error.code"));
    assert_eq!(error.missing("message").message(), "reports[1].error.message: is missing");
    let (key, value) = fields.object("labels").unwrap().unwrap().entries().next().unwrap();
    assert_eq!(key, "a b");
    assert_eq!(value.refuse("is wrong").target_name(), Some("labels.a b"));
}

#[test]
fn at_most_64_characters_of_a_name_come_back_and_no_control_character() {
    let long = format!("\"{}\"", "x".repeat(5000));
    let message = one(&long, Value::name).unwrap_err();
    assert!(message.len() < 250 && message.contains(&format!("'{}…'", "x".repeat(64))), "{message}");
    let message = one("\"a\\u001b[31m\\n\"", Value::name).unwrap_err();
    assert!(message.contains("'a\\u{1b}[31m\\n'"), "{message}");
    let body = format!("{{\"{}\":1}}", "k".repeat(5000));
    let error = Fields::read(body.as_bytes()).unwrap().finish().unwrap_err();
    assert_eq!(error.target_name().unwrap().chars().count(), 65);
}
