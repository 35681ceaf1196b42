"""Whether boosting a feature brings what its name says, and clamping it to 0 takes that out.

That a name predicts where a feature fires says what the feature reads, and not that it does anything. Here it is
boosted on neutral queries, those on which it is not active, as a search boosts it, and the first documents are looked
at. Whether a document has what the name says is never asked of the feature itself: its text has the words of the name,
or its words make `Neuron2Graph`, fitted on the other half of the documents, predict that the feature fires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from ...arrays import BoolArray, FloatArray, IntArray, unit_rows
from ...text import SENTENCE_END
from ..bundle.bundle import Bundle
from ..bundle.interpretation import SteeringScore
from .encoded_documents import EncodedDocuments
from .held_out_search import HeldOutSearch, Places, best_places
from .name_words import NameWords
from .scoring import EvaluationSplit, best_threshold

T = TypeVar("T")
FIRST = 10
"""Documents of a list that are looked at, or a fifth of all where these are fewer than 50."""
QUERIES = 16
LEAST_QUERIES = 4
"""Neutral queries with fewer of which nothing is said about a feature."""
QUERY_WORDS = 12
"""Of the beginning of a document that is taken as a query."""
OTHERS = 64
"""Random features whose boosts a feature's boost is compared with."""
LEAST_OTHERS = 19
"""With fewer, one of them would bring most as often as in 5 % of cases."""
EXPRESSING = 8
"""Held-out documents on which a feature is strongest, as queries that express it."""
MOST_DOCUMENTS = 10_000
"""Held-out documents that are searched, an even sample."""
BLOCK = 32
"""Latents at once: 32 rows of 10,000 numbers take 1.3 MB."""


