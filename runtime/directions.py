"""From a text or examples to weighted latents: what was asked becomes a direction, the direction becomes atoms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._warn import warn
from ..errors import DataError
from .features import FloatArray
from .feedback import refined
from .pursuit import sparse_direction

if TYPE_CHECKING:
    from .bundle import Bundle

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
