"""Heartbeats and news of what runs, from a thread and over a connection of their own.

A handler that keeps the worker's event loop busy, a claim that waits at the server, results of many megabytes
on their way: none of them is a reason to lose a lease. The thread has an event loop of its own, on which the
one call of this file is repeated like any other.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from ..handler.held import Held, Key
from ..transport import Transport
from . import exchange, report
from .exchange import CallEnd
from .options import Options
from .outbox import BATCH_BYTES_MAX, REPORTS_MAX

log = logging.getLogger("longrun")

# Far enough to be never.
LONG = 3600.0
# A handler that reports progress in a tight loop shall not keep an exchange always on its way.
NEWS_INTERVAL = 0.1
# How long the thread may take to end.
CLOSE_SECONDS = 1.0


class Heartbeat:
    """Keeps the leases of the operations that it was told of.

    ``answered`` is called with what an answer says that the runtime has to know, in this thread.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        options: Options,
        answered: Callable[[CallEnd], None],
    ) -> None:
        self._connect = connect
        self._options = options
        self._answered = answered
        self._lock = threading.Lock()
        self._held: dict[Key, Held] = {}
        # When the thread looks next; whoever has something earlier for it wakes it.
        self._wake_at = float("inf")
        self._news_from = 0.0
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._main, name="longrun-heartbeat", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; a call on its way is withdrawn."""
        self._post(lambda: self._running is not None and self._running.cancel())
        self._thread.join(CLOSE_SECONDS)

    def keep(self, held: Held) -> None:
        """Keeps the lease of an operation from now on."""
        with self._lock:
            self._held[held.key] = held
            sooner = held.next_heartbeat < self._wake_at
            if sooner:
                self._wake_at = held.next_heartbeat
        if sooner:
            self._post(self._wake.set)

    def forget(self, held: Held) -> None:
        """Says no more of an operation."""
        with self._lock:
            self._held.pop(held.key, None)

    def touched(self) -> None:
        """There is news of an operation."""
        self._post(self._wake.set)

    def _post(self, call: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # the thread has ended: nobody is interested any more

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._running = self._loop.create_task(self._run())
        try:
            self._loop.run_until_complete(self._running)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("heartbeats have ended, and so will the leases")
        finally:
            self._loop.close()

    async def _run(self) -> None:
        async with self._connect() as transport:
            while True:
                self._wake.clear()
                now = time.monotonic()
                due, wake_at = self._due(now)
                if due:
                    self._news_from = now + NEWS_INTERVAL
                    await self._send(transport, due)
                    continue
                timer = self._loop.call_later(min(max(wake_at - now, 0), LONG), self._wake.set)
                await self._wake.wait()
                timer.cancel()

    def _due(self, now: float) -> tuple[list[Held], float]:
        """What is to be told now, or when to look again."""
        # What falls due soon is done with what is due: heartbeats gather into batches by themselves.
        soon = now + self._options.lease_seconds / 30
        heartbeats: list[Held] = []
        news: list[Held] = []
        wake_at = float("inf")
        with self._lock:
            for held in self._held.values():
                if held.lost or held.abort_at is not None:
                    continue
                if held.next_heartbeat <= soon:
                    heartbeats.append(held)
                    continue
                if held.has_news:
                    news.append(held)
                    wake_at = min(wake_at, self._news_from)
                wake_at = min(wake_at, held.next_heartbeat)
            if heartbeats or (news and now >= self._news_from):
                return [*heartbeats, *news], now
            self._wake_at = wake_at
        return [], wake_at

    async def _send(self, transport: Transport, due: list[Held]) -> None:
        reports, size = [], 0
        for held in due[:REPORTS_MAX]:
            made = report.running(held)
            reports.append(made)
            size += len(made.body) + 1
            if size > BATCH_BYTES_MAX:
                break
        end = await exchange.carry_out(transport, exchange.request(self._options, reports, None))
        by_key = {held.key: held for held in due}
        outcomes = end.answer.get("outcomes", [])
        for at, made in enumerate(reports):
            held, outcome = by_key[made.key], outcomes[at] if at < len(outcomes) else None
            if outcome is None or "error" in outcome:
                # The next one is a bare heartbeat, which nothing should be wrong with.
                held.next_heartbeat = end.sent + self._options.lease_seconds / 12
                continue
            renew(held, end.sent, outcome.get("leaseSeconds"), self._options.lease_seconds)
            held.known(made.news)
            if outcome.get("cancelRequested") is True:
                held.tell_stop("cancel")
        self._answered(end)


def renew(held: Held, sent: float, lease_seconds: Any, asked: int) -> None:
    """Extends a lease, from when its report was sent: the server counts from a later moment."""
    seconds = clamp(lease_seconds, asked)
    held.lease_end = sent + seconds
    # A lease that is no longer extended shrinks; the thirds of it must not become a flood.
    held.next_heartbeat = sent + max(seconds / 3, asked / 12)


def clamp(seconds: Any, otherwise: float) -> float:
    """Seconds as the wire has them, whatever they are."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return otherwise
    return min(max(float(seconds), 0.0), 1e9) if seconds == seconds else 0.0
