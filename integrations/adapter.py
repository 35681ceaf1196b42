"""What every adapter does with a steered search: the hits, why they are there, and what steering did, as JSON values.

One set of names, in the metadata of documents and in what callbacks and tracers are told: those of `Hit`, `Concept` and
`SteeredQuery`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypedDict

from ..arrays import FloatArray
from ..runtime.bundle.features import Features
from ..runtime.index import SteerableIndex, View
from ..runtime.search.fusion import Fusion
from ..runtime.search.hits import COMPARED, Hit, explain_steered
from ..runtime.steering.auto_strength import KEEP
from ..runtime.steering.concepts import Concept
from ..runtime.steering.explain import Part
from ..runtime.steering.resolver import Boost, Key, SteeredQuery
from ..steering_warnings import gathered, warn
from .engines.base import SteeredEngine

TOP_FEATURES = 5


class Steering(TypedDict, total=False):
    """What steers a search, by the names and with the meaning of `SteerableIndex.search`."""

    boost: Boost | None
    """Concept -> strength, a number or `"auto"`."""
    clamp: Boost | None
    """Concept -> value to set."""
    keep: float
    """The share of the query that `"auto"` keeps."""
    protect: bool
    """Leave alone how strongly the query expresses its own strongest features."""


Searchable: TypeAlias = SteerableIndex | SteeredEngine
"""What can be searched and steered."""


@dataclass(frozen=True)
class Ask:
    """One search: what a call asked for, over what was configured."""

    k: int
    boost: Boost | None = None
    clamp: Boost | None = None
    keep: float = KEEP
    protect: bool = False
    filter: Any = None
    view: View = "dense"
    fusion: Fusion = "rrf"


@dataclass(frozen=True)
class Steered:
    """What steering did to a search."""

    concepts: list[dict[str, Any]] = field(default_factory=list)
    """``{concept, strength or clamp, fit, evidence, means}``: what each key became; empty without steering."""
    kept: float = 1.0
    """The share of the query that is left."""
    moves: list[dict[str, Any]] = field(default_factory=list)
    """Per hit ``{id, rank, rank_before, moved_by}``; empty without steering and when nobody looks."""
    warnings: list[str] = field(default_factory=list)
    """What was obeyed and is probably not meant."""

    def told(self) -> dict[str, Any]:
        """The same as one mapping for callbacks."""
        return {"concepts": self.concepts, "kept": self.kept, "moves": self.moves, "warnings": self.warnings}

    def in_words(self) -> str:
        """One line that says what was boosted and clamped, and how well it could be expressed."""
        parts = []
        for entry in self.concepts:
            how = f"boost {entry['strength']:+.3g}" if "strength" in entry else f"clamp {entry['clamp']:.3g}"
            fit = "" if entry["fit"] is None else f" (fit {entry['fit']:.2f})"
            parts.append(f"{how} {entry['concept']!r}{fit}")
        return f"steering: {', '.join(parts)}; keeps {self.kept:.2f} of the query"


@dataclass(frozen=True)
class Answer(Steered):
    """What a search found and what steering did to it."""

    hits: list[Hit] = field(default_factory=list)
    """Best first."""
    explanations: list[dict[str, Any]] = field(default_factory=list)
    """Per hit what `SteerableRetriever.include_explanations` documents; empty unless asked for."""


def answer(index: Searchable, query: str | FloatArray, ask: Ask, *, moves: bool, explanations: bool = False) -> Answer:
    """Search once; a text and each concept are embedded once, however much is asked about the result.

    Args:
        index: What to search.
        query: A text, or a unit vector of length d_in.
        ask: How.
        moves: Also find out where each hit was without steering; costs a second search.
        explanations: Also say why each hit is there.

    Warns:
        SteeringWarning: As `SteerableIndex.search`, each message once.
    """
    with gathered() as warnings:
        found = _answer(index, query, ask, moves, explanations)
    found.warnings.extend(warnings)
    for why in found.explanations:
        why["warnings"] = list(warnings)
    for message in warnings:
        warn(message)
    return found


def _answer(index: Searchable, query: str | FloatArray, ask: Ask, moves: bool, explanations: bool) -> Answer:
    vector = index.steer(query).original
    steered = index.steer(vector, ask.boost, ask.clamp, keep=ask.keep, protect=ask.protect, code=explanations)
    concepts, kept = concepts_of(steered, index.bundle.features), round(steered.kept, 4)
    compare = explanations or (moves and bool(concepts))
    hits = index.search(
        vector,
        ask.k,
        boost=resolved(ask.boost, steered.concepts),
        clamp=resolved(ask.clamp, steered.clamped),
        protect=ask.protect,
        filter=ask.filter,
        view=ask.view,
        fusion=ask.fusion,
        text=query if isinstance(query, str) else None,
        compare=compare,
    )
    moved = moves_of(hits) if compare and concepts else []
    if not explanations:
        return Answer(concepts, kept, moved, hits=hits)
    about = {"compared": max(ask.k, COMPARED), "kept": kept}
    whys = []
    for hit, vector_of_hit in zip(hits, _vectors(index, hits), strict=True):
        parts: Sequence[Part] = ()
        score = hit.score
        if vector_of_hit is not None:  # None: deleted a moment ago
            explanation = explain_steered(hit.id, steered, vector_of_hit, index.bundle)
            parts = explanation.parts
            if not isinstance(index, SteerableIndex):  # an engine's may be a distance
                score = explanation.score
        why: dict[str, Any] = {"rank": hit.rank, "rank_before": hit.rank_before, **about, "score": score}
        why |= {"concepts": copy.deepcopy(concepts), "features": parts_of(parts), "moved_by": parts_of(hit.moved_by)}
        whys.append(why)
    return Answer(concepts, kept, moved, hits=hits, explanations=whys)


def _vectors(index: Searchable, hits: Sequence[Hit]) -> Sequence[FloatArray | None]:
    """What hits are compared with; other engines do not give vectors, so texts are embedded again."""
    if isinstance(index, SteerableIndex):
        return index.vectors([hit.id for hit in hits])
    return list(index.bundle.embed([hit.text for hit in hits])) if hits else []


def moves_of(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Where each hit of a search with `compare` was without steering, and what moved it."""
    return [
        {"id": hit.id, "rank": hit.rank, "rank_before": hit.rank_before, "moved_by": parts_of(hit.moved_by)}
        for hit in hits
    ]


