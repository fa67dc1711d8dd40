//! The wire: JSON over HTTP/1.1 and HTTP/2.
//!
//! [`connection`] accepts and bounds connections; [`outer`] stands around every request, gives it its identifier
//! ([`arrival`]) and completes its errors; [`body`] and [`json`] read what was sent, [`headers`], [`prefer`] and [`etag`]
//! what was asked; [`view`] shows an operation. Whatever is refused, by whomever, has the one shape of [`error`].

pub mod arrival;
pub mod body;
pub mod connection;
mod arrival;
mod body;
pub mod connection;
pub mod error;
pub mod etag;
pub mod headers;
pub mod json;
pub mod outer;
mod outer;
pub mod prefer;
pub mod view;
