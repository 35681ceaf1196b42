"""Retrieval metrics by trec_eval's definitions, from ir-measures: used by training, by `sae eval` and by benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ._extras import require
from .metrics import FloatArray, IntArray

Qrels = Mapping[str, Mapping[str, int]]
"""Query id -> document id -> grade."""
Run = Mapping[str, Mapping[str, float]]
"""Query id -> document id -> score."""
NAMES = ("nDCG@10", "MRR@10", "R@100")


def score_run(run: Run, qrels: Qrels) -> dict[str, float]:
    """nDCG@10, MRR@10 and R@100, mean over the judged queries.

    Raises:
        MissingExtraError: ir-measures is not installed (extra ``eval``).
    """
    require("eval", "ir_measures")
    import ir_measures

    measures = (ir_measures.nDCG @ 10, ir_measures.RR @ 10, ir_measures.R @ 100)
    values = ir_measures.calc_aggregate(list(measures), qrels, run)
    return {name: float(values[measure]) for name, measure in zip(NAMES, measures, strict=True)}


def run_of(scores: FloatArray, depth: int = 100) -> dict[str, dict[str, float]]:
    """The best `depth` documents of each query; ids are row numbers as strings.

    Args:
        scores: Shape (queries, documents).
        depth: Documents per query.
    """
    depth = min(depth, scores.shape[1])
    best: IntArray = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    kept = np.take_along_axis(scores, best, axis=1)
    return {
        str(i): {str(row): float(score) for row, score in zip(rows, values, strict=True)}
        for i, (rows, values) in enumerate(zip(best.tolist(), kept.tolist(), strict=True))
    }


def qrels_of(relevant: Sequence[Mapping[int, int]]) -> dict[str, dict[str, int]]:
    """Judgments by row: one mapping (row of a document -> grade) per query, in the form that `score_run` takes."""
    return {str(i): {str(row): grade for row, grade in rows.items()} for i, rows in enumerate(relevant)}
