//! All that can be seen of a thing, as text: two stores agree when their texts do.

use std::fmt::Write as _;
use std::sync::Arc;

use longrun::operation::{
    Event, Failure, Opening, Operation, Payload, RetryPolicy, Spec, State, Submission, Traceparent,
};

use super::drafts::{draft, json, json_of, lane, name, start};

/// Everything of an operation; of a payload that stands apart its length.
pub(crate) fn operation(operation: &Operation) -> String {
    format!("{operation:#?}")
}

/// What an event keeps of what was submitted: all but the input and what only a repeat of the submit or a worker needs.
pub(crate) fn spec(spec: &Spec) -> String {
    let kept = Spec { input: None, key: None, fingerprint: None, traceparent: None, ..spec.clone() };
    format!("{kept:#?}")
}

/// Everything of an event. Of the operation what a stream shows of it: no payloads, no lease but its token, and nothing
/// that is the state machine's own memory.
pub(crate) fn event(event: &Event) -> String {
    let Event { cursor, previous, at, kind, actor, status_before, operation } = event;
    let state = match &operation.state {
        State::Running(carrier) => {
            format!("running, external: {}", matches!(carrier, longrun::operation::Carrier::Owner))
        }
        State::Completed { resource_location, at, .. } => format!("completed {resource_location:?} {at}"),
        other => format!("{other:?}"),
    };
    let mut text =
        format!("{cursor} after {previous} at {at}: {kind:?} by {actor:?} from {status_before:?}\n");
    let shown = (operation.seq, operation.version, operation.cursor, operation.token, operation.attempts);
    let times = (operation.last_action, operation.changed, operation.started, operation.start_at);
    let rest = (operation.expires, &operation.progress, operation.cancel_requested, operation.failure());
    writeln!(text, "{state}\n{shown:?} {times:?} {rest:?}\n{}", spec(&operation.spec)).expect("text grows");
    text
}

/// Submissions that between them use every field there is.
pub(crate) fn full_submissions() -> Vec<Submission> {
    let everything = draft(1, |submission| {
        let spec = &mut submission.spec;
        spec.lane = lane("default", "media.thumbs", "thumb:v2");
        spec.key = Some(Arc::from("key \u{e9} \"quoted\""));
        spec.fingerprint = Some([0xA5; 32]);
        spec.created = start().plus_seconds(100);
        spec.input = Some(Payload::Inline(json("{\"pages\" : [1, 2.50]}")));
        spec.priority = -100;
        spec.timeout_seconds = Some(31_622_400);
        spec.max_attempts = 1000;
        spec.retry = Some(RetryPolicy {
            initial_delay_seconds: 0.1,
            factor: 1.0 / 3.0 + 1.0,
            max_delay_seconds: 1e7,
            jitter: 0.3,
        });
        let labels = [(name("a"), Arc::from("x\u{1F600}")), (name("b.c"), Arc::from("\"\\ \n"))];
        spec.labels = Some(labels.into_iter().collect());
        spec.traceparent = Traceparent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        spec.submitted_by = Arc::from("token \u{e9}");
        submission.last_action = Some(start().plus_seconds(200));
        submission.start_at = Some(start().plus_seconds(60));
        submission.expires = Some(start().plus_seconds(120));
    });
    let running = draft(2, |submission| {
        submission.opening = Opening::Running;
        submission.progress.percent = Some(100);
        submission.progress.detail = Some(Arc::from("line 1\nline 2"));
    });
    let completed = draft(3, |submission| {
        let result = Some(json_of(2000));
        submission.opening =
            Opening::Completed { result, resource_location: Some(Arc::from("https://a/b?c=d")) };
    });
    let failed = draft(4, |submission| {
        let full = Some(Arc::from("{\"code\":\"c\",\"message\":\"m\",\"innerError\":null}"));
        let failure = Failure { code: Arc::from("c"), message: Arc::from("m \"q\""), full };
        submission.opening = Opening::Failed(Some(Arc::new(failure)));
    });
    let default_retry = draft(5, |submission| submission.spec.retry = None);
    vec![everything, running, completed, failed, default_retry]
}
