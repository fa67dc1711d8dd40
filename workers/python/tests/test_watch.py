"""Watching: every event once, in order, also when the connection breaks in between."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from longrun import Client, Context, DeadlineError, InvalidAnswerError, LongrunError, UnreachableError, Worker
from longrun.client.events import Block, Parser

from .conftest import running
from .fake import LOST, Answer, Call, fake, operation

STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def event(cursor: str, kind: str, **more: Any) -> bytes:
    data = json.dumps(operation(**more), ensure_ascii=False) if kind != "reset" else "{}"
    return f"id: {cursor}\nevent: {kind}\ndata: {data}\n\n".encode()


def stream(*events: bytes) -> Answer:
    """A stream that breaks off after these."""
    return Answer(200, b"".join(events), STREAM, cut=True)


async def test_one_operation_is_watched_to_its_end(client: Client, worker: Worker, queue: str) -> None:
    @worker.handler("t")
    async def handle(input: Any, context: Context) -> str:
        return "done"

    submitted = await client.submit("t", queue=queue)
    async with running(worker):
        events = [event async for event in client.watch(submitted.id)]
    kinds = [event.event for event in events]
    assert kinds[0] == "snapshot" and kinds[-1] == "completed"
    last = events[-1].operation
    assert last is not None and last.result == "done"
    again = [event.event async for event in client.watch(submitted.id, after=events[0].cursor)]
    assert again == kinds[1:]
    assert [event async for event in client.watch(submitted.id, after=events[-1].cursor)] == []


async def test_many_are_watched_through_a_filter(client: Client, queue: str) -> None:
    async with client.watch_all(queues=[queue], operation_types=["a", "b"], statuses=["Failed"]) as events:
        # Connected once the first event was heard: one that is sure to come is made again and again until
        # then.
        first = anext(events)
        submitted = await client.submit("a", queue=queue)
        other = await client.submit("c", queue=queue)
        task = asyncio.ensure_future(first)
        while not task.done():
            await client.cancel(other.id)
            await client.cancel(submitted.id)
            await asyncio.wait([task], timeout=0.1)
            if not task.done():
                submitted = await client.submit("a", queue=queue)
        heard = task.result()
        assert heard.operation is not None and heard.operation.operation_type == "a"
        assert (heard.event, heard.operation.status, events.cursor) == ("failed", "Failed", heard.cursor)


async def test_a_broken_watch_goes_on_after_its_last_event() -> None:
    answers = [
        stream(event("1", "snapshot"), event("2", "started", status="Running"), b"id: 3\nevent: prog"),
        LOST,
        Answer(503, {"error": {"code": "overloaded", "message": "later"}}),
        stream(event("3", "progress", status="Running", statusDetail="a\u2028b"), b"retry: 1\n\n"),
        stream(event("4", "reset"), event("5", "party"), event("6", "completed", status="Completed")),
    ]

    async def script(call: Call) -> Answer:
        return answers.pop(0)

    async with fake(script) as server, Client(server.url) as client:
        events = [event async for event in client.watch("x")]
    assert [event.cursor for event in events] == ["1", "2", "3", "4", "5", "6"]
    assert [event.event for event in events][2:] == ["progress", "reset", "unknown", "completed"]
    assert events[2].operation is not None and events[2].operation.status_detail == "a\u2028b"
    assert events[3].operation is None
    assert [call.headers.get("last-event-id") for call in server.calls] == [None, "2", "2", "2", "3"]


async def test_a_watch_past_the_end_has_nothing_to_tell() -> None:
    async def script(call: Call) -> Answer:
        return Answer(204)

    async with fake(script) as server, Client(server.url) as client:
        assert [event async for event in client.watch("x", after="9")] == []
        assert server.calls[0].headers["last-event-id"] == "9"


async def test_a_watch_that_is_refused_ends_with_the_refusal() -> None:
    answers = [
        Answer(400, {"error": {"code": "invalidCursor", "message": "no"}}),
        Answer(200, {"no": "stream"}),
        Answer(200, b"id: 1\nevent: created\ndata: {\n\n", STREAM),
    ]

    async def script(call: Call) -> Answer:
        return answers.pop(0)

    async with fake(script) as server, Client(server.url) as client:
        with pytest.raises(LongrunError) as caught:
            await anext(client.watch("x"))
        assert caught.value.code == "invalidCursor"
        for _ in range(2):
            with pytest.raises(InvalidAnswerError):
                await anext(client.watch("x"))


async def test_a_watch_gives_up_after_the_deadline_and_may_be_asked_again() -> None:
    answers: list[Answer] = []

    async def script(call: Call) -> Answer:
        return answers.pop(0) if answers else LOST

    async with fake(script) as server, Client(server.url, deadline=0.3) as client:
        watch = client.watch("x")
        with pytest.raises((UnreachableError, DeadlineError)):
            await anext(watch)
        answers.append(stream(event("1", "snapshot")))
        assert (await anext(watch)).cursor == "1"
        await watch.close()


def test_a_stream_is_read_in_whatever_pieces_it_comes() -> None:
    text = (
        b": hello\r\nid: 1\r\nevent: a\r\ndata: x\r\ndata:  y\r\n\r\nretry: 1500\n\nid\nunknown: 1\ndata\n\n"
    )
    expected = [Block("a", "1", "x\n y"), Block(retry=1.5), Block(id="", data="")]
    for size in (1, 2, 7, len(text)):
        parser = Parser()
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert [block for piece in pieces for block in parser.feed(piece)] == expected


def test_an_event_without_an_end_is_not_held_for_ever() -> None:
    parser = Parser()
    with pytest.raises(InvalidAnswerError):
        for _ in range(17):
            list(parser.feed(b"x" * 1024 * 1024))
    comments = Parser()
    for _ in range(40):
        assert list(comments.feed(b": " + b"x" * 1024 * 1024 + b"\n\n")) == []
