//! The answers that every route shares, described once: each operation of the document refers to those that it may give.

use http::StatusCode;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::error::Code;
use crate::auth::Scope;

/// Whatever is asked for.
const ALL: [StatusCode; 4] = [
    StatusCode::URI_TOO_LONG,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];
/// Where a scope is needed.
const GUARDED: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
/// Where what a token or a link takes is counted.
const COUNTED: [StatusCode; 1] = [StatusCode::TOO_MANY_REQUESTS];
/// Where a body is read.
const READING: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE];
/// What belongs to no operation that is described, or to few.
const OTHERS: [StatusCode; 3] =
    [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_ACCEPTABLE, StatusCode::INSUFFICIENT_STORAGE];

fn name(status: StatusCode) -> String {
    format!("Error{}", status.as_u16())
}

/// Refers an operation to the answers that it shares.
pub(super) fn refer(operation: &mut Operation, scope: Scope) {
    let guarded = GUARDED.iter().filter(|_| !matches!(scope, Scope::Public | Scope::Link));
    let reading = READING.iter().filter(|_| operation.request_body.is_some());
    let counted = COUNTED.iter().filter(|_| scope != Scope::Public);
    for status in ALL.iter().chain(guarded).chain(counted).chain(reading) {
        let shared = RefOr::Ref(Ref::from_response_name(name(*status)));
        operation.responses.responses.entry(status.as_str().to_owned()).or_insert(shared);
    }
}

/// Each of them, by its name.
pub(super) fn responses() -> impl Iterator<Item = (String, Response)> {
    [&ALL[..], &GUARDED, &COUNTED, &READING, &OTHERS].concat().into_iter().map(|status| {
        let codes: Vec<&str> =
            Code::ALL.iter().filter(|code| code.status() == status).map(|code| code.as_str()).collect();
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let response = ResponseBuilder::new()
            .description(format!("`{}`", codes.join("`, `")))
            .content("application/json", body)
            .build();
        (name(status), response)
    })
}
