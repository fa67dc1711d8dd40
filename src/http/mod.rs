//! The wire: JSON over HTTP/1.1 and HTTP/2.
//!
//! [`json`] reads what was sent, [`headers`], [`prefer`] and [`etag`] what was asked; [`view`] shows an operation.
//! Whatever is refused, by whomever, has the one shape of [`error`].

pub mod error;
pub mod etag;
pub mod headers;
pub mod json;
pub mod prefer;
pub mod view;
