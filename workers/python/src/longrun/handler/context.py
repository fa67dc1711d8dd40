"""What a handler sees of its operation."""

from __future__ import annotations

import math
import time
from typing import Any

from ..encode import to_json
from ..wire import Operation
from .errors import HandlerError, PermanentError, Released, RetryableError
from .held import Held, Progress, StopReason
from .signal import Signal

CHECKPOINT_BYTES_MAX = 64 * 1024


class Context:
    """One attempt of one operation, as its handler sees it. All of it may be used from a thread, too."""

    __slots__ = ("_held",)

    def __init__(self, held: Held) -> None:
        self._held = held

    @property
    def operation(self) -> Operation:
        """The operation as it was claimed."""
        return self._held.operation

    @property
    def id(self) -> str:
        """The operation's id."""
        return self._held.key.id

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._held.operation.attempts_count or 1

    @property
    def lease_token(self) -> int:
        """The fencing token of this attempt.

        It grows from attempt to attempt, so a system that remembers the highest one it saw can refuse an
        attempt that has lost its lease.
        """
        return self._held.key.token

    def remaining(self) -> float:
        """The seconds that the lease lasts if no heartbeat extends it any more."""
        return max(self._held.lease_end - time.monotonic(), 0.0)

    def progress(self, percent: float, detail: str | None = None) -> None:
        """Tells pollers and watchers how far the work is.

        In whole percent (cut to 0…100, fractions dropped), and in a sentence of at most 1,024 characters
        (cut, too). Costs next to nothing: the latest is sent, at most ten times a second.
        """
        known = 0 if math.isnan(percent) else int(min(max(percent, 0), 100))
        self._held.set_progress(Progress(known, detail))

    def checkpoint(self, value: Any) -> None:
        """Leaves ``value`` for the next attempt, in place of what was left before.

        Raises a ``PermanentError``: ``checkpointTooLarge`` beyond 64 KiB of JSON, ``invalidCheckpoint`` for a
        value without JSON form.
        """
        try:
            checkpoint = to_json(value)
        except ValueError as error:
            raise PermanentError("invalidCheckpoint", f"checkpoint: {error}") from error
        if len(checkpoint) > CHECKPOINT_BYTES_MAX:
            message = f"the checkpoint has {len(checkpoint)} bytes, {CHECKPOINT_BYTES_MAX} are allowed"
            raise PermanentError("checkpointTooLarge", message)
        self._held.set_checkpoint(checkpoint)

    @property
    def previous_checkpoint(self) -> Any:
        """What an earlier attempt left with ``checkpoint``, as JSON values; ``None`` if none did."""
        return self._held.previous_checkpoint

    @property
    def traceparent(self) -> str | None:
        """The ``traceparent`` (W3C Trace Context) that the operation was submitted with."""
        return self._held.traceparent

    @property
    def cancellation(self) -> Signal:
        """Fires when the handler is to stop; ``reason`` says why.

        A handler that does not return soon after is given up where its lease or the worker's grace time ends.
        """
        return self._held.stop

    def should_stop(self) -> bool:
        """Whether ``cancellation`` has fired, for a handler that asks now and then."""
        return self._held.stop.is_set()

    @property
    def reason(self) -> StopReason | None:
        """Why the handler is to stop; ``None`` while it is not."""
        return self._held.reason

    @property
    def draining(self) -> Signal:
        """Fires as soon as the worker begins to shut down, well before ``cancellation`` does.

        A handler that can stop anywhere leaves a checkpoint and raises ``Released``; any other need not look
        at it.
        """
        return self._held.shared.draining

    def stopped(self) -> HandlerError | Released:
        """The exception for a handler that stops because it was told to: ``raise context.stopped()``.

        The operation is handed back for another worker, or, after a cancel or a timeout, ends as those do.
        """
        if self.reason == "cancel":
            return PermanentError("stopped", "stopped when it was told of the cancel")
        if self.reason == "timeout":
            return RetryableError("timedOut", "the attempt took too long")
        return Released()
