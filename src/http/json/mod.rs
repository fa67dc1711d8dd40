//! Strict JSON: one pass decides whether a body is JSON we take, then request objects are read field by field.
//!
//! [`scan`](scan::scan) knows the whole grammar and refuses what parsers disagree on. [`Fields`] reads what it accepted
//! without parsing it twice: a route declares its fields, and errors name the place. Nothing is allocated for a small
//! object without escapes until a value is kept.
//!
//! ```
//! use longrun::http::json::Fields;
//!
//! let mut fields = Fields::read(br#"{ "queue": "media", "priority": 5, "@odata.type": "x" }"#)?;
//! let queue = fields.name("queue")?;
//! let priority = fields.integer("priority", -100..=100)?.unwrap_or(0_i8);
//! fields.finish()?;
//! assert_eq!((queue.unwrap().as_str(), priority), ("media", 5));
//! # Ok::<(), longrun::http::error::ApiError>(())
//! ```

mod canonical;
mod fields;
mod flaw;
mod path;
mod scan;
mod text;
mod value;
mod walk;

#[cfg(test)]
mod tests;

pub use canonical::fingerprint;
pub use fields::Fields;
pub use flaw::{Flaw, FlawKind, Flaws};
pub use scan::{Checked, scan, scan_parts};
pub use value::Value;
