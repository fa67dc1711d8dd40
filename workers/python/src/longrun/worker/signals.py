"""SIGTERM and SIGINT as the wish that a worker ends in order."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def caught(loop: asyncio.AbstractEventLoop, shut_down: Callable[[], None], wanted: bool) -> Iterator[None]:
    """Calls ``shut_down`` at the first signal; the second does what it did before.

    Python lets only the main thread catch signals, so a worker in another one leaves them alone.
    """
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            # One that was not set from Python cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def arrived(number: int, frame: FrameType | None) -> None:
        restore()
        loop.call_soon_threadsafe(shut_down)

    for number in SIGNALS:
        signal.signal(number, arrived)
    try:
        yield
    finally:
        restore()
