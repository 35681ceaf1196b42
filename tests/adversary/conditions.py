"""Scores of documents by the conditions of a request, computed a second time, from the definition by NumPy alone.

``score = log sigmoid(SLOPE (z_q - t_q)) + sum f log(FLOOR + (1 - FLOOR) sigmoid(CONCEPT_SLOPE (z_c - t_c)))
+ sum |f| log sigmoid(-SLOPE (z_u - t_u))``; f the strength to the power `POWER`, z in standard deviations over the
documents, t as shares of what the most similar hundredth has, and of u only what the query and the wanted concepts do
not explain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from steersearch.runtime.search import terms as search_terms
from steersearch.runtime.search.lexical.word_sets import hashes_of
from steersearch.runtime.steering.conditions import conjunction, scales
from steersearch.runtime.steering.conditions import terms as terms_module

from .reference import Reference


@dataclass
class Wish:
    """A concept as the definition sees it."""

    step: np.ndarray
    """``sum of weight * typical * atom``, shape (d_in,)."""
    strength: float
    """Of a boost; 0 for an exclusion."""
    words: str = ""


def wish(bundle: Any, concept: Any, strength: float = 0.0) -> Wish:
    step = np.zeros(bundle.d_in)
    for latent, weight in concept.weights.items():
        step += weight * bundle.features[latent].p95 * bundle.atoms[latent].astype(np.float64)
    return Wish(step, strength, concept.name if concept.source == "text" else concept.phrase)


class Conditions:
    """Documents (n, d_in) with their texts, of which at most `SAMPLE` so that all are measured."""

    def __init__(self, bundle: Any, rows: np.ndarray, texts: Sequence[str]) -> None:
        self.rows, self.texts = rows.astype(np.float64).reshape(-1, bundle.d_in), texts
        n = len(self.rows)
        self.share = n / (n + scales.FEW)
        own = self.rows.mean(0) if n else np.zeros(bundle.d_in)
        step = max(1, -(-n // scales.SAMPLE))
        sample = self.rows[::step]
        self.centred = sample - (sample.mean(0) if n else own)
        self.share = len(sample) / (len(sample) + scales.FEW)
        prior = bundle.features.reference_mean.astype(np.float64)
        self.mean = self.share * (sample.mean(0) if n else own) + (1 - self.share) * prior
        self.sets = [set(hashes_of(text).tolist()) for text in texts]

    def scores(
        self,
        query: np.ndarray,
        text: str,
        boosted: Sequence[Wish],
        excluded: Sequence[Wish] = (),
        similar: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the score of every document; `similar` stands for the query's condition in views other than dense."""
        t = terms_module
        about = self._standard(query.astype(np.float64))
        wanted = [one for one in boosted if one.strength > 0]
        basis = [about, *(self._standard(one.step) for one in wanted)]
        total, met = np.zeros(len(self.rows)), []
        for one, direction in zip(wanted, basis[1:], strict=True):
            z = self._z(direction, one.words, t.CONCEPT_WORDS)
            half = t.PRESENT * self._top(direction)
            met.append(1 / (1 + np.exp(-t.CONCEPT_SLOPE * (z - half))))
            total += one.strength**t.POWER * np.log(t.FLOOR + (1 - t.FLOOR) * met[-1])
        for one in boosted:
            if one.strength < 0:
                half = t.AVOIDED / max(-one.strength, conjunction.LEAST_AVOIDED)
                total += self._unwanted(one, (-one.strength) ** t.POWER, basis, half, t.AVOIDED_WORDS)
        for one in excluded:
            total += self._unwanted(one, t.EXCLUDED, basis, t.ABSENT, t.EXCLUDED_WORDS)
        asked = sum(abs(one.strength) for one in boosted) + len(excluded)
        weight = t.QUERY_WORDS * min(1.0, 2 * asked)
        said = np.minimum(self._shares(text, self._relevance(text, about)) / t.ENOUGH, 1.0)
        words = weight * said * (np.min(met, axis=0) if met else 1.0)
        half = t.ABOUT * self._top(about)
        z = self._z(about) if similar is None else half * similar
        return total - np.log1p(np.exp(-t.SLOPE * (z + words - half)))

    def _unwanted(self, one: Wish, weight: float, basis: list[np.ndarray], half: float, words: float) -> np.ndarray:
        direction = self._standard(one.step)
        rest = direction - self._explained(direction, basis)
        rest /= max(self._deviation(rest), conjunction.LEAST_REST)
        z = self._z(rest, one.words, words)
        odds = terms_module.SLOPE * (z - half * self._top(rest))
        return -weight * np.log1p(np.exp(odds))

    def _explained(self, direction: np.ndarray, basis: list[np.ndarray]) -> np.ndarray:
        """Return the best combination, without negative parts, by trying all."""
        table = np.array([[self._product(a, b) for b in basis] for a in basis]) + 1e-3 * np.eye(len(basis))
        with_it = np.array([self._product(a, direction) for a in basis])
        best, least = np.zeros(len(basis)), 0.0
        for size in range(1, len(basis) + 1):
            for some in map(list, combinations(range(len(basis)), size)):
                parts = np.linalg.solve(table[np.ix_(some, some)], with_it[some])
                cost = float(parts @ table[np.ix_(some, some)] @ parts - 2 * parts @ with_it[some])
                if (parts >= 0).all() and cost < least:
                    best, least = np.zeros(len(basis)), cost
                    best[some] = parts
        return best @ np.array(basis)

    def _product(self, one: np.ndarray, other: np.ndarray) -> float:
        prior = (1 - self.share) * scales.PRIOR**2 * float(one @ other)
        if not len(self.centred):
            return prior
        return float(self.share * np.mean((self.centred @ one) * (self.centred @ other)) + prior)

    def _deviation(self, direction: np.ndarray) -> float:
        return float(np.sqrt(self._product(direction, direction)))

    def _standard(self, direction: np.ndarray) -> np.ndarray:
        return direction / max(self._deviation(direction), 1e-9)

    def _top(self, direction: np.ndarray) -> float:
        if not len(self.centred):
            return scales.PRIOR_TOP
        z = np.sort(self.centred @ direction)
        count = max(1, round(0.01 * len(z)))
        return self.share * float(z[-count:].mean()) + (1 - self.share) * scales.PRIOR_TOP

    def _z(self, direction: np.ndarray, words: str = "", weight: float = 0.0) -> np.ndarray:
        return (self.rows - self.mean) @ direction + weight * self._shares(words)

    def _having(self, text: str, sets: Sequence[set[int]]) -> dict[int, int]:
        return {word: sum(word in own for own in sets) for word in hashes_of(text, query=True).tolist()}

    def _rarity(self, text: str) -> dict[int, float]:
        n, having = len(self.texts), self._having(text, self.sets)
        return {word: np.log(1 + (n - count + 0.5) / (count + 0.5)) for word, count in having.items() if count}

    def _relevance(self, text: str, about: np.ndarray) -> dict[int, float]:
        """Return the logarithm of each word's odds near the query over those anywhere, at least 0."""
        n = len(self.texts)
        if not n:
            return {}
        step = max(1, -(-n // scales.SAMPLE))
        count = max(1, round(scales.NEAR * len(self.centred)))
        near = np.argsort(-(self.centred.astype(np.float32) @ about.astype(np.float32)), kind="stable")[:count]
        having = self._having(text, [self.sets[place * step] for place in near])
        weights = {}
        for word, everywhere in self._having(text, self.sets).items():
            here, anywhere = (having[word] + 0.5) / (count + 1), (everywhere + 0.5) / (n + 1)
            if everywhere:
                weights[word] = max(0.0, float(np.log(here * (1 - anywhere) / (anywhere * (1 - here)))))
        return weights if any(weights.values()) else self._rarity(text)

    def _shares(self, text: str, weights: dict[int, float] | None = None) -> np.ndarray:
        weights = self._rarity(text) if weights is None else weights
        whole = sum(weights.values())
        found = [sum(weights[word] for word in weights if word in own) / whole if whole else 0.0 for own in self.sets]
        return np.array(found, np.float64)


def relative(scores: Mapping[str, float], ids: Sequence[str]) -> np.ndarray:
    """Return what stands for the query's condition in a view: its own scores, relative to the best."""
    best = max(scores.values(), default=0.0)
    return np.array([scores.get(id, 0.0) for id in ids]) / max(search_terms.HALF * best, 1e-12)


def by_conditions(reference: Reference, steered: Any) -> np.ndarray:
    """Return the dense score of every document of a reference, in its order, for a query with conditions."""
    docs = sorted(reference.docs.values(), key=lambda doc: doc.order)
    conditions = Conditions(reference.bundle, np.array([doc.vector for doc in docs]), [doc.text for doc in docs])
    boosted = [] if steered.blend == "move" else [wish(reference.bundle, *one) for one in steered.boosted if one[1]]
    excluded = [wish(reference.bundle, concept) for concept in steered.excluded]
    scores = conditions.scores(steered.about, steered.text, boosted, excluded)
    by_id = dict(zip([doc.id for doc in docs], scores, strict=True))
    return np.array([by_id[id] for id in reference.docs])
