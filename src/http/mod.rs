//! The wire: JSON over HTTP/1.1 and HTTP/2.
//!
//! [`json`] reads what was sent. Whatever is refused, by whomever, has the one shape of [`error`].

pub mod error;
pub mod json;
