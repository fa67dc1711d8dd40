"""Answers that are lost: what is safe to repeat is repeated as it was, and nothing happens twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from longrun import Client, Context, DeniedError, LongrunError, UnreachableError, Worker

from .conftest import PATIENCE, Server, running, until
from .fake import LOST, Answer, Call, claimed, fake, operation, proxy, worked


async def test_a_submit_is_repeated_under_its_key_until_it_is_answered() -> None:
    answers = [
        LOST,
        Answer(503, {"error": {"code": "overloaded", "message": "later"}}),
        Answer(201, operation(), cut=True),
        Answer(201, operation()),
    ]

    async def script(call: Call) -> Answer:
        return answers.pop(0)

    async with fake(script) as server, Client(server.url) as client:
        assert (await client.submit("t", {"a": 1})).id == operation()["id"]
        assert len({call.headers["idempotency-key"] for call in server.calls}) == 1
        assert [call.json for call in server.calls] == [{"operationType": "t", "input": {"a": 1}}] * 4


async def test_repetition_ends_with_the_deadline_and_tells_the_last_error() -> None:
    async def script(call: Call) -> Answer:
        return Answer(503, {"error": {"code": "storeUnavailable", "message": "no"}})

    async with fake(script) as server, Client(server.url, deadline=3) as client:
        with pytest.raises(LongrunError) as caught:
            await client.submit("t")
        assert caught.value.code == "storeUnavailable" and len(server.calls) >= 2


async def test_a_call_that_never_ends_is_ended_by_the_deadline() -> None:
    async def script(call: Call) -> Answer:
        await asyncio.sleep(PATIENCE)
        return LOST

    async with fake(script) as server, Client(server.url, deadline=0.2) as client:
        with pytest.raises(TimeoutError):
            await client.get("x")


async def test_what_is_not_safe_to_repeat_is_sent_once() -> None:
    async def script(call: Call) -> Answer:
        return LOST

    async with fake(script) as server, Client(server.url) as client:
        with pytest.raises(UnreachableError):
            await client.cancel("x")
        assert len(server.calls) == 1


async def test_a_worker_repeats_claim_and_report_to_the_byte() -> None:
    seen: Counter[bytes] = Counter()

    async def script(call: Call) -> Answer:
        seen[call.body] += 1
        if seen[call.body] < 3:
            return LOST if seen[call.body] == 1 else Answer(502, b"<html>")
        if call.json["reports"]:
            return worked(outcomes=[{"id": report["id"]} for report in call.json["reports"]])
        if len(seen) == 1:
            return worked([claimed("a"), claimed("b")])
        await asyncio.sleep(0.05)
        return worked()

    async with fake(script) as server:
        worker = Worker(server.url)
        ran: list[str] = []

        @worker.handler("t")
        async def handle(input: Any, context: Context) -> None:
            ran.append(context.id)

        async with running(worker):
            await until(lambda: worker.stats.completed == 2)
        assert sorted(ran) == ["a", "b"]
        reporting = [call.json for call in server.calls if call.json["reports"]]
        assert len(reporting) == 3 and len(reporting[0]["reports"]) == 2


async def test_a_swallowed_answer_costs_no_attempt(server: Server, client: Client, queue: str) -> None:
    swallowed: Counter[str] = Counter()

    def lose(call: Call) -> bool:
        kind = "report" if call.json["reports"] else "claim"
        swallowed[kind] += 1
        return swallowed[kind] == 1

    operation = await client.submit("t", queue=queue)
    async with proxy(server.url, lose) as between:
        worker = Worker(between.url, queue=queue, wait_seconds=1)
        ran: list[int] = []

        @worker.handler("t")
        async def handle(input: Any, context: Context) -> str:
            ran.append(context.lease_token)
            return "done"

        async with running(worker):
            ended = await client.wait(operation.id, PATIENCE)
            await until(lambda: worker.stats.completed == 1)
    assert (ended.result, ended.attempts_count, len(ran)) == ("done", 1, 1)
    assert not await client.attempts(operation.id)


async def test_whatever_is_swallowed_each_operation_is_carried_out_once(
    server: Server, client: Client, queue: str
) -> None:
    chance = random.Random(4711)
    ran: Counter[str] = Counter()
    ids = [(await client.submit("t", n, queue=queue)).id for n in range(60)]
    async with proxy(server.url, lambda call: chance.random() < 0.3) as between:
        worker = Worker(between.url, queue=queue, concurrency=4, wait_seconds=1)

        @worker.handler("t")
        async def handle(input: Any, context: Context) -> int:
            ran[context.id] += 1
            context.progress(50)
            await asyncio.sleep(chance.random() / 50)
            return context.attempt

        async with running(worker):
            await until(lambda: worker.stats.completed == len(ids))
    assert ran == Counter(ids)
    assert [(await client.get(id)).result for id in ids] == [1] * len(ids)


async def test_an_unreachable_server_never_ends_a_worker(own_server: Server, queue: str) -> None:
    worker = Worker(own_server.url, queue=queue, wait_seconds=1, lease_seconds=30)
    begun, finish = asyncio.Event(), asyncio.Event()

    @worker.handler("t")
    async def handle(input: Any, context: Context) -> int:
        begun.set()
        await finish.wait()
        return context.attempt

    async with Client(own_server.url) as client, running(worker):
        operation = await client.submit("t", queue=queue)
        await begun.wait()
        own_server.kill()
        finish.set()
        own_server.start()
        ended = await client.wait(operation.id, PATIENCE)
        assert (ended.status, ended.result, ended.attempts_count) == ("Completed", 1, 1)


async def test_a_worker_that_is_denied_ends_with_the_error() -> None:
    async def script(call: Call) -> Answer:
        return Answer(401, {"error": {"code": "unauthenticated", "message": "who?"}})

    async with fake(script) as server:
        worker = Worker(server.url, token="lr_x_y")
        worker.add_handler("t", lambda input, context: None)
        with pytest.raises(DeniedError):
            await asyncio.wait_for(worker.run(signals=False), PATIENCE)
        assert server.calls[0].headers["authorization"] == "Bearer lr_x_y"


async def test_reports_pass_when_the_claim_beside_them_is_refused() -> None:
    async def script(call: Call) -> Answer:
        said = call.json
        if said["reports"] and "claim" in said:
            return Answer(400, {"error": {"code": "invalidRequest", "message": "claim"}})
        if said["reports"]:
            return worked(outcomes=[{"id": "a"}])
        if len(server.calls) == 1:
            return worked([claimed("a")])
        return Answer(400, {"error": {"code": "invalidRequest", "message": "claim"}})

    async with fake(script) as server:
        worker = Worker(server.url)
        worker.add_handler("t", lambda input, context: None)
        with pytest.raises(LongrunError, match="claim"):
            await asyncio.wait_for(worker.run(signals=False), PATIENCE)
        assert worker.stats.completed == 1
