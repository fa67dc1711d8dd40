"""Handlers under the real server: inputs, results, failures, progress, checkpoints, cancels."""

from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from longrun import (
    Client,
    Context,
    Operation,
    PermanentError,
    Released,
    RetryableError,
    Snapshot,
    Success,
    Worker,
)

from .conftest import PATIENCE, Server, running, until


@dataclass
class Thumbnail:
    picture: str
    width: int = 120


class Made(TypedDict):
    picture: str
    width: int


async def carried_out(client: Client, worker: Worker, queue: str, input: Any = None, **more: Any) -> Snapshot:
    """The end of one operation of the type `t`, with a single attempt unless said otherwise."""
    async with running(worker):
        operation = await client.submit("t", input, queue=queue, **{"max_attempts": 1, **more})
        return await client.wait(operation.id, PATIENCE)


def deep(levels: int) -> list[Any]:
    """Lists in lists, deeper than the protocol takes them."""
    return [] if levels == 0 else [deep(levels - 1)]


def failure(operation: Operation) -> tuple[str, str]:
    """Code and message of a failed operation."""
    assert operation.status == "Failed" and operation.error is not None
    return operation.error.code, operation.error.message


async def test_a_typed_input_becomes_a_typed_result(client: Client, worker: Worker, queue: str) -> None:
    @worker.handler("t")
    async def handle(input: Thumbnail, context: Context) -> Made:
        assert (context.attempt, context.lease_token) == (1, 1)
        assert 0 < context.remaining() <= 2 and context.previous_checkpoint is None
        return Made(picture=input.picture, width=input.width)

    ended = await carried_out(client, worker, queue, {"picture": "a.jpg", "unheardOf": 1})
    assert ended.result == {"picture": "a.jpg", "width": 120}


async def test_a_wrong_input_fails_for_good_and_says_where(
    client: Client, worker: Worker, queue: str
) -> None:
    @worker.handler("t")
    async def handle(input: Thumbnail, context: Context) -> None:
        raise AssertionError("it was called")

    ended = await carried_out(client, worker, queue, {"picture": 4}, max_attempts=5)
    assert failure(ended) == ("invalidInput", "input.picture: expected a text, found an integer")
    assert ended.attempts_count == 1


async def test_a_plain_function_runs_in_a_thread_and_may_return_a_dataclass(
    client: Client, worker: Worker, queue: str
) -> None:
    @worker.handler("t")
    def handle(input: list[str], context: Context) -> Thumbnail:
        assert threading.current_thread() is not threading.main_thread()
        context.progress(50, "half")
        return Thumbnail(input[0], 7)

    ended = await carried_out(client, worker, queue, ["a.jpg"])
    assert ended.result == {"picture": "a.jpg", "width": 7}
    assert (ended.percent_complete, ended.status_detail) == (50, "half")


async def test_a_success_tells_more_than_its_result(client: Client, worker: Worker, queue: str) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> Success:
        return Success(12, status_detail="all pages", resource_location="https://example.com/made")

    ended = await carried_out(client, worker, queue)
    assert (ended.result, ended.status_detail) == (12, "all pages")
    assert ended.resource_location == "https://example.com/made"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PermanentError("badInput", "no such page"), "badInput", "no such page"),
        (RetryableError("upstream", "try again"), "upstream", "try again"),
        (RetryableError("canceled", "by me"), "handlerError", "canceled: by me"),
        (ValueError("stumbled"), "handlerError", "ValueError: stumbled"),
        (SystemExit(3), "handlerError", "SystemExit: 3"),
        (KeyError("a\0\udcff"), "handlerError", "KeyError: 'a\\x00\\udcff'"),
        (OSError("no \udcff file\0"), "handlerError", "OSError: no ? file\ufffd"),
        (asyncio.CancelledError(), "handlerError", "CancelledError"),
    ],
)
async def test_an_exception_is_told_as_what_it_is(
    client: Client, worker: Worker, queue: str, error: BaseException, code: str, message: str
) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> None:
        raise error

    assert failure(await carried_out(client, worker, queue)) == (code, message)


async def test_the_causes_of_an_exception_are_told(client: Client, worker: Worker, queue: str) -> None:
    @worker.handler("t")
    def handle(input: Any, context: Context) -> None:
        try:
            raise OSError("disk on fire")
        except OSError as error:
            raise RuntimeError("cannot import") from error

    ended = await carried_out(client, worker, queue)
    assert failure(ended) == ("handlerError", "RuntimeError: cannot import: OSError: disk on fire")


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (object(), "invalidResult"),
        (math.nan, "invalidResult"),
        ("\ud800", "invalidResult"),
        ("x" * 300_000, "outputTooLarge"),
        (deep(100), "reportRefused"),
    ],
)
async def test_a_result_that_cannot_be_stored_fails_for_good(
    client: Client, worker: Worker, queue: str, result: Any, code: str
) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> Any:
        return result

    ended = await carried_out(client, worker, queue, max_attempts=3)
    assert (failure(ended)[0], ended.attempts_count) == (code, 1)


async def test_a_retry_comes_not_before_it_was_asked_for(client: Client, worker: Worker, queue: str) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> int:
        if context.attempt == 1:
            raise RetryableError("notReady", "not yet", after=0.2)
        return context.attempt

    async with running(worker):
        operation = await client.submit("t", queue=queue)
        ended = await client.wait(operation.id, PATIENCE)
    assert ended.result == 2
    first = (await client.attempts(operation.id))[0]
    # Rounded up to a whole second; the texts are of one form, so the later one is the greater one.
    assert first.ended_date_time is not None and ended.started_date_time is not None
    assert ended.started_date_time[17:19] != first.ended_date_time[17:19]


