"""The JSON of the protocol as types.

What the server sends is read leniently: fields that this version does not know are passed over, so an older
worker goes on working with a newer server. Times are RFC 3339 in UTC, kept as the text that was sent. A field
is ``None`` where the server left it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from .errors import InvalidAnswerError

Status = Literal["NotStarted", "Running", "Completed", "Failed"]
"""Where an operation stands; the wire knows exactly these four."""

EventKind = Literal[
    "snapshot",
    "created",
    "started",
    "progress",
    "retrying",
    "released",
    "canceling",
    "completed",
    "failed",
    "updated",
    "deleted",
    "reset",
    "unknown",
]
"""What happened to an operation, or to the stream; ``unknown`` is one that this version has not heard of."""

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class OperationError:
    """What went wrong: a code for programs, a message for people."""

    code: str = ""
    message: str = ""
    target: str | None = None
    details: Any = None
    inner_error: Any = None


@dataclass(slots=True, kw_only=True)
class Waiting:
    """Why an operation does not run yet."""

    reason: str = ""
    until_date_time: str | None = None
    message: str = ""


@dataclass(slots=True, kw_only=True)
class Retry:
    """The backoff between attempts, in seconds; ``None`` means the server's default.

    Of ``jitter``, a share of the delay is added at most, at random.
    """

    initial_delay_seconds: float | None = None
    factor: float | None = None
    max_delay_seconds: float | None = None
    jitter: float | None = None


@dataclass(slots=True, kw_only=True)
class Operation:
    """One piece of long-running work, as the server shows it."""

    id: str
    status: Status
    created_date_time: str | None = None
    last_action_date_time: str | None = None
    queue: str | None = None
    operation_type: str | None = None
    is_external: bool = False
    input: Any = None
    priority: int | None = None
    start_date_time: str | None = None
    expiration_date_time: str | None = None
    timeout_seconds: float | None = None
    max_attempts: int | None = None
    retry: Retry | None = None
    labels: dict[str, str] = field(default_factory=dict)
    percent_complete: float | None = None
    status_detail: str | None = None
    result: Any = None
    resource_location: str | None = None
    error: OperationError | None = None
    attempts_count: int | None = None
    started_date_time: str | None = None
    completed_date_time: str | None = None
    cancel_requested: bool = False
    waiting: Waiting | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the status never changes by itself any more."""
        return self.status in ("Completed", "Failed")


@dataclass(slots=True, kw_only=True)
class Snapshot(Operation):
    """An operation as it was when the server answered, with what the answer said beside it."""

    etag: str | None = None
    """For ``Client.get_if_changed``, and ``if_match`` of ``Client.patch``."""
    retry_after: float | None = None
    """Seconds after which to ask again; ``None`` once the operation has ended."""
    location: str | None = None
    """The operation's absolute URL; in answers to a submit only."""
    replayed: bool = False
    """The submit repeated an earlier one, and the operation is that one's."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt: those that ended badly are told, and the one that runs."""

    lease_token: int
    worker_id: str | None = None
    started_date_time: str | None = None
    ended_date_time: str | None = None
    outcome: str | None = None
    error: OperationError | None = None


@dataclass(slots=True, kw_only=True)
class Event:
    """One event of a stream."""

    cursor: str
    """Its place in the order of events, opaque; a watch can go on after it."""
    event: EventKind
    operation: Operation | None
    """The operation as it was after that, without ``input``; ``result`` only when it was completed or in a
    snapshot. ``None`` in a ``reset``: events were missed, what follows has no further gap."""


@dataclass(slots=True, kw_only=True)
class Demand:
    """What an autoscaler asks of a queue."""

    ready: int = 0
    """Operations that may be claimed."""
    delayed: int = 0
    """Those that may not start yet."""
    running: int = 0
    """Those under a lease."""
    oldest_ready_seconds: float = 0
    """Since when the oldest ready one waits; 0 when there is none."""
    paused: bool = False
    """Nothing is claimed from it."""


@dataclass(slots=True, kw_only=True)
class Queue(Demand):
    """How a queue stands, and what is set for it."""

    name: str
    completed: int = 0
    failed: int = 0
    max_running: int | None = None
    """How many may run at a time; ``None``: any number."""
    max_waiting: int | None = None
    """How many may wait before new ones are refused; ``None``: any number."""


@dataclass(slots=True, kw_only=True)
class Link:
    """URLs by which whoever has them reads and watches one operation: without a token, without its input."""

    status_url: str = field(repr=False)
    """Answers how the operation stands, as a ``GET`` of it does."""
    events_url: str = field(repr=False)
    """A stream of its events, for an ``EventSource``."""
    expiration_date_time: str
    """When both end."""


@dataclass(slots=True, kw_only=True)
class HeldOperation:
    """An operation that a worker holds."""

    id: str
    queue: str = ""
    operation_type: str = ""
    lease_token: int = 0
    lease_seconds: float = 0
    """What is left of its lease."""


@dataclass(slots=True, kw_only=True)
class WorkerInfo:
    """A worker process, as the server knows it."""

    worker_id: str
    last_asked_date_time: str | None = None
    """When it last asked for work; ``None``: too long ago."""
    address: str | None = None
    """From where, which may be a proxy; ``None``: the server itself."""
    queues: list[str] | None = None
    """Of which queues; ``None``: of every one."""
    operation_types: list[str] | None = None
    """Of which types; ``None``: of every one."""
    running: int = 0
    """How many operations it holds."""
    operations: list[HeldOperation] = field(default_factory=list)
    """The first of those."""


@dataclass(slots=True, kw_only=True)
class Page:
    """One page of a list; iterating over it gives its operations."""

    value: list[Operation]
    count: int | None = None
    """How many there are on all pages, where that was asked for."""

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.value)

    def __len__(self) -> int:
        return len(self.value)


_NESTED: dict[str, type[Any]] = {"error": OperationError, "retry": Retry, "waiting": Waiting}


def camel(name: str) -> str:
    """The name on the wire of a field: ``lease_token`` is ``leaseToken``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_NAMES: dict[type[Any], dict[str, str]] = {}


def _names(kind: type[Any]) -> dict[str, str]:
    """The fields of a type by their names on the wire; found out once."""
    if kind not in _NAMES:
        _NAMES[kind] = {camel(field.name): field.name for field in fields(kind)}
    return _NAMES[kind]


def read(kind: type[T], data: Any, **more: Any) -> T:
    """Reads an object of the wire as one of the types above; ``more`` is set beside what it says.

    Raises ``InvalidAnswerError`` when it is none, or lacks what such an object always has.
    """
    if not isinstance(data, dict):
        raise InvalidAnswerError(f"an object was expected, not {type(data).__name__}")
    names = _names(kind)
    values = {names[name]: value for name, value in data.items() if name in names}
    for name, nested in _NESTED.items():
        if name in values:
            values[name] = read(nested, values[name])
    try:
        return kind(**values, **more)
    except TypeError as error:
        raise InvalidAnswerError(str(error)) from error


def written(value: Any) -> dict[str, Any]:
    """The object of the wire for one of the types above, without what is not set."""
    pairs = ((camel(field.name), getattr(value, field.name)) for field in fields(value))
    return {name: value for name, value in pairs if value is not None}
