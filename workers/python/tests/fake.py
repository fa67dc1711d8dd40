"""A server that answers as a script says, for what the real one does not do on demand: lose answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Call:
    """One request, and the number of the connection that it came on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What is sent back. One that is ``cut`` ends in the middle, one that is ``lost`` never begins."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    lost: bool = False

    def bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            body = self.body
        else:
            body = b"" if self.body is None else json.dumps(self.body).encode()
        length = {"content-length": str(len(body) + (1 if self.cut else 0))}
        headers = {"content-type": "application/json", **length, **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Status\r\n{head}\r\n".encode() + body


LOST = Answer(lost=True)
Script = Callable[[Call], Awaitable[Answer]]


class Fake:
    """The server; ``calls`` are the requests so far."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls: list[Call] = []
        self.url = ""
        self._connections = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            number = self._connections
            while True:
                call = await _read(reader, number)
                self.calls.append(call)
                try:
                    answer = await self.script(call)
                except AssertionError as error:
                    # Said to whoever asked, who would wait for an answer otherwise.
                    answer = Answer(400, {"error": {"code": "test", "message": str(error)}})
                if not answer.lost:
                    writer.write(answer.bytes())
                    await writer.drain()
                if answer.lost or answer.cut:
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()


@asynccontextmanager
async def fake(script: Script) -> AsyncIterator[Fake]:
    """A server that answers by this script."""
    server = Fake(script)
    listener = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    server.url = "http://{}:{}".format(*listener.sockets[0].getsockname())
    try:
        yield server
    finally:
        listener.close()
        for task in list(server._tasks):
            task.cancel()
        await asyncio.gather(*server._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy(upstream: str, lose: Callable[[Call], bool]) -> AsyncIterator[Fake]:
    """Stands before a real server, and swallows its answers to the calls that ``lose`` picks."""
    async with httpx.AsyncClient(base_url=upstream, timeout=60) as http:

        async def passed_on(call: Call) -> Answer:
            content = call.body or None
            headers = {
                name: value for name, value in call.headers.items() if name not in ("host", "content-length")
            }
            answer = await http.request(call.method, call.path, content=content, headers=headers)
            if lose(call):
                return LOST
            return Answer(answer.status_code, answer.content)

        async with fake(passed_on) as server:
            yield server


async def _read(reader: asyncio.StreamReader, connection: int) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.splitlines()
    method, path, _ = first.split(" ")
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Call(method, path, headers, body, connection)


def operation(id: str = "00000000-0000-0000-0000-000000000001", **more: Any) -> dict[str, Any]:
    """An operation as the server shows one."""
    return {"id": id, "status": "NotStarted", "operationType": "t", "attemptsCount": 1, **more}


def claimed(id: str, token: int = 1, seconds: float = 30, **more: Any) -> dict[str, Any]:
    """An operation as a claim brings one."""
    return operation(id, **{"status": "Running", "lease": {"token": token, "seconds": seconds}, **more})


def worked(
    operations: list[dict[str, Any]] | None = None,
    outcomes: list[dict[str, Any]] | None = None,
    notices: list[dict[str, Any]] | None = None,
) -> Answer:
    """The answer to a call of a worker."""
    return Answer(body={"outcomes": outcomes or [], "operations": operations or [], "notices": notices or []})
