"""Leases: kept while a handler runs, whatever it does, and given up when they are gone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from longrun import Client, Context, Worker

from .conftest import PATIENCE, Server, running, until
from .fake import Answer, Call, claimed, fake, worked


async def test_a_handler_that_blocks_the_event_loop_keeps_its_lease(
    client: Client, server: Server, queue: str
) -> None:
    worker = Worker(server.url, queue=queue, lease_seconds=1)

    @worker.handler("t")
    async def handle(input: Any, context: Context) -> int:
        time.sleep(2.5)  # noqa: ASYNC251 - that is what is tested
        return context.lease_token

    async with running(worker):
        operation = await client.submit("t", queue=queue)
        ended = await client.wait(operation.id, PATIENCE)
    assert (ended.status, ended.result, ended.attempts_count) == ("Completed", 1, 1)


async def test_heartbeats_have_a_connection_of_their_own() -> None:
    """A claim that waits, and a report that nobody answers, hold none of them up."""
    beats: list[Call] = []

    async def script(call: Call) -> Answer:
        reports = call.json["reports"]
        if reports and reports[0]["status"] == "Running":
            beats.append(call)
            return worked(outcomes=[{"id": "a", "leaseSeconds": 1}])
        if len(server.calls) == 1:
            return worked([claimed("a", seconds=1), claimed("b", seconds=1, operationType="quick")])
        await asyncio.sleep(PATIENCE)
        return worked()

    async with fake(script) as server:
        worker = Worker(server.url, lease_seconds=1, wait_seconds=20, grace=0)
        finish = asyncio.Event()

        @worker.handler("t")
        async def handle(input: Any, context: Context) -> None:
            await finish.wait()

        @worker.handler("quick")
        async def quick(input: Any, context: Context) -> None: ...

        task = asyncio.get_running_loop().create_task(worker.run(signals=False))
        await until(lambda: len(beats) >= 4)
        assert len({call.connection for call in beats}) == 1
        assert beats[0].connection not in {call.connection for call in server.calls if call not in beats}
        assert beats[0].json["reports"] == [{"id": "a", "leaseToken": 1, "status": "Running"}]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lost_lease_stops_the_handler_and_drops_its_result() -> None:
    stopped: list[Any] = []

    async def script(call: Call) -> Answer:
        reports = call.json["reports"]
        if reports:
            error = {"code": "leaseLost", "message": "another worker has it"}
            return worked(outcomes=[{"id": report["id"], "error": error} for report in reports])
        if len(server.calls) == 1:
            return worked([claimed("a", seconds=1)])
        await asyncio.sleep(0.05)
        return worked()

    async with fake(script) as server:
        worker = Worker(server.url, lease_seconds=1)

        @worker.handler("t")
        async def handle(input: Any, context: Context) -> str:
            await context.cancellation.wait()
            stopped.append(context.reason)
            return "nobody wants it"

        async with running(worker):
            await until(lambda: worker.stats.lost == 1 and bool(stopped))
        assert stopped == ["leaseLost"]
        said = [report for call in server.calls for report in call.json["reports"]]
        assert {report["status"] for report in said} == {"Running"}


async def test_a_lease_ends_by_itself_when_no_heartbeat_gets_through() -> None:
    reasons: list[Any] = []

    async def script(call: Call) -> Answer:
        reports = call.json["reports"]
        if any(report["status"] == "Running" for report in reports):
            await asyncio.sleep(PATIENCE)
        if reports:
            return worked(outcomes=[{"id": report["id"]} for report in reports])
        if len(server.calls) == 1:
            return worked([claimed("a", seconds=1)])
        await asyncio.sleep(0.05)
        return worked()

    async with fake(script) as server:
        worker = Worker(server.url, lease_seconds=1)

        @worker.handler("t")
        async def handle(input: Any, context: Context) -> None:
            await context.cancellation.wait()
            assert context.remaining() == 0
            reasons.append(context.reason)
            raise context.stopped()

        async with running(worker):
            await until(lambda: worker.stats.released == 1)
        assert reasons == ["leaseLost"]


async def test_an_attempt_that_takes_too_long_is_told_so_and_given_up(
    client: Client, worker: Worker, queue: str
) -> None:
    reasons: list[Any] = []

    @worker.handler("t")
    async def handle(input: Any, context: Context) -> None:
        await context.cancellation.wait()
        reasons.append(context.reason)
        await asyncio.sleep(PATIENCE)

    async with running(worker):
        operation = await client.submit("t", queue=queue, timeout_seconds=1, max_attempts=1)
        ended = await client.wait(operation.id, PATIENCE)
        await until(lambda: reasons == ["timeout"])
    assert ended.error is not None and ended.error.code in ("timeout", "timedOut")


async def test_a_notice_of_a_cancel_or_a_loss_reaches_the_handler() -> None:
    reasons: dict[str, Any] = {}
    claims: list[Call] = []

    async def script(call: Call) -> Answer:
        if call.json["reports"]:
            return worked(outcomes=[{"id": report["id"]} for report in call.json["reports"]])
        claims.append(call)
        if len(claims) == 1:
            return worked([claimed("a"), claimed("b"), claimed("c", cancelRequested=True)])
        if len(claims) == 2:
            of = [
                {"id": "a", "leaseToken": 1, "kind": "cancel"},
                {"id": "b", "leaseToken": 1, "kind": "lost"},
            ]
            return worked(notices=[*of, {"id": "a", "leaseToken": 1, "kind": "party"}])
        await asyncio.sleep(0.05)
        return worked()

    async with fake(script) as server:
        worker = Worker(server.url)

        @worker.handler("t")
        async def handle(input: Any, context: Context) -> None:
            await context.cancellation.wait()
            reasons[context.id] = context.reason
            raise context.stopped()

        async with running(worker):
            await until(lambda: reasons == {"a": "cancel", "b": "leaseLost", "c": "cancel"})
