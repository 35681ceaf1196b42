"""`/api/search`: plain and steered results, each score taken apart into bars that add up to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import DataError
from ....runtime import Concept, Explanation, Features, Hit, Part, SteeredQuery
from ....runtime.search.hits import COMPARE_DEPTH
from ....runtime.search.views import VIEWS
from ....runtime.steering.explain import Parts
from ..requests import State
from ..studio import Asked, Resolved, Studio, boosted_keys

PARTS = 8
"""Features of a bar; the others are one part together."""
CHIPS = 12
"""Features that the query itself expresses."""
TOP = 10
"""Results that curves and comparisons look at."""
ROUND = 6
"""Decimals of what is drawn. Scores are whole."""


def search(studio: Studio, state: State) -> dict[str, Any]:
    """Return the answer to a state, as JSON values.

    Raises:
        SteersearchError: As `SteerableIndex.search`.
    """
    started = time.perf_counter()
    asked = studio.ask(state)
    steered_at = time.perf_counter()
    steered, index = asked.steered, studio.index
    plain_ranks, plain = _plain(studio, asked)
    acts = bool(steered.terms) or steered.vector is not steered.original
    how: dict[str, Any] = {"filter": state.filter, "view": state.view}
    hits = index.search(steered, state.k, **how) if acts else [plain_ranks[id] for id in plain]
    searched_at = time.perf_counter()
    ranks = {hit.id: hit.rank for hit in hits}
    entries = _concepts(studio, asked)
    shown = [
        _hit(hit, bars, was=plain_ranks[hit.id].rank if hit.id in plain_ranks else None)
        for hit, bars in zip(hits, _bars(studio, asked, hits, entries), strict=True)
    ]
    answer = {
        "plain": [hit | {"was": ranks.get(hit["id"])} for hit in plain.values()],
        "steered": shown,
        "query_features": _query_features(studio, steered),
        "kept": kept_topic(studio, steered, [*plain], [*ranks]) if acts else 1.0,
        "warnings": [warning.to_json() for warning in asked.warnings],
        "understood": _understood(steered),
        "concepts": [entry for entry, _ in entries],
    }
    done = time.perf_counter()
    times = {"steer": steered_at - started, "search": searched_at - steered_at, "explain": done - searched_at}
    return answer | {"ms": {name: round(1000 * taken, 2) for name, taken in times.items()}}


def kept_topic(studio: Studio, steered: SteeredQuery, plain: Sequence[str], found: Sequence[str]) -> float:
    """Return how much of the topic of the plain results the steered ones keep, 0 to 1.

    Their mean similarity to the query, above that of the average document, as a share of the plain results'. 1 without
    results.
    """
    query, mean = steered.original.astype(np.float64), studio.sample.mean
    similar = []
    for ids in (plain, found):
        rows = [row for row in studio.index.vectors(list(ids)) if row is not None]
        similar.append(float((np.array(rows, np.float64) @ query).mean()) - float(mean @ query) if rows else 0.0)
    if similar[0] <= 1e-9:
        return 1.0
    return round(min(1.0, max(0.0, similar[1] / similar[0])), 4)


def found_ids(studio: Studio, state: State, *, unsteered: bool = False) -> list[str]:
    """Return the ids of the first ten results of a state, or of what it asks without steering."""
    steered = studio.ask(state).steered
    hits = studio.index.search(steered.unsteered if unsteered else steered, TOP, filter=state.filter, view=state.view)
    return [hit.id for hit in hits]


def features_of(made: Resolved, features: Features) -> list[dict[str, Any]]:
    """Return the features of a concept, strongest first, those that are switched off too."""
    on = made.concept.weights
    return [
        {"weight": weight, "on": latent in on} | feature_facts(features, latent)
        for latent, weight in sorted(made.whole.weights.items(), key=lambda pair: -abs(pair[1]))
    ]


def feature_facts(features: Features, latent: int) -> dict[str, Any]:
    """Return how a feature is called and how sure that is."""
    feature = features[latent]
    guess = f"{feature.guess}?" if feature.unclear and feature.guess else None
    return {"latent": latent, "label": feature.label, "guess": guess, "score": feature.score}


def title_of(metadata: Mapping[str, Any]) -> str:
    """Return the title that a document's metadata gives; empty without one."""
    for name in ("title", "heading", "name"):
        if isinstance(metadata.get(name), str) and metadata[name].strip():
            return str(metadata[name]).strip()
    return ""


