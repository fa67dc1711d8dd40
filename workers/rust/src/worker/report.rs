//! What the end of an attempt is in a report.

use crate::handler::{AttemptEnd, HandlerError, Held, Kind, StopReason, Success};
use crate::wire::{OperationError, Report, Status};

/// The protocol's bound on a result.
const RESULT_BYTES_MAX: usize = 256 * 1024;
/// The protocol's bound on an error is 16 KiB; this leaves room for its names and braces.
const ERROR_BYTES_MAX: usize = 16 * 1024 - 256;
const CODE_BYTES_MAX: usize = 128;
/// The protocol's bound on a status detail.
const DETAIL_CHARS_MAX: usize = 1024;

/// The reports that tell how the attempt ended, in the order in which they are to be sent.
pub(super) fn of_end(held: &Held, end: AttemptEnd) -> Vec<Report> {
    let last = match end {
        AttemptEnd::Success(success) => completed(held, success),
        AttemptEnd::Failure(error) => stopped_or_failed(held, &error),
        AttemptEnd::Panic(message) => failed(held, &HandlerError::retryable("panic", message)),
        AttemptEnd::NeverStarted => released(held),
    };
    match (last.status, last.retryable) {
        // The next attempt shall start from the latest checkpoint, which only a `Running` report stores.
        (Status::Failed, None) => unsent_checkpoint(held).into_iter().chain([last]).collect(),
        _ => vec![last],
    }
}

/// What is said of an operation whose handler was aborted.
pub(super) fn of_abort(held: &Held) -> Vec<Report> {
    match held.reason() {
        // Not handed back: that would not count the attempt, and it would time out for ever.
        Some(StopReason::Timeout) => {
            let error = HandlerError::retryable("timedOut", "the attempt took too long and was aborted");
            of_end(held, AttemptEnd::Failure(error))
        }
        _ => vec![released(held)],
    }
}

/// What is said of an operation that runs: its news, or nothing, which is a heartbeat.
pub(super) fn running(held: &Held) -> Report {
    let unsent = held.take_unsent();
    let (percent_complete, status_detail) = unsent.progress.unzip();
    Report {
        percent_complete,
        status_detail: status_detail.map(cut_detail),
        checkpoint: unsent.checkpoint,
        ..Report::new(held.key.id, held.key.token, Status::Running)
    }
}

/// Hands the operation back, with the latest checkpoint for whoever takes it next.
pub(super) fn released(held: &Held) -> Report {
    Report { checkpoint: held.checkpoint(), ..Report::new(held.key.id, held.key.token, Status::NotStarted) }
}

/// What is said instead of an end that the server refuses to take: the truth, in a form it does take.
pub(super) fn of_refused(refused: &Report, reason: &OperationError) -> Report {
    let message = format!("the report of the result was refused: {}", reason.message);
    let error = HandlerError::permanent("reportRefused", message);
    failure(Report::new(refused.id, refused.lease_token, Status::Failed), &error)
}

/// An upper bound of an error's size on the wire.
pub(super) fn error_bytes(error: &OperationError) -> usize {
    escaped_len(&error.code) + escaped_len(&error.message) + 64
}

fn completed(held: &Held, success: Success) -> Report {
    let result = match success.result.transpose() {
        Ok(result) => result,
        Err(message) => return failed(held, &HandlerError::permanent("invalidResult", message)),
    };
    let bytes = result.as_ref().map_or(0, |result| result.get().len());
    if bytes > RESULT_BYTES_MAX {
        let message = format!("the result has {bytes} bytes of JSON, {RESULT_BYTES_MAX} are allowed");
        return failed(held, &HandlerError::permanent("outputTooLarge", message));
    }
    // The last news of its progress may not have gone out yet.
    let (percent_complete, detail) = held.take_unsent().progress.unzip();
    Report {
        result,
        percent_complete,
        status_detail: success.status_detail.or(detail).map(cut_detail),
        resource_location: success.resource_location,
        ..Report::new(held.key.id, held.key.token, Status::Completed)
    }
}

/// A retryable error of a handler that was stopped for the worker's sake tells nothing of the operation.
fn stopped_or_failed(held: &Held, error: &HandlerError) -> Report {
    let workers_doing = matches!(held.reason(), Some(StopReason::Shutdown | StopReason::LeaseLost));
    match error.kind {
        Kind::Released => released(held),
        Kind::Retryable { .. } if workers_doing => released(held),
        _ => failed(held, error),
    }
}

fn failed(held: &Held, error: &HandlerError) -> Report {
    failure(Report::new(held.key.id, held.key.token, Status::Failed), error)
}

fn failure(report: Report, error: &HandlerError) -> Report {
    let code = cut(error.code.clone(), CODE_BYTES_MAX);
    let message = cut(error.message.clone(), ERROR_BYTES_MAX - escaped_len(&code));
    let (retryable, retry_after_seconds) = match error.kind {
        Kind::Retryable { after_seconds } => (None, after_seconds),
        Kind::Permanent | Kind::Released => (Some(false), None),
    };
    Report { error: Some(OperationError::new(code, message)), retryable, retry_after_seconds, ..report }
}

fn unsent_checkpoint(held: &Held) -> Option<Report> {
    let report = running(held);
    report.checkpoint.is_some().then_some(report)
}

/// Cuts a text so that it has at most so many bytes as JSON.
fn cut(text: String, bytes_max: usize) -> String {
    let mut text = without_nul(text);
    // Six is the most that JSON makes of a byte: nearly every text ends here.
    if text.len() * 6 <= bytes_max {
        return text;
    }
    let mut bytes = 0;
    let end = text.char_indices().find_map(|(at, char)| {
        bytes += escaped_char_len(char);
        (bytes > bytes_max).then_some(at)
    });
    if let Some(end) = end {
        text.truncate(end);
    }
    text
}

fn cut_detail(detail: String) -> String {
    let mut detail = without_nul(detail);
    if let Some((end, _)) = detail.char_indices().nth(DETAIL_CHARS_MAX) {
        detail.truncate(end);
    }
    detail
}

/// The protocol takes no U+0000 in texts, and a message from a broken file may well hold one.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn escaped_len(text: &str) -> usize {
    text.chars().map(escaped_char_len).sum()
}

fn escaped_char_len(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        char if u32::from(char) < 0x20 => 6,
        char => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_holds_nothing_that_the_protocol_refuses() {
        assert_eq!(cut("a\0b".to_owned(), 1000), "a\u{fffd}b");
        assert_eq!(cut_detail("ä".repeat(2000)).chars().count(), DETAIL_CHARS_MAX);
    }

    #[test]
    fn an_error_fits_the_protocol_whatever_is_in_it() {
        for text in ["x", "ä", "\u{1}", "\"", "𝄞"] {
            let error = HandlerError::retryable(text.repeat(9_000), text.repeat(90_000));
            let report = failure(Report::default(), &error);
            let json = serde_json::to_string(&report.error).unwrap();
            assert!(json.len() <= 16 * 1024, "{} bytes of {text:?}", json.len());
            assert!(json.len() > 15 * 1024, "cut to no less than needed");
        }
    }
}
