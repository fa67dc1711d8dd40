"""An operation this worker holds, as its handler and the runtime both see it.

Three threads may be at it: the worker's event loop, the one that sends heartbeats, and the one in which a
handler that is no coroutine runs. What more than one of them changes is guarded by the lock of ``Shared``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..wire import Operation
from .signal import Signal

StopReason = Literal["cancel", "leaseLost", "timeout", "shutdown"]
"""Why a handler is told to stop.

* ``cancel``: somebody asked for the operation to be canceled;
* ``leaseLost``: the lease ended, or may have: another worker may be at the operation;
* ``timeout``: the attempt has taken as long as the operation's ``timeout_seconds`` allow;
* ``shutdown``: the worker shuts down, and its grace time is nearly over.
"""


class Key(NamedTuple):
    """One attempt of one operation.

    The id alone is not enough: an operation may come back to this worker while the handler of an attempt that
    lost its lease still winds down.
    """

    id: str
    token: int


class Progress(NamedTuple):
    """How far the work is."""

    percent: int
    detail: str | None


@dataclass(slots=True)
class Shared:
    """What all attempts of one worker have in common."""

    loop: asyncio.AbstractEventLoop
    lock: threading.Lock
    draining: Signal
    touched: Callable[[], None]
    """Called when there is news for the server."""


@dataclass(slots=True, eq=False)
class Held:
    """One attempt under way; moments are of the monotonic clock."""

    key: Key
    operation: Operation
    previous_checkpoint: Any
    traceparent: str | None
    shared: Shared
    lease_end: float
    """When the lease ends if no heartbeat extends it any more."""
    next_heartbeat: float
    timeout_at: float | None
    stop: Signal
    reason: StopReason | None = None
    abort_at: float | None = None
    """The handler was told that its time is over; it is given up then."""
    lost: bool = False
    """The server said that the lease is gone: nothing more is to be reported."""
    task: asyncio.Task[None] | None = None
    """The handler's, where it is a coroutine."""
    _progress: Progress | None = None
    _checkpoint: bytes | None = None
    # Changes are numbered: at which there was progress, a checkpoint, and up to which the server knows them.
    _changes: int = 0
    _progress_at: int = 0
    _checkpoint_at: int = 0
    _known: int = 0
    _has_news: bool = False
    """There is something that no report took along."""

    def tell_stop(self, reason: StopReason) -> None:
        """Tells the handler to stop. The first reason stands."""
        with self.shared.lock:
            if self.reason is None:
                self.reason = reason
        self.stop.fire()

    def end(self) -> float:
        """When the handler has to have stopped, as far as is known."""
        return self.lease_end if self.timeout_at is None else min(self.timeout_at, self.lease_end)

    def set_progress(self, progress: Progress) -> None:
        """Leaves how far the work is to be told with the next report."""
        with self.shared.lock:
            self._progress = progress
            self._changes = self._progress_at = self._changes + 1
            first, self._has_news = not self._has_news, True
        if first:
            self.shared.touched()

    def set_checkpoint(self, checkpoint: bytes) -> None:
        """Leaves a checkpoint to be told with the next report."""
        with self.shared.lock:
            self._checkpoint = checkpoint
            self._changes = self._checkpoint_at = self._changes + 1
            first, self._has_news = not self._has_news, True
        if first:
            self.shared.touched()

    @property
    def checkpoint(self) -> bytes | None:
        """The latest checkpoint that this attempt made, stored or not."""
        return self._checkpoint

    @property
    def has_news(self) -> bool:
        """Whether there is something that no report took along."""
        return self._has_news

    def take_news(self) -> tuple[Progress | None, bytes | None, int]:
        """What the server does not know: progress, checkpoint, and a number for ``known``; 0 for nothing.

        Both are told until the server has confirmed them: the report of an end, which may overtake the one
        that carries them, must not leave the operation without its progress, or the next attempt without a
        checkpoint.
        """
        with self.shared.lock:
            self._has_news = False
            progress = self._progress if self._progress_at > self._known else None
            checkpoint = self._checkpoint if self._checkpoint_at > self._known else None
            return progress, checkpoint, self._changes if self._changes > self._known else 0

    def known(self, number: int) -> None:
        """The server knows what was taken with this number."""
        with self.shared.lock:
            self._known = max(self._known, number)
