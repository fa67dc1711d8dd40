//! How an attempt ends well.

use serde::Serialize;

use crate::wire::{Json, to_json};

/// What came out of an operation. A handler that has no more to say than its result returns just that;
/// whatever has the JSON form `null`, such as `()`, is no result.
#[derive(Clone, Debug, Default)]
pub struct Success {
    /// A value without JSON form is only found out here, and told when the attempt ends.
    pub(crate) result: Option<Result<Json, String>>,
    pub(crate) status_detail: Option<String>,
    pub(crate) resource_location: Option<String>,
}

impl Success {
    /// Nothing to show but that it is done.
    pub fn new() -> Self {
        Self::default()
    }

    /// A result, at most 256 KiB of JSON: a larger one fails the operation as `outputTooLarge`, a value
    /// without JSON form as `invalidResult`, both for good.
    pub fn of<T: Serialize + ?Sized>(result: &T) -> Self {
        Self { result: Some(to_json(result).map_err(|error| error.to_string())), ..Self::default() }
    }

    /// Sets the sentence that tells people how it ended.
    #[must_use]
    pub fn status_detail(mut self, detail: impl Into<String>) -> Self {
        self.status_detail = Some(detail.into());
        self
    }

    /// Sets the absolute URL of what was made.
    #[must_use]
    pub fn resource_location(mut self, url: impl Into<String>) -> Self {
        self.resource_location = Some(url.into());
        self
    }
}

impl<T: Serialize> From<T> for Success {
    fn from(result: T) -> Self {
        let mut success = Self::of(&result);
        success.result.take_if(|result| result.as_ref().is_ok_and(|json| json.get() == "null"));
        success
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(success: Success) -> Option<String> {
        success.result.map(|result| result.map_or_else(|error| error, |json| json.get().to_owned()))
    }

    #[test]
    fn a_result_is_what_the_handler_returns_and_nothing_is_none() {
        assert_eq!(result(12.into()).as_deref(), Some("12"));
        assert_eq!(result(().into()), None);
        assert_eq!(result(None::<u8>.into()), None);
        assert_eq!(result(Success::of(&None::<u8>)).as_deref(), Some("null"), "who asks for it gets it");
        assert_eq!(result(Success::new().status_detail("done")), None, "nor is one made of a sentence alone");
    }
}
