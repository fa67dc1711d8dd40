"""Watching: a watch outlives its connections and goes on after the last event it was told."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, cast, get_args
from urllib.parse import urlencode

from ..backoff import Backoff
from ..errors import DeadlineError, InvalidAnswerError, LongrunError, UnreachableError
from ..transport import Stream, Transport, within
from ..wire import Event, EventKind, Operation, read
from .events import Block, Parser

# The server gives a sign of life every 15 s: after three that did not come, nobody is there.
SILENCE_SECONDS_MAX = 45.0
KINDS = frozenset(get_args(EventKind))
ENDS = frozenset({"Completed", "Failed"})


def events_path(**lists: Sequence[Any]) -> str:
    """The path that watches what every list names."""
    query = urlencode([(name, ",".join(map(str, values))) for name, values in lists.items() if values])
    return f"/v1.0/events?{query}" if query else "/v1.0/events"


class Watch:
    """Events as they happen, in order, each once and without a gap; iterate over it with ``async for``.

    When the connection breaks or falls silent, the next one goes on after the last event. Where that event is
    no longer kept, an event ``reset`` says so. Raises ``LongrunError``: that of the last try when no
    connection was of use for as long as the client's deadline, and every refusal that is for good; iterating
    on tries again, still after the last event. Whoever leaves early closes it: ``async with client.watch(id)
    as events``.
    """

    def __init__(
        self, transport: Transport, path: str, of_one: bool, after: str | None, deadline: float
    ) -> None:
        self._transport = transport
        self._path = path
        self._of_one = of_one
        self._deadline = deadline
        self._cursor = after
        self._stream: Stream | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._parser = Parser()
        self._blocks: deque[Block] = deque()
        self._over = False
        # Since when no connection was of use, and what the server asked for before it ended the stream.
        self._troubled_since: float | None = None
        self._backoff = Backoff()
        self._pause: float | None = None

    @property
    def cursor(self) -> str | None:
        """Where the watch stands, to go on ``after`` it; ``None`` before the server has said it."""
        return self._cursor

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Event:
        while True:
            while self._blocks:
                event = self._take(self._blocks.popleft())
                if event is not None:
                    return event
            if self._over:
                await self.close()
                raise StopAsyncIteration
            try:
                await self._hear()
            except LongrunError as error:
                await self._lost(error)

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; iterating on opens another, after the last event."""
        stream, self._stream, self._chunks = self._stream, None, None
        self._blocks.clear()
        if stream is not None:
            await stream.close()

    async def _hear(self) -> None:
        """Reads the next piece of the stream, after connecting where there is no connection."""
        if self._chunks is None:
            await self._connect()
            return
        try:
            chunk = await within(anext(self._chunks), time.monotonic() + SILENCE_SECONDS_MAX)
        except StopAsyncIteration:
            raise UnreachableError("the stream has ended") from None
        except DeadlineError:
            raise UnreachableError(f"nothing was heard for {SILENCE_SECONDS_MAX:.0f} s") from None
        self._troubled_since = None
        self._blocks.extend(self._parser.feed(chunk))

    async def _connect(self) -> None:
        """Opens a connection, or finds out that there is nothing more to tell."""
        headers = {"accept": "text/event-stream"}
        if self._cursor is not None:
            headers["last-event-id"] = self._cursor
        began = time.monotonic() if self._troubled_since is None else self._troubled_since
        deadline = began + self._deadline
        stream = await self._transport.open(self._path, deadline=deadline, headers=headers)
        media = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
        if stream.status == 200 and media == "text/event-stream":
            self._stream, self._chunks, self._parser = stream, stream.chunks(), Parser()
            return
        try:
            if stream.status == 204:
                self._over = True
                return
            answer = await within(stream.answer(), deadline)
        finally:
            await stream.close()
        answer.success()
        raise InvalidAnswerError("it is no stream of events")

    def _take(self, block: Block) -> Event | None:
        """What a block says: an event, or only how long to wait before the next connection."""
        if block.retry is not None:
            self._pause = block.retry
        if block.data is None or block.id is None:
            return None
        kind = cast(EventKind, block.event if block.event in KINDS else "unknown")
        operation = None
        if kind not in ("reset", "unknown"):
            try:
                operation = read(Operation, json.loads(block.data))
            except ValueError as error:
                raise InvalidAnswerError(f"an event that is no JSON: {error}") from error
        self._cursor = block.id
        self._backoff, self._pause = Backoff(), None
        if self._of_one and operation is not None and operation.status in ENDS:
            self._over = True
        return Event(cursor=block.id, event=kind, operation=operation)

    async def _lost(self, error: LongrunError) -> None:
        """Waits before the next connection, or gives up."""
        await self.close()
        now = time.monotonic()
        if self._troubled_since is None:
            self._troubled_since = now
        pause = self._backoff.delay(self._pause if error.retry_after is None else error.retry_after)
        self._pause = None
        if not error.is_transient or now + pause >= self._troubled_since + self._deadline:
            self._troubled_since = None
            raise error
        await asyncio.sleep(pause)