async def test_a_failed_attempt_leaves_its_checkpoint_to_the_next(
    client: Client, worker: Worker, queue: str
) -> None:
    @worker.handler("t")
    def handle(input: Any, context: Context) -> Any:
        if context.attempt == 1:
            context.checkpoint({"page": 4})
            context.checkpoint({"page": 5})
            raise RetryableError("upstream", "broken", after=0)
        return context.previous_checkpoint

    assert (await carried_out(client, worker, queue, max_attempts=2)).result == {"page": 5}


async def test_a_checkpoint_that_is_too_large_or_no_json_is_refused(
    client: Client, worker: Worker, queue: str
) -> None:
    codes = []

    @worker.handler("t")
    async def handle(input: Any, context: Context) -> None:
        for value in ("x" * 65_536, {1, 2}):
            with pytest.raises(PermanentError) as caught:
                context.checkpoint(value)
            codes.append(caught.value.code)

    assert (await carried_out(client, worker, queue)).status == "Completed"
    assert codes == ["checkpointTooLarge", "invalidCheckpoint"]


async def test_a_released_operation_is_taken_up_again_and_the_attempt_is_not_counted(
    client: Client, worker: Worker, queue: str
) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> list[Any]:
        if context.lease_token == 1:
            context.checkpoint("here")
            raise Released
        return [context.attempt, context.previous_checkpoint]

    assert (await carried_out(client, worker, queue)).result == [1, "here"]


async def test_progress_is_seen_while_it_runs(client: Client, worker: Worker, queue: str) -> None:
    seen = asyncio.Event()

    @worker.handler("t")
    async def handle(input: Any, context: Context) -> None:
        context.progress(math.nan)
        context.progress(250)
        context.progress(33.9, "ä" * 2000)
        await seen.wait()

    async with running(worker):
        operation = await client.submit("t", queue=queue)
        async with client.watch(operation.id) as events:
            async for event in events:
                assert event.operation is not None
                if event.operation.percent_complete == 33 and not seen.is_set():
                    assert event.operation.status_detail == "ä" * 1024
                    seen.set()
        assert seen.is_set()


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_canceled_handler_is_told_and_its_operation_ends_as_canceled(
    client: Client, worker: Worker, queue: str, in_thread: bool
) -> None:
    begun, reasons = threading.Event(), []

    async def in_loop(input: Any, context: Context) -> None:
        begun.set()
        await context.cancellation.wait()
        reasons.append(context.reason)
        raise context.stopped()

    def blocking(input: Any, context: Context) -> None:
        begun.set()
        assert context.cancellation.wait_blocking(PATIENCE) and context.should_stop()
        reasons.append(context.reason)
        raise context.stopped()

    worker.add_handler("t", blocking if in_thread else in_loop)
    async with running(worker):
        operation = await client.submit("t", queue=queue, max_attempts=3)
        await until(begun.is_set)
        await client.cancel(operation.id)
        ended = await client.wait(operation.id, PATIENCE)
    assert failure(ended)[0] == "canceled" and reasons == ["cancel"]


async def test_no_more_handlers_run_at_a_time_than_was_said(
    client: Client, server: Server, queue: str
) -> None:
    worker = Worker(server.url, queue=queue, concurrency=2)
    running_now, most, finish = 0, 0, threading.Event()

    @worker.handler("t")
    def handle(input: Any, context: Context) -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        finish.wait(PATIENCE)
        running_now -= 1

    for _ in range(6):
        await client.submit("t", queue=queue)
    async with running(worker):
        await until(lambda: running_now == 2)
        assert worker.stats.claimed == 2
        finish.set()
        await until(lambda: worker.stats.completed == 6)
    assert most == 2


async def test_all_of_it_works_over_http2(server: Server, queue: str) -> None:
    worker = Worker(server.url, queue=queue, http2=True, concurrency=4, lease_seconds=1, wait_seconds=20)

    @worker.handler("t")
    async def handle(input: int, context: Context) -> int:
        context.progress(50)
        await asyncio.sleep(1.2 if input == 0 else 0)
        return input

    async with Client(server.url, http2=True) as client, running(worker):
        ids = [
            made.id for made in await asyncio.gather(*(client.submit("t", n, queue=queue) for n in range(8)))
        ]
        kinds = [event.event async for event in client.watch(ids[0])]
        results = [(await client.wait(id, PATIENCE)).result for id in ids]
    assert kinds[-1] == "completed" and results == list(range(8))


def test_settings_outside_of_the_protocol_are_refused() -> None:
    url = "http://127.0.0.1:1"
    none = Worker(url)
    many = Worker(url, queues=[f"q{n}" for n in range(17)])
    wrong = [
        none,
        many,
        Worker(url, lease_seconds=0),
        Worker(url, wait_seconds=31),
        Worker(url, concurrency=0),
    ]
    wrong += [Worker(url, worker_id="ä"), Worker(url, grace=-1)]
    for worker in wrong:
        if worker is not none:
            worker.add_handler("t", lambda input, context: None)
        with pytest.raises(ValueError):
            worker.run_sync()
    with pytest.raises(ValueError):
        Worker(url, queue="a", queues=["b"])


def test_a_function_that_cannot_be_a_handler_is_refused() -> None:
    def too_few(input: Any) -> None: ...

    def of_no_json(input: threading.Thread, context: Context) -> None: ...

    worker = Worker("http://127.0.0.1:1")
    for function in (too_few, of_no_json):
        with pytest.raises(TypeError):
            worker.handler("t")(function)
