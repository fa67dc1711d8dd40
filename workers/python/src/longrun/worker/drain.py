"""The end of a worker: no more claims, handlers finish or hand back, every report is delivered."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import LongrunError
from .attempts import STOP_SECONDS
from .exchange import Claim

# How long handlers have when the server wants nothing of the worker any more.
SHORT_GRACE = 1.0
# How long the last reports may take after the grace time, while the server does not answer.
DELIVERY_SECONDS = 5.0


@dataclass(slots=True)
class Drain:
    """A shutdown under way; moments are of the monotonic clock."""

    stop_at: float
    """Handlers are told to stop."""
    give_up_at: float
    """Nobody waits for them any more."""
    deliver_until: float
    recall: Claim | None = None
    """A claim that waited when the shutdown began.

    It was withdrawn, but its answer may have been on its way: the same claim is sent once more, without a
    wait, and brings whatever was leased under it, to be handed back.
    """
    mute: bool = False
    """The server takes nothing of this worker: no call makes sense."""
    error: LongrunError | None = None
    """Why the worker ends, if not since it was asked to."""

    @staticmethod
    def begin(now: float, grace: float) -> Drain:
        """A shutdown that begins now.

        Handlers are told to stop so that they have the time to, but not most of a short grace time.
        """
        end = now + grace
        return Drain(end - min(STOP_SECONDS, grace * 2 / 3), end, end + DELIVERY_SECONDS)

    def next_step(self, now: float) -> float:
        """When something is to be done next."""
        steps = (self.stop_at, self.give_up_at, self.deliver_until)
        return next((step for step in steps if now < step), now)
