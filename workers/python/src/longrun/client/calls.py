"""The calls that the client is made of: what is safe to repeat is repeated, everything else is sent once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, TypeVar

from ..backoff import Backoff
from ..errors import DeadlineError, InvalidAnswerError, LongrunError
from ..transport import Answer, Transport
from ..wire import Snapshot, read

DEADLINE_SECONDS = 30.0

C = TypeVar("C", bound="Calls")


class Calls:
    """The connections to a server, and how calls are sent over them."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        deadline: float = DEADLINE_SECONDS,
        http2: bool = False,
        ca: str | PathLike[str] | None = None,
    ) -> None:
        self._transport = Transport(url, token, http2=http2, ca=ca)
        self._deadline = deadline

    async def __aenter__(self: C) -> C:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.close()

    async def _read(
        self, path: str, headers: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> Answer:
        seconds = self._deadline if seconds is None else seconds
        return await self._repeated("GET", path, headers=headers or {}, body=None, seconds=seconds)

    async def _once(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        deadline = time.monotonic() + self._deadline
        answer = await self._transport.send(method, path, deadline=deadline, headers=headers, body=body)
        return answer.success()

    async def _repeated(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> Answer:
        """Sends the same call until it succeeds, is refused for good, or its time is over.

        A 304 counts as success: only a call with ``If-None-Match`` is answered so.
        """
        backoff, deadline = Backoff(), time.monotonic() + seconds
        before: LongrunError | None = None
        while True:
            try:
                answer = await self._transport.send(
                    method, path, deadline=deadline, headers=headers, body=body
                )
                return answer if answer.status == 304 else answer.success()
            except DeadlineError:
                if before is not None:
                    raise before from None  # it says more than that the time is over
                raise
            except LongrunError as error:
                delay = backoff.delay(error.retry_after)
                if not error.is_transient or time.monotonic() + delay >= deadline:
                    raise
                before = error
            await asyncio.sleep(delay)


def snapshot(answer: Answer) -> Snapshot:
    """Reads an answer that is an operation."""
    headers = answer.headers
    return read(
        Snapshot,
        answer.json(),
        etag=headers.get("etag"),
        retry_after=answer.retry_after,
        location=headers.get("location"),
        replayed=headers.get("idempotency-replayed") == "true",
    )


def values(answer: Answer) -> Sequence[Any]:
    """The list that an answer holds as its ``value``."""
    body = answer.json()
    if not isinstance(body, dict) or not isinstance(body.get("value"), list):
        raise InvalidAnswerError("a list was expected")
    found: Sequence[Any] = body["value"]
    return found
