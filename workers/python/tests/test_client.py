"""Submitting, reading and changing operations of the real server."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from longrun import (
    Client,
    ConflictError,
    LongrunError,
    NotFoundError,
    OperationError,
    Retry,
    Worker,
    quoted,
)

from .conftest import Server, running


async def test_what_was_submitted_is_read_back(client: Client, queue: str) -> None:
    start = datetime.now(timezone.utc) + timedelta(hours=1)
    submitted = await client.submit(
        "thumbnail",
        {"picture": "ä.jpg"},
        queue=queue,
        priority=7,
        labels={"customer": "c-1"},
        max_attempts=5,
        retry=Retry(initial_delay_seconds=2, factor=3),
        timeout_seconds=60,
        start_date_time=start,
    )
    assert submitted.location is not None and submitted.location.endswith(submitted.id)
    operation = await client.get(submitted.id)
    assert (operation.status, operation.operation_type, operation.queue) == ("NotStarted", "thumbnail", queue)
    assert (operation.input, operation.labels) == ({"picture": "ä.jpg"}, {"customer": "c-1"})
    assert (operation.priority, operation.max_attempts, operation.timeout_seconds) == (7, 5, 60)
    assert operation.retry is not None and operation.retry.factor == 3
    assert operation.waiting is not None and operation.waiting.reason == "delayed"
    assert operation.retry_after is not None and not operation.is_terminal


async def test_an_input_may_be_null_and_may_be_absent(client: Client, queue: str) -> None:
    assert (await client.submit("t", None, queue=queue)).input is None
    assert (await client.submit("t", queue=queue)).input is None


async def test_the_same_key_makes_one_operation_and_another_body_is_a_conflict(
    client: Client, queue: str
) -> None:
    key = f"order-{uuid4()}"
    first = await client.submit("t", 1, queue=queue, idempotency_key=key)
    again = await client.submit("t", 1, queue=queue, idempotency_key=key)
    assert (again.id, first.replayed, again.replayed) == (first.id, False, True)
    with pytest.raises(ConflictError) as caught:
        await client.submit("t", 2, queue=queue, idempotency_key=key)
    assert (caught.value.status, caught.value.code) == (422, "idempotencyKeyReused")
    assert caught.value.request_id


async def test_a_key_that_no_header_can_carry_is_refused_at_once(client: Client) -> None:
    for key in ("", "x" * 256, "a\nb", "ä"):
        with pytest.raises(ValueError, match="idempotency key"):
            await client.submit("t", idempotency_key=key)


async def test_a_refusal_says_what_is_wrong_and_where(client: Client) -> None:
    with pytest.raises(LongrunError) as caught:
        await client.submit("t", priority=1000)
    error = caught.value
    assert (error.status, error.code, error.target) == (400, "invalidRequest", "priority")
    assert "priority" in error.message and not error.is_transient


async def test_what_is_not_there_is_an_error_of_its_own(client: Client) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.get(uuid4())
    assert (caught.value.status, caught.value.code) == (404, "itemNotFound")


async def test_a_time_without_a_zone_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await client.submit("t", start_date_time=datetime.now())


async def test_a_read_can_ask_for_changes_only(client: Client, queue: str) -> None:
    submitted = await client.submit("t", queue=queue)
    assert submitted.etag is not None
    assert await client.get_if_changed(submitted.id, submitted.etag) is None
    await client.cancel(submitted.id)
    changed = await client.get_if_changed(submitted.id, submitted.etag)
    assert changed is not None and changed.status == "Failed"


async def test_a_wait_ends_with_the_operation_or_with_its_time(
    client: Client, worker: Worker, queue: str
) -> None:
    @worker.handler("echo")
    async def echo(input: object, context: object) -> object:
        return input

    async with running(worker):
        operation = await client.submit("echo", [1, 2], queue=queue)
        assert (await client.wait(operation.id, 30)).result == [1, 2]
        waited = await client.submit("echo", "at once", queue=queue, wait=30)
        assert (waited.status, waited.result) == ("Completed", "at once")
    idle = await client.submit("nobody", queue=queue)
    with pytest.raises(TimeoutError):
        await client.wait(idle.id, 0.2)


async def test_cancel_retry_and_delete_lead_through_the_states(client: Client, queue: str) -> None:
    operation = await client.submit("t", queue=queue)
    with pytest.raises(ConflictError):
        await client.delete(operation.id)
    canceled = await client.cancel(operation.id)
    assert canceled.error is not None and canceled.error.code == "canceled"
    assert (await client.retry(operation.id)).status == "NotStarted"
    await client.cancel(operation.id)
    await client.delete(operation.id)
    with pytest.raises(NotFoundError):
        await client.get(operation.id)


async def test_an_external_operation_is_advanced_by_patches(client: Client) -> None:
    operation = await client.submit("migration", status="Running", status_detail="table 1")
    assert operation.is_external
    moved = await client.patch(operation.id, if_match=operation.etag, percent_complete=40)
    assert (moved.percent_complete, moved.status_detail) == (40, "table 1")
    with pytest.raises(ConflictError) as caught:
        await client.patch(operation.id, if_match=operation.etag, percent_complete=50)
    assert caught.value.status == 412
    error = OperationError(code="noSpace", message="The disk is full.", inner_error={"free": 0})
    failed = await client.patch(operation.id, status="Failed", error=error)
    assert failed.error == error
    done = await client.submit("migration", status="Completed", result=None)
    assert done.is_terminal and done.result is None


async def test_a_list_goes_through_all_pages(client: Client, queue: str) -> None:
    made = [(await client.submit("t", n, queue=queue, labels={"of": "O'Hara"})).id for n in range(5)]
    such = f"queue eq {quoted(queue)} and labels/of eq {quoted(chr(79) + chr(39) + 'Hara')}"
    pages = [page async for page in client.list(such, page_size=2, count=True)]
    assert [len(page) for page in pages] == [2, 2, 1] and pages[0].count == 5
    oldest_first = client.list(such, page_size=2, oldest_first=True, select=["input"])
    operations = [operation async for operation in oldest_first.operations()]
    assert [(operation.id, operation.input) for operation in operations] == [(made[n], n) for n in range(5)]
    assert operations[0].status == "NotStarted"
    assert await client.count(such) == 5
    with pytest.raises(LongrunError) as caught:
        await client.count("status eq Failed")
    assert caught.value.code == "invalidFilter"


async def test_a_link_shows_its_operation_until_it_is_revoked(
    server: Server, client: Client, queue: str
) -> None:
    operation = await client.submit("t", queue=queue, input="a secret")
    link = await client.create_link(operation.id)
    assert link.status_url not in repr(link) and link.events_url.startswith(link.status_url)

    def seen(url: str) -> tuple[int, dict[str, object]]:
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    status, shown = await asyncio.to_thread(seen, link.status_url)
    assert (status, shown["id"], "input" in shown) == (200, operation.id, False)
    in_an_hour = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
    fresh = await client.create_link(operation.id, expiration_date_time=in_an_hour, revoke=True)
    assert fresh.expiration_date_time < link.expiration_date_time
    assert (await asyncio.to_thread(seen, link.status_url))[0] == 404
    assert (await asyncio.to_thread(seen, fresh.status_url))[0] == 200


async def test_a_queue_is_paused_limited_and_set_free(
    server: Server, client: Client, worker: Worker, queue: str
) -> None:
    limited = await client.set_queue(queue, paused=True, max_running=3, max_waiting=1)
    assert (limited.name, limited.paused, limited.max_running, limited.max_waiting) == (queue, True, 3, 1)
    operation = await client.submit("t", queue=queue)
    demand = await client.demand(queue)
    assert (demand.ready, demand.running, demand.paused) == (1, 0, True)
    async with Client(server.url, deadline=4) as hasty:
        with pytest.raises(LongrunError) as caught:
            await hasty.submit("t", queue=queue)
    assert (caught.value.status, caught.value.code) == (429, "queueFull") and caught.value.is_transient
    free = await client.set_queue(queue, paused=False, max_running=None)
    assert (free.paused, free.max_running, free.max_waiting) == (False, None, 1)

    begun, finish = asyncio.Event(), asyncio.Event()

    @worker.handler("t")
    async def handle(input: object, context: object) -> None:
        begun.set()
        await finish.wait()

    async with running(worker):
        await begun.wait()
        known = next(found for found in await client.workers() if found.worker_id == worker.id)
        finish.set()
    assert (known.queues, known.operation_types, known.running) == ([queue], ["t"], 1)
    held = known.operations[0]
    assert (held.id, held.queue, held.lease_token) == (operation.id, queue, 1) and held.lease_seconds > 0


async def test_queues_and_attempts_are_told(client: Client, worker: Worker, queue: str) -> None:
    @worker.handler("stumble")
    async def stumble(input: object, context: object) -> None:
        raise RuntimeError("stumbled")

    operation = await client.submit("stumble", queue=queue, max_attempts=1)
    ready = next(found for found in await client.queues() if found.name == queue)
    assert (ready.ready, ready.failed, ready.paused) == (1, 0, False)
    async with running(worker):
        await client.wait(operation.id, 30)
    attempt = (await client.attempts(operation.id))[0]
    assert (attempt.outcome, attempt.worker_id) == ("failed", worker.id)
    assert attempt.error is not None and attempt.error.code == "handlerError"
    await client.health()


def test_what_is_no_url_is_refused() -> None:
    for url in ("127.0.0.1:8470", "ftp://x", "http://", "http://x?y=z"):
        with pytest.raises(ValueError, match="URL"):
            Client(url)
    with pytest.raises(ValueError, match="token"):
        Client("http://127.0.0.1:8470", token="a\nb")
