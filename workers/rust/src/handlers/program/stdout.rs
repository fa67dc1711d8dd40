//! What a program writes to stdout: the result.

use crate::handler::{HandlerError, Success};

use super::json;

/// The protocol's bound on a result.
pub(super) const RESULT_BYTES_MAX: usize = 256 * 1024;

/// Keeps what may become a result, and no more.
#[derive(Debug, Default)]
pub(super) struct Stdout {
    kept: Vec<u8>,
    too_large: bool,
}

impl Stdout {
    /// Takes what was read; false once it is more than any result may have.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        self.too_large |= self.kept.len() + bytes.len() > RESULT_BYTES_MAX;
        if self.too_large {
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(bytes);
        }
        !self.too_large
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// JSON as it was written, else the text as a JSON string without the line break at its end; nothing is no
    /// result.
    pub(super) fn result(self) -> Result<Success, HandlerError> {
        let text = String::from_utf8(self.kept).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let message = format!("stdout is neither JSON nor text: it is no UTF-8 from its byte {at} on");
            HandlerError::permanent("outputNotText", message)
        })?;
        if text.trim().is_empty() {
            return Ok(Success::new());
        }
        if let Some(json) = json::parse(&text) {
            return Ok(Success::of(&json));
        }
        let text =
            text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        Ok(Success::of(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(bytes: &[u8]) -> Option<String> {
        let mut stdout = Stdout::default();
        assert!(stdout.take(bytes));
        stdout.result().unwrap().result.map(|json| json.unwrap().get().to_owned())
    }

    #[test]
    fn json_is_the_result_and_other_text_is_a_string_of_it() {
        assert_eq!(result(b"{\"pages\": 1.0}\n").unwrap(), "{\"pages\": 1.0}");
        assert_eq!(result(b"made a.png\r\n").unwrap(), "\"made a.png\"");
        assert_eq!(result(b"a\n\n").unwrap(), "\"a\\n\"");
        assert_eq!((result(b""), result(b" \n")), (None, None));
    }

    #[test]
    fn bytes_that_are_no_text_are_no_result() {
        let mut stdout = Stdout::default();
        stdout.take(b"a\xff");
        let error = stdout.result().unwrap_err();
        assert_eq!(error.code(), "outputNotText");
        assert!(error.message().contains("byte 1"), "{}", error.message());
    }

    #[test]
    fn no_more_is_kept_than_a_result_may_have() {
        let mut stdout = Stdout::default();
        assert!(stdout.take(&vec![b'1'; RESULT_BYTES_MAX]));
        assert!(!stdout.take(b"1") && !stdout.take(b"1"));
        assert!(stdout.is_too_large() && stdout.kept.is_empty());
    }
}
