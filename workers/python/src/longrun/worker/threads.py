"""Threads for handlers that are no coroutines.

Not those of ``concurrent.futures``: at the interpreter's end it waits for all of them, and a handler that
does not stop would keep a worker from ending. These are used again, and end with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import copy_context
from queue import SimpleQueue

Call = Callable[[], None]


class Threads:
    """As many threads as there are calls at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Variables, Call] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def run(self, call: Call) -> None:
        """Runs ``call``, which raises nothing, in a thread that does nothing else meanwhile."""
        self._calls.put((copy_context(), call))
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
                return
            self._count += 1
        threading.Thread(target=self._work, name=f"{self._name}-{self._count}", daemon=True).start()

    def close(self) -> None:
        """Lets threads end that have nothing to do; one that is in a call ends after it."""
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while (task := self._calls.get()) is not None:
            variables, call = task
            variables.run(call)
            del task, variables, call  # what a call holds is not to be kept until the next one
            with self._lock:
                self._idle += 1
