//! How an attempt ends well.

use serde::Serialize;

use crate::wire::{Json, to_json};

/// What came out of an operation. `()` is one without anything to show.
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

impl From<()> for Success {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Json> for Success {
    fn from(result: Json) -> Self {
        Self { result: Some(Ok(result)), ..Self::default() }
    }
}

impl From<serde_json::Value> for Success {
    fn from(result: serde_json::Value) -> Self {
        Self::of(&result)
    }
}
