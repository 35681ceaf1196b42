"""Every row of the table of hostile inputs, in a process of its own with limits of time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .hostile import SLOW
from .hostile_table import ROWS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="forks, reads /proc")


class Server:
    """The process that forks one for every row; started again when it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, name: str) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "tests.adversary.fork_server"]
            env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
            self._process = subprocess.Popen(
                command,
                cwd=Path(__file__).parents[2],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == '"ready"\n'
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(name) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait(30)
            self._process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def marks(row: Any) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if SLOW in row.marks else []


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name, marks=marks(row)) for row in ROWS])
def test_a_hostile_input(server, row):
    ended = server.run(row.name)
    assert not ended["why"], f"{ended['why']} ({ended['seconds']:.1f} s, {ended['megabytes']:.0f} MB)"
    assert ended["seconds"] <= row.seconds, f"{ended['seconds']:.1f} s of CPU, at most {row.seconds}"
    assert ended["megabytes"] <= row.megabytes, f"{ended['megabytes']:.0f} MB, at most {row.megabytes}"
