"""Directions of texts and examples, and their decomposition into weighted latents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, unit_rows
from ...errors import DataError
from ...steering_warnings import warn
from ...text import shown
from ..bundle.bundle import Bundle
from .contexts import contexts_of
from .documents import Documents

SHARE = 0.04
"""Share of the documents used as feedback. They are weighted by how far they stand out, so that a narrow phrase is
described by its few documents and a broad one by all of them."""
ROUNDS = 2
AGREEMENT = 0.5
"""Cosine with the phrase below which the documents are about something else. On held-out queries, kinds of question
about diseases gain 1.16 times as much as with the phrase's embedding; if such documents are followed too, .98 times."""
MAX_ATOMS = 32
PHRASE_WEIGHT = 0.5
"""Weight of a phrase next to examples. On newsgroups, news and questions about diseases, .3 to 1 work equally well."""
ENOUGH = 125
"""Documents whose mean represents what all of them share; with fewer, the mean of the bundle's reference corpus is
used."""
CHARACTERS_PER_TOKEN = 32
"""Characters of a phrase that are read for each token of the embedder's maximum; ordinary words have 4 to 6."""
SAMPLE = 5_000
"""Documents of the index that define the meaning of a phrase."""


def sparse_direction(
    target: FloatArray, atoms: FloatArray, max_atoms: int, usable: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], FloatArray, float]:
    """Approximate a direction by orthogonal matching pursuit with non-negative coefficients.

    Each step adds the atom closest to the residual and fits all coefficients again; atoms whose coefficient would be
    negative are removed for good.

    Args:
        target: Unit direction, shape (d_in,).
        atoms: Unit rows, shape (n_latents, d_in).
        max_atoms: Most atoms to use.
        usable: Atoms that may be used, shape (n_latents,), bool; all by default.

    Returns:
        Latent ids (m,) int64, coefficients (m,) float32 > 0, and the cosine between target and combination; empty and 0
        if no atom has a positive product with the target.

    References:
        Pati, Rezaiifar, Krishnaprasad 1993 (orthogonal matching pursuit); Lawson and Hanson 1974 (non-negative least
        squares).
    """
    goal = target.astype(np.float64)
    free = np.ones(len(atoms), bool) if usable is None else usable.copy()
    selected: list[int] = []
    coefficients: NDArray[np.float64] = np.zeros(0)
    residual: NDArray[np.float64] = goal
    while len(selected) < max_atoms:
        gains = np.where(free, atoms @ residual.astype(np.float32), -np.inf)
        best = int(gains.argmax())
        if not gains[best] > 1e-4:
            break
        free[best] = False
        selected.append(best)
        while True:
            basis = atoms[selected].astype(np.float64)  # (m, d_in)
            coefficients = np.asarray(np.linalg.lstsq(basis.T, goal, rcond=None)[0], np.float64)
            negative = np.flatnonzero(coefficients <= 0)
            if not len(negative):
                break
            selected = [latent for i, latent in enumerate(selected) if i not in set(negative.tolist())]
        residual = goal - coefficients @ atoms[selected].astype(np.float64)
    if not selected:
        return np.zeros(0, np.int64), np.zeros(0, np.float32), 0.0
    made = coefficients @ atoms[selected].astype(np.float64)
    fit = float(made @ goal) / max(float(np.linalg.norm(made)) * float(np.linalg.norm(goal)), 1e-12)
    return np.array(selected, np.int64), coefficients.astype(np.float32), fit


def refine(direction: FloatArray, documents: FloatArray) -> FloatArray:
    """Refine a direction by the documents that lie furthest along it; returns unit length, shape (d_in,).

    If those have something else in common (for "inheritance" a group of diseases), the phrase's direction is kept.

    Args:
        direction: Shape (d_in,), any length: the phrase relative to the mean of the documents.
        documents: Unit rows, shape (n, d_in), an even sample of the index.

    References:
        Rocchio 1971, "Relevance feedback in information retrieval".
    """
    target: FloatArray = unit_rows(np.asarray(direction, np.float32)[None])[0]
    count = round(SHARE * len(documents))
    if not 0 < count < len(documents):
        return target
    mean, found = documents.mean(0, dtype=np.float32), target
    for _ in range(ROUNDS):
        projections = documents @ found
        order = np.argpartition(-projections, count)
        furthest, limit = order[:count], projections[order[count]]
        weights = np.sqrt(np.maximum(projections[furthest] - limit, 0))
        if not weights.sum() > 0:
            break
        common: FloatArray = unit_rows((weights @ documents[furthest] / weights.sum() - mean)[None])[0]
        if common @ target < AGREEMENT:
            break
        found = common
    return found


def direction_of_text(text: str, bundle: Bundle, documents: Documents | None = None) -> FloatArray:
    """Return the direction of a text, unit length, shape (d_in,).

    It is the sum of what the text adds to other texts (`Contexts`) and of what the documents nearest to it have in
    common (`refine`), or, without documents, of its difference from the mean of the reference corpus.

    Raises:
        DataError: The embedding of the text equals that mean.
    """
    text = beginning_of(text, bundle)
    mean, vectors = _background(bundle, documents)
    target = _unit(bundle.embed_documents([text])[0] - mean, text)
    added = contexts_of(bundle).added_by(text)
    if added is None:
        return refine(target, vectors)
    return _unit(refine(target + added, vectors) + added, text)


