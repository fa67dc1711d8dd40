"""The loop: take what handlers left, look at leases, start calls, wait for the next thing to happen.

At most two calls are outstanding here, and one more in ``heartbeat``:

* *reporting* carries the ends of attempts, all that are ready in one call, with a claim for the free slots: a
  busy worker pays one round trip for a batch;
* *claiming* hangs at the server while slots are free and there is nothing to report.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import DeniedError, LongrunError, UndeliveredError
from ..handler.held import Key, Shared
from ..handler.registered import Handler
from ..handler.signal import Signal
from ..transport import Transport
from . import exchange, report
from .attempts import Attempts
from .drain import SHORT_GRACE, Drain
from .exchange import CallEnd, Claim, Request
from .heartbeat import Heartbeat
from .options import Options
from .outbox import Outbox
from .report import Report
from .stats import Stats

log = logging.getLogger("longrun")

# Far enough to be never.
LONG = 3600.0
# The protocol's bound on a claim.
CLAIM_MAX = 1000
# How often the loop steps back for handlers that are about to finish. A burst of short ones ends in far
# fewer; the bound keeps a steady stream of them from holding the reports back.
SETTLE_TURNS = 64
# A report was refused since this worker no longer has the operation.
GONE = frozenset({"leaseLost", "ended", "itemNotFound"})


class Outstanding:
    """A call that is outstanding."""

    def __init__(self, transport: Transport, request: Request, wake: asyncio.Event) -> None:
        self.request = request
        self.task = asyncio.get_running_loop().create_task(exchange.carry_out(transport, request))
        self.task.add_done_callback(lambda _: wake.set())


class Runtime:
    """One run of a worker, on the event loop that makes it."""

    def __init__(
        self,
        options: Options,
        handlers: Mapping[str, Handler],
        connect: Callable[[], Transport],
        stats: Stats,
    ) -> None:
        loop, lock = asyncio.get_running_loop(), threading.Lock()
        self._loop = loop
        self._options = options
        self._stats = stats
        self._transport = connect()
        self._wake = asyncio.Event()
        self._outbox = Outbox()
        self._heartbeat = Heartbeat(connect, options, self._heartbeat_answered)
        self._shared = Shared(loop, lock, Signal(loop, lock), self._heartbeat.touched)
        self._attempts = Attempts(
            options, handlers, self._outbox, stats, self._heartbeat, self._shared, self._wake
        )
        self._reporting: Outstanding | None = None
        self._claiming: Outstanding | None = None
        # The last call with reports and a claim was refused: which of them was it?
        self._suspect_claim = False
        self._drain: Drain | None = None

    async def run(self) -> None:
        """Runs until a shutdown is over; raises why it ended, if not since it was asked to."""
        self._heartbeat.start()
        try:
            while True:
                self._wake.clear()
                self._read_calls()
                await self._settle()
                now = time.monotonic()
                self._attempts.read_finished()
                self._attempts.look_at_leases(now)
                self._advance_drain(now)
                self._launch()
                if self._is_over(now):
                    return self._farewell()
                await self._sleep(now)
        finally:
            await self._close()

    def shut_down(self, grace: float | None = None) -> None:
        """Begins the shutdown, once."""
        if self._drain is not None:
            return
        grace = self._options.grace if grace is None else grace
        log.info("worker shuts down, with %d operations in hand", len(self._attempts))
        self._shared.draining.fire()
        self._drain = Drain.begin(time.monotonic(), grace)
        if self._claiming is not None and not self._claiming.task.done():
            claim = self._claiming.request.claim
            self._claiming.task.cancel()
            self._claiming = None
            self._drain.recall = claim and Claim(limit=1, wait_seconds=0, id=claim.id)
        self._wake.set()

    async def _sleep(self, now: float) -> None:
        """Waits for the next thing to happen."""
        at = self._attempts.next_look
        if self._drain is not None:
            at = min(at, self._drain.next_step(now))
        timer = self._loop.call_later(max(at - now, 0), self._wake.set) if at < now + LONG else None
        await self._wake.wait()
        if timer is not None:
            timer.cancel()

    async def _settle(self) -> None:
        """Steps back while handlers finish one after the other, so that a burst is reported in one call."""
        for _ in range(SETTLE_TURNS):
            finished = self._attempts.finished_count
            await asyncio.sleep(0)
            if self._attempts.finished_count == finished:
                return

    # Which call goes out when.

    def _launch(self) -> None:
        if self._drain is not None and self._drain.mute:
            return
        if self._reporting is None:
            self._launch_reporting()
        # Beside reports a claim only goes along with them: what they free is part of its limit.
        if self._claiming is None and self._reporting is None:
            claim = self._claim(self._options.wait_seconds)
            if claim is not None:
                self._claiming = self._call([], claim)

    def _launch_reporting(self) -> None:
        recall = None
        if self._drain is not None:
            recall, self._drain.recall = self._drain.recall, None
        if not self._outbox and recall is None:
            return
        claim = recall
        if claim is None and self._claiming is None and not self._suspect_claim:
            claim = self._claim(0)
        # Never given up: what is in it may have been acted upon.
        self._reporting = self._call(self._outbox.batch(), claim)

    def _claim(self, wait_seconds: int) -> Claim | None:
        """A claim for the free slots, if there are any and the worker still claims."""
        limit = min(self._attempts.free, CLAIM_MAX)
        return Claim(limit, wait_seconds) if limit > 0 and self._drain is None else None

    def _call(self, reports: list[Report], claim: Claim | None) -> Outstanding:
        return Outstanding(self._transport, exchange.request(self._options, reports, claim), self._wake)

    # What an answer changes.

    def _read_calls(self) -> None:
        if self._claiming is not None and self._claiming.task.done():
            end, self._claiming = self._claiming.task.result(), None
            self._answered(end)
        if self._reporting is not None and self._reporting.task.done():
            end, self._reporting = self._reporting.task.result(), None
            self._answered(end)

    def _answered(self, end: CallEnd) -> None:
        if end.error is not None:
            self._refused(end.request, end.error)
            return
        self._suspect_claim = self._suspect_claim and end.request.claim is None
        self._outcomes(end)
        now = time.monotonic()
        granted = _granted_at(end, now)
        for claimed in end.answer["operations"]:
            try:
                self._attempts.take_up(claimed, granted, now)
            except (KeyError, TypeError, ValueError, LongrunError) as error:
                log.error("a claimed operation cannot be read, its lease is left to end: %s", error)

    def _outcomes(self, end: CallEnd) -> None:
        """What became of the reports; and the notices."""
        outcomes = end.answer["outcomes"]
        for at, said in enumerate(end.request.reports):
            # What the server did with a report without an outcome is unknown, and a worker that knows nothing
            # has no lease.
            outcome = (
                outcomes[at] if at < len(outcomes) else {"error": {"code": "ended", "message": "no outcome"}}
            )
            error = outcome.get("error")
            if error is None:
                self._count(said)
                continue
            code, message = str(error.get("code")), str(error.get("message"))
            if said.status == "Running":
                if code in GONE:
                    self._attempts.lose(said.key, message)
                else:
                    log.error("%s: progress refused: %s: %s", said.key.id, code, message)
                continue
            log.warning("%s: report of %s refused: %s: %s", said.key.id, said.status, code, message)
            if said.status == "Completed" and code == "invalidRequest":
                self._outbox.push(report.of_refused(said.key, message))
            else:
                self._stats.lost += 1
        for notice in end.answer["notices"]:
            self._notice(notice)

    def _count(self, said: Report) -> None:
        if said.status == "Completed":
            self._stats.completed += 1
        elif said.status == "Failed":
            self._stats.failed += 1
        elif said.status == "NotStarted":
            self._stats.released += 1

    def _notice(self, notice: dict[str, Any]) -> None:
        key = Key(str(notice.get("id")), int(notice.get("leaseToken", 0)))
        if notice.get("kind") == "cancel":
            self._attempts.cancel(key)
        elif notice.get("kind") == "lost":
            self._attempts.lose(key, "the server gave notice")

    def _refused(self, request: Request, error: LongrunError) -> None:
        """The server takes this request never."""
        log.error("exchange with %d reports refused: %s", len(request.reports), error)
        if isinstance(error, DeniedError):
            return self._fail(error)
        if not request.reports:
            # Of a claim that was only to be recalled, the server has nothing more to say.
            return None if self._drain is not None else self._fail(error)
        if request.claim is not None and not self._suspect_claim:
            # The reports without the claim may pass; whether the claim alone does is seen after them.
            self._suspect_claim = True
            return self._outbox.put_back(request.reports)
        for said in request.reports:
            if said.status == "Running":
                self._attempts.lose(said.key, str(error))
            else:
                self._stats.lost += 1
        return None

    def _heartbeat_answered(self, end: CallEnd) -> None:
        """Called in the thread of the heartbeats."""

        def heard() -> None:
            if end.error is None:
                self._outcomes(end)
            else:
                self._refused(end.request, end.error)
            self._wake.set()

        self._loop.call_soon_threadsafe(heard)

    # The end.

    def _fail(self, error: LongrunError) -> None:
        """Ends the worker, since the server does not want it. Handlers are told at once."""
        log.error("worker ends: %s", error)
        self.shut_down(SHORT_GRACE)
        if self._drain is not None:
            self._drain.stop_at = 0
            self._drain.mute = self._drain.mute or isinstance(error, DeniedError)
            self._drain.recall = None
            self._drain.error = self._drain.error or error

    def _advance_drain(self, now: float) -> None:
        if self._drain is None:
            return
        if now >= self._drain.give_up_at:
            self._attempts.give_up_all()
        elif now >= self._drain.stop_at:
            self._attempts.stop_all()

    def _is_over(self, now: float) -> bool:
        if self._drain is None:
            return False
        told = not self._outbox and self._reporting is None
        settled = self._drain.recall is None and self._claiming is None
        finished = not self._attempts and (self._drain.mute or (told and settled))
        return finished or now >= self._drain.deliver_until

    def _farewell(self) -> None:
        if self._drain is not None and self._drain.error is not None:
            raise self._drain.error
        on_the_way = self._reporting.request.reports if self._reporting is not None else []
        reports = self._outbox.ends() + sum(said.status != "Running" for said in on_the_way)
        if reports > 0:
            raise UndeliveredError(reports)

    async def _close(self) -> None:
        self._attempts.close()
        calls = [call.task for call in (self._reporting, self._claiming) if call is not None]
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        self._heartbeat.close()
        await self._transport.close()


def _granted_at(end: CallEnd, now: float) -> float:
    """From when on the leases of a claim count.

    One that did not hang was granted after it was sent; counting from then errs on the safe side. One that
    hung may have been granted just now, but no later than its wait allows: a process that was frozen for a
    minute must not take its leases for fresh.
    """
    wait = 0 if end.request.claim is None else end.request.claim.wait_seconds
    return end.sent if end.request.reports else min(now, end.sent + wait)
