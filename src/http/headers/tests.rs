use std::sync::Arc;

use super::*;
use crate::operation::{Context, Name, Opening, Progress, Seq, Spec, Submission, TenantId, submit};

fn with(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

#[test]
fn a_key_is_bare_or_quoted() {
    let longest = "k".repeat(255);
    for (sent, key) in [
        ("abc", "abc"),
        ("\"abc\"", "abc"),
        (" a b ", "a b"),
        ("\"a \\\" b \\\\\"", "a \" b \\"),
        ("7986a22f-a22f-7986-2fa2-86792fa28679", "7986a22f-a22f-7986-2fa2-86792fa28679"),
        ("a\"b", "a\"b"),
        (longest.as_str(), longest.as_str()),
    ] {
        let headers = with(&IDEMPOTENCY_KEY, &[sent.as_bytes()]);
        assert_eq!(idempotency_key(&headers).unwrap().unwrap(), key, "{sent}");
    }
    assert_eq!(idempotency_key(&HeaderMap::new()), Ok(None));
}

#[test]
fn a_wrong_key_is_refused_and_not_repeated() {
    let too_long = "k".repeat(256);
    let quoted_too_long = format!("\"{too_long}\"");
    for sent in [
        &[&b""[..]][..],
        &[b"\"\""],
        &[b"\"secret"],
        &[b"\"sec\"ret\""],
        &[b"\"secret\\\""],
        &[b"\"sec\\ret\""],
        &[b"sec\tret"],
        &["sécret".as_bytes()],
        &[b"secret\xff"],
        &[too_long.as_bytes()],
        &[quoted_too_long.as_bytes()],
        &[b"secret", b"secret"],
    ] {
        let error = idempotency_key(&with(&IDEMPOTENCY_KEY, sent)).unwrap_err();
        assert_eq!(error.code().as_str(), "invalidRequest", "{sent:?}");
        assert_eq!(error.target_name(), Some("Idempotency-Key"));
        assert!(!error.message().contains("sec") && !error.message().contains("kkk"), "{error}");
    }
}

#[test]
fn a_client_request_id_is_echoed_only_when_it_is_printable() {
    let longest = "r".repeat(128);
    for good in ["r-1", "a b", longest.as_str()] {
        assert!(client_request_id(&with(&CLIENT_REQUEST_ID, &[good.as_bytes()])).is_some(), "{good}");
    }
    let too_long = "r".repeat(129);
    for bad in [&b""[..], b"a\tb", "é".as_bytes(), b"\xff", too_long.as_bytes()] {
        assert!(client_request_id(&with(&CLIENT_REQUEST_ID, &[bad])).is_none(), "{bad:?}");
    }
}

#[test]
fn urls_begin_with_the_configured_one_or_the_requests_host() {
    let id = OperationId::parse("7986a22f-a22f-7986-2fa2-86792fa28679").unwrap();
    let path = "/v1.0/operations/7986a22f-a22f-7986-2fa2-86792fa28679";
    let host = with(&header::HOST, &[b"longrun.example:8080"]);
    let relative = Uri::from_static("/v1.0/operations");
    let absolute = Uri::from_static("http://h2.example/v1.0/operations");
    let location =
        |public, uri, headers| Base::of_request(public, asked(None), uri, headers).unwrap().operation(id);
    assert_eq!(location(None, &relative, &host), format!("http://longrun.example:8080{path}"));
    assert_eq!(location(None, &absolute, &host), format!("http://h2.example{path}"));
    let public = Some("https://api.example/longrun/");
    assert_eq!(location(public, &relative, &HeaderMap::new()), format!("https://api.example/longrun{path}"));
    for wrong in [&b"a b"[..], b"a/b", b"\xff", b"", b"user@host", b"a\"b", b":80"] {
        let headers = with(&header::HOST, &[wrong]);
        assert!(Base::of_request(None, asked(None), &relative, &headers).is_err(), "{wrong:?}");
    }
    assert!(Base::of_request(None, asked(None), &relative, &HeaderMap::new()).is_err());
    for (told, begins) in
        [("front.example", "https://front.example/v1.0"), ("a b", "https://longrun.example:8080/v1.0")]
    {
        let asked = Asked { scheme: "https", ..asked(Some(told)) };
        let url = Base::of_request(None, asked, &relative, &host).unwrap().operation(id);
        assert!(url.to_str().unwrap().starts_with(begins), "{url:?}");
    }
}

fn asked(host: Option<&str>) -> Asked<'_> {
    Asked { ip: None, scheme: "http", host: host.map(Into::into) }
}

fn operation(received: Timestamp, start_at: Option<Timestamp>, opening: Opening) -> Operation {
    let name = |text| Name::parse(text).unwrap();
    let lane = crate::operation::Lane {
        tenant: TenantId::default(),
        queue: name("default"),
        operation_type: name("noop"),
    };
    let spec = Spec {
        id: OperationId::fresh(),
        lane: Arc::new(lane),
        external: !matches!(opening, Opening::Waiting),
        key: None,
        fingerprint: None,
        created: received,
        received,
        input: None,
        priority: 0,
        timeout_seconds: None,
        max_attempts: 3,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("test"),
    };
    let progress = Progress::default();
    let submission = Submission { spec, last_action: None, start_at, expires: None, progress, opening };
    submit(&submission, Seq(1), Context { now: received, jitter: 0.0 })
}

#[test]
fn a_poller_is_asked_to_come_again_after_a_tenth_of_the_operations_age() {
    let received = Timestamp::parse("2026-01-31T09:30:00Z").unwrap();
    let waiting = operation(received, None, Opening::Waiting);
    for (age, expected) in [(0, 1), (19, 1), (20, 2), (299, 29), (300, 30), (100_000, 30)] {
        assert_eq!(retry_after(&waiting, received.plus_seconds(age)), Some(expected), "after {age} s");
    }
    let delayed = operation(received, Some(received.plus_seconds(10)), Opening::Waiting);
    for (millis, expected) in [(0, 10), (1, 10), (9_000, 1), (9_500, 1), (10_000, 1), (30_000, 3)] {
        let now = received.plus(Duration::from_millis(millis));
        assert_eq!(retry_after(&delayed, now), Some(expected), "after {millis} ms");
    }
    let far = operation(received, Some(received.plus_seconds(86_400)), Opening::Waiting);
    assert_eq!(retry_after(&far, received), Some(limits::RETRY_AFTER_SECONDS_MAX));
    let ended = operation(received, None, Opening::Failed(None));
    assert_eq!(retry_after(&ended, received), None);
}
