"""`Conjunction`: from a query and its concepts to the terms that documents are ranked by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray
from ....forks import renew_after_fork
from ....steering_warnings import warn
from ....text import shown
from ...bundle.bundle import Bundle
from ..change import add_step
from ..concepts import Concept
from ..conflicts import SAME
from ..documents import Documents
from .scales import SAMPLE, Scales
from .terms import (
    ABOUT,
    ABSENT,
    AVOIDED,
    AVOIDED_WORDS,
    CONCEPT_WORDS,
    EXCLUDED,
    EXCLUDED_WORDS,
    PRESENT,
    QUERY_WORDS,
    Term,
    factor_of,
)

AIM, FARTHEST = 0.3, 0.6
"""Length of the step from a query of length 1 towards a concept of strength 1, about 16 degrees, and the longest step.
Of the ten best by all terms, 99.4 % and more are among the 100 documents nearest to there, on newsgroups and news."""
LEAST_AVOIDED = 0.01
"""Negative strength below which the threshold rises no further: no document reaches it."""
LEAST_REST = 0.3
"""Standard deviations, of 1, below which the rest of a concept that nothing else explains is not brought to 1: of a
concept that is the query itself only a thousandth is left, which would be the query again."""
Code = tuple[IntArray, WideArray]
"""Latents and activations, shape (m,) each, whose combination of atoms is a concept's direction."""


