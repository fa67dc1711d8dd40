"""How long to wait before the next try: exponential, jittered, and never sooner than the server asks."""

from __future__ import annotations

import random

FIRST = 0.05
LONGEST = 2.0
# A server that asks for more is not believed: a worker that rests for hours looks dead.
RETRY_AFTER_MAX = 60.0


class Backoff:
    """The delays, in seconds, of one call that is repeated until it succeeds."""

    def __init__(self) -> None:
        self._next = FIRST

    def delay(self, retry_after: float | None = None) -> float:
        """The delay before the next try.

        Jitter is added on top of what the server asked for, and spreads our own delays between half and the
        whole, so that a thousand workers do not come back as one.
        """
        own = self._next * (0.5 + random.random() / 2)
        self._next = min(self._next * 2, LONGEST)
        if retry_after is None:
            return own
        return min(retry_after, RETRY_AFTER_MAX) + own / 2
