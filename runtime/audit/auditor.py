"""`audit`: which kinds of documents a retriever prefers among documents about the same, and what takes that away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from ...arrays import BoolArray, FloatArray, IntArray, WideArray
from ...chunk_places import PLACE
from ...errors import ConfigError, DataError
from ...text import shown
from ..bundle.features import Features
from ..index import SteerableIndex
from ..steering.attributes import Attribute, removed_from
from .measures import NUMBERS, boilerplate_of, language_of
from .pairs import FEWEST_PAIRS, Pairs, SharedWords, corrected, match, sign_test, wins
from .suspicion import AuditReport, Carrier, Check, Suspicion

Progress = Callable[[str, int, int], None]
FEWEST_DOCUMENTS = 50
MOST_DOCUMENTS = 4000
"""Documents of an index that are read, an even sample."""
MOST_VALUES, FEWEST_OF_VALUE = 12, 10
"""Values of a metadata field that are compared, the commonest; and documents that have one, at least."""
CARRIERS = 5
"""Features that are named, and removed in the check."""
DEPTH = 10
NEAR = 100
"""Depth to which both documents of a pair must be found by a given query."""
REPEATS = 5
"""Draws of random features."""
LIVE = 0.005
"""Share of documents in which a feature fires, of those that random features are drawn from."""


@dataclass(frozen=True)
class _Sample:
    texts: Sequence[str]
    metadata: Sequence[Mapping[str, Any]]
    vectors: FloatArray
    codes: tuple[IntArray, FloatArray]


def audit(
    index: SteerableIndex,
    *,
    field: str | None = None,
    queries: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> AuditReport:
    """Measure which attributes of documents a retriever rewards, and check by taking them out.

    For each attribute documents that have it are paired with the nearest that have it not, so that both are about the
    same. A query that leans to neither, the rare words that both share, should find either first equally often. What
    the attribute is (`Attribute.learn`) and which features carry it is learned from half of the pairs, and taken out
    when the other half is searched; then the other way round.

    Args:
        index: Opened, with a bundle that embeds texts.
        field: A field of the metadata, alone; by default length, reading level, boilerplate and language of the texts
            and every field with few values.
        queries: Queries in place of the shared words: of a pair that is found by one, either should be before the other
            equally often.
        seed: Of the random features.
        progress: Called with (step, done, total).

    Raises:
        ConfigError: The index has no bundle, or no document has the field; the message names the nearest.
        DataError: There are fewer than 50 documents, the field has one value only, or no query is left.
    """
    report = progress or (lambda step, done, total: None)
    if len(index) < FEWEST_DOCUMENTS:
        raise DataError(
            f"{index.path} has {len(index)} documents: an audit compares pairs of at least {FEWEST_DOCUMENTS}"
        )
    features = index.bundle.features
    report("read documents", 0, 1)
    sample = _read(index)
    report("read documents", 1, 1)
    kinds = _kinds(sample) if field is None else _kinds_of_field(sample, field)
    asked = None if queries is None else _embedded(index, queries)
    words = SharedWords(sample.texts) if asked is None else None
    found, skipped = [], {}
    for done, (name, (high, low)) in enumerate(kinds.items()):
        report("compare pairs", done, len(kinds))
        if min(len(high), len(low)) < FEWEST_OF_VALUE:
            skipped[name] = f"{min(len(high), len(low))} documents on one side"
            continue
        pairs = _asked(index, sample, high, low, asked, words)
        if len(pairs) < FEWEST_PAIRS:
            skipped[name] = f"{len(pairs)} pairs about the same, of {FEWEST_PAIRS} that are needed"
            continue
        found.append(_measured(name, sample, pairs, features, index.bundle.atoms, seed))
    report("compare pairs", len(kinds), len(kinds))
    if field is not None and not found:
        raise DataError(f"field {shown(field)} cannot be audited: {next(iter(skipped.values()), 'it has one value')}")
    likely = corrected([one.p for one in found])
    made = [one.with_p(p) for one, p in zip(found, likely, strict=True)]
    return AuditReport(len(sample.texts), sorted(made, key=lambda one: (one.p, -abs(one.share - 0.5))), skipped)


def _read(index: SteerableIndex) -> _Sample:
    with index.store.snapshot():
        rows = index.store.rowids()
        rows = rows[:: max(1, -(-len(rows) // MOST_DOCUMENTS))]
        records = index.store.by_rowid(rows)
        vectors, codes = index.store.vectors_of(rows), index.store.codes_of(rows)
    return _Sample([one.text for one in records], [one.metadata for one in records], vectors, codes)


def _kinds(sample: _Sample) -> dict[str, tuple[IntArray, IntArray]]:
    """Return of each attribute the places of the documents that have it and of those that have it not."""
    kinds = {name: _thirds(np.array([measure(text) for text in sample.texts])) for name, measure in NUMBERS.items()}
    found = {f"{name}: high": pair for name, pair in kinds.items()}
    shares = boilerplate_of(sample.texts)
    found["boilerplate"] = np.flatnonzero(shares > 0), np.flatnonzero(shares == 0)
    languages = [language_of(text) for text in sample.texts]
    known = Counter(one for one in languages if one)
    for name, count in known.most_common(MOST_VALUES):
        if len(known) > 1 and count >= FEWEST_OF_VALUE:
            has = np.array([one == name for one in languages])
            found[f"language: {name}"] = (
                np.flatnonzero(has),
                np.flatnonzero(~has & np.array([bool(o) for o in languages])),
            )
    # Where a chunk stands in its document is no property that somebody gave it.
    for field in [name for name in _fields(sample) if name not in PLACE]:
        if 2 <= len(_values(sample, field)[1]) <= MOST_VALUES:
            found |= _kinds_of_field(sample, field)
    return found


def _kinds_of_field(sample: _Sample, field: str) -> dict[str, tuple[IntArray, IntArray]]:
    """Return the kinds of one field: each of its values against the others, numbers of many values as thirds."""
    values, counts = _values(sample, field)
    if not counts:
        fields = _fields(sample)
        near = get_close_matches(field, fields, 1, 0.4)
        cure = f"did you mean {shown(near[0])}?" if near else f"there are {', '.join(map(shown, fields)) or 'none'}"
        raise ConfigError(f"no document has the field {shown(field)}: {cure}")
    if len(counts) == 1:
        raise DataError(f"field {shown(field)} is {shown(next(iter(counts)))} in all documents: nothing to compare")
    numbers = np.array([_number(value) for value in values])
    if len(counts) > MOST_VALUES and np.isfinite(numbers).mean() > 0.5:
        return {f"{field}: high": _thirds(numbers)}
    known = np.array([value is not None for value in values])
    found = {}
    for value, _ in counts.most_common(MOST_VALUES):
        has = np.array([one == value for one in values])
        found[f"{field}: {value}"] = np.flatnonzero(has), np.flatnonzero(known & ~has)
        if len(counts) == 2:  # the other is the same comparison
            break
    return found


def _fields(sample: _Sample) -> list[str]:
    return sorted({name for metadata in sample.metadata for name in metadata})


def _values(sample: _Sample, field: str) -> tuple[list[Any], Counter[Any]]:
    """Return the value of each document, None where it has no plain one, and how many have each."""
    given = [metadata.get(field) for metadata in sample.metadata]
    values = [value if isinstance(value, str | int | float | bool) else None for value in given]
    return values, Counter(value for value in values if value is not None)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def _thirds(values: WideArray) -> tuple[IntArray, IntArray]:
    """Return the places of the highest and the lowest third; none where they are the same."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    if high <= low:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.flatnonzero(values >= high), np.flatnonzero(values <= low)


