"""The connections to one server, each for one call at a time.

httpx has a pool of its own, which looks at all connections for every call: hundreds of calls at a time would
keep it busy with little else. So each connection here is a pool of one, and the one that was used last is
used next.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from importlib.util import find_spec
from os import PathLike

import httpx

# Shorter than what servers and proxies grant, so that idle connections are closed here before they are there.
IDLE_SECONDS = 30.0


class Connections:
    """Connections that are made as they are needed and closed once they were idle for a while."""

    def __init__(self, *, tls: bool, http2: bool, ca: str | PathLike[str] | None = None) -> None:
        if http2 and find_spec("h2") is None:
            raise ImportError("HTTP/2 needs the extra: pip install longrun-sdk[http2]")
        # Certificates are read, which takes a while, only where they are needed.
        self._verify: ssl.SSLContext | bool = _trusting(ca) if tls else False
        # HTTP/2 without TLS is spoken with prior knowledge only.
        self._http1 = tls or not http2
        self._http2 = http2
        self._all: set[httpx.AsyncHTTPTransport] = set()
        self._idle: deque[tuple[float, httpx.AsyncHTTPTransport]] = deque()

    def take(self) -> httpx.AsyncHTTPTransport:
        """A connection that nobody uses; over HTTP/2 all calls share one."""
        if self._idle:
            return (self._idle[-1] if self._http2 else self._idle.pop())[1]
        connection = httpx.AsyncHTTPTransport(
            verify=self._verify,
            http1=self._http1,
            http2=self._http2,
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
        )
        self._all.add(connection)
        if self._http2:
            self._idle.append((time.monotonic(), connection))
        return connection

    async def give(self, connection: httpx.AsyncHTTPTransport) -> None:
        """Gives a connection back after a call, however that ended: a broken one is made anew in use."""
        if self._http2:
            return
        now = time.monotonic()
        self._idle.append((now, connection))
        while self._idle[0][0] < now - IDLE_SECONDS:
            _, unused = self._idle.popleft()
            self._all.discard(unused)
            await unused.aclose()

    async def close(self) -> None:
        """Closes all of them."""
        self._idle.clear()
        while self._all:
            await self._all.pop().aclose()


def _trusting(ca: str | PathLike[str] | None) -> ssl.SSLContext:
    """Trusts the authorities in a file, or those that the system trusts."""
    return httpx.create_ssl_context() if ca is None else ssl.create_default_context(cafile=ca)
