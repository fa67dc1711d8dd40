"""OpenTelemetry, where it is installed, as the process has set it up.

An attempt runs in a span below the one in which its operation was submitted, and a submit takes the current
span along.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .handler.errors import Released
from .wire import Operation

try:
    from opentelemetry import propagate, trace
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True


@contextmanager
def attempt(operation: Operation, traceparent: str | None) -> Iterator[None]:
    """What is done within it is done in the attempt's span; in none where it was submitted in none."""
    if not INSTALLED or traceparent is None:
        yield
        return
    attributes: dict[str, str | int] = {
        "longrun.operation.id": operation.id,
        "longrun.operation.type": operation.operation_type or "",
        "longrun.queue": operation.queue or "",
        "longrun.attempt": operation.attempts_count or 1,
    }
    with trace.get_tracer("longrun-sdk").start_as_current_span(
        f"process {operation.operation_type}",
        propagate.extract({"traceparent": traceparent}),
        kind=trace.SpanKind.CONSUMER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Released:  # no failure
            raise
        except BaseException as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def headers() -> dict[str, str]:
    """The headers by which the current span goes along with a request."""
    carrier: dict[str, str] = {}
    if INSTALLED:
        propagate.inject(carrier)
    return carrier
