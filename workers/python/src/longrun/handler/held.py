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
    _checkpoints: int = 0
    """How many there were."""
    _unstored: int = 0
    """The number of the latest checkpoint, 0 once the server has stored it."""
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
            first, self._has_news = not self._has_news, True
        if first:
            self.shared.touched()

    def set_checkpoint(self, checkpoint: bytes) -> None:
        """Leaves a checkpoint to be told with the next report."""
        with self.shared.lock:
            self._checkpoint = checkpoint
            self._checkpoints += 1
            self._unstored = self._checkpoints
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
        """What the server is to be told: progress, checkpoint, and the checkpoint's number for ``stored``.

        A checkpoint is told until the server has confirmed it: a failure's report, which may overtake the one
        that carries it, must not leave the next attempt without.
        """
        with self.shared.lock:
            self._has_news = False
            progress, self._progress = self._progress, None
            return progress, self._checkpoint if self._unstored else None, self._unstored

    def stored(self, number: int) -> None:
        """The server has stored the checkpoint of this number."""
        with self.shared.lock:
            if self._unstored == number:
                self._unstored = 0
