"""Client and worker runtime for Longrun, the tracker for long-running operations.

A ``Client`` submits operations and follows them; ``longrun.sync.Client`` does the same for programs without
an event loop. A ``Worker`` claims them, runs the handler of their type and reports.

* ``wire``: the JSON of the protocol as types; ``errors``: what can go wrong; ``encode``: values of users as
  JSON;
* ``transport``: one HTTP call; ``backoff``: how long to wait before the next;
* ``client``: submit, get, wait, watch, list and the rest; ``sync``: the same, blocking;
* ``handler``: what a worker author writes; ``worker``: claims, leases, heartbeats, repetition, shutdown.
"""

from .client import Client, Pages, Watch, quoted
from .errors import (
    ConflictError,
    DeadlineError,
    DeniedError,
    InvalidAnswerError,
    LongrunError,
    NotFoundError,
    UndeliveredError,
    UnreachableError,
)
from .handler import (
    Context,
    HandlerError,
    PermanentError,
    Released,
    RetryableError,
    Signal,
    StopReason,
    Success,
)
from .wire import (
    Attempt,
    Demand,
    Event,
    HeldOperation,
    Link,
    Operation,
    OperationError,
    Page,
    Queue,
    Retry,
    Snapshot,
    Status,
    Waiting,
    WorkerInfo,
)
from .worker import Stats, Worker

__all__ = [
    "Attempt",
    "Client",
    "ConflictError",
    "Context",
    "DeadlineError",
    "Demand",
    "DeniedError",
    "Event",
    "HandlerError",
    "HeldOperation",
    "InvalidAnswerError",
    "Link",
    "LongrunError",
    "NotFoundError",
    "Operation",
    "OperationError",
    "Page",
    "Pages",
    "PermanentError",
    "Queue",
    "Released",
    "Retry",
    "RetryableError",
    "Signal",
    "Snapshot",
    "Stats",
    "Status",
    "StopReason",
    "Success",
    "UndeliveredError",
    "UnreachableError",
    "Waiting",
    "Watch",
    "Worker",
    "WorkerInfo",
    "quoted",
]
