"""One call of a worker, repeated exactly as it is until the server has answered it.

An answer that was lost leaves open what the server did; the same call, sent again, gets the same one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ..backoff import Backoff
from ..errors import DeadlineError, InvalidAnswerError, LongrunError
from ..transport import Transport
from .options import Options
from .report import Report

log = logging.getLogger("longrun")

# What the network may take on top of the time that the server was asked to wait.
MARGIN_SECONDS = 15.0


@dataclass(slots=True, frozen=True)
class Claim:
    """What a worker would take; its ``id`` is fresh, and the same again only when its answer was lost."""

    limit: int
    wait_seconds: int
    id: str = field(default_factory=lambda: uuid4().hex)

    def body(self, options: Options) -> bytes:
        """The claim as it is sent."""
        claim = {
            "id": self.id,
            "queues": options.queues,
            "operationTypes": options.operation_types,
            "limit": self.limit,
            "leaseSeconds": options.lease_seconds,
            "waitSeconds": self.wait_seconds,
        }
        return json.dumps(claim).encode()


@dataclass(slots=True)
class Request:
    """What one call says."""

    body: bytes
    reports: list[Report]
    claim: Claim | None


@dataclass(slots=True)
class CallEnd:
    """How a call ended: with an answer, or refused for good."""

    request: Request
    sent: float
    """When the request that was answered was sent; earlier ones may have been lost."""
    answer: dict[str, list[Any]] = field(default_factory=dict)
    error: LongrunError | None = None


def request(options: Options, reports: list[Report], claim: Claim | None) -> Request:
    """Writes a call."""
    head = b'{"workerId":' + json.dumps(options.worker_id).encode() + b',"reports":['
    tail = b"]}" if claim is None else b'],"claim":' + claim.body(options) + b"}"
    return Request(head + b",".join(report.body for report in reports) + tail, reports, claim)


async def carry_out(transport: Transport, request: Request) -> CallEnd:
    """Sends the call until it is answered or refused for good; cancelling this withdraws it."""
    backoff = Backoff()
    seconds = MARGIN_SECONDS + (request.claim.wait_seconds if request.claim else 0)
    while True:
        sent = time.monotonic()
        try:
            answer = await transport.send("POST", "/v1.0/work", deadline=sent + seconds, body=request.body)
            return CallEnd(request, sent, _lists(answer.success().json()))
        except LongrunError as error:
            # An answer that is no JSON comes from a proxy, or was cut: what the server did is unknown.
            if not (error.is_transient or isinstance(error, (DeadlineError, InvalidAnswerError))):
                return CallEnd(request, sent, error=error)
            delay = backoff.delay(error.retry_after)
            log.warning(
                "exchange with %d reports lost, repeating it in %.2f s: %s",
                len(request.reports),
                delay,
                error,
            )
        await asyncio.sleep(delay)


def _lists(answer: Any) -> dict[str, list[Any]]:
    if not isinstance(answer, dict):
        raise InvalidAnswerError("an object was expected")
    lists = {name: answer.get(name, []) for name in ("outcomes", "operations", "notices")}
    for name, found in lists.items():
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise InvalidAnswerError(f"{name} is no list of objects")
    return lists
