"""Something that happens once, heard in coroutines and in threads."""

from __future__ import annotations

import asyncio
import threading


class Signal:
    """Fires once and stays so.

    For a coroutine it is as an ``asyncio.Event``; a thread asks ``is_set`` or blocks in ``wait_blocking``.
    """

    __slots__ = ("_blocked", "_event", "_fired", "_lock", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, lock: threading.Lock) -> None:
        self._loop = loop
        self._lock = lock  # shared by all signals of a worker: it is only ever held for a moment
        self._fired = False
        self._event: asyncio.Event | None = None
        self._blocked: threading.Event | None = None

    def is_set(self) -> bool:
        """Whether it has fired."""
        return self._fired

    async def wait(self) -> None:
        """Waits until it fires; for coroutines of the worker's event loop."""
        with self._lock:
            if self._fired:
                return
            if self._event is None:
                self._event = asyncio.Event()
            event = self._event
        await event.wait()

    def wait_blocking(self, seconds: float | None = None) -> bool:
        """Blocks a thread until it fires, or so many seconds; whether it has fired."""
        with self._lock:
            if self._fired:
                return True
            if self._blocked is None:
                self._blocked = threading.Event()
            blocked = self._blocked
        return blocked.wait(seconds)

    def fire(self) -> None:
        """Fires it, from any thread."""
        with self._lock:
            if self._fired:
                return
            self._fired = True
            event, blocked = self._event, self._blocked
        if blocked is not None:
            blocked.set()
        if event is not None:
            self._loop.call_soon_threadsafe(event.set)
