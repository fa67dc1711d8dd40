use axum::Router;
use axum::extract::{Extension, Path};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde_json::Value;

use super::*;

const LOCAL: Peer = Peer::Local;

fn outer() -> Outer<Router> {
    let router = Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/cached", get(|| async { ([(header::CACHE_CONTROL, "no-cache")], "ok") }))
        .route("/refused", get(|| async { ApiError::at("status", "'String' is not one of them") }))
        .route("/busy", get(|| async { ApiError::overloaded() }))
        .route("/who", get(|| async { ApiError::new(Code::Unauthenticated, "no credential") }))
        .route("/number/{number}", get(|Path(number): Path<u8>| async move { number.to_string() }))
        .route("/panic", get(|| async { panic!("a secret") as &'static str }))
        .route("/leak", get(|| async { (StatusCode::BAD_GATEWAY, "a secret of the inside") }))
        .route("/ready", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, ready()) }))
        .route("/body", post(|body: Bytes| async move { body.len().to_string() }))
        .route(
            "/arrival",
            get(|Extension(arrival): Extension<Arrival>| async move { arrival.id.to_string() }),
        );
    Outer::new(router, Arc::default())
}

fn ready() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], "{\"ready\":false}")
}

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

async fn send(request: Request<Body>) -> (http::response::Parts, String) {
    let (parts, body) = outer().answer(LOCAL, request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

/// Sends a request that is refused, and checks what every refusal has.
async fn refused(request: Request<Body>) -> (http::response::Parts, Value) {
    let (parts, body) = send(request).await;
    let document: Value = serde_json::from_str(&body).expect(&body);
    let error = document["error"].clone();
    assert_eq!(document.as_object().unwrap().len(), 1, "{body}");
    assert!(!error["message"].as_str().unwrap().contains("secret"), "{body}");
    assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(parts.headers[header::CONTENT_LENGTH], body.len().to_string());
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    let inner = &error["innerError"];
    assert_eq!(parts.headers[REQUEST_ID], inner["request-id"].as_str().unwrap());
    assert!(crate::operation::Timestamp::parse(inner["date"].as_str().unwrap()).is_ok());
    (parts, error)
}

#[tokio::test]
async fn whatever_is_refused_has_the_one_shape() {
    for (method, path, status, code) in [
        ("GET", "/refused", 400, "invalidRequest"),
        ("GET", "/number/256", 400, "invalidRequest"),
        ("GET", "/who", 401, "unauthenticated"),
        ("GET", "/nowhere", 404, "itemNotFound"),
        ("POST", "/ok", 405, "methodNotAllowed"),
        ("OPTIONS", "/ok", 405, "methodNotAllowed"),
        ("BREW", "/ok", 405, "methodNotAllowed"),
        ("GET", "/panic", 500, "internalError"),
        ("GET", "/leak", 500, "internalError"),
        ("GET", "/busy", 503, "overloaded"),
    ] {
        let (parts, error) = refused(request(method, path)).await;
        assert_eq!(
            (parts.status.as_u16(), error["code"].as_str().unwrap()),
            (status, code),
            "{method} {path}"
        );
    }
    let (_, error) = refused(request("GET", "/refused")).await;
    assert_eq!(error["target"], "status");
    assert_eq!(error["message"], "status: 'String' is not one of them");
    let (_, error) = refused(request("GET", "/busy")).await;
    assert!(error.get("target").is_none());
}

#[tokio::test]
async fn a_refusal_brings_the_headers_that_its_status_asks_for() {
    assert_eq!(refused(request("POST", "/ok")).await.0.headers[header::ALLOW], "GET,HEAD");
    assert_eq!(refused(request("GET", "/who")).await.0.headers[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(refused(request("GET", "/busy")).await.0.headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn a_body_over_axums_own_limit_is_refused_in_the_same_shape() {
    let large = Request::post("/body").body(Body::from(vec![0; 3 << 20])).unwrap();
    let (parts, error) = refused(large).await;
    assert_eq!((parts.status.as_u16(), error["code"].as_str()), (413, Some("payloadTooLarge")));
}

#[tokio::test]
async fn an_answer_with_a_body_of_its_own_keeps_it() {
    let (parts, body) = send(request("GET", "/ready")).await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (503, "{\"ready\":false}"));
    let (parts, body) = send(request("GET", "/ok")).await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (200, "ok"));
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(send(request("GET", "/cached")).await.0.headers[header::CACHE_CONTROL], "no-cache");
}

#[tokio::test]
async fn a_head_request_gets_the_headers_alone() {
    let (parts, body) = send(request("HEAD", "/ok")).await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (200, ""));
    let (parts, body) = send(request("HEAD", "/nowhere")).await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (404, ""));
    assert!(parts.headers.contains_key(REQUEST_ID));
}

#[tokio::test]
async fn each_request_has_its_identifier_and_the_clients_is_echoed() {
    let outer = outer();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let response = outer.clone().answer(LOCAL, request("GET", "/arrival")).await;
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, id, "the route knows it too");
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 8);
        assert!(seen.insert(id));
    }
    let mut with_id = request("GET", "/nowhere");
    with_id.headers_mut().insert(CLIENT_REQUEST_ID, HeaderValue::from_static("mine \"1\""));
    let (parts, error) = refused(with_id).await;
    assert_eq!(parts.headers[CLIENT_REQUEST_ID], "mine \"1\"");
    assert_eq!(error["innerError"]["client-request-id"], "mine \"1\"");
    let mut unfit = request("GET", "/nowhere");
    unfit.headers_mut().insert(CLIENT_REQUEST_ID, HeaderValue::from_bytes(b"\xff").unwrap());
    let (parts, error) = refused(unfit).await;
    assert!(!parts.headers.contains_key(CLIENT_REQUEST_ID));
    assert!(error["innerError"].get("client-request-id").is_none());
}

#[tokio::test]
async fn a_head_at_the_limit_is_read_and_one_byte_more_is_not() {
    let path = |bytes: usize| format!("/ok?{}", "q".repeat(bytes - "/ok?".len()));
    assert_eq!(send(request("GET", &path(limits::URI_BYTES_MAX))).await.0.status, 200);
    let (parts, error) = refused(request("GET", &path(limits::URI_BYTES_MAX + 1))).await;
    assert_eq!((parts.status.as_u16(), error["code"].as_str()), (414, Some("uriTooLong")));

    let with = |count: usize, bytes: usize| {
        let mut request = request("GET", "/ok");
        for n in 0..count {
            let value = "v".repeat(if n == 0 { bytes - 3 * count } else { 1 });
            let name = format!("{n:02}").try_into().unwrap();
            let name: http::HeaderName = name;
            request.headers_mut().insert(name, value.try_into().unwrap());
        }
        request
    };
    assert_eq!(send(with(limits::HEADERS_MAX, limits::HEADER_BYTES_MAX)).await.0.status, 200);
    for too_large in [with(limits::HEADERS_MAX + 1, 1000), with(2, limits::HEADER_BYTES_MAX + 4)] {
        let (parts, error) = refused(too_large).await;
        assert_eq!((parts.status.as_u16(), error["code"].as_str()), (431, Some("headersTooLarge")));
    }
}
