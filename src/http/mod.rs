//! The wire: JSON over HTTP/1.1 and HTTP/2.
//!
//! [`connection`] accepts and bounds connections; `trace` tells of requests to whoever traces them; `forwarded` says whom a proxy has a request from; `outer` stands around every request, gives it its identifier and
//! completes its errors; [`table`] says what opens each route, [`routes`] are the routes. `body` and [`json`] read what
//! was sent, `read` makes of it what the tracker takes, [`headers`], [`prefer`], [`etag`] and [`odata`] read what was asked;
//! [`view`] and `answer` show an operation, `opened` says to whom, `quota` and `unread` how much at a time; `docs` is what a browser reads of
//! all this. Whatever is refused, by whomever, has the one shape of [`error`].

mod admin;
mod answer;
mod app;
mod arrival;
mod body;
mod bulk_lines;
pub mod connection;
mod cors;
mod counts;
mod denied;
mod docs;
pub mod error;
pub mod etag;
mod forwarded;
pub mod headers;
pub mod json;
mod lines;
pub mod odata;
mod opened;
mod outer;
pub mod prefer;
mod quota;
mod read;
mod registry;
pub mod routes;
mod schema;
mod shared;
mod sse;
mod standing;
pub mod table;
mod trace;
mod unread;
pub mod view;
mod wait;

use axum::{Extension, Router};
use bytes::Bytes;

pub use admin::router as admin_router;
pub use app::{App, Parts};
pub use forwarded::Proxies;
pub use quota::Quotas;
pub use read::deposit::{refused, submit_of};
pub use registry::Registry;

/// The router of what whoever watches over the server asks without a token.
/// On a listener of this machine only, a page in a browser of it cannot ask by another name (DNS rebinding).
pub fn open_router(app: App, is_loopback: bool) -> Router {
    let (router, _) = routes::open_table(app).finish();
    if is_loopback { router.layer(axum::middleware::from_fn(table::only_of_machine)) } else { router }
}

/// The router of every route, the description of itself included.
pub fn router(app: App) -> Router {
    let (router, document) = routes::table(app).finish();
    // Names and schemas have no way to fail.
    let document = serde_json::to_vec(&document).unwrap_or_default();
    router.layer(Extension(routes::Described::new(Bytes::from(document))))
}
