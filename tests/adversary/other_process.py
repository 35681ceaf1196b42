"""Another process that reads the index of a walk."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .reference import check


class Process:
    """Another process that opens the index read-only and searches it."""

    CODE = """
        import json, sys
        from steersearch.runtime import Bundle, SteerableIndex
        bundle, opened = Bundle.load(sys.argv[1], threads=1), {}
        for line in sys.stdin:
            path, query, options = json.loads(line)
            if query is None:
                opened.pop(path).close() if path in opened else None
                continue
            if path not in opened:
                for other in opened.values():
                    other.close()
                opened = {path: SteerableIndex.open(path, bundle=bundle, readonly=True)}
            hits = opened[path].search(query, **options)
            print(json.dumps([(h.rank, h.id, h.score, h.text, h.metadata) for h in hits]), flush=True)
    """

    def __init__(self, bundle: Path) -> None:
        command = [sys.executable, "-c", textwrap.dedent(self.CODE), str(bundle)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def search(self, path: Path, query: str, **options: Any) -> list[Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(path), query, options]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        check(line, "the other process ended")
        names = ("rank", "id", "score", "text", "metadata")
        return [SimpleNamespace(**dict(zip(names, hit, strict=True))) for hit in json.loads(line)]

    def forget(self, path: Path) -> None:
        """Close an index whose folder is about to be replaced."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(path), None, {}]) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()