def _embedded(index: SteerableIndex, queries: Sequence[str]) -> FloatArray:
    texts = [query.strip() for query in queries if query.strip()]
    if not texts:
        raise DataError("there is no query: give some texts, one a line")
    return index.bundle.embed_queries(texts)


def _asked(
    index: SteerableIndex,
    sample: _Sample,
    high: IntArray,
    low: IntArray,
    given: FloatArray | None,
    words: SharedWords | None,
) -> Pairs:
    """Return pairs with their queries: the given ones that find both, or one of the words that both share."""
    first, second = match(sample.vectors, high, low)
    if words is not None:
        texts = [words.query(one, other) for one, other in zip(first.tolist(), second.tolist(), strict=True)]
        kept = np.array([i for i, text in enumerate(texts) if text], np.int64)
        rows = index.bundle.embed_queries([texts[i] for i in kept.tolist()]) if len(kept) else sample.vectors[:0]
        return Pairs(first[kept], second[kept], rows, np.arange(len(kept)))
    assert given is not None
    scores = given @ sample.vectors.T  # (q, n)
    depth = min(NEAR, scores.shape[1])
    least = np.partition(scores, -depth, axis=1)[:, -depth]
    both = (scores[:, first] >= least[:, None]) & (scores[:, second] >= least[:, None])
    query, pair = np.nonzero(both)
    return Pairs(first[pair], second[pair], given[query], np.unique(query, return_inverse=True)[1].astype(np.int64))


