"""What was measured, kept in one file: corpus -> method -> seed -> figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .method import read_digits
from .scoring import Bench

SAVE_EVERY = 10.0
"""Seconds."""


class Results:
    """A context manager that writes the file at times and at its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, dict[str, Any]]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.choices: list[list[str]] = []
        """The table of `benchmarks.control.choose`."""
        self._complete: list[list[Any]] = []
        self._saved = time.monotonic()
        if path.is_file():
            kept = json.loads(path.read_text())
            self.found, self.tasks, self._complete = kept["found"], kept["tasks"], kept["complete"]
            self.choices = kept["choices"]

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()

    def save(self) -> None:
        """Write the file."""
        body = {"tasks": self.tasks, "complete": self._complete, "choices": self.choices, "found": self.found}
        self.path.write_text(json.dumps(body) + "\n")
        self._saved = time.monotonic()

    def describe(self, bench: Bench) -> None:
        """Keep what the report says about a task."""
        self.tasks[bench.task.name] = {
            "kind": bench.task.kind,
            "test": int((~bench.dev).sum()),
            "dev": int(bench.dev.sum()),
            "searched": len(bench.searched),
            "queries": bench.of_query[~bench.dev].tolist(),
        }

    def make(self, task: str, method: str, seed: int, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure unless the figures are there."""
        seeds = self.found.setdefault(task, {}).setdefault(method, {})
        if f"{seed}" in seeds:
            return
        seeds[f"{seed}"] = measure()
        print(f"{task}, seed {seed}: {method}, {seeds[f'{seed}'].get('seconds', '')}", flush=True)
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def complete(self, task: str, seed: int, now: bool = False) -> bool:
        """Whether all methods of a task are measured; `now` says so."""
        if now and [task, seed] not in self._complete:
            self._complete.append([task, seed])
        return [task, seed] in self._complete

    def forget(self, prefixes: Sequence[str]) -> None:
        """Remove the figures of methods whose name begins so."""
        if prefixes:
            self._complete = []
        for methods in self.found.values():
            for method in [name for name in methods if name.startswith(tuple(prefixes))]:
                del methods[method]

    def seeds(self, task: str, method: str) -> list[dict[str, Any]]:
        """The figures of every seed; empty if it was not measured."""
        return list(self.found.get(task, {}).get(method, {}).values())

    def values(self, task: str, method: str, tuning: str, figure: str) -> NDArray[np.float64] | None:
        """A figure of each test pair, mean over the seeds, shape (pairs,); None if it was not measured."""
        rows = [read_digits(found[tuning][figure]) for found in self.seeds(task, method) if tuning in found]
        return np.mean(rows, 0) if rows else None
