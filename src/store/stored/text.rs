//! The columns that hold a text with more in it than itself: names, JSON, lists.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Damaged, Result};
use crate::operation::{Failure, Json, Labels, Name, RetryPolicy, TenantId, Traceparent, WorkerId};

pub(in crate::store) fn json(bytes: &[u8]) -> Result<Json> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damaged("JSON is not UTF-8"))?;
    let raw = RawValue::from_string(text.to_owned()).map_err(|_| Damaged("JSON does not parse"))?;
    Ok(Arc::from(raw))
}

pub(in crate::store) fn name(text: &str) -> Result<Name> {
    Name::parse(text).map_err(|_| Damaged("a name is none"))
}

pub(in crate::store) fn tenant(text: &str) -> Result<TenantId> {
    TenantId::parse(text).map_err(|_| Damaged("a tenant's name is none"))
}

/// A worker's name, or a claim's.
pub(in crate::store) fn tag(text: &str) -> Result<WorkerId> {
    WorkerId::parse(text).map_err(|_| Damaged("a worker's name is none"))
}

/// Where a worker asked from.
pub(in crate::store) fn address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| Damaged("an address is none"))
}

pub(in crate::store) fn names_text(names: &[Name]) -> String {
    // Texts always serialise.
    serde_json::to_string(names).unwrap_or_default()
}

pub(in crate::store) fn words(json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|_| Damaged("a list of names does not parse"))
}

pub(in crate::store) fn names(json: &str) -> Result<Arc<[Name]>> {
    words(json)?.iter().map(|text| name(text)).collect()
}

#[derive(serde::Serialize)]
struct FailureWritten<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<&'a str>,
}

#[derive(serde::Deserialize)]
struct FailureRead {
    code: String,
    message: String,
    full: Option<String>,
}

pub(in crate::store) fn failure_text(failure: &Failure) -> String {
    let written =
        FailureWritten { code: &failure.code, message: &failure.message, full: failure.full.as_deref() };
    // Three texts always serialise.
    serde_json::to_string(&written).unwrap_or_default()
}

pub(in crate::store) fn failure(text: &str) -> Result<Arc<Failure>> {
    let read: FailureRead = serde_json::from_str(text).map_err(|_| Damaged("an error does not parse"))?;
    Ok(Arc::new(Failure {
        code: read.code.into(),
        message: read.message.into(),
        full: read.full.map(Arc::from),
    }))
}

pub(in crate::store) fn retry_text(policy: &RetryPolicy) -> String {
    let RetryPolicy { initial_delay_seconds, factor, max_delay_seconds, jitter } = policy;
    format!("[{initial_delay_seconds},{factor},{max_delay_seconds},{jitter}]")
}

/// Parsed by the standard library, which reads exactly the number that was written; `serde_json` may miss it by a bit.
pub(in crate::store) fn retry(text: &str) -> Result<RetryPolicy> {
    let damaged = Damaged("a retry policy does not parse");
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let mut numbers = inner.unwrap_or_default().split(',').map(str::parse::<f64>);
    let mut next = || numbers.next()?.ok();
    match (next(), next(), next(), next()) {
        (Some(initial_delay_seconds), Some(factor), Some(max_delay_seconds), Some(jitter)) => {
            Ok(RetryPolicy { initial_delay_seconds, factor, max_delay_seconds, jitter })
        }
        _ => Err(damaged),
    }
}

pub(in crate::store) fn labels_text(labels: &Labels) -> String {
    // A map of texts always serialises.
    serde_json::to_string(labels).unwrap_or_default()
}

pub(in crate::store) fn labels(text: &str) -> Result<Labels> {
    let plain: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_| Damaged("labels do not parse"))?;
    plain.into_iter().map(|(key, value)| Ok((name(&key)?, Arc::from(value)))).collect()
}

pub(in crate::store) fn traceparent(text: &str) -> Result<Traceparent> {
    Traceparent::parse(text).ok_or(Damaged("a traceparent does not parse"))
}
