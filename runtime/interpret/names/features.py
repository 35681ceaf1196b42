"""`name_features`: a name and a description for every latent, from the training documents."""

from __future__ import annotations

from collections import Counter
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
from .word_table import WordTable

STRONGEST = 10
"""Documents whose words a name should have, as many as a person looks at."""
MENTIONED, LEFT_OUT = 3, 2
"""Phrases after `fires on` and after `not on`."""
SHARE = 0.08
"""Share of the documents, at least, that have a phrase of a description."""


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
    return Evidence(
        direction=direction / max(float(np.linalg.norm(direction)), 1e-12),
        positives=positives,
        strongest=rows[seen][:STRONGEST],
        negatives=split.training.negatives,
    )


def describe(label: Label, evidence: Evidence, candidates: Candidates) -> str:
    """Return one line: phrases of the documents on which a feature fires, and of near misses, beside its name."""
    shares = _shares(evidence.positives, candidates)
    missed = _shares(evidence.negatives[: len(evidence.negatives) // 2], candidates)
    said = [phrase.casefold() for phrase in label.phrases]
    fires = _typical(shares, missed, candidates, said, MENTIONED)
    misses = _typical(
        missed, shares, candidates, [*said, *(" ".join(candidates.keys[number]) for number in fires)], LEFT_OUT
    )
    texts = [", ".join(candidates.texts[number] for number in numbers) for numbers in (fires, misses)]
    return "; ".join(f"{words} {text}" for words, text in zip(("fires on", "not on"), texts, strict=True) if text)


def _shares(rows: IntArray, candidates: Candidates) -> dict[int, float]:
    """Return phrase -> share of the documents that have it."""
    counts = Counter(number for row in rows.tolist() for number in candidates.of(row).tolist())
    return {number: count / len(rows) for number, count in counts.items()}


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


def said_of(labels: Sequence[Label | None], documents: EncodedDocuments, words: WordTable) -> list[float | None]:
    """Return how much of each name its strongest held-out documents say, 0 to 1; None where there are none.

    The best of two parts counts.
    """
    found: list[float | None] = []
    for latent, label in enumerate(labels):
        rows = documents.firing[latent][0]
        rows = rows[documents.held_out[rows]][:STRONGEST]
        said = label is not None and len(rows) > 0
        found.append(float(words.presence(label.keys, rows).max(1).mean()) if said and label else None)
    return found
