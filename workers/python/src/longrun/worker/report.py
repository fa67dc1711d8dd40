"""What is said of an attempt, as the JSON that is sent.

A report is written once, when it is made, so that a call that is repeated is the same to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..encode import clean, cut, escaped_len, to_json
from ..handler.errors import HandlerError, PermanentError, Released, RetryableError, of_exception
from ..handler.held import Held, Key
from ..handler.success import Success
from ..wire import Status

# The protocol's bound on a result.
RESULT_BYTES_MAX = 256 * 1024
# The protocol's bound on an error is 16 KiB; this leaves room for its names and braces.
ERROR_BYTES_MAX = 16 * 1024 - 256
CODE_BYTES_MAX = 128
# The protocol's bound on a status detail.
DETAIL_CHARS_MAX = 1024


@dataclass(slots=True)
class Report:
    """One report; ``news`` is the number of what a ``Running`` one tells beyond a heartbeat, or 0."""

    key: Key
    status: Status
    body: bytes
    news: int = 0


def of_end(held: Held, end: Any) -> list[Report]:
    """The reports that tell how an attempt ended, in their order.

    ``end`` is what the handler returned, or the exception that it raised.
    """
    if not isinstance(end, BaseException):
        return [_completed(held, end if isinstance(end, Success) else Success(end))]
    if isinstance(end, Released):
        return [released(held)]
    error = of_exception(end)
    if held.reason in ("shutdown", "leaseLost") and not isinstance(error, PermanentError):
        # A retryable error of a handler that was stopped for the worker's sake tells nothing of the
        # operation.
        return [released(held)]
    last = _failed(held.key, error)
    if isinstance(error, PermanentError):
        return [last]
    # The next attempt shall start from the latest checkpoint, which only a `Running` report stores.
    news = running(held)
    return [news, last] if news.news else [last]


def of_abandoned(held: Held) -> list[Report]:
    """What is said of an operation whose handler was told to stop, and went on."""
    if held.reason == "timeout":
        # Not handed back: that would not count the attempt, and it would time out for ever.
        return of_end(held, RetryableError("timedOut", "the attempt took too long and was given up"))
    return [released(held)]


def running(held: Held) -> Report:
    """What is said of an operation that runs: its news, or nothing, which is a heartbeat."""
    progress, checkpoint, number = held.take_news()
    more = b""
    if progress is not None:
        more += b',"percentComplete":%d' % progress.percent
        if progress.detail is not None:
            more += b',"statusDetail":' + to_json(_detail(progress.detail))
    if checkpoint is not None:
        more += b',"checkpoint":' + checkpoint
    return _report(held.key, "Running", more, number)


def released(held: Held) -> Report:
    """Hands the operation back, with the latest checkpoint for whoever takes it next."""
    checkpoint = held.checkpoint
    return _report(held.key, "NotStarted", b"" if checkpoint is None else b',"checkpoint":' + checkpoint)


def unwanted(key: Key) -> Report:
    """Hands an operation back that was never begun."""
    return _report(key, "NotStarted", b"")


def of_refused(key: Key, reason: str) -> Report:
    """What is said instead of a result that the server refuses to take: the truth, in a form it does take."""
    return _failed(key, PermanentError("reportRefused", f"the report of the result was refused: {reason}"))


def _completed(held: Held, success: Success) -> Report:
    try:
        result = None if success.result is None else to_json(success.result)
    except ValueError as error:
        return _failed(held.key, PermanentError("invalidResult", str(error)))
    if result is not None and len(result) > RESULT_BYTES_MAX:
        message = f"the result has {len(result)} bytes of JSON, {RESULT_BYTES_MAX} are allowed"
        return _failed(held.key, PermanentError("outputTooLarge", message))
    more = b"" if result is None else b',"result":' + result
    # The last news of its progress may not have gone out yet.
    progress = held.take_news()[0]
    detail = success.status_detail
    if progress is not None:
        more += b',"percentComplete":%d' % progress.percent
        detail = progress.detail if detail is None else detail
    if detail is not None:
        more += b',"statusDetail":' + to_json(_detail(detail))
    if success.resource_location is not None:
        more += b',"resourceLocation":' + to_json(clean(success.resource_location))
    return _report(held.key, "Completed", more)


def _failed(key: Key, error: HandlerError) -> Report:
    code = cut(error.code, CODE_BYTES_MAX)
    message = cut(error.message, ERROR_BYTES_MAX - escaped_len(code))
    more = b',"error":' + to_json({"code": code, "message": message})
    if isinstance(error, PermanentError):
        more += b',"retryable":false'
    elif isinstance(error, RetryableError) and error.after is not None:
        more += b',"retryAfterSeconds":%d' % error.after
    return _report(key, "Failed", more)


def _detail(text: str) -> str:
    return clean(text)[:DETAIL_CHARS_MAX]


def _report(key: Key, status: Status, more: bytes, news: int = 0) -> Report:
    head = f'{{"id":"{key.id}","leaseToken":{key.token},"status":"{status}"'.encode()
    return Report(key, status, head + more + b"}", news)
