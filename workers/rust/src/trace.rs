//! OpenTelemetry, as its user has set it up: the span of an attempt below the one in which its operation was submitted, and
//! with each submit the span that it is made in.

use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global, propagation};

use crate::handler::{HandlerError, Kind};
use crate::wire::Operation;

/// The header of W3C Trace Context.
pub(crate) const TRACEPARENT: &str = "traceparent";

struct Traceparent<'a>(&'a str);

impl propagation::Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// Carries an attempt out in a span of its own, where its operation was submitted in one.
pub(crate) async fn attempt<T>(
    operation: &Operation,
    attempt: impl Future<Output = Result<T, HandlerError>>,
) -> Result<T, HandlerError> {
    let Some(traceparent) = operation.traceparent.as_deref().map(Traceparent) else { return attempt.await };
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&traceparent));
    let tracer = global::tracer("longrun-sdk");
    let operation_type = operation.type_or_default().to_owned();
    let builder = tracer
        .span_builder(format!("process {operation_type}"))
        .with_kind(SpanKind::Consumer)
        .with_attributes([
            KeyValue::new("longrun.operation.id", operation.id.to_string()),
            KeyValue::new("longrun.operation.type", operation_type),
            KeyValue::new("longrun.queue", operation.queue.clone().unwrap_or_default()),
            KeyValue::new("longrun.attempt", i64::from(operation.attempts_count.unwrap_or(1))),
        ]);
    let context = parent.with_span(builder.start_with_context(&tracer, &parent));
    let end = attempt.with_context(context.clone()).await;
    if let Err(error) = &end
        && error.kind != Kind::Released
    {
        context.span().set_status(Status::error(error.code.clone()));
    }
    context.span().end();
    end
}

struct Headers(HeaderMap);

impl propagation::Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// The headers by which the current span goes along with a request.
pub(crate) fn headers() -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let mut headers = Headers(HeaderMap::new());
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&Context::current(), &mut headers);
    });
    headers.0.into_iter().filter_map(|(name, value)| Some((name?, value)))
}
