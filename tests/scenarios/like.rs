//! What a step expects of JSON: a part of it.

use serde_json::{Value, json};

/// Whether `found` holds all of `expected`: of an object the fields that are named, of an array an element for each that is
/// named, of anything else the same.
pub fn is_like(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, expected)| found.get(name).is_some_and(|found| is_like(found, expected))),
        (Value::Array(found), Value::Array(expected)) => {
            expected.iter().all(|expected| found.iter().any(|found| is_like(found, expected)))
        }
        (found, expected) => found == expected,
    }
}

pub fn likeness_is_tested() {
    let found = json!({ "status": "Failed", "error": { "code": "upstream", "message": "try again" }, "list": [1, 2] });
    let alike = [
        json!({}),
        json!({ "error": { "code": "upstream" } }),
        json!({ "list": [2] }),
        json!({ "list": [] }),
    ];
    for expected in &alike {
        assert!(is_like(&found, expected), "{expected}");
    }
    let unlike = [
        json!({ "result": null }),
        json!({ "error": { "code": "other" } }),
        json!({ "list": [3] }),
        json!({ "status": { "code": "Failed" } }),
        json!([]),
    ];
    for expected in &unlike {
        assert!(!is_like(&found, expected), "{expected}");
    }
}
