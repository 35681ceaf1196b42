"""`sae` in this process, as a person at a terminal gets it."""

import io
import sys
from typing import NamedTuple

import pytest

from steersearch.cli import main, main_export


class Ended(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def sae_here(monkeypatch):
    """Run `sae`, or `sae-export`, with its own stdout and stderr, and return how it ended."""

    def run(*words, script="sae", encoding="utf-8"):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as end:
            (main if script == "sae" else main_export)()
        for stream in streams.values():
            stream.flush()
        out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams.values())
        return Ended(end.value.code or 0, out, err)

    return run
