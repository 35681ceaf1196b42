"""The perspectives of PIR: the same question asked from several sides, each with documents of its own.

Zhao et al. 2024, "Beyond Relevance: Evaluate and Improve Retrievers on Perspective Awareness", arXiv:2405.02714.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from .tasks import BoolArray, Task, coin

FRAMES = ("a news article relates to ", "a news article happened in ", "a news article biased towards: ")
"""What stands in front of a perspective and no person would type."""
WINGS = {"left": "left-wing", "right": "right-wing", "center": "politically centrist"}
SOME = 5
"""Depth of the benchmark's own figure, p-Recall@5."""


def read_perspectives(folder: Path) -> list[Task]:
    """The six tasks; all of their documents are searched, so there is nothing to learn from but the phrase."""
    with gzip.open(folder / "pir.json.gz", "rt", encoding="utf-8") as file:
        return [_task(name, rows) for name, rows in json.load(file).items()]


def _task(name: str, rows: dict[str, Any]) -> Task:
    size = len(rows["corpus"])
    roots = list(dict.fromkeys(rows["source_queries"]))
    about = [np.zeros(size, bool) for _ in roots]
    members: dict[str, BoolArray] = {}
    written = {}
    for at, (root, perspective) in enumerate(zip(rows["source_queries"], rows["perspectives"], strict=True)):
        phrase = phrase_of(perspective)
        found = rows["key_ref"][str(at)]
        about[roots.index(root)][found] = True
        members.setdefault(phrase, np.zeros(size, bool))[found] = True
        written[roots.index(root), phrase] = rows["queries"][at]
    dev = np.array([coin("dev " + root) for root in roots])
    seen = np.zeros(size, bool)
    return Task(f"pir {name}", rows["corpus"], seen, members, roots, about, dev, "perspectives", written)


def phrase_of(perspective: str) -> str:
    """What a person would type for a perspective."""
    for frame in FRAMES:
        perspective = perspective.removeprefix(frame)
    return WINGS.get(perspective, perspective)


def perspective_recall(root_of: list[int], found: list[bool]) -> float:
    """p-Recall: how many perspectives of a root query are met, mean over the root queries that have several.

    Args:
        root_of: Root query of each pair of a query and a perspective.
        found: Whether a document of that pair is among the first `SOME`.
    """
    by_root: dict[int, list[bool]] = {}
    for root, hit in zip(root_of, found, strict=True):
        by_root.setdefault(root, []).append(hit)
    return float(np.mean([np.mean(hits) for hits in by_root.values() if len(hits) > 1]))
