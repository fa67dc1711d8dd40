"""The end of a worker: nothing is lost, nothing is kept."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from longrun import Client, Context, UndeliveredError, Worker

from .conftest import PATIENCE, Server, program, running, until
from .fake import Answer, Call, claimed, fake, worked


async def test_handlers_finish_within_the_grace_time_and_nothing_more_is_claimed(
    client: Client, worker: Worker, queue: str
) -> None:
    begun, drained = asyncio.Event(), asyncio.Event()

    @worker.handler("t")
    async def handle(input: Any, context: Context) -> str:
        begun.set()
        await context.draining.wait()
        drained.set()
        assert not context.should_stop()
        return "finished"

    async with running(worker):
        operation = await client.submit("t", queue=queue)
        await begun.wait()
        worker.shut_down()
        await drained.wait()
        late = await client.submit("t", queue=queue)
    assert (await client.get(operation.id)).result == "finished"
    assert (await client.get(late.id)).status == "NotStarted"


@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_is_unfinished_after_the_grace_time_goes_back_with_its_checkpoint(
    client: Client, server: Server, queue: str, in_thread: bool
) -> None:
    worker = Worker(server.url, queue=queue, grace=0.5)
    told: list[Any] = []

    async def in_loop(input: Any, context: Context) -> None:
        context.checkpoint({"page": 5})
        await context.cancellation.wait()
        told.append(context.reason)
        await asyncio.sleep(PATIENCE)

    def blocking(input: Any, context: Context) -> None:
        context.checkpoint({"page": 5})
        context.cancellation.wait_blocking()
        told.append(context.reason)
        while not over:
            time.sleep(0.01)

    over: list[bool] = []
    worker.add_handler("t", blocking if in_thread else in_loop)
    async with running(worker):
        operation = await client.submit("t", queue=queue)
        await until(lambda: worker.stats.claimed == 1)
        began = time.monotonic()
    over.append(True)
    assert time.monotonic() - began < 0.5 + 5, "exit within the grace time"
    assert told == ["shutdown"] and worker.stats.released == 1
    given_back = await client.get(operation.id)
    assert (given_back.status, given_back.attempts_count) == ("NotStarted", 0)

    next_worker = Worker(server.url, queue=queue)
    next_worker.add_handler("t", lambda input, context: context.previous_checkpoint)
    async with running(next_worker):
        assert (await client.wait(operation.id, PATIENCE)).result == {"page": 5}


async def test_a_waiting_claim_is_withdrawn_and_what_it_took_is_handed_back() -> None:
    async def script(call: Call) -> Answer:
        if call.json["reports"]:
            return worked(outcomes=[{"id": report["id"]} for report in call.json["reports"]])
        if call.json["claim"]["waitSeconds"] == 0:
            return worked([claimed("a", token=7)])
        await asyncio.sleep(PATIENCE)
        return worked()

    async with fake(script) as server:
        worker = Worker(server.url)
        worker.add_handler("t", lambda input, context: pytest.fail("it was begun"))
        async with running(worker):
            await until(lambda: len(server.calls) == 1)
        waiting, recall, release = [call.json for call in server.calls]
    assert recall["claim"]["id"] == waiting["claim"]["id"] and recall["claim"]["waitSeconds"] == 0
    assert release["reports"] == [{"id": "a", "leaseToken": 7, "status": "NotStarted"}]
    assert "claim" not in release and worker.stats.released == 1


async def test_reports_that_nobody_takes_are_told_in_the_end(own_server: Server, queue: str) -> None:
    worker = Worker(own_server.url, queue=queue, grace=0)

    @worker.handler("t")
    async def handle(input: Any, context: Context) -> None:
        own_server.kill()

    async with Client(own_server.url) as client:
        await client.submit("t", queue=queue)
    task = asyncio.get_running_loop().create_task(worker.run(signals=False))
    await until(lambda: worker.stats.claimed == 1)
    worker.shut_down()
    with pytest.raises(UndeliveredError) as caught:
        await asyncio.wait_for(task, PATIENCE)
    assert caught.value.reports == 1


async def test_a_worker_that_was_shut_down_before_it_ran_ends_at_once(worker: Worker) -> None:
    worker.add_handler("t", lambda input, context: None)
    worker.shut_down()
    assert (await asyncio.wait_for(worker.run(signals=False), PATIENCE)).claimed == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_a_worker_process_and_it_exits_with_zero(
    client: Client, server: Server, queue: str, tmp_path: Path, number: int
) -> None:
    process = program(server, queue)
    try:
        file = tmp_path / "go"
        resumed = await client.submit("resume", queue=queue)
        held = await client.submit("progress", {"until": str(file)}, queue=queue)

        async def told() -> bool:
            # That it is `Running` says only that it was given out.
            return (await client.get(held.id)).percent_complete == 50

        await until(told)
        process.send_signal(number)
        file.touch()
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert (await client.get(held.id)).result == {"done": True}
    assert (await client.get(resumed.id)).status == "NotStarted"


async def test_what_a_killed_worker_held_is_carried_out_by_another(
    client: Client, server: Server, queue: str
) -> None:
    process = program(server, queue, LONGRUN_LEASE_SECONDS="1")
    try:
        operation = await client.submit("resume", queue=queue)
        async with client.watch(operation.id) as events:
            async for event in events:
                if event.event == "progress" or (event.operation and event.operation.status == "Running"):
                    break
        await asyncio.sleep(0.5)  # its checkpoint, which no reader sees
        process.kill()
        process.wait()
        process = program(server, queue)
        ended = await client.wait(operation.id, PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert (ended.result, ended.attempts_count) == ({"from": 5}, 2)
