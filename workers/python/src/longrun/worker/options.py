"""The settings of a worker, and their bounds."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass

TYPES_MAX = 64
QUEUES_MAX = 16
WORKER_ID_MAX = 128
HOST_MAX = 80


@dataclass(slots=True)
class Options:
    """Settings, checked by ``check``."""

    worker_id: str
    queues: list[str]
    operation_types: list[str]
    concurrency: int
    lease_seconds: int
    wait_seconds: int
    grace: float

    def check(self) -> None:
        """Raises ``ValueError`` for a setting outside of what the protocol allows."""
        printable = self.worker_id.isascii() and self.worker_id.isprintable()
        rules = [
            (
                1 <= len(self.worker_id) <= WORKER_ID_MAX and printable,
                "a worker id has 1 to 128 printable ASCII characters",
            ),
            (
                1 <= len(self.operation_types) <= TYPES_MAX,
                "a worker has handlers for 1 to 64 operation types",
            ),
            (1 <= len(self.queues) <= QUEUES_MAX, "a worker serves 1 to 16 queues"),
            (self.concurrency >= 1, "a worker's concurrency is at least 1"),
            (1 <= self.lease_seconds <= 3600, "a lease has 1 to 3600 seconds"),
            (0 <= self.wait_seconds <= 30, "a claim waits 0 to 30 seconds"),
            (self.grace >= 0, "a grace time is not negative"),
        ]
        for holds, rule in rules:
            if not holds:
                raise ValueError(rule)


def fresh_worker_id() -> str:
    """A worker id that no other process start has: a reused one would be handed the leases of the dead."""
    host = "".join(char for char in socket.gethostname() if char.isascii() and char.isprintable())[:HOST_MAX]
    return f"{host or 'worker'}:{os.getpid()}:{secrets.token_hex(4)}"
