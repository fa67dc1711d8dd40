"""The scenario program of Python: one small handler for each behaviour that every SDK must have.

What it is given and how it is started is told in workers/scenarios. It is written as a user would write it,
with nothing but what ``longrun`` offers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from dataclasses import dataclass
from typing import Any, TypedDict

from longrun import Context, PermanentError, RetryableError, Worker


class Until(TypedDict):
    """Names the file that is waited for."""

    until: str


class Later(TypedDict):
    """How long the first attempt asks to wait."""

    seconds: float


@dataclass
class Document:
    """A typed input."""

    pages: int


async def exists(path: str) -> None:
    """Waits until there is a file."""
    while not await asyncio.to_thread(os.path.exists, path):
        await asyncio.sleep(0.02)


async def complete(input: Any, context: Context) -> Any:
    return input


async def fail(input: Any, context: Context) -> None:
    raise RetryableError("upstream", "try again")


async def later(input: Later, context: Context) -> dict[str, int]:
    if context.attempt == 1:
        raise RetryableError("notReady", "not yet", after=input["seconds"])
    return {"attempt": context.attempt}


async def refuse(input: Any, context: Context) -> None:
    raise PermanentError("badInput", "no such page")


def stumble(input: Any, context: Context) -> dict[str, int]:
    if context.attempt == 1:
        raise RuntimeError("stumbled")
    return {"attempt": context.attempt}


async def typed(input: Document, context: Context) -> Document:
    return Document(pages=input.pages + 1)


async def progress(input: Until, context: Context) -> dict[str, bool]:
    context.progress(25, "one quarter")
    context.progress(50, "half")
    await exists(input["until"])
    return {"done": True}


async def resume(input: Any, context: Context) -> dict[str, int]:
    if context.previous_checkpoint is not None:
        return {"from": context.previous_checkpoint["page"]}
    context.checkpoint({"page": 5})
    await context.cancellation.wait()
    raise context.stopped()


def linger(input: Any, context: Context) -> None:
    context.cancellation.wait_blocking()
    raise context.stopped()


async def hold(input: Until, context: Context) -> dict[str, int]:
    await exists(input["until"])
    return {"attempt": context.attempt}


def crash(input: Any, context: Context) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def flood(input: Any, context: Context) -> str:
    return "x" * 300_000


async def fence(input: Until, context: Context) -> dict[str, int]:
    await exists(input["until"])
    return {"leaseToken": context.lease_token}


def main() -> None:
    """Runs the worker until it is told to end."""
    logging.basicConfig(level=logging.INFO)
    worker = Worker(
        os.environ["LONGRUN_URL"],
        token=os.environ.get("LONGRUN_TOKEN"),
        queue=os.environ["LONGRUN_QUEUE"],
        concurrency=int(os.environ["LONGRUN_CONCURRENCY"]),
        lease_seconds=int(os.environ["LONGRUN_LEASE_SECONDS"]),
        wait_seconds=int(os.environ["LONGRUN_WAIT_SECONDS"]),
        grace=float(os.environ["LONGRUN_GRACE_SECONDS"]),
    )
    handlers = (
        complete,
        fail,
        later,
        refuse,
        stumble,
        typed,
        progress,
        resume,
        linger,
        hold,
        crash,
        flood,
        fence,
    )
    for handler in handlers:
        worker.add_handler(handler.__name__, handler)
    print(json.dumps({"operationTypes": worker.operation_types}), flush=True)
    worker.run_sync()


if __name__ == "__main__":
    main()