def explanations_of(studio: Studio, steered: SteeredQuery, ids: Sequence[str]) -> dict[str, Explanation]:
    """Return explanations by id, without those of documents that were deleted a moment ago."""
    try:
        return {found.id: found for found in studio.index.explain_all(steered, ids)}
    except DataError:
        there = [id for id in ids if id in studio.index]
        return {found.id: found for found in studio.index.explain_all(steered, there)}


def _plain(studio: Studio, asked: Asked) -> tuple[dict[str, Hit], dict[str, dict[str, Any]]]:
    """Return the plain hits by id, some hundred, and the first k of them with their bars."""
    state, unsteered = asked.state, asked.steered.unsteered
    query = asked.steered.text
    key = ("plain", query, state.view, state.k, repr(state.filter), *studio.revision)

    def make() -> tuple[dict[str, Hit], dict[str, dict[str, Any]]]:
        how: dict[str, Any] = {"filter": state.filter, "view": state.view}
        hits = studio.index.search(unsteered, max(state.k, COMPARE_DEPTH), **how)
        first = hits[: state.k]
        bars = _bars(studio, replace(asked, steered=unsteered), first, [])
        shown = {hit.id: _hit(hit, each) for hit, each in zip(first, bars, strict=True)}
        return {hit.id: hit for hit in hits}, shown

    return studio.kept.get_or_make(key, make)  # type: ignore[no-any-return]


def _hit(hit: Hit, bars: list[dict[str, Any]], was: int | None = None) -> dict[str, Any]:
    return {
        "id": hit.id,
        "rank": hit.rank,
        "score": hit.score,
        "text": hit.text,
        "title": title_of(hit.metadata),
        "metadata": hit.metadata,
        "was": was,
        "bars": bars,
    }


def _bars(
    studio: Studio, asked: Asked, hits: Sequence[Hit], entries: Sequence[tuple[dict[str, Any], Concept | None]]
) -> list[list[dict[str, Any]]]:
    """Return the bars of each hit, which add up to its score.

    In the dense view the query's bar is its condition, and without conditions the cosine, each made of features. In the
    other views the rest of the score beside the concepts is the view's own; hybrid joins ranks, which have no parts.
    """
    steered, view = asked.steered, asked.state.view
    whole = {"kind": "query", "key": None, "label": "query"}
    if VIEWS[view].joins_views or not hits:
        return [[whole | {"label": "ranks in its views", "value": hit.score, "parts": []}] for hit in hits]
    if view != "dense" and not steered.terms:
        label = "words of the query" if view == "words" else "query"
        return [[whole | {"label": label, "value": hit.score, "parts": []}] for hit in hits]
    found = explanations_of(studio, steered, [hit.id for hit in hits])
    by_concept = {id(concept): entry for entry, concept in entries if concept is not None}
    made = []
    for hit in hits:
        explanation = found.get(hit.id)
        if explanation is None:
            made.append([whole | {"value": hit.score, "parts": []}])
        elif not steered.terms:
            made.append([whole | {"value": hit.score, "parts": _parts(explanation.parts, hit.score, 0.0)}])
        else:
            bars = []
            for term, value in zip(steered.terms[1:], explanation.terms[1:], strict=True):
                entry = by_concept[id(term.concept)]
                facts = {"kind": "exclude" if entry["exclude"] else "concept", "key": entry["key"], "label": value.name}
                parts = _parts(value.parts, value.value, value.words)
                bars.append(facts | {"concept": entry["at"], "value": value.value, "parts": parts})
            rest = hit.score - sum(bar["value"] for bar in bars)
            query = explanation.terms[0]
            parts = _parts(query.parts, rest, query.words) if view == "dense" else []
            made.append([whole | {"value": rest, "parts": parts}, *bars])
    return made


