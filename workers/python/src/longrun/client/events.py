"""Server-sent events from bytes, as the standard of HTML has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InvalidAnswerError

# No event of the protocol comes near; it bounds what a broken server can make us hold.
EVENT_BYTES_MAX = 16 * 1024 * 1024


@dataclass(slots=True)
class Block:
    """One event as it was sent; ``data`` is ``None`` where it had none, as in a bare ``retry:``."""

    event: str = "message"
    id: str | None = None
    data: str | None = None
    retry: float | None = None
    """Seconds to wait before the next connection."""


class Parser:
    """Takes the bytes of a stream in whatever pieces they come, and gives the events that are whole."""

    def __init__(self) -> None:
        self._pending = b""
        self._size = 0
        self._block = Block()
        self._said = False

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """The events that this piece completes; raises ``InvalidAnswerError`` for one beyond 16 MiB."""
        self._size += len(chunk)
        if self._size > EVENT_BYTES_MAX:
            raise InvalidAnswerError(f"an event has more than {EVENT_BYTES_MAX} bytes")
        # Not `splitlines`: it also splits where JSON may hold a separator of other kinds. The server ends
        # lines by \n, and a \r before it is a proxy's.
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r").decode(errors="replace")
            if text:
                self._field(text)
            elif self._said:
                block, self._block, self._said = self._block, Block(), False
                self._size = len(self._pending)
                yield block

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._block.event = value
        elif name == "id":
            self._block.id = value
        elif name == "data":
            self._block.data = value if self._block.data is None else f"{self._block.data}\n{value}"
        elif name == "retry" and value.isdecimal():
            self._block.retry = int(value) / 1000
        else:
            if not name:
                self._size = len(self._pending)  # a comment, which shows that the server lives
            return
        self._said = True
