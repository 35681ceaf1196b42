"""For how many groups of labelled documents is there a feature, or a family of features, that finds them?"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from steersearch.arrays import FloatArray, IntArray, unit_rows
from steersearch.runtime.interpret.encoded_documents import EncodedDocuments
from steersearch.runtime.interpret.pipeline import InterpretationResult

from .controls import k_means

GOOD = 0.5


def read_groups(folder: Path, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Group -> whether each document is in it."""
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
        label_of = {row["corpus-id"]: row["label"] for row in map(json.loads, lines)}
    names = np.array([label_of[id] for id in ids])
    return {name: names == name for name in np.unique(names)}


def groups_found(found: InterpretationResult, groups: dict[str, np.ndarray], seed: int) -> dict[str, dict[str, float]]:
    """Best held-out F1 per group. Feature, family and threshold are chosen on the documents that labels are made from.

    A unit says yes on the documents where it is active above a threshold; a family where any of its features is.
    """
    documents, rng = found.documents, np.random.default_rng(seed)
    rows = documents.centred
    untrained = unit_rows(rng.normal(size=(documents.n_latents, rows.shape[1])).astype(np.float32))
    families = [np.array(family) for family in found.interpretation.families]
    dense = dense_activations(documents)
    views = {
        "a feature": dense,
        "a family": np.stack([dense[:, family].max(1) for family in families], 1) if families else dense[:, :1],
        "a raw dimension": np.concatenate([rows, -rows], 1),
        "a k-means cluster (128)": clusters(documents, 128, rng),
        "a k-means cluster (20)": clusters(documents, 20, rng),
        "a latent of an untrained SAE": rows @ untrained.T,
    }
    return {
        view: {name: best_f1(values, inside, ~documents.held_out) for name, inside in groups.items()}
        for view, values in views.items()
    }


def dense_activations(documents: EncodedDocuments) -> FloatArray:
    """Activations in typical units, shape (n, n_latents)."""
    dense = np.zeros((len(documents), documents.n_latents), np.float32)
    np.put_along_axis(dense, documents.indices, documents.values, 1)
    return dense / np.maximum(documents.typical, 1e-12)


def clusters(documents: EncodedDocuments, count: int, rng: np.random.Generator) -> FloatArray:
    """Membership, shape (n, count)."""
    nearest: IntArray = (documents.centred @ k_means(documents.centred[~documents.held_out], count, rng).T).argmax(1)
    return np.eye(count, dtype=np.float32)[nearest]


def best_f1(values: FloatArray, inside: np.ndarray, seen: np.ndarray) -> float:
    """Held-out F1 of the column and threshold with the best F1 on the documents that were seen."""
    best, choice = -1.0, (0, 0.0)
    y = inside[seen]
    for column in range(values.shape[1]):
        x = values[seen, column]
        order = np.argsort(-x, kind="stable")
        order = order[x[order] > 0]
        if not len(order):
            continue
        hits = np.cumsum(y[order])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + y.sum())
        # A threshold lies between different values only.
        last = np.append(x[order][1:] != x[order][:-1], True)
        at = int(np.where(last, f1, -1.0).argmax())
        if f1[at] > best:
            best, choice = float(f1[at]), (column, float(x[order][at]))
    said = values[~seen, choice[0]] >= choice[1]
    both = float((said & inside[~seen]).sum())
    return 2 * both / max(float(said.sum() + inside[~seen].sum()), 1.0)
