"""Parsers of what others wrote, given altered valid files and values of any kind: only errors of ours come out."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .fuzz_targets import TARGETS, opened_place
from .fuzzing import SECONDS, failure, input_number

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


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_altered_inputs(tmp_path, name):
    command = [sys.executable, "-m", "tests.adversary.fuzz_targets", name, str(tmp_path)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=env, capture_output=True, text=True, timeout=10 * SECONDS + 300
    )
    print(ended.stdout)
    if ended.returncode < 0:
        with opened_place(tmp_path / "again") as place:
            number = int((tmp_path / "counter").read_text())
            given = input_number(name, TARGETS[name](place).make, number)
        raise AssertionError(f"{name}: input {number} ended the process: {ended.stderr:.300}\n  {given!r:.2000}")
    assert ended.returncode == 0, ended.stderr[-8000:]


@pytest.fixture
def place(tmp_path):
    with opened_place(tmp_path) as place:
        yield place


@pytest.mark.parametrize(("name", "given"), [pytest.param(*row, id=f"{row[0]} {n}") for n, row in enumerate(SMALLEST)])
def test_an_input_that_was_found(place, name, given):
    made = TARGETS[name](place)
    failed = failure(made.look, given(made.valid) if callable(given) else given)
    assert failed is None, f"{failed}"
