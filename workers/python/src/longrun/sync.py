"""The client for programs without an event loop: the same verbs, each of which returns when it is done.

``longrun.sync.Client`` is the client of asyncio on an event loop of its own, in a thread of its own; nothing
of it is written twice. It may be used from several threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from os import PathLike
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from .client import Client as AsyncClient
from .client.calls import DEADLINE_SECONDS

P = ParamSpec("P")
R = TypeVar("R")


def _done(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Client, P], R]:
    """The method as one that returns when it is done."""

    @wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(method(self._client, *args, **kwargs))

    return call


def _iterated(
    method: Callable[Concatenate[AsyncClient, P], AsyncIterator[R]],
) -> Callable[Concatenate[Client, P], Iterator[R]]:
    """The method as one whose items a plain ``for`` goes through."""

    @wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._iterate(method(self._client, *args, **kwargs))

    return call


class Client:
    """A client of one server; see ``longrun.Client`` for its settings and methods."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        deadline: float = DEADLINE_SECONDS,
        http2: bool = False,
        ca: str | PathLike[str] | None = None,
    ) -> None:
        self._client = AsyncClient(url, token=token, deadline=deadline, http2=http2, ca=ca)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="longrun-client", daemon=True)
        self._thread.start()

    submit = _done(AsyncClient.submit)
    get = _done(AsyncClient.get)
    get_if_changed = _done(AsyncClient.get_if_changed)
    wait = _done(AsyncClient.wait)
    watch = _iterated(AsyncClient.watch)
    watch_all = _iterated(AsyncClient.watch_all)
    list = _iterated(AsyncClient.list)
    count = _done(AsyncClient.count)
    attempts = _done(AsyncClient.attempts)
    cancel = _done(AsyncClient.cancel)
    retry = _done(AsyncClient.retry)
    delete = _done(AsyncClient.delete)
    patch = _done(AsyncClient.patch)
    create_link = _done(AsyncClient.create_link)
    queues = _done(AsyncClient.queues)
    demand = _done(AsyncClient.demand)
    set_queue = _done(AsyncClient.set_queue)
    workers = _done(AsyncClient.workers)
    health = _done(AsyncClient.health)
    advance_clock = _done(AsyncClient.advance_clock)

    def close(self) -> None:
        """Closes the connections and ends the thread."""
        if self._loop.is_closed():
            return
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, call: Coroutine[Any, Any, R]) -> R:
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # of use only where the wait itself was interrupted, as by Ctrl-C
            raise

    def _iterate(self, items: AsyncIterator[R]) -> Iterator[R]:
        async def following() -> R:
            return await anext(items)

        close = getattr(items, "close", None)
        try:
            while True:
                try:
                    item = self._run(following())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if close is not None and not self._loop.is_closed():
                self._run(close())