@dataclass(frozen=True)
class NeutralQueries:
    """Queries that are about whatever the documents are about."""

    texts: list[str]
    vectors: FloatArray
    """Unit rows, shape (m, d_in)."""
    rows: IntArray
    """Documents that some are the beginnings of, which are not searched."""

    @classmethod
    def choose(
        cls, bundle: Bundle, documents: EncodedDocuments, given: Sequence[str], embed: Callable[[list[str]], FloatArray]
    ) -> NeutralQueries:
        """Choose at most `QUERIES`: of the given ones, evenly, and beginnings of held-out documents where they are few.

        At most a quarter of the held-out documents lend their beginnings.
        """
        texts = _evenly(list(dict.fromkeys(text for text in given if text.strip())), QUERIES)
        held_out = np.flatnonzero(documents.held_out)
        by_text = {_beginning(documents.texts[row]): int(row) for row in held_out[::-1]}
        for text in ("", *texts):
            by_text.pop(text, None)
        lent = sorted(by_text.items(), key=lambda pair: pair[1])
        lent = _evenly(lent, min(QUERIES - len(texts), len(held_out) // 4))
        texts += [text for text, _ in lent]
        rows = np.array([row for _, row in lent], np.int64)
        return cls(texts, embed(texts) if texts else np.zeros((0, bundle.d_in), np.float32), rows)


@dataclass(frozen=True)
class SteeringTest:
    """The first documents that boosting and clamping every feature brings, which `scores` asks for what names say.

    Lists are places in `texts`, best first; -1 stands where there is none. A latent has 1.6 kB of them.
    """

    texts: list[str]
    """Of the held-out documents that were searched, n of them."""
    vectors: FloatArray
    """Of those, unit rows, shape (n, d_in)."""
    predicted: FloatArray
    """What their words predict of the vectors, centred unit rows, shape (n, d_in)."""
    atoms: FloatArray
    """Shape (n_latents, d_in)."""
    thresholds: FloatArray
    """Share of an atom in `predicted` from which on its latent is said to fire, shape (n_latents,); inf if unknown."""
    queries: FloatArray
    """Neutral queries, unit rows, shape (m, d_in)."""
    neutral: BoolArray
    """Whether a latent is inactive on a query, shape (n_latents, m)."""
    plain: Places
    """Of a search for each query, shape (m, first)."""
    boosted: Places
    """Of a search with a boost of each latent, shape (n_latents, m, first)."""
    expressed: Places
    """Of a search for documents on which each latent is strongest, without themselves, (n_latents, e, first)."""
    clamped: Places
    """The same with the latent clamped to 0."""
    clamped_other: Places
    """The same with another latent clamped, the one that is most nearly as active."""
    seed: int

    def scores(self, names: Sequence[str | None], vectors: FloatArray) -> list[SteeringScore | None]:
        """Score what every latent does, by what its name says.

        Args:
            names: One per latent; None for one without a name.
            vectors: Embeddings of the names, unit rows, shape (n_latents, d_in); those without a name are not read.

        Returns:
            None where nothing can be said: without a name, where the latent cannot be boosted or fires on no held-out
            document, with too few neutral queries, or where all documents or none have what the name says.
        """
        named = [latent for latent, name in enumerate(names) if name and self._measurable[latent]]
        made: list[SteeringScore | None] = [None] * len(names)
        for start in range(0, len(named), BLOCK):
            block = named[start : start + BLOCK]
            fires = self.atoms[block] @ self.predicted.T >= self.thresholds[block, None]  # (block, n)
            similar = vectors[block] @ self.vectors.T
            for i, latent in enumerate(block):
                name = names[latent]
                assert name is not None
                evidence = [self._words.in_documents(name), fires[i]]
                made[latent] = self._score(latent, evidence, similar[i])
        return made

    def _score(self, latent: int, evidence: Sequence[BoolArray], similar: FloatArray) -> SteeringScore | None:
        """Score one latent, given two kinds of evidence, shape (n,) each, and the similarity of its name, (n,)."""
        queries = np.flatnonzero(self.neutral[latent])
        own, others = self.boosted[latent, queries], self.boosted[self._others(latent)[:, None], queries]
        chances = [_chance(one[own].sum(), one[others].sum((1, 2))) if _tells(one) else None for one in evidence]
        known = [chance for chance in chances if chance is not None]
        if not known:
            return None
        has = evidence[0] | evidence[1]
        added = best_places(self._alone[queries] + similar, self.plain.shape[1])
        plain, boosted, random, text = (_share(has[lists]) for lists in (self.plain[queries], own, others, added))
        asked = self.expressed[latent, :, 0] >= 0
        clamps = (self.expressed, self.clamped, self.clamped_other)
        before, after, other = (_share(has[lists[latent, asked]]) if asked.any() else None for lists in clamps)
        return SteeringScore(
            round(float(np.mean(known)), 4),
            chances[0],
            chances[1],
            plain,
            boosted,
            random,
            text,
            before,
            after,
            other,
            len(queries),
        )

    def _others(self, latent: int) -> IntArray:
        """Return at most `OTHERS` random other latents, the same at every call."""
        others = self._live[self._live != latent]
        rng = np.random.default_rng((self.seed, latent))
        return rng.choice(others, min(OTHERS, len(others)), replace=False)

    @cached_property
    def _live(self) -> IntArray:
        """The latents that can be boosted."""
        return np.flatnonzero((self.boosted[:, :1, 0] >= 0).any(1))

    @cached_property
    def _measurable(self) -> BoolArray:
        """Whether a latent can be boosted, on enough neutral queries, and there are others to compare it with."""
        found = self.neutral.sum(1) >= LEAST_QUERIES
        live = np.zeros(len(found), np.bool_)
        live[self._live] = len(self._live) > LEAST_OTHERS
        measurable: BoolArray = found & live & np.isfinite(self.thresholds)
        return measurable

    @cached_property
    def _words(self) -> NameWords:
        return NameWords(self.texts)

    @cached_property
    def _alone(self) -> FloatArray:
        """Similarities of the queries to the documents, shape (m, n)."""
        return self.queries @ self.vectors.T


def steer_all(
    bundle: Bundle,
    documents: EncodedDocuments,
    splits: Sequence[EvaluationSplit | None],
    predicted: FloatArray,
    queries: NeutralQueries,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SteeringTest:
    """Search the held-out documents for neutral queries with a boost of every feature, at the default strength.

    Args:
        bundle: The bundle.
        documents: Half of them are searched.
        splits: The documents of each latent's test, to choose from which prediction on it is said to fire.
        predicted: What the words of all documents predict, as `TokenModel.directions` returns it, shape (n, d_in).
        queries: Those that features are boosted on.
        seed: Chooses the features that each is compared with.
        progress: Called with (latents done, in all).
    """
    rows = np.setdiff1d(np.flatnonzero(documents.held_out), queries.rows)
    rows = rows[:: max(1, -(-len(rows) // MOST_DOCUMENTS))]
    texts, vectors = [documents.texts[row] for row in rows], documents.embeddings[rows]
    first = max(1, min(FIRST, len(rows) // 5))
    boosted = np.full((bundle.n_latents, len(queries.texts), first), -1, np.int32)
    expressed = np.full((bundle.n_latents, EXPRESSING, first), -1, np.int32)
    plain, clamped, clamped_other = boosted[0].copy(), expressed.copy(), expressed.copy()
    latents = np.flatnonzero(bundle.features.typical > 0)
    if len(rows) > first and queries.texts and len(latents):
        search = HeldOutSearch(bundle, texts, vectors, queries.vectors, queries.texts, first)
        plain[:] = search.plain()
        for start in range(0, len(latents), BLOCK):
            block = latents[start : start + BLOCK]
            boosted[block] = search.boosted(block)
            own = [_strongest_held_out(documents, int(latent)) for latent in block]
            counts = [len(some) for some, _ in own]
            strongest, values = (np.concatenate(parts) for parts in zip(*own, strict=True))
            at = np.repeat(block, counts), np.concatenate([np.arange(count) for count in counts])
            places = np.where(np.isin(strongest, rows), np.searchsorted(rows, strongest), -1)
            vectors_of, other, its = documents.embeddings[strongest], *_as_active(documents, strongest, at[0], values)
            expressed[at] = search.search(vectors_of, places)
            clamped[at] = search.search(unit_rows(vectors_of - values[:, None] * bundle.atoms[at[0]]), places)
            clamped_other[at] = search.search(unit_rows(vectors_of - its[:, None] * bundle.atoms[other]), places)
            if progress is not None:
                progress(min(start + BLOCK, len(latents)), len(latents))
    return SteeringTest(
        texts,
        vectors,
        predicted[rows],
        bundle.atoms,
        _thresholds(bundle, splits, predicted),
        queries.vectors,
        _neutral(bundle, queries),
        plain,
        boosted,
        expressed,
        clamped,
        clamped_other,
        seed,
    )


def _tells(has: BoolArray) -> bool:
    """Return whether some documents have it and others do not."""
    return bool(has.any() and not has.all())


def _chance(own: int, others: IntArray) -> float:
    """Return how likely a number is larger than one of others; ties count half."""
    return round(float(np.mean(np.sign(own - others) + 1) / 2), 4)


def _share(has: BoolArray) -> float:
    return round(float(has.mean()), 4)


def _as_active(
    documents: EncodedDocuments, rows: IntArray, latents: IntArray, values: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return the other latent of each document whose activation is nearest to a value, and its activation.

    The activation is 0 where there is no other.
    """
    active, found = documents.indices[rows], documents.values[rows]
    gaps = np.where((active != latents[:, None]) & (found > 0), np.abs(found - values[:, None]), np.inf)
    nearest = gaps.argmin(1)[:, None]
    there = np.isfinite(np.take_along_axis(gaps, nearest, 1)[:, 0])
    return np.take_along_axis(active, nearest, 1)[:, 0], np.take_along_axis(found, nearest, 1)[:, 0] * there


def _strongest_held_out(documents: EncodedDocuments, latent: int) -> tuple[IntArray, FloatArray]:
    """Return the held-out documents on which a latent fires most, at most `EXPRESSING`, and its activations."""
    rows, values = documents.firing[latent]
    kept = np.flatnonzero(documents.held_out[rows])[:EXPRESSING]
    return rows[kept], values[kept]


def _thresholds(bundle: Bundle, splits: Sequence[EvaluationSplit | None], predicted: FloatArray) -> FloatArray:
    made = np.full(bundle.n_latents, np.inf, np.float32)
    for latent, split in enumerate(splits):
        if split is not None and len(split.training.positives):
            shares = split.project(predicted, bundle.atoms[latent])
            made[latent] = best_threshold(shares[split.training.positives], shares[split.training.negatives])
    return made


def _neutral(bundle: Bundle, queries: NeutralQueries) -> BoolArray:
    neutral = np.ones((bundle.n_latents, len(queries.texts)), np.bool_)
    if queries.texts:
        indices, values = bundle.encode(queries.vectors)
        for query, (latents, row) in enumerate(zip(indices, values, strict=True)):
            neutral[latents[row > 0], query] = False
    return neutral


def _beginning(text: str) -> str:
    return " ".join(SENTENCE_END.split(text.strip())[0].split()[:QUERY_WORDS])


def _evenly(items: list[T], count: int) -> list[T]:
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else list(items)
