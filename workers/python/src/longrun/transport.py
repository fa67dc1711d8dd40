"""One HTTP call: connections that are used again, an absolute deadline, a bounded answer.

httpx bounds each step of a call (connect, read, …); a server that trickles bytes would hold such a call for
ever. So every call here ends at a moment that its caller names.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from .connections import Connections
from .errors import DeadlineError, InvalidAnswerError, LongrunError, UnreachableError, refused

CONNECT_SECONDS = 5.0
T = TypeVar("T")

TIMEOUTS = httpx.Timeout(None, connect=CONNECT_SECONDS).as_dict()
# No answer of the protocol comes near; it bounds what a broken server can make us hold.
ANSWER_BYTES_MAX = 64 * 1024 * 1024


@dataclass(slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: httpx.Headers
    body: bytes

    def success(self) -> Answer:
        """The answer itself when it is one of success, else raises the server's refusal."""
        if 200 <= self.status < 300:
            return self
        raise self.refusal()

    def refusal(self) -> LongrunError:
        """The server's refusal. A proxy in between answers in its own words, which are no reason to fail."""
        try:
            error = json.loads(self.body)["error"]
            code, message, target = error["code"], error["message"], error.get("target")
        except (ValueError, KeyError, TypeError, AttributeError):
            code, message, target = "unknown", f"the answer has the status {self.status}", None
        request_id = self.headers.get("request-id")
        return refused(
            self.status, code, message, target=target, request_id=request_id, retry_after=self.retry_after
        )

    @property
    def retry_after(self) -> float | None:
        """``Retry-After`` in its form of whole seconds; the server of the protocol sends no other."""
        text = self.headers.get("retry-after", "").strip()
        return float(text) if text.isdecimal() else None

    def json(self) -> Any:
        """The body as JSON; raises ``InvalidAnswerError`` when it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise InvalidAnswerError(str(error)) from error


class Stream:
    """An answer whose body is still to come. To be closed, whatever became of it."""

    def __init__(self, response: httpx.Response, give_back: Callable[[], Awaitable[None]]) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self._response = response
        self._give_back = give_back

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes; raises ``UnreachableError`` where it breaks off."""
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx.TransportError as error:
            raise _unreachable(error) from error

    async def answer(self) -> Answer:
        """The whole answer."""
        chunks, size = [], 0
        async for chunk in self.chunks():
            chunks.append(chunk)
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                raise InvalidAnswerError(f"it has more than {ANSWER_BYTES_MAX} bytes")
        return Answer(self.status, self.headers, b"".join(chunks))

    async def close(self) -> None:
        """Gives its connection back, which is closed where the body was not read to its end."""
        await self._response.aclose()
        await self._give_back()


class Transport:
    """Where the server is, and the connections to it. Belongs to the event loop that first uses it."""

    def __init__(
        self, url: str, token: str | None, *, http2: bool = False, ca: str | PathLike[str] | None = None
    ) -> None:
        base = url.rstrip("/")
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"the server's URL {url!r} cannot be used: it is like http://127.0.0.1:8470")
        headers = {"accept": "application/json", "user-agent": "longrun-sdk-python"}
        if token is not None:
            if not token.strip().isascii() or not token.strip().isprintable():
                raise ValueError("the token holds characters that no token has")
            headers["authorization"] = f"Bearer {token.strip()}"
        self._base = base
        self._headers = headers
        # The layer below httpx' client: what that adds (redirects, cookies, a line of log for each call) is
        # not of the protocol, and costs as much as all the rest of a call.
        self._connections = Connections(tls=parts.scheme == "https", http2=http2, ca=ca)

    async def send(
        self,
        method: str,
        path: str,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Sends the call once and reads the whole answer, by the moment ``deadline`` of the monotonic clock.

        Raises ``UnreachableError`` and ``DeadlineError``; an answer of any status is an answer.
        """

        async def call() -> Answer:
            stream = await self._open(method, path, headers, body)
            try:
                return await stream.answer()
            finally:
                await stream.close()

        return await within(call(), deadline)

    async def open(self, path: str, *, deadline: float, headers: Mapping[str, str] | None = None) -> Stream:
        """Sends a read and gets the head of its answer by ``deadline``; errors as of ``send``."""
        return await within(self._open("GET", path, headers, None), deadline)

    async def _open(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> Stream:
        all_headers = {**self._headers, **(headers or {})}
        if body is not None:
            all_headers["content-type"] = "application/json"
        request = httpx.Request(
            method, self._base + path, headers=all_headers, content=body, extensions={"timeout": TIMEOUTS}
        )
        connection = self._connections.take()
        try:
            response = await connection.handle_async_request(request)
        except httpx.TransportError as error:
            await self._connections.give(connection)
            raise _unreachable(error) from error
        except BaseException:
            await self._connections.give(connection)
            raise
        return Stream(response, lambda: self._connections.give(connection))

    async def close(self) -> None:
        """Closes the connections."""
        await self._connections.close()

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def within(call: Awaitable[T], deadline: float) -> T:
    """What the call gives, or a ``DeadlineError`` at a moment of the monotonic clock."""
    try:
        return await asyncio.wait_for(call, max(deadline - time.monotonic(), 0))
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise DeadlineError() from error


def _unreachable(error: Exception) -> UnreachableError:
    # httpx' own messages are often empty.
    return UnreachableError(f"the server cannot be reached: {str(error) or type(error).__name__}")