def _parts(parts: Parts, value: float, words: float) -> list[dict[str, Any]]:
    """Return the largest parts of a value, and what is left of it, so that they add up to it."""
    largest: Sequence[Part] = [part for part in parts[:PARTS] if part.contribution and not part.feature.hidden]
    shown: list[dict[str, Any]] = [
        {"latent": part.feature.id, "label": part.feature.label, "value": round(part.contribution, ROUND)}
        for part in largest
    ]
    if words:
        shown.append({"latent": None, "label": "words of the text", "value": round(words, ROUND)})
    rest = value - sum(part["value"] for part in shown)
    return [*shown, {"latent": None, "label": "the rest", "value": round(rest, ROUND)}]


def _concepts(studio: Studio, asked: Asked) -> list[tuple[dict[str, Any], Concept | None]]:
    """Return the concepts of a state, then those that were read in the text, each with what was boosted."""
    steered = asked.steered
    strengths = dict(zip(boosted_keys(asked), steered.boosted, strict=True))
    excluded = dict(zip(asked.steering.exclude, steered.excluded, strict=False))
    entries: list[tuple[dict[str, Any], Concept | None]] = []
    for wish, made in zip(asked.state.wishes, asked.found, strict=True):
        entry: dict[str, Any] = {"at": len(entries), "key": wish.key, "on": wish.on, "exclude": wish.exclude}
        if made is None:
            entries.append((entry | {"name": "", "strength": None, "auto": None, "features": [], "on": False}, None))
            continue
        concept, strength = strengths.pop(made.key, (None, None)) if wish.on and not wish.exclude else (None, None)
        if wish.on and wish.exclude:
            concept = excluded.get(made.key)
        # In the sign of the page, which says "1 of what is not like these".
        number = wish.strength if not isinstance(wish.strength, str) else None
        number = number if strength is None else strength * made.sign
        facts = {"name": made.whole.name, "strength": number, "auto": None if wish.exclude else 1.0}
        sure = {"fit": made.whole.fit, "evidence": made.whole.evidence}
        entries.append((entry | facts | sure | {"features": features_of(made, studio.features)}, concept))
    for key, (concept, strength) in strengths.items():
        entry = {"at": len(entries), "key": {"phrase": str(key)}, "on": True, "exclude": False, "understood": True}
        made = Resolved(key, concept, concept, 1.0, ())
        facts = {"name": concept.name, "strength": strength, "auto": 1.0, "fit": concept.fit}
        entries.append(
            (entry | facts | {"evidence": concept.evidence, "features": features_of(made, studio.features)}, concept)
        )
    return entries


def _query_features(studio: Studio, steered: SteeredQuery) -> list[dict[str, Any]]:
    """Return the features that the query itself expresses, strongest first, in typical activations."""
    change, features = steered.change, studio.features
    typical = features.typical[change.latents]
    strengths = np.where((change.before > 0) & (typical > 0), change.before / np.maximum(typical, 1e-12), 0.0)
    order = np.argsort(-strengths, kind="stable")
    best = [int(i) for i in order if strengths[i] > 0 and not features[int(change.latents[i])].hidden][:CHIPS]
    return [{"strength": round(float(strengths[i]), 4)} | feature_facts(features, int(change.latents[i])) for i in best]


def _understood(steered: SteeredQuery) -> dict[str, Any] | None:
    """Return what was read in the text as chips, each of which means the same as a concept of a state."""
    request = steered.request
    if request is None:
        return None
    read = {concept.name: strength for concept, strength in steered.boosted}
    wishes = {**dict.fromkeys(request.exclude, -1.0), **request.boost}
    chips = [
        {"text": words, "key": {"phrase": words}, "strength": read.get(words, strength), "exclude": False}
        for words, strength in wishes.items()
    ]
    return {"query": request.query, "chips": chips}
