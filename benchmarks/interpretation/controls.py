"""What a label has to beat, with the same documents held out and the same negatives.

Two questions. *Who predicts our features?* Another feature's label, the best raw dimension, the best k-means centroid,
the best latent of an untrained SAE, each chosen on the documents that labels are made from. *What else could be read?*
The same method of labels, applied to raw dimensions, to clusters and to an untrained SAE in place of our latents.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

import numpy as np

from steersearch.arrays import FloatArray, unit_rows
from steersearch.runtime.bundle.interpretation import Score
from steersearch.runtime.interpret.encoded_documents import EncodedDocuments
from steersearch.runtime.interpret.names.candidates import Candidates
from steersearch.runtime.interpret.names.features import name_features
from steersearch.runtime.interpret.names.namer import Namer
from steersearch.runtime.interpret.names.word_table import WordTable
from steersearch.runtime.interpret.pipeline import InterpretationResult
from steersearch.runtime.interpret.scoring import EvaluationSplit, score, score_directions, select_splits

MIN_FIRES = 20
CLUSTERS = 1024
SELECTION = 20
"""Documents of a kind on which the best of many candidates is chosen."""
UNITS = 500


def eligible(found: InterpretationResult) -> list[int]:
    """Alive features that fire on at least 20 documents and have a score."""
    return [e.latent for e in found.interpretation.entries if e.fires >= MIN_FIRES and e.score is not None]


def as_predictors(found: InterpretationResult, latents: Sequence[int], seed: int) -> dict[str, list[float]]:
    """AUC of each control's prediction of where our features fire, one per latent."""
    documents, rng = found.documents, np.random.default_rng(seed)
    rows = documents.centred
    strangers = rng.permutation(latents)
    untrained = unit_rows(rng.normal(size=(documents.n_latents, rows.shape[1])).astype(np.float32))
    candidates = {
        "raw dimension": rows,
        "k-means centroid": rows @ k_means(rows[~documents.held_out], CLUSTERS, rng).T,
        "latent of an untrained SAE": rows @ untrained.T,
    }
    results: dict[str, list[float]] = {"random feature's label": []}
    for latent, stranger in zip(latents, strangers, strict=True):
        split, label = found.splits[latent], found.labels[int(stranger)]
        assert split is not None
        assert label is not None
        predicted = rows @ label.direction
        results["random feature's label"].append(score(predicted, split.held_out, split.training).auc)
        for name, values in candidates.items():
            results.setdefault(name, []).append(best_candidate(values, split))
    return results


def best_candidate(values: FloatArray, split: EvaluationSplit) -> float:
    """Held-out AUC of the column, or its negative, that does best on the other documents.

    Args:
        values: One column per candidate, shape (n, m).
        split: Documents.
    """
    up = values[split.training.positives[:SELECTION]]
    down = values[np.concatenate([split.training.near_misses[:SELECTION], split.training.random[:SELECTION]])]
    found = (up[:, None, :] > down[None, :, :]).mean((0, 1))
    column = int(np.abs(found - 0.5).argmax())
    sign = 1.0 if found[column] >= 0.5 else -1.0
    return score(sign * values[:, column], split.held_out, split.training).auc


def as_units(found: InterpretationResult, seed: int) -> dict[str, list[float]]:
    """AUC of labels made by the same method for other units than our latents."""
    documents, rng = found.documents, np.random.default_rng(seed)
    rows = documents.centred
    fires = int(statistics.median(len(documents.firing[latent][0]) for latent in eligible(found)))
    signed = np.concatenate([rows, -rows], 1)
    random_atoms = unit_rows(rng.normal(size=(documents.n_latents, rows.shape[1])).astype(np.float32))
    codes = rows @ random_atoms.T
    k = documents.indices.shape[1]
    indices = np.argpartition(-codes, k, axis=1)[:, :k]
    untrained = dataclasses.replace(
        documents, indices=indices, values=np.maximum(np.take_along_axis(codes, indices, 1), 0.0)
    )
    members = rows @ k_means(rows, max(16, len(rows) // fires), rng).T
    nearest = members.argmax(1)
    clusters = dataclasses.replace(
        documents,
        indices=nearest[:, None],
        values=members[np.arange(len(rows)), nearest][:, None],
        n_latents=members.shape[1],
    )
    axes = np.concatenate([np.eye(rows.shape[1]), -np.eye(rows.shape[1])]).astype(np.float32)
    return {
        "raw dimension": unit_scores(top_documents(documents, signed, fires), axes, found.phrases, seed),
        "k-means cluster": unit_scores(clusters, cluster_directions(clusters), found.phrases, seed),
        "latent of an untrained SAE": unit_scores(untrained, random_atoms, found.phrases, seed),
    }


def top_documents(documents: EncodedDocuments, values: FloatArray, fires: int) -> EncodedDocuments:
    """Columns of values as latents that are active on as many documents as our features fire on."""
    thresholds = -np.partition(-values, fires, axis=0)[fires]
    kept = np.where(values > thresholds, values, 0.0)
    return dataclasses.replace(
        documents, indices=np.tile(np.arange(values.shape[1]), (len(values), 1)), values=kept, n_latents=values.shape[1]
    )


def cluster_directions(clusters: EncodedDocuments) -> FloatArray:
    """Mean of the documents of each cluster that labels are made from."""
    seen = ~clusters.held_out
    sums = np.zeros((clusters.n_latents, clusters.centred.shape[1]), np.float32)
    np.add.at(sums, clusters.indices[seen, 0], clusters.centred[seen])
    return unit_rows(sums)


def unit_scores(documents: EncodedDocuments, directions: FloatArray, phrases: Candidates, seed: int) -> list[float]:
    """AUC of the names of units, at most `UNITS` of those that fire on at least 20 documents."""
    chosen = [u for u in range(documents.n_latents) if len(documents.firing[u][0]) >= MIN_FIRES]
    chosen = sorted(np.random.default_rng(seed).permutation(chosen)[:UNITS].tolist())
    splits = select_splits(documents, seed)
    splits = [split if u in set(chosen) else None for u, split in enumerate(splits)]
    namer = Namer(phrases, WordTable(documents.texts), documents.centred)
    labels = name_features(documents, splits, directions, namer, lambda step, done, total: None)
    scores = score_directions(splits, documents.centred, [label.direction if label else None for label in labels])
    return [found.auc for found in scores if found is not None]


def k_means(rows: FloatArray, clusters: int, rng: np.random.Generator, rounds: int = 20) -> FloatArray:
    """Spherical k-means (Lloyd 1982); unit centroids, shape (clusters, d_in)."""
    centroids = rows[rng.choice(len(rows), min(clusters, len(rows)), replace=False)]
    for _ in range(rounds):
        nearest = (rows @ centroids.T).argmax(1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, rows)
        empty = ~sums.any(1)
        sums[empty] = rows[rng.choice(len(rows), int(empty.sum()))]
        centroids = unit_rows(sums)
    return centroids


def median_of(scores: Sequence[Score | None], name: str) -> float:
    """Median of one figure."""
    return statistics.median(getattr(found, name) for found in scores if found is not None)