class Conjunction:
    """The conditions of a request, on the scale of the documents. Threads may share one."""

    def __init__(self, bundle: Bundle, documents: Documents) -> None:
        self._bundle, self._documents = bundle, documents
        self._cached: tuple[int | None, Scales] | None = None
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the lock, which another thread may have held."""
        self._lock = Lock()

    def terms(
        self,
        query: FloatArray,
        text: str | None,
        boosted: Sequence[tuple[Concept, Code, float]],
        excluded: Sequence[tuple[Concept, Code]],
    ) -> tuple[Term, ...]:
        """Return the terms of a request: the query, then each concept.

        Args:
            query: Unit length, shape (d_in,).
            text: Its words; None if unknown.
            boosted: Concepts with their strengths, which are not 0.
            excluded: Concepts that documents should not be about.
        """
        # One state of the documents, whoever writes meanwhile.
        with self._documents.reading():
            scales = self._scales()
            none = np.zeros(0, np.int64), np.zeros(0)
            wide = query.astype(np.float64)
            along = scales.along(wide)
            direction, top = scales.measured(wide, along=along)
            length = float(np.linalg.norm(direction))  # of a unit vector: the factor that standardises it
            # A small boost changes little.
            strength = sum(abs(strength) for _, _, strength in boosted) + len(excluded)
            word_weight = QUERY_WORDS * min(1.0, 2.0 * strength)
            about = _term("query", 1.0, direction, scales, ABOUT * top, none, length, text or "", word_weight, None)
            if text and word_weight:
                about = replace(about, said=self._documents.relevance(text, scales.nearest(along), SAMPLE))
            wanted = [self._wanted(concept, code, factor_of(s), scales) for concept, code, s in boosted if s > 0]
            explained = [about, *wanted]
            avoided = [
                self._unwanted(
                    concept,
                    code,
                    factor_of(strength),
                    explained,
                    scales,
                    AVOIDED / max(-strength, LEAST_AVOIDED),
                    AVOIDED_WORDS,
                )
                for concept, code, strength in boosted
                if strength < 0
            ]
            absent = [
                self._unwanted(concept, code, -EXCLUDED, explained, scales, ABSENT, EXCLUDED_WORDS)
                for concept, code in excluded
            ]
            return (about, *wanted, *avoided, *absent)

    def _wanted(self, concept: Concept, code: Code, weight: float, scales: Scales) -> Term:
        latents, amounts = code

        def measure() -> tuple[WideArray, float, Code]:
            made = amounts @ self._bundle.atoms[latents].astype(np.float64)
            direction, top = scales.measured(made)
            factor = float(np.linalg.norm(direction)) / max(float(np.linalg.norm(made)), 1e-12)
            return direction, top, (latents, amounts * factor)

        # Depends on the documents, and not on the query.
        direction, top, code = scales.concepts.get_or_make((latents.tobytes(), amounts.tobytes()), measure)
        phrase = words_of(concept)
        return _term(concept.name, weight, direction, scales, PRESENT * top, code, 0.0, phrase, CONCEPT_WORDS, concept)

    def _unwanted(
        self,
        concept: Concept,
        code: Code,
        weight: float,
        explained: Sequence[Term],
        scales: Scales,
        threshold: float,
        word_weight: float,
    ) -> Term:
        """Return the condition that documents are not about a concept, beyond what the rest of the request explains.

        What the query and the other concepts predict of its presence, by least squares over documents, is subtracted:
        of what is asked for, nothing is held against a document, nor are words that the request has itself.
        """
        whole = self._wanted(concept, code, weight, scales)
        basis = np.stack([term.direction for term in explained])
        correlations = scales.correlations(np.vstack([basis, whole.direction]))
        predicted = _predicted(correlations)
        rest = whole.direction - predicted @ basis
        direction, top = scales.measured(rest, LEAST_REST)
        factor = float(np.linalg.norm(direction)) / max(float(np.linalg.norm(rest)), 1e-12)
        own, said = _words(whole.words), [_words(term.words) for term in explained]
        named = _words(concept.name) if concept.source == "label" else own
        # Of concepts that are nearly the same, `Conflicts` has told.
        told = correlations[-1, 1:-1].max(initial=0.0) > SAME
        if (factor > 0.999 / LEAST_REST and not told) or (named and named.keys() == said[0].keys()):
            warn(
                f"{shown(concept.name)} is what the rest of the request asks for, so that nearly nothing of it is held "
                "against documents: leave one of them out",
                "same",
            )
        words = " ".join(own[form] for form in own if not any(form in some for some in said))
        latents = np.concatenate([whole.latents, *(term.latents for term in explained)])
        parts = [-share * term.amounts for share, term in zip(predicted, explained, strict=True)]
        amounts = factor * np.concatenate([whole.amounts, *parts])
        share = -factor * float(sum(p * term.share for p, term in zip(predicted, explained, strict=True)))
        made, half = (latents, amounts), threshold * top
        return _term(concept.name, weight, direction, scales, half, made, share, words, word_weight, concept)

    def _scales(self) -> Scales:
        """Return the scales of the documents, measured again after a change."""
        generation = self._documents.generation
        with self._lock:
            if self._cached is None or self._cached[0] != generation:
                rows = self._documents.sample_vectors(SAMPLE)
                self._cached = generation, Scales(rows, self._bundle.features.reference_mean)
            return self._cached[1]


def aimed(about: FloatArray, terms: Sequence[Term]) -> FloatArray:
    """Return the vector between a query and its concepts, near which documents about all of them lie, unit length.

    It only finds candidates, of which the terms choose. Concepts that documents should not be about leave it alone:
    documents that are far from a concept have nothing in common.
    """
    step = np.zeros(len(about))
    for term in terms:
        if term.concept is not None and term.weight > 0:
            step += AIM * term.weight * term.direction / max(float(np.linalg.norm(term.direction)), 1e-12)
    length = float(np.linalg.norm(step))
    return add_step(about, step * min(1.0, FARTHEST / length) if length else step)


def words_of(concept: Concept) -> str:
    """Return the phrase of a concept, whose words in a document are evidence; empty if it has none."""
    return concept.name if concept.source == "text" else concept.phrase


def _words(text: str) -> dict[str, str]:
    """Return the words of a text by their form: lower case, without an ending s."""
    return {word.casefold().removesuffix("s"): word for word in re.findall(r"\w+", text)}


def _predicted(correlations: WideArray) -> WideArray:
    """Return the least-squares coefficients, none below 0, that predict the last of some quantities by the others.

    References:
        Lawson and Hanson 1974, "Solving Least Squares Problems" (NNLS).
    """
    table, wanted = correlations[:-1, :-1] + 1e-3 * np.eye(len(correlations) - 1), correlations[:-1, -1]
    found, used = np.zeros(len(table)), np.zeros(len(table), np.bool_)
    for _ in range(3 * len(table)):
        left = np.where(used, 0.0, wanted - table @ found)
        if left.max() < 1e-9:
            break
        used[np.argmax(left)] = True
        while (some := np.linalg.solve(table[np.ix_(used, used)], wanted[used])).min(initial=1.0) < 0:
            used[np.flatnonzero(used)[some < 0]] = False
        found[:] = 0
        found[used] = some
    return found


def _term(
    name: str,
    weight: float,
    direction: WideArray,
    scales: Scales,
    threshold: float,
    code: Code,
    share: float,
    words: str,
    word_weight: float,
    concept: Concept | None,
) -> Term:
    return Term(name, weight, direction, scales.mean, threshold, *code, share, words, word_weight, concept)
