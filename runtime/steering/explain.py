"""Explanation of a score: parts that add up to it exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, overload

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from ...text import described, one_line, shown, visible
from ..bundle.bundle import Bundle
from ..bundle.feature import Feature
from ..bundle.features import Features
from .attributes import Removed
from .change import Change, shifted
from .conditions.terms import Term, presences
from .highlights.parts import Words
from .steered_query import SteeredQuery

Shares: TypeAlias = Callable[[Term], WideArray]
"""From a condition to the share of its words that each of some documents has, shape (n,)."""


@dataclass(frozen=True)
class Part:
    """The contribution of one feature of the query to the score."""

    feature: Feature
    before: float
    """Its activation in the query."""
    after: float
    """Its activation after steering."""
    contribution: float
    """Its contribution to the score; all parts and the rest add up to the score."""
    steered: float
    """The share of `contribution` that comes from steering."""


class Parts(Sequence[Part]):
    """The parts of a score, largest absolute contribution first, created on access.

    A steered query has about 150 latents, of which an explanation usually shows a few. `contributions`, and the share
    of each that comes from steering, have shape (m,) in the order of `change.latents`; `order` ranks them.
    """

    def __init__(
        self,
        features: Features | Sequence[Feature],
        change: Change,
        contributions: WideArray,
        steered: WideArray,
        order: IntArray,
    ) -> None:
        self._features, self._change, self._order = features, change, order
        self._contributions, self._steered = contributions, steered

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Part: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Part, ...]: ...
    def __getitem__(self, place: int | slice) -> Part | tuple[Part, ...]:
        if isinstance(place, slice):
            return tuple(self._part(i) for i in self._order[place].tolist())
        return self._part(int(self._order[place]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        first = [f"{part.feature} {part.contribution:+.4f}" for part in self[:3]]
        return described("Parts", f"{len(self)} features", *first, "…" if len(self) > 3 else "")

    def most_steered(self, limit: int) -> tuple[Part, ...]:
        """Return the parts changed by steering, largest change first, ties in the order of the parts."""
        order = self._order[np.argsort(-np.abs(self._steered[self._order]), kind="stable")][:limit]
        return tuple(self._part(i) for i in order.tolist() if self._steered[i])

    def _part(self, i: int) -> Part:
        change = self._change
        return Part(
            self._features[int(change.latents[i])],
            float(change.before[i]),
            float(change.after[i]),
            float(self._contributions[i]),
            float(self._steered[i]),
        )


@dataclass(frozen=True, repr=False)
class TermValue:
    """What one condition contributes to a score."""

    name: str
    """`query`, or the name of a concept."""
    weight: float
    """Factor of the condition (`factor_of` its strength), 1 for the query; negative for what should not be there."""
    presence: float
    """How far the document stands out, in standard deviations."""
    value: float
    """Its part of the score, at most 0; that of a condition which is met is near 0."""
    words: float
    """The share of `value` that comes from words of the document."""
    parts: Parts = field(repr=False)
    """One per feature, largest absolute contribution first, those of other conditions with 0: what each adds to `value`
    beside the average document."""

    def __repr__(self) -> str:
        return described("TermValue", shown(self.name, 60), f"{self.value:+.4f}", f"stands out by {self.presence:.1f}")


@dataclass(frozen=True)
class RemovedValue:
    """What a key of `remove` changes of a score."""

    name: str
    """Of the attribute or concept."""
    value: float
    """Its part of the score: negative for a document that has more of it than the query is about."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """A decomposed score: ``score = sum(part.contribution) + sum(removed.value) + rest``."""

    id: str
    """Id of the document."""
    score: float
    """Inner product of the steered query and the document; with `terms` the sum of their values."""
    parts: Parts
    """One per feature of the query and the concepts, largest absolute contribution first."""
    rest: float
    """Contribution that no active feature expresses: ``(b_dec + residual) . d``; with `terms` also of words, and the
    score of the average document."""
    terms: tuple[TermValue, ...] = ()
    """The conditions, the query's first; empty if the score is an inner product."""
    words: Words | None = field(default=None, repr=False, compare=False)
    """With `words=True`: what each word of the document adds; they and `words.rest` add up to the score too."""
    removed: tuple[RemovedValue, ...] = ()
    """What each key of `remove` changes."""

    def moved_by(self, limit: int = 5) -> tuple[Part, ...]:
        """Return the parts that steering changed, largest change of the score first, up or down."""
        return self.parts.most_steered(limit)

    def __repr__(self) -> str:
        of_terms = [f"{one_line(term.name, 30)} {term.value:+.4f}" for term in self.terms]
        of_parts = [f"{part.feature} {part.contribution:+.4f}" for part in self.parts[:2]]
        return described("Explanation", shown(self.id, 60), f"score {self.score:.4f}", *(of_terms or of_parts))

    def _repr_html_(self) -> str:
        from ...display.explanations import explanation_html

        return explanation_html(self)

    def __str__(self) -> str:
        lines = [f"{visible(self.id)}: score {self.score:.4f}"]
        for term in self.terms:
            sign = "" if term.name == "query" else ("+ " if term.weight > 0 else "- ")
            by = f", of it {term.words:+.4f} by words" if term.words else ""
            lines.append(f"  {term.value:+.4f}  {sign}{visible(term.name)} (stands out by {term.presence:.1f}{by})")
        if self.terms:
            lines.append("by features, beside the average document:")
        for part in self.parts[:10]:
            steered = f"  (of it {part.steered:+.4f} by steering)" if part.steered else ""
            lines.append(f"  {part.contribution:+.4f}  {visible(str(part.feature))}{steered}")
        others = sum(part.contribution for part in self.parts[10:])
        if len(self.parts) > 10:
            lines.append(f"  {others:+.4f}  {len(self.parts) - 10} further features")
        lines += [f"  {one.value:+.4f}  removed: {visible(one.name)}" for one in self.removed]
        rest = "the average document, words, and what no active feature expresses"
        lines.append(f"  {self.rest:+.4f}  {rest if self.terms else 'not expressed by any active feature'}")
        return "\n".join([*lines, *self._lines_of_words()])

    def _lines_of_words(self) -> list[str]:
        words = self.words
        if words is None:
            return []
        strongest = words.strongest(10)
        lines = ["by words:" if words.exact else "by words, each by what the embedding loses without it:"]
        lines += [f"  {part.value:+.4f}  {visible(words.text_of(part))}" for part in strongest]
        if len(words) > len(strongest):
            others = float(words.values.sum()) - sum(part.value for part in strongest)
            lines.append(f"  {others:+.4f}  {len(words) - len(strongest)} further words")
        rest = "punctuation and special tokens" if words.exact else "what no word alone carries"
        return [*lines, f"  {words.rest:+.4f}  {rest}{', the average document' if self.terms else ''}"]


