"""Steered searches for adapters: find documents, and report as JSON values what steering did.

The metadata of documents and the callbacks of all frameworks use the same names: those of `Hit`, `Concept` and
`SteeredQuery`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from typing_extensions import Unpack

from ..arrays import FloatArray
from ..errors import ConfigError, DataError
from ..runtime import (
    Concept,
    Explanation,
    Features,
    Fusion,
    Hit,
    Part,
    SteerableIndex,
    SteeredQuery,
    TermValue,
    ViewName,
)
from ..runtime.search.hits import COMPARE_DEPTH
from ..runtime.steering.request import SteeringArguments
from ..steering_warnings import gathered, warn
from ..text import shown
from .engines.base import SteeredEngine

TOP_FEATURES = 5


class SearchArguments(SteeringArguments, total=False):
    """What steers a search."""

    understand: bool
    """Read wishes of the text; see `SteerableIndex.search`."""


class CallArguments(SearchArguments, total=False):
    """What a call may give in place of what a retriever was configured with."""

    k: int | None
    filter: Any


Searchable: TypeAlias = SteerableIndex | SteeredEngine
"""An index or engine that can be searched and steered."""


@dataclass(frozen=True)
class SteeringReport:
    """The effect of steering on a search."""

    concepts: list[dict[str, Any]] = field(default_factory=list)
    """``{concept, strength, clamp, exclude or remove, fit, evidence, means}``: what each key became; empty without
    steering."""
    kept: float = 1.0
    """The share of the query that is left, rounded to four places: 1 unless it moves."""
    moves: list[dict[str, Any]] = field(default_factory=list)
    """Per document ``{id, rank, rank_before, moved_by}``; empty without steering and where nobody wants to know."""
    warnings: list[str] = field(default_factory=list)
    """Requests that were obeyed and are probably not meant."""
    understood: dict[str, Any] | None = None
    """``{query, boost, exclude}``: what `understand` read in the text; None where it was not asked to."""

    def as_json(self) -> dict[str, Any]:
        """Return all five as one mapping of JSON values, for callbacks."""
        report = {"concepts": self.concepts, "kept": self.kept, "moves": self.moves, "warnings": self.warnings}
        return report | {"understood": self.understood}

    def summary(self) -> str:
        """Return one line that says what was boosted, clamped, excluded and removed, and how well that fits."""
        parts = []
        for entry in self.concepts:
            fit = "" if entry["fit"] is None else f" (fit {entry['fit']:.2f})"
            parts.append(f"{_change(entry)} {shown(entry['concept'])}{fit}")
        kept = "" if self.kept == 1 else f"; keeps {self.kept:.2f} of the query"
        return f"steering: {', '.join(parts)}{kept}"


@dataclass(frozen=True)
class SearchReport(SteeringReport):
    """The hits of a search and the effect of steering on it."""

    hits: list[Hit] = field(default_factory=list)
    """Best first."""
    explanations: list[dict[str, Any]] = field(default_factory=list)
    """Per hit what `SteerableRetriever.include_explanations` documents; empty unless wanted."""


def search_and_report(
    index: Searchable,
    query: str | FloatArray,
    k: int,
    *,
    filter: Any = None,
    view: ViewName = "dense",
    fusion: Fusion = "rrf",
    group: str | None = None,
    moves: bool = False,
    explanations: bool = False,
    highlight: bool = False,
    **steering: Unpack[SearchArguments],
) -> SearchReport:
    """Steer a query once, search with it, and report. The text and each concept are embedded once.

    Arguments and errors are those of `SteerableIndex.search`; a `SteeringWarning` is given once per message. `moves`
    reports where each hit was without steering, `explanations` why it was found: either costs a second search.
    `highlight` fills in the words of the hits.
    """
    with gathered() as warnings:
        steered = index.steer(query, **steering)
        concepts = concepts_of(steered, index.bundle.features)
        compare = explanations or (moves and bool(concepts))
        how: dict[str, Any] = {"view": view, "fusion": fusion, "compare": compare, "highlight": highlight}
        if group is not None:
            if isinstance(index, SteeredEngine):
                raise ConfigError(f"group is {shown(group)}: {index.provider} cannot group, leave it out")
            how["group"] = group
        hits = index.search(steered, k, filter=filter, **how)
        reasons = _explanations(index, steered, hits, k, concepts) if explanations else []
    for reason in reasons:
        reason["warnings"] = list(warnings)
    for message in warnings:
        warn(message)
    moved = moves_of(hits) if compare and concepts else []
    return SearchReport(concepts, _kept(steered), moved, warnings, _understood(steered), hits, reasons)


def steering_report(
    steered: SteeredQuery, features: Features, moves: list[dict[str, Any]], warnings: list[str]
) -> SteeringReport:
    """Return the report of a steered query whose documents were found already."""
    return SteeringReport(concepts_of(steered, features), _kept(steered), moves, warnings, _understood(steered))


def with_call(configured: Mapping[str, Any], call: CallArguments) -> dict[str, Any]:
    """Return the arguments of a call, or the configured ones where they are None; an empty mapping means none.

    A call's `steering` replaces all that was configured to steer. A TypeError for an argument that no search has.
    """
    if unknown := sorted(call.keys() - CallArguments.__annotations__.keys()):
        known = ", ".join(CallArguments.__annotations__)
        raise TypeError(f"unexpected argument {unknown[0]!r}: a search takes {known}")
    given = {name: value for name, value in call.items() if value is not None}
    if "steering" in given:
        configured = {name: value for name, value in configured.items() if name not in SearchArguments.__annotations__}
    return {**configured, **given}


def concepts_of(steered: SteeredQuery, features: Features) -> list[dict[str, Any]]:
    """Return what each concept became and how sure that is, as JSON values."""
    boosted = [_concept(concept, features, strength=strength) for concept, strength in steered.boosted]
    clamped = [_concept(concept, features, clamp=value) for concept, value in steered.clamped]
    excluded = [_concept(concept, features, exclude=True) for concept in steered.excluded]
    unsure: dict[str, Any] = {"remove": True, "fit": None, "evidence": None, "means": []}
    return boosted + clamped + excluded + [{"concept": one.name, **unsure} for one in steered.removed]


def moves_of(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Return where each hit of a search with `compare` was without steering and what moved it, as JSON values."""
    return [
        {"id": hit.id, "rank": hit.rank, "rank_before": hit.rank_before, "moved_by": parts_of(hit.moved_by)}
        for hit in hits
    ]


