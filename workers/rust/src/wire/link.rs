//! Links: what shows one operation to whoever has it.

use serde::{Deserialize, Serialize};

/// URLs by which whoever has them reads and watches one operation, without a token and without its input.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Answers how the operation stands, as a `GET` of it does.
    pub status_url: String,
    /// A stream of its events, for an `EventSource`.
    pub events_url: String,
    /// When both end.
    pub expiration_date_time: String,
}

/// Without the URLs, which are secret.
impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ends = &self.expiration_date_time;
        out.debug_struct("Link").field("expiration_date_time", ends).finish_non_exhaustive()
    }
}

/// What a link is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkRequest {
    /// When it ends, at most 30 days ahead; `None`: in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_date_time: Option<String>,
    /// Whether every link to the operation that was made before ends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revoke: bool,
}
