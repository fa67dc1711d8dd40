"""The attempts under way: their handlers, their leases, and how they end.

Only the monotonic clock counts here, and only durations come from the server, so a wrong wall clock does no
harm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from .. import trace
from ..handler.context import Context
from ..handler.errors import HandlerError, Released
from ..handler.held import Held, Key, Shared, StopReason
from ..handler.registered import Handler
from ..handler.signal import Signal
from ..wire import Operation, read
from . import report
from .heartbeat import Heartbeat, clamp
from .options import Options
from .outbox import Outbox
from .stats import Stats
from .threads import Threads

log = logging.getLogger("longrun")

# How long a handler may take to return once it was told to stop; then it is given up.
STOP_SECONDS = 1.0
# The server ends a lease where the attempt's timeout ends it; rounding apart, that is the timeout.
TIMEOUT_TOLERANCE = 1.0
# What an operation is of whose type nothing is said.
DEFAULT_TYPE = "noop"


class Attempts:
    """The operations that this worker holds. ``wake`` is set when one of them has ended."""

    def __init__(
        self,
        options: Options,
        handlers: Mapping[str, Handler],
        outbox: Outbox,
        stats: Stats,
        heartbeat: Heartbeat,
        shared: Shared,
        wake: asyncio.Event,
    ) -> None:
        self._options = options
        self._handlers = handlers
        self._outbox = outbox
        self._stats = stats
        self._heartbeat = heartbeat
        self._shared = shared
        self._wake = wake
        self._threads = Threads("longrun-handler")
        self._held: dict[Key, Held] = {}
        self._finished: list[tuple[Held, Any]] = []
        self._busy = 0
        self.next_look = float("inf")
        """When a lease is to be looked at next."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def free(self) -> int:
        """How many more handlers may begin. One that was given up and goes on all the same still counts."""
        return max(self._options.concurrency - self._busy, 0)

    @property
    def finished_count(self) -> int:
        """How many have ended that were not yet looked at."""
        return len(self._finished)

    def take_up(self, claimed: dict[str, Any], granted: float, now: float) -> None:
        """Begins what was claimed, or hands it back where that cannot be."""
        operation, lease = read(Operation, claimed), claimed["lease"]
        key = Key(operation.id, int(lease["token"]))
        if key in self._held:
            return  # a claim that was repeated has brought it before
        self._stats.claimed += 1
        seconds = clamp(lease["seconds"], 0)
        operation_type = operation.operation_type or DEFAULT_TYPE
        handler = self._handlers.get(operation_type)
        if handler is None or self._shared.draining.is_set() or granted + seconds <= now:
            if handler is None:
                log.error("%s: claimed an operation of the type %s without a handler", key.id, operation_type)
            self._outbox.push(report.unwanted(key))
            return
        timeout = operation.timeout_seconds
        held = Held(
            key=key,
            operation=operation,
            previous_checkpoint=claimed.get("checkpoint"),
            traceparent=claimed.get("traceparent"),
            shared=self._shared,
            lease_end=granted + seconds,
            next_heartbeat=granted + seconds / 3,
            timeout_at=None if timeout is None else granted + timeout,
            stop=Signal(self._shared.loop, self._shared.lock),
        )
        self._held[key] = held
        if operation.cancel_requested:
            held.tell_stop("cancel")  # a repeated claim may bring what was canceled meanwhile
        self.next_look = min(self.next_look, held.end())
        self._heartbeat.keep(held)
        self._begin(handler, held)

    def _begin(self, handler: Handler, held: Held) -> None:
        self._busy += 1
        if handler.is_async:
            held.task = self._shared.loop.create_task(self._carry_out(handler, held))
        else:
            self._threads.run(lambda: self._carry_out_in_thread(handler, held))

    async def _carry_out(self, handler: Handler, held: Held) -> None:
        try:
            with trace.attempt(held.operation, held.traceparent):
                end = await handler.call(Context(held))
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            end = error
        self._ended(held, end)

    def _carry_out_in_thread(self, handler: Handler, held: Held) -> None:
        try:
            with trace.attempt(held.operation, held.traceparent):
                end = handler.call(Context(held))
        except BaseException as error:
            end = error
        try:
            self._shared.loop.call_soon_threadsafe(self._ended, held, end)
        except RuntimeError:
            pass  # the worker has ended without it

    def _ended(self, held: Held, end: Any) -> None:
        self._busy -= 1
        self._finished.append((held, end))
        self._wake.set()

    def read_finished(self) -> None:
        """Writes the reports of all that have ended."""
        finished, self._finished = self._finished, []
        for held, end in finished:
            # One that was given up is reported already.
            if self._held.get(held.key) is not held:
                continue
            del self._held[held.key]
            self._heartbeat.forget(held)
            if isinstance(end, BaseException) and not isinstance(end, (HandlerError, Released)):
                kind = held.operation.operation_type
                log.warning("%s: the handler of %s failed", held.key.id, kind, exc_info=end)
            if not held.lost:  # else it was counted when it was lost
                self._outbox.push(*report.of_end(held, end))

    def look_at_leases(self, now: float) -> None:
        """Stops handlers whose time is over, and gives those up that were stopped and went on.

        Looks at all of them, but only when the earliest is due.
        """
        if now < self.next_look:
            return
        next_look = float("inf")
        for held in list(self._held.values()):
            if held.abort_at is None and held.end() <= now:
                held.tell_stop(_end_reason(held, now))
                held.abort_at = now + STOP_SECONDS
            at = held.end() if held.abort_at is None else held.abort_at
            if at <= now:
                self._give_up(held)
            else:
                next_look = min(next_look, at)
        self.next_look = next_look

    def cancel(self, key: Key) -> None:
        """The server says that the operation is to be canceled."""
        held = self._held.get(key)
        if held is not None:
            held.tell_stop("cancel")

    def lose(self, key: Key, why: str) -> None:
        """The server says that the lease is gone: the handler stops, and nothing more is said of it."""
        held = self._held.get(key)
        if held is None or held.lost:
            return
        log.warning("%s: the lease with the token %d is lost: %s", key.id, key.token, why)
        now = time.monotonic()
        held.lost = True
        # The server may be the first to notice that the attempt took too long.
        held.tell_stop(_end_reason(held, now))
        self._heartbeat.forget(held)
        if held.abort_at is None:
            held.abort_at = now + STOP_SECONDS
        self.next_look = min(self.next_look, held.abort_at)
        self._stats.lost += 1

    def stop_all(self) -> None:
        """Tells every handler that the worker shuts down."""
        for held in self._held.values():
            held.tell_stop("shutdown")

    def give_up_all(self) -> None:
        """Waits for no handler any more."""
        for held in list(self._held.values()):
            self._give_up(held)

    def _give_up(self, held: Held) -> None:
        log.warning("%s: the handler did not stop, and is given up (%s)", held.key.id, held.reason)
        del self._held[held.key]
        self._heartbeat.forget(held)
        if held.task is not None:
            held.task.cancel()
        if not held.lost:
            self._outbox.push(*report.of_abandoned(held))

    def close(self) -> None:
        """Ends what still runs: a handler without a worker has no lease that anybody keeps."""
        for held in self._held.values():
            held.tell_stop("shutdown")
            if held.task is not None:
                held.task.cancel()
        self._threads.close()


def _end_reason(held: Held, now: float) -> StopReason:
    is_timeout = held.timeout_at is not None and held.timeout_at <= now + TIMEOUT_TOLERANCE
    return "timeout" if is_timeout else "leaseLost"