def concepts_of(steered: SteeredQuery, features: Features) -> list[dict[str, Any]]:
    """What each concept became and how sure that is, as JSON values."""
    boosted = [_concept(concept, features, strength=strength) for concept, strength in steered.concepts]
    return boosted + [_concept(concept, features, clamp=value) for concept, value in steered.clamped]


def parts_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The first parts of a score, as JSON values."""
    return [
        {
            "feature": part.feature.name,
            "label": part.feature.label,
            "score": part.feature.score,
            "contribution": round(part.contribution, 4),
            "steered": round(part.steered, 4),
        }
        for part in parts[:TOP_FEATURES]
    ]


def resolved(asked: Boost | None, became: tuple[tuple[Concept, float], ...]) -> dict[Key, float]:
    """The same mapping with the strength that `"auto"` stands for, and each `Concept` so that it need not be embedded
    again.
    """
    pairs = zip(asked or {}, became, strict=True)
    return {concept if isinstance(key, Concept) else key: strength for key, (concept, strength) in pairs}


def _concept(concept: Concept, features: Features, **how: float) -> dict[str, Any]:
    sure: Mapping[str, float | None] = {"fit": concept.fit, "evidence": concept.evidence}
    return {
        "concept": concept.name,
        **how,
        **{name: None if value is None else round(value, 3) for name, value in sure.items()},
        "means": [str(features[latent]) for latent in list(concept.weights)[:3]],
    }
