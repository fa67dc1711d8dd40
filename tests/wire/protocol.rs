//! The conversation of docs/protocol.md, held with a real server; and the words that it must know.

use http::{Method, StatusCode};
use longrun::http::error::Code;
use longrun::operation::{EventKind, Status};
use serde_json::Value;

use crate::support::{Answer, Client, Server};

const PROTOCOL: &str = include_str!("../../docs/protocol.md");
/// Stands for what differs each time.
const ANY: &str = "…";

/// The blocks of the document, in order.
fn blocks() -> Vec<&'static str> {
    let mut parts = PROTOCOL.split("```http\n");
    parts.next();
    parts.map(|part| part.split_once("```").expect("a block ends").0.trim_end()).collect()
}

/// First line, headers, body.
fn parts(block: &str) -> (&str, Vec<(&str, &str)>, &str) {
    let (head, body) = block.split_once("\n\n").unwrap_or((block, ""));
    let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers = headers.lines().map(|line| line.split_once(": ").expect("a header has a value"));
    (first, headers.collect(), body)
}

async fn ask(client: &Client, block: &str) -> Answer {
    let (first, headers, body) = parts(block);
    let (method, path) = first.split_once(' ').expect("a method and a path");
    let method = Method::from_bytes(method.as_bytes()).expect("it is a method");
    client.send(method, path, &headers, body.to_owned()).await
}

fn fits(said: &str, expected: &str) -> bool {
    match expected.split_once(ANY) {
        Some((before, after)) => said.starts_with(before) && said.ends_with(after),
        None => said == expected,
    }
}

/// Whether everything expected was said.
fn holds(said: &Value, expected: &Value) -> bool {
    match (said, expected) {
        (said, Value::String(any)) if any == ANY => !said.is_null(),
        (Value::String(said), Value::String(expected)) => fits(said, expected),
        (Value::Number(said), Value::Number(expected)) => said.as_f64() == expected.as_f64(),
        (Value::Object(said), Value::Object(expected)) => {
            expected.iter().all(|(name, expected)| said.get(name).is_some_and(|said| holds(said, expected)))
        }
        (Value::Array(said), Value::Array(expected)) => {
            said.len() == expected.len()
                && said.iter().zip(expected).all(|(said, expected)| holds(said, expected))
        }
        (said, expected) => said == expected,
    }
}

fn assert_answers(answer: &Answer, block: &str, about: &str) {
    let (first, headers, body) = parts(block);
    let about = format!("{about}\n\n{} {}\n\nexpected\n\n{block}", answer.status, answer.text());
    let reason = answer.status.canonical_reason().unwrap_or_default();
    assert_eq!(format!("{} {reason}", answer.status.as_u16()), first, "{about}");
    for (name, expected) in headers {
        let said = answer.header(&name.to_ascii_lowercase()).unwrap_or_else(|| panic!("no {name}: {about}"));
        assert!(fits(said, expected), "{name}: {said}: {about}");
    }
    if answer.header("content-type") == Some("text/event-stream") {
        let said = answer.text();
        for (said, expected) in said.lines().zip(body.lines()) {
            match (said.strip_prefix("data: "), expected.strip_prefix("data: ")) {
                (Some(said), Some(expected)) => assert!(holds(&json(said), &json(expected)), "{about}"),
                _ => assert!(fits(said, expected), "{said}: {about}"),
            }
        }
    } else if answer.header("content-type") == Some("application/x-ndjson") {
        let said = answer.text();
        assert_eq!(said.lines().count(), body.lines().count(), "{about}");
        for (said, expected) in said.lines().zip(body.lines()) {
            assert!(holds(&json(said), &json(expected)), "{about}");
        }
    } else if body.is_empty() {
        assert!(answer.body.is_empty(), "{about}");
    } else {
        assert!(holds(&answer.value(), &json(body)), "{about}");
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[tokio::test]
async fn the_conversation_of_the_document_is_held_as_it_is_written() {
    let server = Server::start(&["--workers", "0"]);
    let client = server.client();
    let blocks = blocks();
    assert!(blocks.len() >= 30 && blocks.len().is_multiple_of(2), "{}", blocks.len());
    for pair in blocks.chunks(2) {
        let answer = ask(&client, pair[0]).await;
        assert_answers(&answer, pair[1], pair[0]);
    }
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
}

#[test]
fn the_document_knows_every_word_of_the_wire() {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let kinds = EventKind::ALL.iter().map(|kind| kind.as_str());
    let statuses = Status::ALL.iter().map(|status| status.as_str());
    for word in codes.chain(kinds).chain(statuses) {
        assert!(PROTOCOL.contains(&format!("`{word}`")), "{word} is not in docs/protocol.md");
    }
    for code in Code::ALL {
        let status = code.status().as_u16().to_string();
        let row = PROTOCOL
            .lines()
            .find(|line| line.starts_with("| ") && line.contains(&format!("`{}`", code.as_str())));
        assert!(row.is_some_and(|row| row.contains(&status)), "{} is not told with {status}", code.as_str());
    }
}
