"""What a submit and a patch send: only what was given, under the names of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final
from uuid import UUID, uuid4

from ..wire import OperationError, Retry, camel, written

KEY_BYTES_MAX = 255


class Absent:
    """Stands for a value that was not given, where ``None`` is one: JSON's ``null``."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


def fresh_key() -> str:
    """A key that no other submit has."""
    return str(uuid4())


def key_header(key: str) -> dict[str, str]:
    """The header of an idempotency key; raises ``ValueError`` for one that no header can carry."""
    if not 1 <= len(key.encode()) <= KEY_BYTES_MAX or not key.isascii() or not key.isprintable():
        raise ValueError(f"an idempotency key has 1 to {KEY_BYTES_MAX} printable ASCII characters")
    return {"idempotency-key": key}


def prefer_wait(seconds: float) -> str:
    """``Prefer: wait=N``; the wire knows whole seconds, and a wait that was asked for is not cut to none."""
    return f"wait={int(-(-seconds // 1))}"


def submit_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a submit from its arguments."""
    labels = given["labels"]
    return body_of({**given, "labels": dict(labels) if labels else None})


def body_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The object of the wire for these arguments, without those that were not given."""
    body = {}
    for name, value in given.items():
        # What holds any JSON may be null.
        missing = value is ABSENT if name in ("input", "result") else value is None
        if not missing:
            body[camel(name)] = _plain(value)
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, (OperationError, Retry)):
        return written(value)
    if isinstance(value, datetime):
        return instant(value)
    return str(value) if isinstance(value, UUID) else value


def instant(time: datetime) -> str:
    """A moment as the wire has it; raises ``ValueError`` for one that does not say its time zone."""
    if time.tzinfo is None:
        raise ValueError("a datetime without a time zone names no moment: add tzinfo=timezone.utc")
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
