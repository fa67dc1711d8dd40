"""OpenTelemetry: the span of an attempt is below that of the submit, over the real server."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from longrun import Client, Context, PermanentError, Released, Worker

from .conftest import PATIENCE, running


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    """What the process traces; it is set up once."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def of(spans: InMemorySpanExporter, id: str) -> list[ReadableSpan]:
    """The spans of an operation's attempts."""
    finished = spans.get_finished_spans()
    return [span for span in finished if (span.attributes or {}).get("longrun.operation.id") == id]


def current() -> str:
    """The span that this is asked in."""
    return format(trace.get_current_span().get_span_context().span_id, "016x")


async def test_an_attempt_is_a_span_below_the_submit(
    client: Client, worker: Worker, queue: str, spans: InMemorySpanExporter
) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> Any:
        return [current(), context.traceparent]

    @worker.handler("threaded")
    def handle_in_thread(input: Any, context: Context) -> Any:
        return [current(), context.traceparent]

    async with running(worker):
        for kind in ("t", "threaded"):
            with trace.get_tracer("test").start_as_current_span("caller") as caller:
                operation = await client.submit(kind, queue=queue)
            ended = await client.wait(operation.id, PATIENCE)
            parent = caller.get_span_context()
            (span,) = of(spans, operation.id)
            assert span.parent is not None and span.context is not None
            assert (span.parent.trace_id, span.parent.span_id) == (parent.trace_id, parent.span_id)
            assert (span.name, span.kind) == (f"process {kind}", trace.SpanKind.CONSUMER)
            traceparent = f"00-{parent.trace_id:032x}-{parent.span_id:016x}-{parent.trace_flags:02x}"
            assert ended.result == [f"{span.context.span_id:016x}", traceparent]


async def test_a_failure_is_one_of_the_span_and_a_release_is_not(
    client: Client, worker: Worker, queue: str, spans: InMemorySpanExporter
) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> None:
        if context.lease_token == 1:
            raise Released
        raise PermanentError("no", "never")

    async with running(worker):
        with trace.get_tracer("test").start_as_current_span("caller"):
            operation = await client.submit("t", queue=queue)
        await client.wait(operation.id, PATIENCE)
    released, failed = of(spans, operation.id)
    assert (released.status.status_code, failed.status.status_code) == (
        trace.StatusCode.UNSET,
        trace.StatusCode.ERROR,
    )


async def test_what_was_submitted_in_no_span_is_carried_out_in_none(
    client: Client, worker: Worker, queue: str, spans: InMemorySpanExporter
) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> Any:
        return [current(), context.traceparent]

    async with running(worker):
        operation = await client.submit("t", queue=queue)
        ended = await client.wait(operation.id, PATIENCE)
    assert ended.result == ["0" * 16, None]
    assert of(spans, operation.id) == []


def test_without_opentelemetry_nothing_is_traced() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
from longrun import Worker, trace
assert not trace.INSTALLED and trace.headers() == {}
with trace.attempt(None, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
    pass
"""
    subprocess.run([sys.executable, "-c", program], check=True)
