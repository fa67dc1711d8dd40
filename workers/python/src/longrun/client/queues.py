"""Queues and workers, for those who look after them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from ..encode import to_json
from ..wire import Demand, HeldOperation, Queue, WorkerInfo, read
from .calls import Calls, values
from .submission import ABSENT, Absent


class QueueCalls(Calls):
    """The verbs of queues and workers."""

    async def queues(self) -> Sequence[Queue]:
        """The queues that hold anything or are paused or limited, by name."""
        return [read(Queue, queue) for queue in values(await self._read("/v1.0/queues"))]

    async def demand(self, queue: str) -> Demand:
        """How much a queue wants workers. One that never was wants none."""
        return read(Demand, (await self._read(f"{_path(queue)}/demand")).json())

    async def set_queue(
        self,
        queue: str,
        *,
        paused: bool | None = None,
        max_running: int | Absent | None = ABSENT,
        max_waiting: int | Absent | None = ABSENT,
    ) -> Queue:
        """Pauses, resumes or limits a queue; tells how it stands then.

        ``paused``: nothing is claimed from it, what runs goes on. ``max_running``: how many of its operations
        may run at a time; ``max_waiting``: how many may wait before new ones are refused as ``queueFull``.
        ``None`` clears a limit, what is not given stays as it is. Repeated within the client's deadline: a
        change says what is to be, not by how much.
        """
        limits = {"maxRunning": max_running, "maxWaiting": max_waiting}
        change: dict[str, object] = {name: limit for name, limit in limits.items() if limit is not ABSENT}
        if paused is not None:
            change["paused"] = paused
        answer = await self._repeated(
            "PATCH", _path(queue), headers={}, body=to_json(change), seconds=self._deadline
        )
        return read(Queue, answer.json())

    async def workers(self) -> Sequence[WorkerInfo]:
        """The workers that asked for work of late or hold operations, those first that asked last."""
        found = [read(WorkerInfo, worker) for worker in values(await self._read("/v1.0/workers"))]
        for worker in found:
            worker.operations = [read(HeldOperation, held) for held in worker.operations]
        return found


def _path(queue: str) -> str:
    return f"/v1.0/queues/{quote(queue, safe='')}"
