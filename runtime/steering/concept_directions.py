"""From a text or examples to weighted latents: what was asked becomes a direction, the direction becomes atoms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, unit_rows
from ...errors import DataError
from ...steering_warnings import warn

if TYPE_CHECKING:
    from ..bundle.bundle import Bundle


def sparse_direction(
    target: FloatArray, atoms: FloatArray, max_atoms: int, usable: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], FloatArray, float]:
    """Orthogonal matching pursuit with non-negative coefficients.

    Greedy: the atom that points most along what is still missing comes in, then all coefficients are fitted again and
    those that would be negative leave for good.

    Args:
        target: Unit direction, shape (d_in,).
        atoms: Unit rows, shape (n_latents, d_in).
        max_atoms: Atoms to use at most.
        usable: Which atoms may be used, shape (n_latents,), bool; all by default.

    Returns:
        Latent ids (m,) int64, coefficients (m,) float32 > 0, and the cosine between target and combination; empty and
        0 when no atom points along the target.

    References:
        Pati, Rezaiifar, Krishnaprasad 1993 (orthogonal matching pursuit); Lawson and Hanson 1974 (non-negative least
        squares).
    """
    goal = target.astype(np.float64)
    free = np.ones(len(atoms), bool) if usable is None else usable.copy()
    chosen: list[int] = []
    coefficients: NDArray[np.float64] = np.zeros(0)
    residual: NDArray[np.float64] = goal
    while len(chosen) < max_atoms:
        gains = np.where(free, atoms @ residual.astype(np.float32), -np.inf)
        best = int(gains.argmax())
        if not gains[best] > 1e-4:
            break
        free[best] = False
        chosen.append(best)
        while True:
            basis = atoms[chosen].astype(np.float64)  # (m, d_in)
            coefficients = np.asarray(np.linalg.lstsq(basis.T, goal, rcond=None)[0], np.float64)
            negative = np.flatnonzero(coefficients <= 0)
            if not len(negative):
                break
            chosen = [latent for i, latent in enumerate(chosen) if i not in set(negative.tolist())]
        residual = goal - coefficients @ atoms[chosen].astype(np.float64)
    if not chosen:
        return np.zeros(0, np.int64), np.zeros(0, np.float32), 0.0
    made = coefficients @ atoms[chosen].astype(np.float64)
    fit = float(made @ goal) / max(float(np.linalg.norm(made)) * float(np.linalg.norm(goal)), 1e-12)
    return np.array(chosen, np.int64), coefficients.astype(np.float32), fit


SHARE = 0.04
"""Share of the documents that are asked. The more a document stands out among them the more it counts, so that a narrow
phrase is told by its few documents and a broad one by all of them."""
ROUNDS = 2
AGREEMENT = 0.5
"""Cosine with what was asked below which the documents are about something else. On held-out queries, kinds of question
about diseases bring 1.16 times what the phrase's embedding brings; when such documents are followed too, .98 times."""


def refined(direction: FloatArray, documents: FloatArray) -> FloatArray:
    """The direction from the mean of all documents to a mean of those that lie furthest along a direction.

    A phrase is no document. The documents nearest to it hold what they have in common. Where that is something else
    (for "inheritance" a group of diseases, not what is inherited), the phrase is the better guide and stays as it is.

    Args:
        direction: Shape (d_in,), any length: what was asked for, seen from the mean of the documents.
        documents: Unit rows, shape (n, d_in), spread over the index.

    Returns:
        Unit direction, shape (d_in,).

    References:
        Rocchio 1971, "Relevance feedback in information retrieval".
    """
    asked: FloatArray = unit_rows(np.asarray(direction, np.float32)[None])[0]
    count = round(SHARE * len(documents))
    if not 0 < count < len(documents):
        return asked
    mean, found = documents.mean(0, dtype=np.float32), asked
    for _ in range(ROUNDS):
        along = documents @ found
        order = np.argpartition(-along, count)
        furthest, limit = order[:count], along[order[count]]  # the first that is not asked
        weights = np.sqrt(np.maximum(along[furthest] - limit, 0))
        if not weights.sum() > 0:
            break
        common: FloatArray = unit_rows((weights @ documents[furthest] / weights.sum() - mean)[None])[0]
        if common @ asked < AGREEMENT:
            break
        found = common
    return found


WORDS = 16
"""Words to put a phrase behind. With 8 the directions are nearly as good, with 64 no better."""
CACHED = 512


