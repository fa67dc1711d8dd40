"""The client without an event loop, and the clock of a server for tests."""

from __future__ import annotations

import pytest

from longrun import Client, DeadlineError, NotFoundError, sync

from .conftest import Server
from .fake import Answer, Call, fake


def test_every_verb_is_there_and_blocks(server: Server, queue: str) -> None:
    with sync.Client(server.url) as client:
        client.health()
        operation = client.submit("t", {"a": 1}, queue=queue, labels={"of": "sync"})
        assert client.get(operation.id).input == {"a": 1}
        assert operation.etag is not None and client.get_if_changed(operation.id, operation.etag) is None
        with pytest.raises(DeadlineError):
            client.wait(operation.id, 0.1)
        assert [len(page) for page in client.list(f"queue eq '{queue}'")] == [1]
        assert client.count(f"queue eq '{queue}'") == 1
        client.cancel(operation.id)
        assert [event.event for event in client.watch(operation.id)] == ["snapshot"]
        for event in client.watch(client.retry(operation.id).id):
            assert event.event == "snapshot"
            break  # closes the watch
        client.cancel(operation.id)
        assert client.wait(operation.id).status == "Failed" and list(client.attempts(operation.id)) == []
        client.delete(operation.id)
        with pytest.raises(NotFoundError):
            client.get(operation.id)
        client.submit("t", queue=queue)
        assert any(found.name == queue for found in client.queues())
        external = client.submit("t", status="Running")
        assert client.patch(external.id, status="Completed", result=4).result == 4
    client.close()  # a second time is no mistake


def test_the_blocking_client_has_all_verbs_of_the_other() -> None:
    def verbs(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert verbs(sync.Client) == verbs(Client)


async def test_the_clock_of_a_server_for_tests_is_moved_on() -> None:
    async def script(call: Call) -> Answer:
        assert (call.method, call.path, call.json) == ("POST", "/v1.0/test/advance", {"seconds": 3600})
        return Answer(200, {"currentDateTime": "2026-01-31T13:00:00.0000000Z"})

    async with fake(script) as server, Client(server.url) as client:
        assert await client.advance_clock(3600) == "2026-01-31T13:00:00.0000000Z"
