"""The runtime that carries operations out.

* ``options``: the settings and their bounds; ``stats``: what became of it all;
* ``runtime``: the loop, which call goes out when, and what an answer changes; ``exchange``: one call until it
  is answered; ``heartbeat``: the thread that keeps the leases;
* ``attempts``: the handlers under way, and leases that end; ``threads``: where those run that are no
  coroutines;
* ``report``: what the end of an attempt is in a report; ``outbox``: reports in batches; ``drain``: the
  shutdown.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypeVar

from ..handler.registered import Function, Handler, registered
from ..transport import Transport
from .options import Options, fresh_worker_id
from .runtime import Runtime
from .signals import caught
from .stats import Stats

__all__ = ["Stats", "Worker"]

F = TypeVar("F", bound=Callable[..., Any])


class Worker:
    """Handlers for some operation types, and the server that has the operations.

    * ``token``: the bearer token; a server on loopback may need none;
    * ``queue``, ``queues``: which it serves, 1 to 16; the queue ``default`` unless said;
    * ``concurrency``: how many handlers run at a time;
    * ``lease_seconds``: how long a lease lasts without a heartbeat, 1 to 3600: after a crash of the worker
      that is how long its operations rest; heartbeats go out at a third of it;
    * ``wait_seconds``: how long an idle claim hangs at the server, 0 to 30;
    * ``grace``: the seconds that handlers may go on after the shutdown began;
    * ``worker_id``: how the worker calls itself; must differ from start to start, and does unless set;
    * ``http2``: speaks HTTP/2, which needs the extra ``longrun-sdk[http2]``;
    * ``ca``: a file of the authorities to trust at an ``https://`` URL, in PEM form; else it is those that
      the system trusts.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        queue: str | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int = 16,
        lease_seconds: int = 30,
        wait_seconds: int = 20,
        grace: float = 10.0,
        worker_id: str | None = None,
        http2: bool = False,
        ca: str | PathLike[str] | None = None,
    ) -> None:
        if queue is not None and queues is not None:
            raise ValueError("give queue or queues, not both")
        named = list(queues) if queues is not None else [queue or "default"]
        self._connect: Callable[[], Transport] = lambda: Transport(url, token, http2=http2, ca=ca)
        self._options = Options(
            worker_id=worker_id or fresh_worker_id(),
            queues=named,
            operation_types=[],
            concurrency=concurrency,
            lease_seconds=lease_seconds,
            wait_seconds=wait_seconds,
            grace=grace,
        )
        self._handlers: dict[str, Handler] = {}
        self._stats = Stats()
        self._lock = threading.Lock()
        self._runtime: tuple[asyncio.AbstractEventLoop, Runtime] | None = None
        self._shut_down = False

    @property
    def id(self) -> str:
        """How this worker calls itself."""
        return self._options.worker_id

    @property
    def operation_types(self) -> list[str]:
        """What it has handlers for, in the order of the alphabet."""
        return sorted(self._handlers)

    @property
    def stats(self) -> Stats:
        """What became of the operations so far."""
        return self._stats

    def handler(self, operation_type: str) -> Callable[[F], F]:
        """Makes a function the handler of an operation type, in place of an earlier one of the same type.

        It takes ``(input, context)``; a coroutine function is run on the event loop, any other in a thread.
        The input is decoded as the type that it names: a wrong one is a permanent ``invalidInput``. Raises
        ``TypeError`` for a function that takes something else, or names a type that is not decoded.
        """

        def register(function: F) -> F:
            self.add_handler(operation_type, function)
            return function

        return register

    def add_handler(self, operation_type: str, function: Function) -> None:
        """The same as a plain call."""
        self._handlers[operation_type] = registered(function)

    async def run(self, *, signals: bool = True) -> Stats:
        """Claims and carries out operations until SIGTERM, SIGINT or ``shut_down``, then drains and returns.

        The handlers may finish within the grace time, the rest is handed back, every report is delivered.
        Another signal ends the process as ever. With ``signals=False``, and outside of the main thread,
        signals are left alone. Cancelling this ends the worker at once, its operations left to the ends of
        their leases.

        Raises ``ValueError`` for settings outside of what the protocol allows, ``DeniedError`` and other
        ``LongrunError`` when the server does not want the worker, ``UndeliveredError`` when the last reports
        did not get through. An unreachable server is no error: the worker goes on trying.
        """
        self._options.operation_types = self.operation_types
        self._options.check()
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._runtime is not None:
                raise RuntimeError("the worker runs already")
            runtime = Runtime(self._options, dict(self._handlers), self._connect, self._stats)
            self._runtime = (loop, runtime)
            if self._shut_down:
                runtime.shut_down()
        try:
            with caught(loop, runtime.shut_down, signals):
                await runtime.run()
        finally:
            with self._lock:
                self._runtime, self._shut_down = None, False
        return self._stats

    def run_sync(self) -> Stats:
        """The same for a program without an event loop; returns when the worker has drained."""
        return asyncio.run(self.run())

    def shut_down(self) -> None:
        """Begins the shutdown, from any thread; ``run`` returns when it is over."""
        with self._lock:
            self._shut_down = True
            if self._runtime is not None:
                loop, runtime = self._runtime
                loop.call_soon_threadsafe(runtime.shut_down)
