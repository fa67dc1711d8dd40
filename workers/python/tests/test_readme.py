"""The README's examples, as somebody runs them who has just installed the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from .conftest import PATIENCE, REPOSITORY, Server

README = REPOSITORY / "workers/python/README.md"


def examples() -> list[str]:
    """The pieces of Python in it."""
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def test_the_worker_and_the_client_understand_each_other(server: Server, tmp_path: Path) -> None:
    worker, client = [text.replace("http://127.0.0.1:8470", server.url) for text in examples()[:2]]
    (tmp_path / "work.py").write_text(worker)
    # Without the variables and the directory that could let it find the sources: what was installed is
    # tested.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    installed = [sys.executable, "-I"]
    process = subprocess.Popen([*installed, "work.py"], cwd=tmp_path, env=environment)
    try:
        asked = subprocess.run(
            [*installed, "-c", client],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    lines = asked.stdout.splitlines()
    assert lines[0] == "snapshot" and lines[-2] == "completed"
    assert lines[-1] == "Completed {'made': 'a.jpg'}"


def test_the_example_of_a_worker_is_short() -> None:
    assert sum(1 for line in examples()[0].splitlines() if line.strip()) <= 12