def explain_all(
    ids: Sequence[str],
    query: FloatArray,
    documents: FloatArray,
    change: Change,
    atoms: FloatArray,
    features: Features | Sequence[Feature],
    removed: Sequence[Removed] = (),
) -> list[Explanation]:
    """Decompose the scores ``q' . d`` of documents for one query.

    ``q' . d = (sum_f z'_f (W_dec[f] . d) + (b_dec + residual) . d) / |q + (z' - z) W_dec|``, where
    ``b_dec + residual = q - z W_dec``. What is removed is subtracted before the division, and is a part of its own.

    Args:
        ids: Of the documents.
        query: The unsteered query, shape (d_in,).
        documents: Their vectors, shape (n, d_in).
        change: The query's code before and after steering.
        atoms: W_dec, shape (n_latents, d_in).
        features: One per latent.
        removed: What is taken from the query.
    """
    wide, rows = query.astype(np.float64), documents.astype(np.float64)
    length = 1.0
    if not change.empty or removed:
        length = float(np.linalg.norm(shifted(query, change, atoms) - sum(one.step for one in removed)))
    projections = _projections(rows, atoms[change.latents])
    contributions = change.after * projections / length
    steered = change.delta * projections / length
    rest = (np.einsum("ij,j->i", rows, wide) - np.einsum("im,m->i", projections, change.before)) / length  # (n,)
    taken = _taken(removed, rows, length)  # (r, n)
    scores = contributions.sum(1) + rest + taken.sum(0)
    orders = _largest_first(contributions)
    return [
        Explanation(
            id,
            score,
            Parts(features, change, contributions[i], steered[i], orders[i]),
            remainder,
            removed=_values(removed, taken[:, i]),
        )
        for i, (id, score, remainder) in enumerate(zip(ids, scores.tolist(), rest.tolist(), strict=True))
    ]


def _taken(removed: Sequence[Removed], rows: WideArray, length: float) -> WideArray:
    """Return what each thing that is removed changes of the product with each row, shape (r, n)."""
    made: WideArray = np.zeros((len(removed), len(rows)))
    for one, values in zip(removed, made, strict=True):
        values[:] = -np.einsum("ij,j->i", rows, one.step) / length
    return made


def _values(removed: Sequence[Removed], values: WideArray) -> tuple[RemovedValue, ...]:
    return tuple(RemovedValue(one.name, float(value)) for one, value in zip(removed, values, strict=True))


