"""What every adapter does with a steered search: the documents, why they are there, and what callbacks are told."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from ...metrics import FloatArray
from ...runtime.concepts import Concept
from ...runtime.explain import Explanation
from ...runtime.fusion import Fusion
from ...runtime.index import Hit, SteerableIndex, View
from ...runtime.resolver import Boost, Key, SteeredQuery
from ..ranks import key_of, plain_top, ranks_without_steering
from .steered_store import SteeredStore

TOP_FEATURES = 5
Searchable: TypeAlias = SteerableIndex | SteeredStore
"""What can be searched and steered."""


@dataclass(frozen=True)
class Ask:
    """One search: what a call asked for, over what was configured."""

    k: int
    boost: Boost | None = None
    clamp: Boost | None = None
    filter: Any = None
    view: View = "dense"
    fusion: Fusion = "rrf"


@dataclass(frozen=True)
class Moves:
    """What steering did to a search."""

    concepts: list[dict[str, Any]] = field(default_factory=list)
    """What each concept became and how well it could be expressed; empty without steering."""
    moves: list[dict[str, Any]] = field(default_factory=list)
    """Per hit `{id, rank, rank_without_steering}`; empty without steering and when nobody looks."""


@dataclass(frozen=True)
class Answer(Moves):
    """What a search found and what steering did to it."""

    hits: list[Hit] = field(default_factory=list)
    """Best first."""
    explanations: list[dict[str, Any]] = field(default_factory=list)
    """Per hit what `SteerableRetriever.include_explanations` documents; empty unless asked for."""


def answer(index: Searchable, query: str | FloatArray, ask: Ask, *, moves: bool, explanations: bool = False) -> Answer:
    """Search once; a text and each concept are embedded once, however much is asked about the result."""
    vector = index.steer(query).original
    steered = index.steer(vector, ask.boost, ask.clamp)
    boost, clamp = _resolved(ask.boost, steered.concepts), _resolved(ask.clamp, steered.clamped)
    concepts = concepts_of(steered)
    text = query if isinstance(query, str) else None
    hits = index.search(
        vector, ask.k, boost=boost, clamp=clamp, filter=ask.filter, view=ask.view, fusion=ask.fusion, text=text
    )
    if not explanations and not (moves and concepts):
        return Answer(concepts, hits=hits)
    plain = ranks_without_steering(index, vector, ask.k, filter=ask.filter, view=ask.view, fusion=ask.fusion, text=text)
    moved = [{"id": hit.id, "rank": hit.rank, "rank_without_steering": plain.get(key_of(hit))} for hit in hits]
    if not explanations:
        return Answer(concepts, moved, hits)
    whys = []
    for hit, move in zip(hits, moved, strict=True):
        explanation = explain_hit(index, vector, hit, boost, clamp)
        score = hit.score if isinstance(index, SteerableIndex) else explanation.score  # an engine's may be a distance
        moves_of = {"rank": hit.rank, "rank_without_steering": move["rank_without_steering"]}
        why = {"score": score, **moves_of, "plain_top": plain_top(ask.k), "concepts": copy.deepcopy(concepts)}
        whys.append({**why, "features": top_features(explanation)})
    return Answer(concepts, moved if concepts else [], hits, whys)


def concepts_of(steered: SteeredQuery) -> list[dict[str, Any]]:
    """What each concept became and how well the bundle expresses it, as JSON values."""
    boosted = [_concept(concept, strength=strength) for concept, strength in steered.concepts]
    return boosted + [_concept(concept, clamp=value) for concept, value in steered.clamped]


def explain_hit(index: Searchable, vector: FloatArray, hit: Hit, boost: Boost, clamp: Boost) -> Explanation:
    """Why a hit has its score; over another engine its text is embedded again, since stores do not give vectors."""
    if isinstance(index, SteerableIndex):
        return index.explain(vector, hit.id, boost=boost, clamp=clamp)
    return index.explain_text(vector, hit.text, boost=boost, clamp=clamp)


def top_features(explanation: Explanation, limit: int = TOP_FEATURES) -> list[dict[str, Any]]:
    """The largest parts of a score, as JSON values."""
    return [
        {
            "feature": part.feature.name,
            "label": part.feature.label,
            "score": part.feature.score,
            "contribution": round(part.contribution, 4),
        }
        for part in explanation.parts[:limit]
    ]


def documents_of(answer: Answer, score_key: str | None, explanation_key: str | None) -> list[Document]:
    """LangChain documents; what is added to the metadata never replaces a document's own key."""
    documents = [Document(id=hit.id or None, page_content=hit.text, metadata=hit.metadata) for hit in answer.hits]
    if score_key:
        for document, hit in zip(documents, answer.hits, strict=True):
            if hit.score == hit.score:  # not NaN: an engine may tell the order and no score
                document.metadata.setdefault(score_key, hit.score)
    if explanation_key:
        for document, why in zip(documents, answer.explanations, strict=True):
            document.metadata.setdefault(explanation_key, why)
    return documents


def tell(run: CallbackManagerForRetrieverRun, done: Moves) -> None:
    """Give callbacks what steering did, as `on_text` and as a run "steering" inside the retriever's own run."""
    if done.concepts and run.handlers:
        run.on_text(in_words(done.concepts), steering=done.concepts)
        _told(done).invoke(done.concepts, {"callbacks": run.get_child()})


async def atell(run: AsyncCallbackManagerForRetrieverRun, done: Moves) -> None:
    """As `tell`."""
    if done.concepts and run.handlers:
        await run.on_text(in_words(done.concepts), steering=done.concepts)
        await _told(done).ainvoke(done.concepts, {"callbacks": run.get_child()})


def _told(done: Moves) -> RunnableLambda[Any, dict[str, Any]]:
    told = {"concepts": done.concepts, "moves": done.moves}

    async def later(_: object) -> dict[str, Any]:
        return told

    return RunnableLambda(lambda _: told, afunc=later, name="steering")


def in_words(concepts: Sequence[Mapping[str, Any]]) -> str:
    """One line that says what was boosted and clamped, and how well it could be expressed."""
    parts = []
    for entry in concepts:
        how = f"boost {entry['strength']:+g}" if "strength" in entry else f"clamp {entry['clamp']:g}"
        fit = "" if entry["fit"] is None else f" (fit {entry['fit']:.2f})"
        parts.append(f"{how} {entry['concept']!r}{fit}")
    return "steering: " + ", ".join(parts)


def _resolved(asked: Boost | None, resolved: tuple[tuple[Concept, float], ...]) -> dict[Key, float]:
    """The same mapping with each `Concept` in its resolved form, which need not be embedded again."""
    pairs = zip(asked or {}, resolved, strict=True)
    return {concept if isinstance(key, Concept) else key: strength for key, (concept, strength) in pairs}


def _concept(concept: Concept, **how: float) -> dict[str, Any]:
    return {"concept": concept.name, **how, "fit": None if concept.fit is None else round(concept.fit, 3)}
