"""`name_features`: a name and a description for every latent, from the training documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ....arrays import FloatArray, IntArray
from ....text import share_word
from ..encoded_documents import EncodedDocuments
from ..scoring import EvaluationSplit
from .candidates import Candidates
from .label import Label
from .namer import ATOM, Evidence, Namer, Ranking

DESCRIBED = 100
"""Strongest documents whose phrases describe a feature."""
MENTIONED, LEFT_OUT = 3, 2
"""Phrases after `fires on` and after `not on`."""
SHARE = 0.08
"""Share of the activation, at least, in whose documents a phrase of a description is."""


def name_features(
    documents: EncodedDocuments,
    splits: Sequence[EvaluationSplit | None],
    atoms: FloatArray,
    namer: Namer,
    report: Callable[[str, int, int], None],
) -> list[Label | None]:
    """Name every latent that fires on a training document; the rest has no name.

    Args:
        documents: Documents and codes.
        splits: Of each latent; only their training documents are read.
        atoms: Unit rows, shape (n_latents, d_in).
        namer: Ranks candidates and knows which names are taken.
        report: Told of progress: the step, done, in all.
    """
    candidates = namer.candidates
    found: dict[int, tuple[Evidence, Ranking]] = {}
    for latent, split in enumerate(splits):
        evidence = evidence_of(documents, split, atoms[latent], latent)
        if evidence is not None and len(candidates.texts):
            found[latent] = evidence, namer.rank(evidence)
        if latent % 64 == 63 or latent == len(splits) - 1:
            report("name features", latent + 1, len(splits))
    labels: list[Label | None] = [None] * len(splits)
    # A name goes to the feature that it fits best.
    for latent in sorted(found, key=lambda latent: (-float(found[latent][1].scores[0]), latent)):
        evidence, ranking = found[latent]
        label = namer.label(evidence, ranking)
        if label is not None:
            labels[latent] = replace(label, description=describe(label, evidence, candidates))
    return labels


def evidence_of(
    documents: EncodedDocuments, split: EvaluationSplit | None, atom: FloatArray, latent: int
) -> Evidence | None:
    """Return what a latent's name is chosen by; None where it fires on no training document."""
    if split is None or not len(positives := split.training.positives):
        return None
    rows, activations = documents.firing[latent]
    seen = ~documents.held_out[rows]
    direction = activations[seen] @ documents.centred[rows[seen]]
    direction = direction / max(float(np.linalg.norm(direction)), 1e-12) + np.float32(ATOM) * atom
    strength = np.zeros(len(documents), np.float32)
    strength[rows] = activations
    weights = strength[positives]
    return Evidence(
        direction=direction / max(float(np.linalg.norm(direction)), 1e-12),
        positives=positives,
        weights=weights / max(float(weights.sum()), 1e-12),
        negatives=split.training.negatives,
    )


def describe(label: Label, evidence: Evidence, candidates: Candidates) -> str:
    """Return one line: phrases of the documents on which a feature fires, and of near misses, beside its name."""
    strongest = np.argsort(-evidence.weights, kind="stable")[:DESCRIBED]
    shares = _shares(evidence.positives[strongest], evidence.weights[strongest], candidates)
    near = evidence.negatives[: len(evidence.negatives) // 2]
    missed = _shares(near, np.full(len(near), 1 / max(len(near), 1), np.float32), candidates)
    said = [phrase.casefold() for phrase in label.phrases]
    fires = _typical(shares, missed, candidates, said, MENTIONED)
    misses = _typical(
        missed, shares, candidates, [*said, *(" ".join(candidates.keys[number]) for number in fires)], LEFT_OUT
    )
    texts = [", ".join(candidates.texts[number] for number in numbers) for numbers in (fires, misses)]
    return "; ".join(f"{words} {text}" for words, text in zip(("fires on", "not on"), texts, strict=True) if text)


def _shares(rows: IntArray, weights: FloatArray, candidates: Candidates) -> dict[int, float]:
    """Return phrase -> share of the weight of the documents that have it."""
    shares: dict[int, float] = {}
    for row, weight in zip(rows.tolist(), weights.tolist(), strict=True):
        for number in candidates.of(row).tolist():
            shares[number] = shares.get(number, 0.0) + weight
    return shares


def _typical(
    here: dict[int, float], there: dict[int, float], candidates: Candidates, said: list[str], count: int
) -> list[int]:
    """Return the phrases that are common here and rare there and in general, without what was said."""
    documents = max(len(candidates.starts) - 1, 2) / 2
    scored = {
        number: (share - there.get(number, 0.0)) * float(np.log(documents / candidates.frequency[number]))
        for number, share in here.items()
        if share >= SHARE
    }
    chosen: list[int] = []
    for number in sorted(scored, key=lambda number: (-scored[number], number)):
        if len(chosen) == count or scored[number] <= 0:
            break
        key = " ".join(candidates.keys[number])
        if not any(share_word(key, other) for other in [*said, *(" ".join(candidates.keys[c]) for c in chosen)]):
            chosen.append(number)
    return chosen