def beginning_of(phrase: str, bundle: Bundle) -> str:
    """Return the part of a phrase that is read: of ordinary words an embedder reads no more.

    A phrase is embedded in many contexts, and each time all of it has to be cut into tokens.

    Warns:
        SteeringWarning: The phrase is longer.
    """
    longest = CHARACTERS_PER_TOKEN * bundle.manifest.max_length
    if len(phrase) <= longest:
        return phrase
    warn(
        f"the phrase {shown(phrase)} has {len(phrase):,} characters: only the first {longest:,} are read; a concept is "
        "a few words, and documents are given as examples (Concept.from_examples)",
        "cut",
    )
    return phrase[:longest]


def direction_of_examples(
    name: str,
    more_like: Sequence[str],
    less_like: Sequence[str],
    phrase: str,
    bundle: Bundle,
    documents: Documents | None = None,
) -> FloatArray:
    """Return the difference of two means, unit length, shape (d_in,); the contrast defaults to all documents.

    A phrase adds `PHRASE_WEIGHT` times its own direction.

    Raises:
        DataError: The two means are the same.
    """
    far = _mean(less_like, bundle, documents) if less_like else _background(bundle, documents)[0]
    direction = _unit(_mean(more_like, bundle, documents) - far, name)
    if not phrase:
        return direction
    return _unit(direction + PHRASE_WEIGHT * direction_of_text(phrase, bundle, documents), name)


def _background(bundle: Bundle, documents: Documents | None) -> tuple[FloatArray, FloatArray]:
    return background(bundle, documents.sample_vectors(SAMPLE) if documents else None)


def background(bundle: Bundle, vectors: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return the mean vector (d_in,) and the vectors of a sample (n, d_in); n is 0 with fewer than `ENOUGH`."""
    if vectors is None or len(vectors) < ENOUGH:
        return bundle.features.reference_mean, np.zeros((0, bundle.d_in), np.float32)
    return vectors.mean(0, dtype=np.float32), vectors


def weights_of(direction: FloatArray, bundle: Bundle) -> tuple[dict[int, float], float]:
    """Decompose a direction of unit length, shape (d_in,), into a non-negative combination of at most 32 atoms.

    Returns:
        Latent -> weight, largest share of the direction first, the largest weight 1: at strength 1 that latent has its
        typical activation, and the others are in proportion; and the cosine of the combination with `direction`. Empty
        if no atom has a positive product with the direction. An inert feature, which was measured not to bring what its
        label says, is never the only one: the features that come nearest to the direction without it make up half.
    """
    typical = bundle.features.typical
    usable = typical > 0
    latents, coefficients, fit = sparse_direction(direction, bundle.atoms, MAX_ATOMS, usable)
    if not len(latents):
        return {}, 0.0
    if len(latents) == 1 and int(latents[0]) in bundle.features.inert:
        usable[latents] = False
        more, shares, _ = sparse_direction(direction, bundle.atoms, MAX_ATOMS, usable)
        if len(more):
            latents, coefficients = np.append(latents, more), np.append(coefficients, shares)
            made = coefficients @ bundle.atoms[latents]
            fit = float(made @ direction) / max(float(np.linalg.norm(made)) * float(np.linalg.norm(direction)), 1e-12)
    # At strength 1 the largest weight reaches its typical activation. On the documentation of Python this moves a query
    # by .3 to .6 along the direction; the 20 documents nearest to the phrase lie at .2 to .6.
    weights = coefficients / typical[latents]
    weights = weights / weights.max()
    order = np.argsort(-weights * typical[latents], kind="stable")
    return {int(latents[i]): float(weights[i]) for i in order}, fit


def _unit(difference: FloatArray, name: str) -> FloatArray:
    length = float(np.linalg.norm(difference))
    if length < 1e-4:
        raise DataError(
            f"the examples of {shown(name)} and their contrast are the same, so they cancel out: give others in "
            "less_like, or none"
        )
    unit: FloatArray = difference / length
    return unit


def _mean(examples: Sequence[str], bundle: Bundle, documents: Documents | None) -> FloatArray:
    """Return the mean embedding of examples, each an id of an indexed document or else a text."""
    rows, texts = [], []
    for example in examples:
        vector = documents.vector_of(example) if documents else None
        if vector is not None:
            rows.append(vector)
            continue
        if len(example.split()) == 1:
            why = "is not the id of a document in the index" if documents else "cannot be looked up without an index"
            warn(f"the example {shown(example)} {why}: taken as a text", "example")
        texts.append(example)
    if texts:
        rows.extend(bundle.embed_documents(texts))
    mean: FloatArray = np.mean(rows, axis=0, dtype=np.float32)
    return mean