def explain_terms(
    ids: Sequence[str],
    query: SteeredQuery,
    documents: FloatArray,
    shares: Sequence[WideArray],
    atoms: FloatArray,
    features: Features | Sequence[Feature],
) -> list[Explanation]:
    """Decompose the scores of documents that are ranked by terms.

    A term's value at z, less that of the average document (z = 0), is divided among what z is the sum of, in
    proportion; see `Term.slope`. Of z each feature has ``coefficient * W_dec[f] . (d - mean)``; the query's direction
    is ``q = sum_f z_f W_dec[f] + (b_dec + residual)``.

    Args:
        ids: Of the documents.
        query: With terms.
        documents: Their vectors, shape (n, d_in).
        shares: For each term the share of its words that documents have, shape (n,).
        atoms: W_dec, shape (n_latents, d_in).
        features: One per latent.
    """
    change, terms, rows = query.change, query.terms, documents.astype(np.float64)
    latents, amounts, moved = amounts_of_terms(query, atoms)
    directions = atoms[latents].astype(np.float64)
    projections = _projections(rows, directions)
    contributions, steered = np.zeros_like(projections), np.zeros_like(projections)
    scores, values, terms_found = np.zeros(len(rows)), [], []
    length = float(np.linalg.norm(query.moved(atoms))) if query.removed else 1.0
    taken = np.zeros((len(query.removed), len(rows)))
    mean: WideArray | None = None
    for term, amount, z, share in zip(terms, amounts, *presences(terms, documents, shares), strict=True):
        slope = term.slope(z)[:, None]
        if term.mean is not mean:  # one for all terms of a query
            mean, centred = term.mean, projections - directions @ term.mean
        found = slope * amount * centred
        by_steering = slope * term.share * moved * centred if term.concept is None else found
        if query.removed and term.share:
            taken += slope[:, 0] * term.share * _taken(query.removed, rows - term.mean, length)
        contributions += found
        steered += by_steering
        terms_found.append((found, by_steering, _largest_first(found)))
        value = term.value(z)
        scores += value
        values.append((term, z, value, slope[:, 0] * term.word_weight * share))
    before, after = np.zeros((2, len(latents)), np.float32)
    own = np.searchsorted(latents, change.latents)
    before[own], after[own] = change.before, change.after
    shown = Change(latents, before, after)
    orders = _largest_first(contributions)
    made = []
    for i, id in enumerate(ids):
        parts = Parts(features, shown, contributions[i], steered[i], orders[i])
        each = tuple(
            TermValue(
                t.name, t.weight, float(z[i]), float(v[i]), float(w[i]), Parts(features, shown, c[i], s[i], order[i])
            )
            for (t, z, v, w), (c, s, order) in zip(values, terms_found, strict=True)
        )
        rest = float(scores[i] - contributions[i].sum() - taken[:, i].sum())
        made.append(Explanation(id, float(scores[i]), parts, rest, each, removed=_values(query.removed, taken[:, i])))
    return made


def amounts_of_terms(query: SteeredQuery, atoms: FloatArray) -> tuple[IntArray, WideArray, WideArray]:
    """Return what features the conditions of a query are made of.

    Returns:
        Latents of the query and the concepts, ascending, shape (m,); the coefficient of each in the direction of each
        condition, shape (number of conditions, m); and what of the query's own coefficients is steering, shape (m,).
    """
    change, terms = query.change, query.terms
    latents = np.unique(np.concatenate([change.latents, *(term.latents for term in terms)]))
    own = np.searchsorted(latents, change.latents)
    code, moved = np.zeros((2, len(latents)))  # of the query's own direction, and what of it is steering
    length = float(np.linalg.norm(query.moved(atoms)))
    code[own], moved[own] = change.after / length, change.delta / length
    amounts = np.zeros((len(terms), len(latents)))
    for row, term in zip(amounts, terms, strict=True):
        np.add.at(row, np.searchsorted(latents, term.latents), term.amounts)
        row += term.share * code
    return latents, amounts, moved


def _largest_first(contributions: WideArray) -> IntArray:
    """Return the places of the parts of each row, largest absolute contribution first, ties in their order."""
    order: IntArray = np.argsort(-np.abs(contributions), axis=1, kind="stable")
    return order


def _projections(rows: WideArray, atoms: FloatArray | WideArray) -> WideArray:
    """Return the product of each row and each atom, shape (n, m), the same to the last bit beside any other rows."""
    made: WideArray = np.einsum("ij,kj->ik", rows, np.asarray(atoms, np.float64))
    return made


def explain_steered(
    ids: Sequence[str], query: SteeredQuery, documents: FloatArray, shares: Shares, bundle: Bundle
) -> list[Explanation]:
    """Decompose the scores of documents for a steered query, whichever way it ranks them.

    Args:
        ids: Of the documents.
        query: Steered.
        documents: Their vectors, shape (n, d_in).
        shares: Returns for a condition the share of its words that each document has, shape (n,).
        bundle: Has the atoms and names the features.
    """
    if not query.terms:
        known = bundle.atoms, bundle.features, query.removed
        return explain_all(ids, query.original, documents, query.change, *known)
    of_terms = [shares(term) if term.words else np.zeros(len(ids)) for term in query.terms]
    return explain_terms(ids, query, documents, of_terms, bundle.atoms, bundle.features)
