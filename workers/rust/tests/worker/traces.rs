//! The spans of attempts, by an OpenTelemetry that the process has set up.

use std::sync::LazyLock;

use longrun_sdk::wire::{Operation, Status};
use longrun_sdk::{Context, HandlerError};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context as Traced, global, trace};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::support::{Server, start, worker};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The process has one set-up for all of its tests.
static SPANS: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let spans = InMemorySpanExporter::default();
    global::set_tracer_provider(SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build());
    global::set_text_map_propagator(TraceContextPropagator::new());
    spans
});

fn spans_of(id: Uuid) -> Vec<SpanData> {
    let id = id.to_string();
    let spans = SPANS.get_finished_spans().unwrap().into_iter();
    spans.filter(|span| span.attributes.iter().any(|of| of.value.as_str() == id)).collect()
}

fn submitted(operation_type: &str, traceparent: Option<String>) -> Operation {
    Operation { operation_type: Some(operation_type.to_owned()), traceparent, ..Operation::default() }
}

/// Says which span it runs in, by its error where it is to fail.
async fn tell(_: IgnoredAny, context: Context) -> Result<String, HandlerError> {
    let within: SpanContext = Traced::current().span().span_context().clone();
    match context.operation().queue.as_deref() {
        Some("failing") => Err(HandlerError::permanent("no", "never")),
        _ => Ok(within.span_id().to_string()),
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_a_span_below_the_submit_and_its_handler_runs_in_it() {
    LazyLock::force(&SPANS);
    let server = Server::new();
    let running = start(worker(&server).handler("tell", tell));
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let id = server.submit_operation(submitted("tell", Some(traceparent.clone())));
    let (report, _) = server.report(id, Status::Completed).await;
    let [span] = &spans_of(id)[..] else { panic!("{:?}", spans_of(id)) };
    assert_eq!(span.span_context.trace_id().to_string(), TRACE);
    assert_eq!((span.parent_span_id.to_string(), &*span.name), (CALLER.to_owned(), "process tell"));
    assert_eq!(report.result.unwrap().get(), format!("\"{}\"", span.span_context.span_id()));
    assert_eq!(span.status, trace::Status::Unset);

    let failing = Operation { queue: Some("failing".to_owned()), ..submitted("tell", Some(traceparent)) };
    let id = server.submit_operation(failing);
    server.report(id, Status::Failed).await;
    assert_eq!(spans_of(id)[0].status, trace::Status::error("no"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_submitted_in_no_span_is_carried_out_in_none() {
    LazyLock::force(&SPANS);
    let server = Server::new();
    let running = start(worker(&server).handler("tell", tell));
    let id = server.submit_operation(submitted("tell", None));
    let (report, _) = server.report(id, Status::Completed).await;
    assert_eq!(report.result.unwrap().get(), "\"0000000000000000\"");
    assert!(spans_of(id).is_empty());
    running.stop().await;
}
