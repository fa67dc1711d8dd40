"""What the tests share: the real server, and workers that end with their test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from longrun import Client, Worker

REPOSITORY = Path(__file__).resolve().parents[3]
# How long anything may take that is waited for; far more than it ever should.
PATIENCE = 30.0


def binary() -> str:
    """The server under test."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    found = os.environ.get("LONGRUN_BIN", str(REPOSITORY / target / "debug" / "longrun"))
    assert os.path.exists(found), f"{found} is not there: build it with `cargo build`, or set LONGRUN_BIN"
    return found


class Server:
    """A server process over a directory of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.arguments = arguments
        self.url = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it, on the port that it had before if it ran before."""
        listen = self.url.partition("://")[2] or "127.0.0.1:0"
        command = [binary(), "serve", "--workers", "0", "--log", "warn", "--listen", listen]
        self.process = subprocess.Popen(
            [*command, "--data", str(self.directory), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        output = self.process.stdout
        assert output is not None
        line = next(line for line in output if "://" in line)
        self.url = line[line.index("http") :].split()[0]
        # Nobody else reads what it prints, and a full pipe would stop it.
        self.reader = threading.Thread(target=output.read)
        self.reader.start()

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.reader.join()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do it no harm; each has queues of its own."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for a test that kills it."""
    server = Server(tmp_path / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with Client(server.url) as client:
        yield client


@pytest.fixture
def queue() -> str:
    """The name of a queue that no other test has."""
    return f"q-{uuid4().hex[:12]}"


@pytest.fixture
def worker(server: Server, queue: str) -> Worker:
    return Worker(server.url, queue=queue, concurrency=8, lease_seconds=2, wait_seconds=5, grace=5)


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[Worker]:
    """The worker runs inside, and has drained after it."""
    task = asyncio.get_running_loop().create_task(worker.run(signals=False))
    try:
        yield worker
    finally:
        worker.shut_down()
        await asyncio.wait_for(task, PATIENCE)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Waits for a condition."""
    began = time.monotonic()
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() - began < PATIENCE, "what was waited for did not come"
        await asyncio.sleep(0.01)


def program(server: Server, queue: str, **settings: str) -> subprocess.Popen[str]:
    """Starts the scenario program as a worker process."""
    environment = {
        **os.environ,
        "LONGRUN_URL": server.url,
        "LONGRUN_QUEUE": queue,
        "LONGRUN_LEASE_SECONDS": "2",
        "LONGRUN_WAIT_SECONDS": "5",
        "LONGRUN_GRACE_SECONDS": "5",
        "LONGRUN_CONCURRENCY": "4",
        **settings,
    }
    script = REPOSITORY / "workers/python/scenarios/worker.py"
    return subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.DEVNULL, text=True
    )
