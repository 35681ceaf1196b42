"""Parsers of what others wrote, given altered valid files and values of any kind: only errors of ours come out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersearch.runtime import Bundle, SteerableIndex

from .fuzz_targets import TARGETS, Place
from .fuzzing import failure, fuzz
from .hostile import BUNDLE

HUGE = 10**400
LATENT = {"id": 0, "density": 0.1, "mean": 0.5, "p95": 0.5, "max": 0.5}
SMALLEST: list[tuple[str, Any]] = [
    ("file.html", b"<![<"),
    ("tokens.html", b"<![ "),
    ("features.json", {"format_version": 1, "reference": {"mean": [HUGE]}, "latents": []}),
    ("features.json", {"format_version": 1, "latents": [{**LATENT, "id": math.inf}]}),
    ("features.json", {"format_version": 1, "latents": [{**LATENT, "max": HUGE}]}),
    ("tokenizer.json", {"model": {"vocab": {}, "unk_token": "x"}}),
    ("token model", b"PK\x03\x04"),
    ("token model", lambda content: content[:4] + content[4:].replace(b"PK\x03\x04", b"PK\x03\x05", 1)),
    ("requests", {"view": []}),
    ("requests", {"boost": {"moon": HUGE}}),
    ("documents in memory", {"texts": -1}),
    ("documents in memory", {"texts": [], "ids": -0.0}),
    ("documents in memory", {"texts": [], "metadata": 2**31}),
    ("documents in memory", {"texts": ["moon", "star"], "metadata": np.eye(16, dtype=np.float32)[:2]}),
    ("documents in memory", {"texts": ["moon"], "embeddings": [[], 1]}),
    ("concept values", {"name": "x", "source": "latents", "weights": {"f3": HUGE}}),
    ("sidecars", ["hnsw.json", "removed", [-(2**63) - 1]]),
    ("sidecars", ["words.json", "removed", HUGE]),
    ("database bytes", lambda content: content.replace(b"id TEXT NOT", b"id `EXT NOT")),
]
"""Target, the smallest input that it failed on or how a valid one is altered."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    bundle = Bundle.load(BUNDLE, threads=1)
    with SteerableIndex.create(tmp_path / "documents", bundle) as index:
        index.add(["moon and star", "bread and cheese", "piano"], ["a", "b", "c"], [{"n": 1}, {"tag": ["x"]}, {}])
        yield Place(bundle, index, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_altered_inputs(place, name):
    made = TARGETS[name](place)
    fuzz(name, made.make, made.look)


@pytest.mark.parametrize(("name", "given"), [pytest.param(*row, id=f"{row[0]} {n}") for n, row in enumerate(SMALLEST)])
def test_an_input_that_was_found(place, name, given):
    made = TARGETS[name](place)
    failed = failure(made.look, given(made.valid) if callable(given) else given)
    assert failed is None, f"{failed}"
