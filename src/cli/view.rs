//! How an operation looks to a person.

use longrun_sdk::wire::{Event, EventKind, Json, Operation};

use super::output;

/// Characters of a payload that a table shows; `--json` shows all.
const PAYLOAD_CHARS: usize = 400;
/// The same in a table of many.
const DETAIL_CHARS: usize = 60;

/// How the operation stands, beside its percentage.
pub(super) fn standing(operation: &Operation) -> String {
    let mut words = vec![operation.status.to_string()];
    words.extend(operation.status_detail.clone());
    words.extend(operation.waiting.as_ref().map(|waiting| waiting.message.clone()));
    words.join("  ")
}

/// An event in one line.
pub(super) fn event(event: &Event) -> String {
    let Some(operation) = &event.operation else {
        return format!("{}  events before this are no longer kept", event.event);
    };
    let time = operation.last_action_date_time.as_deref().unwrap_or_default();
    let mut words = vec![to_seconds(time), format!("{:<9}", event.event.as_str()), operation.id.to_string()];
    words.extend(operation.operation_type.clone());
    if matches!(event.event, EventKind::Snapshot | EventKind::Updated | EventKind::Deleted) {
        words.push(operation.status.to_string());
    }
    words.extend(operation.percent_complete.map(|percent| format!("{percent} %")));
    words.extend(operation.status_detail.clone());
    words.extend(operation.error.as_ref().map(|error| format!("{}: {}", error.code, error.message)));
    words.extend(operation.result.as_ref().map(payload));
    words.extend(operation.resource_location.clone());
    output::plain(&words.join("  "))
}

/// The columns of [`list_row`].
pub(super) const LIST_HEADER: [&str; 6] = ["ID", "STATUS", "TYPE", "QUEUE", "CREATED", "DETAIL"];

/// The operation as one of many.
pub(super) fn list_row(operation: &Operation) -> Vec<String> {
    let created = operation.created_date_time.as_deref().unwrap_or_default();
    let queue = match operation.is_external {
        Some(true) => "(external)".to_owned(),
        _ => operation.queue.clone().unwrap_or_default(),
    };
    let mut detail: Vec<String> =
        operation.percent_complete.map(|percent| format!("{percent} %")).into_iter().collect();
    detail.extend(operation.status_detail.clone());
    detail.extend(operation.error.as_ref().map(|error| format!("{}: {}", error.code, error.message)));
    vec![
        operation.id.to_string(),
        operation.status.to_string(),
        operation.operation_type.clone().unwrap_or_default(),
        queue,
        to_seconds(created),
        cut(&detail.join("  "), DETAIL_CHARS),
    ]
}

/// A field by itself: a text as it is, anything else as JSON.
pub(super) fn field(value: Option<&Json>) -> String {
    let Some(json) = value else { return String::new() };
    let text: Option<String> = serde_json::from_str(json.get()).ok();
    cut(text.as_deref().unwrap_or(json.get()), DETAIL_CHARS)
}

/// A time of the wire without its fraction.
pub(super) fn to_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// The operation, a field a line; fields without a value are left out.
pub(super) fn table(operation: &Operation) -> String {
    let text = |value: &Option<String>| value.clone();
    let labels = operation.labels.iter().flatten().map(|(name, value)| format!("{name}={value}"));
    let labels: Vec<String> = labels.collect();
    let attempts = operation.attempts_count.map(|count| match operation.max_attempts {
        Some(max) => format!("{count} of {max}"),
        None => count.to_string(),
    });
    let error = operation.error.as_ref();
    let fields = [
        ("id", Some(operation.id.to_string())),
        ("status", Some(operation.status.to_string())),
        ("operation type", text(&operation.operation_type)),
        ("queue", text(&operation.queue).filter(|_| operation.is_external != Some(true))),
        ("external", operation.is_external.filter(|external| *external).map(|_| "yes".to_owned())),
        ("progress", operation.percent_complete.map(|percent| format!("{percent} %"))),
        ("detail", text(&operation.status_detail)),
        ("waiting", operation.waiting.as_ref().map(|waiting| waiting.message.clone())),
        ("cancel requested", operation.cancel_requested.filter(|asked| *asked).map(|_| "yes".to_owned())),
        ("created", text(&operation.created_date_time)),
        ("last action", text(&operation.last_action_date_time)),
        ("starts at", text(&operation.start_date_time)),
        ("expires at", text(&operation.expiration_date_time)),
        ("started", text(&operation.started_date_time)),
        ("ended", text(&operation.completed_date_time)),
        ("attempts", attempts),
        (
            "priority",
            operation.priority.filter(|priority| *priority != 0).map(|priority| priority.to_string()),
        ),
        ("labels", Some(labels.join(" ")).filter(|labels| !labels.is_empty())),
        ("input", operation.input.as_ref().map(payload)),
        ("result", operation.result.as_ref().map(payload)),
        ("result at", text(&operation.resource_location)),
        ("error", error.map(|error| format!("{}: {}", error.code, error.message))),
    ];
    let rows = fields.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
    output::table(&[], rows)
}

fn payload(json: &Json) -> String {
    cut(json.get(), PAYLOAD_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(json: &str) -> Operation {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_table_shows_what_there_is() {
        let shown = table(&operation(
            r#"{"id":"7986a22f-a22f-7986-2fa2-86792fa28679","status":"Failed","queue":"media","attemptsCount":3,
                "maxAttempts":3,"labels":{"a":"b\n"},"error":{"code":"upstream","message":"no answer"}}"#,
        ));
        for line in ["status    Failed", "queue     media", "attempts  3 of 3", "labels    a=b\\n"] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(shown.contains("error     upstream: no answer") && !shown.contains("result"), "{shown}");
    }

    #[test]
    fn a_bar_says_beside_it_how_the_operation_stands() {
        let shown = standing(&operation(
            r#"{"id":"7986a22f-a22f-7986-2fa2-86792fa28679","status":"Running","percentComplete":40,
                "statusDetail":"page 4"}"#,
        ));
        assert_eq!(shown, "Running  page 4");
    }

    #[test]
    fn an_event_is_a_line_that_no_text_of_others_can_break() {
        let shown = event(
            &serde_json::from_str(
                r#"{"cursor":"00c0ffee-7","event":"retrying","operation":{"id":"7986a22f-a22f-7986-2fa2-86792fa28679",
                    "status":"NotStarted","operationType":"media","lastActionDateTime":"2026-01-31T09:30:00.1234567Z",
                    "error":{"code":"upstream","message":"no\nanswer"}}}"#,
            )
            .unwrap(),
        );
        let expected = "2026-01-31T09:30:00Z  retrying   7986a22f-a22f-7986-2fa2-86792fa28679  media";
        assert_eq!(shown, format!("{expected}  upstream: no\\nanswer"));
    }

    #[test]
    fn a_large_payload_is_cut() {
        let long = format!("\"{}\"", "é".repeat(1000));
        let json: Json = serde_json::value::RawValue::from_string(long).unwrap().into();
        assert_eq!(payload(&json).chars().count(), PAYLOAD_CHARS + 1);
    }
}