def parts_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Return the first parts of a score as JSON values."""
    return [
        {
            "feature": part.feature.name,
            "label": part.feature.label,
            "score": part.feature.score,
            "steers": part.feature.steers,
            "contribution": round(part.contribution, 4),
            "steered": round(part.steered, 4),
        }
        for part in parts[:TOP_FEATURES]
    ]


def terms_of(terms: Sequence[TermValue]) -> list[dict[str, Any]]:
    """Return what each condition of a steered query adds to a score as JSON values."""
    return [
        {
            "condition": term.name,
            "weight": round(term.weight, 4),
            "presence": round(term.presence, 4),
            "contribution": round(term.value, 4),
            "by_words": round(term.words, 4),
        }
        for term in terms
    ]


def _explanations(
    index: Searchable, steered: SteeredQuery, hits: Sequence[Hit], k: int, concepts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    engine = isinstance(index, SteeredEngine)
    made = []
    for hit, found in zip(hits, _explained(index, steered, hits), strict=True):
        made.append(
            {
                "rank": hit.rank,
                "rank_before": hit.rank_before,
                "compared": max(k, COMPARE_DEPTH),
                "kept": _kept(steered),
                "understood": _understood(steered),
                # An engine's own score may be a distance.
                "score": found.score if found and engine else hit.score,
                "concepts": copy.deepcopy(concepts),
                "terms": terms_of(found.terms if found else ()),
                "features": parts_of(found.parts if found else ()),
                "moved_by": parts_of(hit.moved_by),
            }
        )
    return made


def _explained(index: Searchable, steered: SteeredQuery, hits: Sequence[Hit]) -> Sequence[Explanation | None]:
    """Return the explanation of each hit; None of a document that was deleted a moment ago."""
    if isinstance(index, SteeredEngine):
        return index.explanations(steered, hits)
    try:
        return index.explain_all(steered, [hit.id for hit in hits])
    except DataError:
        return [_explained_alone(index, steered, hit.id) for hit in hits]


def _explained_alone(index: SteerableIndex, steered: SteeredQuery, id: str) -> Explanation | None:
    try:
        return index.explain(steered, id)
    except DataError:
        return None


def _understood(steered: SteeredQuery) -> dict[str, Any] | None:
    return None if steered.request is None else steered.request.to_dict()


def _kept(steered: SteeredQuery) -> float:
    # The vector that lies between query and concepts finds candidates only.
    return round(steered.alone.kept, 4)


def _change(entry: Mapping[str, Any]) -> str:
    """Return what a concept does, in words."""
    if "strength" in entry:
        return f"boost {entry['strength']:+.3g}"
    if "clamp" in entry:
        return f"clamp {entry['clamp']:.3g}"
    return "remove" if "remove" in entry else "exclude"


def _concept(concept: Concept, features: Features, **change: float) -> dict[str, Any]:
    sure: Mapping[str, float | None] = {"fit": concept.fit, "evidence": concept.evidence}
    return {
        "concept": concept.name,
        **change,
        **{name: None if value is None else round(value, 3) for name, value in sure.items()},
        "means": [str(features[latent]) for latent in list(concept.weights)[:3]],
    }