class Contexts:
    """Puts phrases behind words of the bundle's corpus.

    The embedding of a phrase says besides what it is about that it is a phrase: short, a noun, out of context. What it
    changes in the embedding of another text is what it is about, as the embedder itself understands it.

    Args:
        bundle: Embeds, and has features that were given words in training.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        commonest = np.argsort([-feature.density for feature in bundle.features], kind="stable")
        words = list(dict.fromkeys(bundle.features.words_for(commonest.tolist())))
        spread = np.linspace(0, len(words) - 1, WORDS).astype(int) if len(words) >= WORDS else ()
        self._words = [words[at] for at in spread]
        self._rows = bundle.embed(self._words) if self._words else None
        self.added_by = lru_cache(CACHED)(self._added_by)

    def _added_by(self, phrase: str) -> FloatArray | None:
        """Mean over words of ``embed(word + phrase) - embed(word)``, unit, shape (d_in,).

        None when the bundle has too few words, or when the phrase changes nothing.
        """
        if self._rows is None:
            return None
        changes = self._bundle.embed([f"{word} {phrase}" for word in self._words]) - self._rows
        added: FloatArray = changes.mean(0, dtype=np.float32)
        length = float(np.linalg.norm(added))
        return added / np.float32(length) if length > 1e-4 else None


VectorOf = Callable[[str], FloatArray | None]
Sample = Callable[[], FloatArray]
"""Vectors of documents spread over an index, shape (n, d_in)."""
MAX_ATOMS = 32
PHRASE_WEIGHT = 0.5
"""Of a phrase beside examples. On newsgroups, news and questions about diseases .3 to 1 do equally well."""
ENOUGH = 125
"""Documents whose mean says what all of them share; with fewer, the mean of the bundle's reference corpus does."""


def direction_of_text(text: str, bundle: Bundle, sample: Sample | None = None) -> FloatArray:
    """What a text is about, unit length, shape (d_in,).

    The sum of what it adds to the texts that it stands in (`Contexts`) and of what the documents nearest to it have in
    common (`refined`); without documents, of what its own embedding differs by from their mean.

    Raises:
        DataError: The text embeds to that mean.
    """
    mean, documents = _background(bundle, sample)
    asked = _unit(bundle.embed([text])[0] - mean, text)
    added = bundle.contexts.added_by(text)
    if added is None:
        return refined(asked, documents)
    return _unit(refined(asked + added, documents) + added, text)


def direction_of_examples(
    name: str,
    more_like: Sequence[str],
    less_like: Sequence[str],
    phrase: str,
    bundle: Bundle,
    vector_of: VectorOf | None,
    sample: Sample | None = None,
) -> FloatArray:
    """The difference of two means, unit length, shape (d_in,); without a contrast, to the mean of all documents.

    A phrase adds `PHRASE_WEIGHT` of its own direction.

    Raises:
        DataError: The two means are the same.
    """
    far = _mean(less_like, bundle, vector_of) if less_like else _background(bundle, sample)[0]
    direction = _unit(_mean(more_like, bundle, vector_of) - far, name)
    if not phrase:
        return direction
    return _unit(direction + PHRASE_WEIGHT * direction_of_text(phrase, bundle, sample), name)


def _background(bundle: Bundle, sample: Sample | None) -> tuple[FloatArray, FloatArray]:
    """The mean of what there is, shape (d_in,), and documents, (n, d_in); n is 0 where there are not `ENOUGH`."""
    documents = sample() if sample else np.zeros((0, bundle.d_in), np.float32)
    if len(documents) < ENOUGH:
        return bundle.features.reference_mean, documents[:0]
    return documents.mean(0, dtype=np.float32), documents


def weights_of(direction: FloatArray, bundle: Bundle) -> tuple[dict[int, float], float]:
    """A direction as a non-negative combination of at most 32 atoms.

    Args:
        direction: Unit, shape (d_in,).
        bundle: Knows the atoms and what is typical of them.

    Returns:
        Latent -> weight, largest share of the direction first, the largest weight 1: at strength 1 that latent is as
        active as it typically is, and the others in proportion; and the cosine of the combination with `direction`.
        Empty when no atom points along it.
    """
    typical = bundle.features.typical
    latents, coefficients, fit = sparse_direction(direction, bundle.atoms, MAX_ATOMS, typical > 0)
    if not len(latents):
        return {}, 0.0
    # At strength 1 the most pronounced latent reaches its typical activation. On the documentation of Python that
    # moves a query by .3 to .6 along the direction; the 20 documents nearest to the phrase lie at .2 to .6.
    weights = coefficients / typical[latents]
    weights = weights / weights.max()
    order = np.argsort(-weights * typical[latents], kind="stable")
    return {int(latents[i]): float(weights[i]) for i in order}, fit


def _unit(difference: FloatArray, name: str) -> FloatArray:
    length = float(np.linalg.norm(difference))
    if length < 1e-4:
        raise DataError(
            f"the examples of {name!r} and their contrast are the same, so they cancel out: give others in less_like, "
            "or none"
        )
    unit: FloatArray = difference / length
    return unit


def _mean(examples: Sequence[str], bundle: Bundle, vector_of: VectorOf | None) -> FloatArray:
    """Mean embedding of examples, each an id of an indexed document or else a text."""
    rows, texts = [], []
    for example in examples:
        vector = vector_of(example) if vector_of else None
        if vector is not None:
            rows.append(vector)
            continue
        if len(example.split()) == 1:
            why = "is not the id of a document in the index" if vector_of else "cannot be looked up without an index"
            warn(f"the example {example!r} {why}: taken as a text")
        texts.append(example)
    if texts:
        rows.extend(bundle.embed(texts))
    mean: FloatArray = np.mean(rows, axis=0, dtype=np.float32)
    return mean
