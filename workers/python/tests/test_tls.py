"""A server with a certificate of an authority that the system does not know."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

import longrun.sync
from longrun import Client, UnreachableError, Worker

from .conftest import Server, running


def certified(directory: Path) -> tuple[str, str]:
    """A certificate that has signed itself, and its key."""
    chain, key = str(directory / "tls.crt"), str(directory / "tls.key")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=longrun", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*words, *names, "-keyout", key, "-out", chain], check=True, capture_output=True)
    return chain, key


async def test_whoever_is_told_of_the_authority_trusts_the_server_and_others_do_not(tmp_path: Path) -> None:
    chain, key = certified(tmp_path)
    server = Server(tmp_path / "data", "--tls-cert", chain, "--tls-key", key)
    server.start()
    try:
        assert server.url.startswith("https://")
        worker = Worker(server.url, ca=chain)

        @worker.handler("t")
        async def handle(input: int, context: object) -> int:
            return input + 1

        async with running(worker), Client(server.url, ca=chain) as client:
            operation = await client.submit("t", 1)
            ended = await client.wait(operation.id, timeout=30)
            assert ended.result == 2

        def without_a_loop() -> str:
            with longrun.sync.Client(server.url, ca=chain) as blocking:
                return blocking.get(operation.id).status

        assert await asyncio.to_thread(without_a_loop) == "Completed"
        async with Client(server.url, deadline=2) as stranger:
            with pytest.raises(UnreachableError):
                await stranger.get(operation.id)
    finally:
        server.kill()
