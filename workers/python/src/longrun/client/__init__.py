"""The client of submitters, pollers and watchers.

Every call has an absolute deadline. A submit always carries an idempotency key, so it is repeated under that
key when its answer is lost or the server asks to come back later; reads are repeated likewise. Calls that are
not safe to repeat are sent once.

* ``calls``: what is repeated, and what is sent once; ``queues``: the verbs of queues and workers;
* ``submission``: what a submit and a patch send; ``listing``: pages; ``watch``, ``events``: server-sent
  events.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from .. import trace
from ..encode import to_json
from ..errors import DeadlineError, InvalidAnswerError
from ..wire import Attempt, Link, OperationError, Retry, Snapshot, Status, read
from .calls import snapshot, values
from .listing import Pages, count_path, quoted
from .queues import QueueCalls
from .submission import ABSENT, body_of, fresh_key, key_header, prefer_wait, submit_fields
from .watch import Watch, events_path

__all__ = ["Client", "Pages", "Watch", "quoted"]

# The server cuts longer waits to this.
WAIT_SECONDS_MAX = 60.0
# An answer this much sooner than asked for means that the server does not wait now.
EARLY_SECONDS = 1.0
POLL_SECONDS = 1.0

Id = str | UUID


class Client(QueueCalls):
    """A client of one server, for one event loop.

    ``token`` is the bearer token; a server on loopback may need none. ``deadline`` are the seconds that one
    call may take in all, its repetitions included; time that the server was asked to wait comes on top.
    ``http2`` speaks HTTP/2 and needs the extra ``longrun-sdk[http2]``. ``ca`` names a file of the authorities
    to trust at an ``https://`` URL, in PEM form; else it is those that the system trusts.

    Every method raises ``LongrunError`` when the server refuses or cannot be reached.
    """

    async def submit(
        self,
        operation_type: str | None = None,
        input: Any = ABSENT,
        *,
        wait: float = 0,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        id: Id | None = None,
        queue: str | None = None,
        priority: int | None = None,
        labels: Mapping[str, str] | None = None,
        max_attempts: int | None = None,
        retry: Retry | None = None,
        timeout_seconds: float | None = None,
        start_date_time: datetime | str | None = None,
        expiration_date_time: datetime | str | None = None,
        created_date_time: datetime | str | None = None,
        last_action_date_time: datetime | str | None = None,
        is_external: bool | None = None,
        status: Status | None = None,
        percent_complete: float | None = None,
        status_detail: str | None = None,
        result: Any = ABSENT,
        resource_location: str | None = None,
        error: OperationError | None = None,
    ) -> Snapshot:
        """Hands an operation in. Once this returns, the operation is durable.

        The request carries ``idempotency_key``, or one made up for this call, and is repeated under it while
        answers are lost or the server asks to come back later. With ``wait`` the server answers only when the
        operation has ended, or after so many seconds (at most 60); the status tells which. What is not given
        is filled in by the server; the fields from ``status`` on are for external operations. ``traceparent``
        (W3C Trace Context) is that of the span which OpenTelemetry is in, unless it is given.
        """
        given = dict(locals())
        del given["self"], given["wait"], given["idempotency_key"], given["traceparent"]
        key = fresh_key() if idempotency_key is None else idempotency_key
        traced = trace.headers() if traceparent is None else {"traceparent": traceparent}
        headers = {**traced, **key_header(key)}
        if wait > 0:
            headers["prefer"] = prefer_wait(min(wait, WAIT_SECONDS_MAX))
        body = to_json(submit_fields(given))
        answer = await self._repeated(
            "POST", "/v1.0/operations", headers=headers, body=body, seconds=self._deadline + wait
        )
        return snapshot(answer)

    async def get(self, id: Id) -> Snapshot:
        """The operation as it is now."""
        return snapshot(await self._read(operation_path(id)))

    async def get_if_changed(self, id: Id, etag: str) -> Snapshot | None:
        """The operation if it is no longer the one of this ``etag``, else ``None``."""
        answer = await self._read(operation_path(id), {"if-none-match": etag})
        return None if answer.status == 304 else snapshot(answer)

    async def wait(self, id: Id, timeout: float | None = None) -> Snapshot:
        """Waits until the operation is ``Completed`` or ``Failed``.

        Raises ``DeadlineError`` (a ``TimeoutError``) when it has not ended within ``timeout`` seconds; the
        operation goes on.
        """
        until = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            asked = time.monotonic()
            wait = float(int(min(max(until - asked, 0), WAIT_SECONDS_MAX)))
            answer = await self._read(
                operation_path(id),
                {"prefer": prefer_wait(wait)},
                seconds=min(until - asked, wait + self._deadline),
            )
            current = snapshot(answer)
            if current.is_terminal:
                return current
            now = time.monotonic()
            if wait == 0 or now - asked + EARLY_SECONDS < wait:
                pause = POLL_SECONDS if current.retry_after is None else current.retry_after
                await asyncio.sleep(min(pause, max(until - now, 0)))
            if time.monotonic() >= until:
                raise DeadlineError("the operation has not ended in the time for it")

    def watch(self, id: Id, *, after: str | None = None) -> Watch:
        """Watches one operation, from how it stands now (or after the event of this cursor) to its end."""
        return Watch(self._transport, operation_path(id, "/events"), True, after, self._deadline)

    def watch_all(
        self,
        *,
        queues: Sequence[str] = (),
        operation_types: Sequence[str] = (),
        statuses: Sequence[Status] = (),
        ids: Sequence[Id] = (),
        after: str | None = None,
    ) -> Watch:
        """Watches all operations of the tenant that every list names (an empty one names all), without end.

        From now on, or after the event of this cursor. A status counts before or after the event.
        """
        path = events_path(queue=queues, operationType=operation_types, status=statuses, ids=ids)
        return Watch(self._transport, path, False, after, self._deadline)

    def list(
        self,
        filter: str | None = None,
        *,
        oldest_first: bool = False,
        page_size: int | None = None,
        select: Sequence[str] = (),
        count: bool = False,
    ) -> Pages:
        """The operations that a filter lets through, page by page, the newest first.

        ``filter`` is the protocol's text, such as ``status eq 'Failed' and labels/customer eq 'c-1'``; see
        ``quoted``. A page has ``page_size`` operations (1 to 1000, 100 otherwise). ``select`` names fields as
        on the wire; without it there are all but ``input`` and ``result``. What is not selected is as if the
        operation had none.
        """
        return Pages(self._read, filter, oldest_first, page_size, select, count)

    async def count(self, filter: str | None = None) -> int:
        """How many operations there are, of those that the filter lets through or of all."""
        answer = (await self._read(count_path(filter))).json()
        if not isinstance(answer, int):
            raise InvalidAnswerError("a number was expected")
        return answer

    async def attempts(self, id: Id) -> Sequence[Attempt]:
        """The attempts that ended badly, and the one that runs."""
        answer = await self._read(operation_path(id, "/attempts"))
        return [read(Attempt, attempt) for attempt in values(answer)]

    async def cancel(self, id: Id) -> Snapshot:
        """Asks for the operation to be canceled. One that runs goes on until its worker has heard of it."""
        return snapshot(await self._once("POST", operation_path(id, "/cancel")))

    async def retry(self, id: Id) -> Snapshot:
        """Gives a failed operation its attempts back."""
        return snapshot(await self._once("POST", operation_path(id, "/retry")))

    async def delete(self, id: Id) -> None:
        """Removes the record of an operation that has ended."""
        await self._once("DELETE", operation_path(id))

    async def patch(
        self,
        id: Id,
        *,
        if_match: str | None = None,
        status: Status | None = None,
        percent_complete: float | None = None,
        status_detail: str | None = None,
        result: Any = ABSENT,
        resource_location: str | None = None,
        error: OperationError | None = None,
    ) -> Snapshot:
        """Advances an external operation; what is not given stays as it is.

        With ``if_match``, only while it is still the one of this ``etag``; else ``ConflictError``.
        """
        given = dict(locals())
        del given["self"], given["id"], given["if_match"]
        headers = {} if if_match is None else {"if-match": if_match}
        body = to_json(body_of(given))
        return snapshot(await self._once("PATCH", operation_path(id), headers=headers, body=body))

    async def create_link(
        self, id: Id, *, expiration_date_time: str | None = None, revoke: bool = False
    ) -> Link:
        """Makes a link: whoever has it, as a page in a browser, follows the operation without a token.

        It ends at ``expiration_date_time``, at most 30 days ahead; else in a day. ``revoke`` ends every link
        to the operation that was made before. Repeated within the client's deadline: of a link whose answer
        was lost nobody knows.
        """
        wish: dict[str, object] = {"revoke": revoke}
        if expiration_date_time is not None:
            wish["expirationDateTime"] = expiration_date_time
        path, body = operation_path(id, "/createLink"), to_json(wish)
        made = (await self._repeated("POST", path, headers={}, body=body, seconds=self._deadline)).json()
        if not isinstance(made, dict):
            raise InvalidAnswerError("a link was expected")
        return read(Link, made.get("link"))

    async def health(self) -> None:
        """Returns when the server is ready to serve, else raises its reason."""
        await self._once("GET", "/readyz")

    async def advance_clock(self, seconds: float) -> str:
        """Moves the clock of a server for tests (``longrun dev --test-clock``) on, and tells its new time.

        When this returns, everything that fell due in between has happened, in its order.
        """
        body = to_json({"seconds": seconds})
        answer = (await self._once("POST", "/v1.0/test/advance", body=body)).json()
        if not isinstance(answer, dict) or not isinstance(answer.get("currentDateTime"), str):
            raise InvalidAnswerError("currentDateTime was expected")
        return str(answer["currentDateTime"])


def operation_path(id: Id, verb: str = "") -> str:
    """The path of one operation, or of a verb of it."""
    return f"/v1.0/operations/{quote(str(id), safe='')}{verb}"
