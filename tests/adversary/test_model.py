"""Random operations on an index against brute force, on every backend.

`STEERSEARCH_MODEL_SEED=7` repeats or varies the walks, and `STEERSEARCH_MODEL_OPERATIONS=50000` lengthens the slow
ones. A walk that fails is shortened by leaving operations out, and what is left is printed.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from steersearch.runtime import Bundle
from steersearch.runtime.search.backends import BACKENDS

from .operations import OF_THOUSANDS, VOCABULARY, Operation, generate, mixture
from .other_process import Process
from .reference import Mismatch
from .world import World

BUNDLE = Path(__file__).parents[1] / "data" / "tiny_bundle"
SEED = int(os.environ.get("STEERSEARCH_MODEL_SEED", "20260"))
OPERATIONS = int(os.environ.get("STEERSEARCH_MODEL_OPERATIONS", "5200"))
SHORTEN_SECONDS = 40.0
"""Time to shorten a walk that failed."""
RECALL = {"exact": 1.0, "hnsw": 0.99, "usearch": 0.99, "usearch-f32": 0.99, "usearch-i8": 0.97}
"""Least share of the k best that a graph finds, over all searches of a walk."""


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(BUNDLE, threads=1)


@pytest.fixture(scope="module")
def process():
    made = Process(BUNDLE)
    yield made
    made.close()


def walk(operations: list[Operation], bundle: Bundle, backend: str, process: Process | None = None) -> World:
    """Do operations on a new index and its reference; `Mismatch` names the one after which they differ."""
    folder = Path(tempfile.mkdtemp(prefix="walk-"))
    world = World(folder, bundle, backend, process)
    try:
        for number, operation in enumerate(operations):
            try:
                world.perform(operation)
            except Exception as error:
                raise Mismatch(f"{number}: {operation!r:.300}\n{type(error).__name__}: {error}") from error
        return world
    finally:
        world.close()
        shutil.rmtree(folder, ignore_errors=True)


def shortest(operations: list[Operation], fails, seconds: float = SHORTEN_SECONDS) -> list[Operation]:
    """Leave out operations, many at a time and then single ones, for as long as the rest still fails."""
    end, size = time.monotonic() + seconds, max(1, len(operations) // 2)
    while True:
        at = 0
        while at < len(operations) and time.monotonic() < end:
            fewer = operations[:at] + operations[at + size :]
            if fails(fewer):
                operations = fewer
            else:
                at += size
        if size == 1 or time.monotonic() >= end:
            return operations
        size = max(1, size // 4)


def check_walk(operations: list[Operation], bundle, backend, process=None) -> World:
    def error_of(some: list[Operation]) -> Mismatch | None:
        try:
            walk(some, bundle, backend, process)
        except Mismatch as error:
            return error
        return None

    try:
        return walk(operations, bundle, backend, process)
    except Mismatch as error:
        first = error
    failed = int(str(first).split(":")[0])
    left = shortest(operations[: failed + 1], lambda some: error_of(some) is not None)
    last = error_of(left) or first
    raise AssertionError(
        f"{backend}, {len(left)} of {failed + 1} operations are enough: {left!r:.4000}\n{last}"
    ) from last


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_short_walk(bundle, backend):
    print("seed", SEED)
    rng = random.Random(f"{SEED} {backend}")
    slow = ("process", "interrupted", "foreign_caches")
    check_walk(list(generate(rng, 120, 130, slow)), bundle, backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_walk(bundle, process, backend):
    """Several walks: an index of few documents that changes all the time, and one that is large enough for a graph."""
    wanted = found = done = 0
    number = 0
    while done < OPERATIONS:
        seed = f"{SEED} {backend} {number}"
        print("seed", seed)
        operations = list(generate(random.Random(seed), 650, (0, 400)[number % 2]))
        world = check_walk(operations, bundle, backend, process)
        wanted, found, done, number = wanted + world.wanted, found + world.found, done + len(operations), number + 1
    print(f"{backend}: {done} operations, recall {found / wanted:.4f} of {wanted}")
    assert found >= RECALL[backend] * wanted


@pytest.mark.slow
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "exact"])
def test_a_walk_of_thousands(bundle, backend):
    """A thread builds the graph, and builds it again for what comes at once."""
    print("seed", SEED)
    rng = random.Random(f"{SEED} {backend} thousands")
    start = [("add_thousands", {"seed": 0, "count": 4500}), *mixture(rng, 6, {"search_dense": 1, "save": 1})]
    world = check_walk([*start, *mixture(rng, 80, OF_THOUSANDS)], bundle, backend)
    assert world.found >= RECALL[backend] * world.wanted


@pytest.mark.parametrize("newest", [False, True])
def test_caches_of_another_index(bundle, newest):
    """The index of the same documents, one of which had another text: an old one, or one of the newest."""
    rng = random.Random(f"{SEED} foreign")
    start = list(generate(rng, 0, 130))
    operations = [("foreign_caches", {"picks": [pick], "text": "moon piano", "newest": newest}) for pick in (0.1, 0.7)]
    walk([*start, *operations], bundle, "exact")


def test_a_document_replaces_its_chunks_beyond_one_that_was_deleted(bundle):
    walk(
        [
            ("add_chunks", {"id": "l", "words": VOCABULARY[:50]}),
            ("delete_ids", {"ids": ["l#2"]}),
            ("add_chunks", {"id": "l", "words": VOCABULARY[:3]}),
        ],
        bundle,
        "exact",
    )