def _measured(name: str, sample: _Sample, pairs: Pairs, features: Features, atoms: FloatArray, seed: int) -> Suspicion:
    """Return what one attribute gains; what it and its features are is learned from the half that is not measured."""
    live = np.flatnonzero(_rates(sample, np.arange(len(sample.texts)), len(atoms)) >= LIVE)
    chance = np.random.default_rng(seed)
    halves = pairs.halves()
    checks: dict[str, list[tuple[int, Check]]] = {}
    carriers: list[Carrier] = []
    for learn, test in (halves, halves[::-1]):
        attribute = _learn(name, sample, learn)
        found = _carriers(sample, learn, test, features)
        carriers = carriers or found
        taken = {"remove it": [[(name, np.array(attribute.direction), attribute.reward)]]}
        if found:
            drawn = [chance.choice(live, len(found)) for _ in range(REPEATS)]
            taken["remove its features"] = [_axes(atoms, [one.feature.id for one in found])]
            taken["remove random features"] = [_axes(atoms, places.tolist()) for places in drawn]
        for what, several in taken.items():
            each = [(len(test), _check(what, sample, test, directions)) for directions in several]
            checks.setdefault(what, []).extend(each)
    before = wins(sample.vectors, pairs)
    error = float(before.std(ddof=1) / np.sqrt(len(before)))
    made = [_mean(what, each) for what, each in checks.items()]
    p = sign_test(before)
    return Suspicion(name, len(pairs), float(before.mean()), error, p, carriers, made, _learn(name, sample, pairs))


def _learn(name: str, sample: _Sample, pairs: Pairs) -> Attribute:
    return Attribute.learn(name, sample.vectors[pairs.high], sample.vectors[pairs.low], pairs.queries)


def _axes(atoms: FloatArray, latents: Sequence[int]) -> list[tuple[str, WideArray, float]]:
    return [(f"f{latent}", atoms[latent].astype(np.float64), 0.0) for latent in latents]


def _mean(what: str, checks: Sequence[tuple[int, Check]]) -> Check:
    """Return the mean of checks of several pairs each."""
    weights = np.array([pairs for pairs, _ in checks], np.float64)
    figures = np.array([(check.share, check.overlap) for _, check in checks])
    share, overlap = (weights @ figures / weights.sum()).tolist()
    return Check(what, share, overlap)


def _check(name: str, sample: _Sample, pairs: Pairs, directions: Sequence[tuple[str, WideArray, float]]) -> Check:
    """Return the share of pairs that the attribute still wins, and how many of the first ten documents stay."""
    moved = np.array(
        [query - sum(one.step for one in removed_from(query, directions)) for query in pairs.queries.astype(np.float64)]
    )
    some = slice(0, None, max(1, len(moved) // 100))
    first, second = (_first(sample.vectors, rows[some]) for rows in (pairs.queries, moved))
    stay = [len(np.intersect1d(a, b)) / DEPTH for a, b in zip(first, second, strict=True)]
    return Check(name, float(wins(sample.vectors, pairs, moved).mean()), float(np.mean(stay)))


def _first(vectors: FloatArray, queries: FloatArray | WideArray) -> IntArray:
    scores = queries.astype(np.float32) @ vectors.T
    found: IntArray = np.argpartition(-scores, DEPTH - 1, axis=1)[:, :DEPTH]
    return found


def _active(sample: _Sample, places: IntArray, n_latents: int) -> BoolArray:
    """Return whether each latent fires in each of some documents, shape (m, n_latents)."""
    indices, values = sample.codes[0][places], sample.codes[1][places]
    fires = np.zeros((len(places), n_latents), np.bool_)
    rows, columns = np.nonzero(values > 0)
    fires[rows, indices[rows, columns]] = True
    return fires


def _rates(sample: _Sample, places: IntArray, n_latents: int) -> WideArray:
    """Return the share of some documents in which each latent fires, shape (n_latents,)."""
    indices, values = sample.codes[0][places], sample.codes[1][places]
    rates: WideArray = np.bincount(indices[values > 0].ravel(), minlength=n_latents) / max(len(places), 1)
    return rates


def _carriers(sample: _Sample, learn: Pairs, test: Pairs, features: Features) -> list[Carrier]:
    """Return the features that fire most unlike in the two documents of a pair, with their rates in the other half."""
    n = len(features)
    more = _active(sample, learn.high, n).astype(np.float32) - _active(sample, learn.low, n)
    # How many standard errors the mean difference is from 0.
    far = more.mean(0) / (np.sqrt(((more**2).mean(0) + 1 / len(more)) / len(more)))
    best = np.argsort(-np.abs(far), kind="stable")[:CARRIERS]
    high, low = _rates(sample, test.high, n), _rates(sample, test.low, n)
    return [Carrier(features[i], float(high[i]), float(low[i])) for i in best.tolist() if abs(far[i]) > 2]
