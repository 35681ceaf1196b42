"""Measures of an autoencoder and of rankings: the only definitions, used by training, evaluation, tests and reports.

`fvu`, `l0`, `alive_share` and `mean_jaccard` measure codes and reconstructions. `overlap_at` and `ranking_kept` compare
a ranking with a reference and need no judgments. `ndcg_at` and `score_run` need judgments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .arrays import FloatArray, IntArray, unit_rows
from .errors import DataError
from .extras import require

Qrels = Mapping[str, Mapping[str, int]]
"""Query id -> document id -> grade."""
Run = Mapping[str, Mapping[str, float]]
"""Query id -> document id -> score."""
NAMES = ("nDCG@10", "MRR@10", "R@100")
"""The metrics of `score_run`."""
SUBLINEAR = 0.75
"""Exponent of activations where codes are compared, so that a few strong latents do not decide alone. Sublinear term
weights do the same in lexical retrieval. Chosen on train queries of SciFact, where .7 to .8 is a plateau;
benchmarks/README.md has the gain on test queries."""


def unit_codes(values: FloatArray) -> FloatArray:
    """Return activations to the power of 3/4, with their sign, each code scaled to length 1; shape (n, k)."""
    strength: FloatArray = np.power(np.abs(values), np.float32(SUBLINEAR))
    return unit_rows(np.copysign(strength, values))


def fvu(x: FloatArray, x_hat: FloatArray, mean: FloatArray | None = None) -> float:
    """Return the fraction of variance unexplained, ``sum |x - x_hat|^2 / sum |x - mean|^2``: 0 is perfect, 1 the mean.

    Args:
        x: Embeddings, shape (n, d_in), float32.
        x_hat: Reconstructions, same shape.
        mean: Centre of the variance, shape (d_in,); the mean of `x` by default. For queries use the mean of the
            documents, which is where the autoencoder starts.
    """
    spread = float(((x - (x.mean(0) if mean is None else mean)) ** 2).sum())
    return float(((x - x_hat) ** 2).sum()) / max(spread, 1e-12)


def l0(values: FloatArray) -> float:
    """Return the mean number of active latents per text, from TopK values of shape (n, k)."""
    return float((values > 0).sum(1).mean())


def alive_share(indices: IntArray, values: FloatArray, n_latents: int) -> float:
    """Return the share of latents that fire on at least one of the texts."""
    return len(np.unique(indices[values > 0])) / n_latents


def mean_jaccard(indices: IntArray, values: FloatArray, *, pairs: int = 2000, seed: int = 0) -> float:
    """Return the mean Jaccard overlap of the active latents of random pairs of texts.

    Near 0 the codes tell texts apart; near 1 they are sparse in name only (arXiv 2411.00786's demo shows .87-.97).
    """
    if len(indices) < 2:
        return 0.0
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(indices), pairs)
    # Never the text itself.
    second = (first + rng.integers(1, len(indices), pairs)) % len(indices)
    overlaps = []
    for i, j in zip(first, second, strict=True):
        a, b = set(indices[i][values[i] > 0].tolist()), set(indices[j][values[j] > 0].tolist())
        overlaps.append(len(a & b) / max(len(a | b), 1))
    return float(np.mean(overlaps))


def overlap_at(reference: FloatArray, scores: FloatArray, k: int = 10) -> float:
    """Return the mean share of the reference's top `k` that is in the other's; scores of shape (queries, documents)."""
    k = min(k, reference.shape[1])
    wanted = np.argpartition(-reference, k - 1, axis=1)[:, :k]
    found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(wanted, found, strict=True)]))


def ranking_kept(reference: FloatArray, scores: FloatArray, k: int = 10) -> float:
    """Return how much of a ranking is kept: mean nDCG@k where the reference's own top `k` are relevant.

    Both scores have the shape (queries, documents). The reference's first document has the grade k, its k-th the grade
    1, all others 0. The gain is the grade, discounted by ``log2(rank + 1)``. 1 means the same top `k` in the same
    order. This is stricter than nDCG with human judgments, which does not see changes among unjudged documents.
    """
    k = min(k, reference.shape[1])
    grades = np.zeros(reference.shape)
    best = np.argsort(-reference, axis=1, kind="stable")[:, :k]
    np.put_along_axis(grades, best, np.arange(k, 0, -1.0)[None], axis=1)
    discounts = 1 / np.log2(np.arange(k) + 2)
    found = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    gains = np.take_along_axis(grades, found, axis=1) @ discounts
    return float(np.mean(gains / (np.arange(k, 0, -1.0) @ discounts)))


def ndcg_at(found: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """Return nDCG@k of one ranking by trec_eval's definition: the gain is the grade, discounted by ``log2(rank + 1)``.

    Args:
        found: Ids of documents, best first.
        grades: Document id -> grade; what is not there has the grade 0.
        k: Results that count.

    Raises:
        DataError: No document has a grade above 0, so there is no best ranking.
    """
    best = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k]
    if not best:
        raise DataError("no document has a grade above 0: expected at least one that answers the query")
    discounts = 1 / np.log2(np.arange(k) + 2)
    gains = np.array([grades.get(id, 0) for id in found[:k]], np.float64)
    return float(gains @ discounts[: len(gains)] / (np.array(best) @ discounts[: len(best)]))


def score_run(run: Run, qrels: Qrels) -> dict[str, float]:
    """Return nDCG@10, MRR@10 and R@100, each the mean over the judged queries.

    Raises:
        DataError: There is no judgment, so there is no mean.
        MissingExtraError: ir-measures is not installed (extra ``eval``).
    """
    if not any(qrels.values()):
        raise DataError("there is no judgment: expected at least one query with a document and its grade")
    require("eval", "ir_measures")
    import ir_measures

    measures = (ir_measures.nDCG @ 10, ir_measures.RR @ 10, ir_measures.R @ 100)
    values = ir_measures.calc_aggregate(list(measures), qrels, run)
    return {name: float(values[measure]) for name, measure in zip(NAMES, measures, strict=True)}


def run_of(scores: FloatArray, depth: int = 100) -> dict[str, dict[str, float]]:
    """Return the best `depth` documents of each query, from scores (queries, documents), as a run of row numbers."""
    depth = min(depth, scores.shape[1])
    best: IntArray = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    kept = np.take_along_axis(scores, best, axis=1)
    return {
        str(i): {str(row): float(score) for row, score in zip(rows, values, strict=True)}
        for i, (rows, values) in enumerate(zip(best.tolist(), kept.tolist(), strict=True))
    }


def qrels_of(relevant: Sequence[Mapping[int, int]]) -> dict[str, dict[str, int]]:
    """Return judgments by row, one mapping (row of a document -> grade) per query, as `score_run` takes them."""
    return {str(i): {str(row): grade for row, grade in rows.items()} for i, rows in enumerate(relevant)}
