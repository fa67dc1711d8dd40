//! What a link is to be.

use crate::http::error::ApiError;
use crate::http::json::Fields;
use crate::limits;
use crate::operation::Timestamp;

/// A wish for a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) struct Wish {
    /// When it ends.
    pub(in crate::http) expires: Timestamp,
    /// Whether all links that were made before have ended.
    pub(in crate::http) revoke: bool,
}

/// Reads the body of a `createLink`.
pub(in crate::http) fn read(body: &[u8], now: Timestamp) -> Result<Wish, ApiError> {
    let mut fields = Fields::read(body)?;
    fields.constant("type", "view")?;
    let expires = fields.timestamp("expirationDateTime")?;
    if expires.is_some_and(|expires| expires <= now) {
        return Err(fields.refuse("expirationDateTime", "must lie in the future"));
    }
    if expires.is_some_and(|expires| expires > now.plus(limits::LINK_LIFE_MAX)) {
        let days = limits::LINK_LIFE_MAX.as_secs() / (24 * 3600);
        return Err(fields.refuse("expirationDateTime", format_args!("must not lie over {days} days ahead")));
    }
    let revoke = fields.boolean("revoke")?.unwrap_or(false);
    fields.finish()?;
    Ok(Wish { expires: expires.unwrap_or_else(|| now.plus(limits::LINK_LIFE_DEFAULT)), revoke })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_link_lives_for_a_day_and_up_to_its_limit() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let until =
            |expires: Timestamp| read(format!(r#"{{"expirationDateTime":"{expires}"}}"#).as_bytes(), now);
        assert_eq!(
            read(b"{}", now),
            Ok(Wish { expires: now.plus(limits::LINK_LIFE_DEFAULT), revoke: false })
        );
        let tick = Duration::from_nanos(100);
        let latest = now.plus(limits::LINK_LIFE_MAX);
        for good in [now.plus(tick), latest.minus(tick), latest] {
            assert_eq!(until(good).unwrap().expires, good);
        }
        for bad in [now.minus(tick), now, latest.plus(tick)] {
            assert_eq!(until(bad).unwrap_err().target_name(), Some("expirationDateTime"), "{bad}");
        }
    }

    #[test]
    fn what_else_it_says_is_refused_by_name() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        assert!(read(br#"{"type":"view","revoke":true}"#, now).unwrap().revoke);
        for (body, target) in [
            (r#"{"type":"edit"}"#, "type"),
            (r#"{"type":null}"#, "type"),
            (r#"{"revoke":"yes"}"#, "revoke"),
            (r#"{"scope":"anonymous"}"#, "scope"),
            (r#"{"expirationDateTime":"tomorrow"}"#, "expirationDateTime"),
        ] {
            assert_eq!(read(body.as_bytes(), now).unwrap_err().target_name(), Some(target), "{body}");
        }
    }
}
