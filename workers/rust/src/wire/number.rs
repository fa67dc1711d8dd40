//! Numbers that are whole are written without a fraction: `40`, not `40.0`. Readers in other languages,
//! and servers that take integers only, tell the two apart.

use serde::Serializer;

/// Beyond this a `f64` no longer holds every integer.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// For `#[serde(serialize_with)]` on an optional number that is skipped when absent.
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)] // serde dictates the signature
pub(super) fn optional<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(number) => plain(number, serializer),
        None => serializer.serialize_none(),
    }
}

/// For `#[serde(serialize_with)]` on a number.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde dictates the signature
pub(super) fn plain<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
        // Exact: the value is whole and within the range that both types hold.
        #[allow(clippy::cast_possible_truncation)]
        let whole = *value as i64;
        serializer.serialize_i64(whole)
    } else {
        serializer.serialize_f64(*value)
    }
}
