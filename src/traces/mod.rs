//! Spans for whoever follows a request through many services: sent as OTLP over HTTP to the collector that `--otlp` names.
//!
//! The server begins no trace of its own. It records below what a caller's `traceparent` says is recorded: its requests, and
//! of each operation how long it waited and what became of its attempts.

mod collector;

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};

use self::collector::Collector;
use crate::limits;
use crate::operation::{Operation, Outcome, Timestamp, Traceparent};

/// The variable by which the field names a service to its collector, where `longrun` does not say enough.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector's URL, or one of the `OTEL_EXPORTER_OTLP_…` variables.
    #[error("spans cannot be sent: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// TLS cannot be spoken.
    #[error("spans cannot be sent over TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Takes spans down and sends them on, some at a time; where the collector does not keep up, some are lost and nothing waits.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Sends to the collector of a URL, whose path is that of all its signals, by the runtime that this is called in.
    pub fn to(url: &str) -> Result<Self, TracesError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
            .with_http_client(Collector::new()?)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(limits::SPANS_WAITING_MAX)
            .with_scheduled_delay(limits::SPANS_SENT_EVERY)
            .build();
        let name = std::env::var(SERVICE_NAME).unwrap_or_else(|_| "longrun".to_owned());
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
            .with_resource(Resource::builder().with_service_name(name).with_attribute(version).build())
            .build();
        Ok(Self { tracer: provider.tracer("longrun"), provider })
    }

    /// A request that was answered just now, by the path of its route: its own may hold a secret.
    pub fn request(
        &self,
        parent: Traceparent,
        method: &'static str,
        route: &str,
        status: u16,
        took: Duration,
    ) {
        let until = SystemTime::now();
        let attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        let span = SpanBuilder::from_name(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes);
        let failed = (status >= 500).then(|| Status::error(""));
        self.record(parent, span, until.checked_sub(took).unwrap_or(until), until, failed);
    }

    /// An operation that began, after it might have for so long.
    pub fn waited(&self, operation: &Operation, waited: Duration, until: Timestamp) {
        let Some(parent) = recorded(operation) else { return };
        let span = SpanBuilder::from_name("longrun.wait").with_attributes(of(operation));
        let until = system(until);
        self.record(parent, span, until.checked_sub(waited).unwrap_or(until), until, None);
    }

    /// An attempt that ended; how, unless well.
    pub fn attempt(&self, operation: &Operation, began: Timestamp, ended: Timestamp, how: Option<Outcome>) {
        let Some(parent) = recorded(operation) else { return };
        let mut attributes = of(operation);
        attributes.push(KeyValue::new("longrun.outcome", how.map_or("completed", Outcome::as_str)));
        let span = SpanBuilder::from_name("longrun.attempt").with_attributes(attributes);
        let failed = how.filter(|how| *how != Outcome::Released).map(|how| Status::error(how.as_str()));
        self.record(parent, span, system(began), system(ended), failed);
    }

    fn record(
        &self,
        parent: Traceparent,
        span: SpanBuilder,
        from: SystemTime,
        until: SystemTime,
        failed: Option<Status>,
    ) {
        let (trace_id, span_id) = (TraceId::from_bytes(parent.trace_id), SpanId::from_bytes(parent.span_id));
        let flags = TraceFlags::new(parent.flags);
        let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
        let parent = Context::new().with_remote_span_context(parent);
        let mut span = self.tracer.build_with_context(span.with_start_time(from), &parent);
        if let Some(failed) = failed {
            span.set_status(failed);
        }
        span.end_with_timestamp(until);
    }

    /// Sends what still waits, for some seconds at most. Blocks.
    pub fn close(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(limits::SPANS_CLOSING) {
            tracing::warn!(%error, "not all spans were sent");
        }
    }
}

/// The parent of an operation's spans, where they are recorded.
fn recorded(operation: &Operation) -> Option<Traceparent> {
    operation.spec.traceparent.filter(Traceparent::is_sampled)
}

/// What every span of an operation says of it. Nothing of what users send: no input, result or error.
fn of(operation: &Operation) -> Vec<KeyValue> {
    let lane = &operation.spec.lane;
    vec![
        KeyValue::new("longrun.operation.id", operation.spec.id.to_string()),
        KeyValue::new("longrun.operation.type", lane.operation_type.to_string()),
        KeyValue::new("longrun.queue", lane.queue.to_string()),
        KeyValue::new("longrun.attempt", i64::from(operation.attempts)),
    ]
}

fn system(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + at.since(Timestamp::from_ticks(0))
}
