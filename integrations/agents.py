"""`AgentTools`: the two tools that an agent has over an index, in any framework, with flat arguments and plain results.

Results say what each concept became, which rank every document has without steering, and why it was found; errors say
what to do instead. `integrations.langchain.tools` and `integrations.mcp_server` wrap them. No argument is a path: an
agent reaches one index and no other file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from ..errors import ConfigError
from ..runtime import Concept, Explanation, Key, SteerableIndex, Strength
from ..runtime.steering.request import DEFAULT_KEEP
from ..runtime.store.filters import read_filter
from ..steering_warnings import gathered
from ..text import one_line

HowFar: TypeAlias = Literal["light", "medium", "strong", "auto"]
STRENGTHS: dict[str, tuple[Strength, Strength]] = {
    "light": (0.5, -0.5),
    "medium": (1.0, -1.0),
    "strong": (2.0, -2.0),
    "auto": ("auto", "-auto"),
}
"""Towards and away, in typical activations: at 1 a text is as much about the concept as documents about it are."""
WEAK_FIT = 0.3
"""Below this the features of a bundle hardly express a phrase."""
TEXT_LIMIT = 1200
MOST = 50

Phrase = Annotated[str, Field(description="A word or phrase for what you look for.")]
Limit = Annotated[int, Field(description=f"Concepts wanted, 1 to {MOST}.", ge=1, le=MOST)]
Query = Annotated[str, Field(description="What the documents should answer.")]
More = Annotated[list[str], Field(description="Concepts to bring forward: names from find_concepts, or any phrases.")]
Less = Annotated[list[str], Field(description="Concepts to push back.")]
Like = Annotated[
    list[str],
    Field(description="Examples to be near: ids of documents that search_documents gave, or texts. One concept."),
]
Unlike = Annotated[list[str], Field(description="With like: what the concept is not, ids or texts.")]
How = Annotated[
    HowFar,
    Field(description="How far to steer; strong costs relevance to the query itself, auto goes as far as keep allows."),
]
Keep = Annotated[
    float,
    Field(description="With strength auto: how much of the query is kept, above 0 and at most 1.", gt=0, le=1),
]
Protect = Annotated[bool, Field(description="Leave alone what the query itself is most about.")]
Where = Annotated[
    str,
    Field(
        description='Metadata conditions as JSON text, like {"year": {"$gte": 2024}, "lang": {"$in": ["en", "de"]}}.'
    ),
]
Count = Annotated[int, Field(description=f"Documents wanted, 1 to {MOST}.", ge=1, le=MOST)]


class FoundConcept(TypedDict):
    """One feature that an index can be steered by."""

    concept: str
    """Give this to more_of or less_of."""
    label_score: float | None
    """How well the label tells on unseen documents: 1 always, 0.5 by chance, null when not measured."""
    share_of_documents: float
    """Share of the reference documents it is active on."""
    examples: list[str]


class Concepts(TypedDict):
    """The answer of `find_concepts`."""

    concepts: list[FoundConcept]
    hint: str


class Applied(TypedDict):
    """What one wish became."""

    asked: str
    strength: float
    means: list[str]
    """The features that carry it, strongest first."""
    fit: float | None
    """How well they express it, 0 to 1."""
    evidence: float | None
    """How much the documents say about it, 0 to 1; null when not measured."""


class Result(TypedDict):
    """One document."""

    rank: int
    rank_without_steering: int | None
    """Null when it was not among the first 100, or k if that is more."""
    id: str
    text: str
    metadata: dict[str, Any]
    why: list[str]
    """The features that add most to its score."""


class Results(TypedDict):
    """The answer of `search_documents`."""

    applied: list[Applied]
    kept: float
    """How much of the query is left, 1 without steering."""
    results: list[Result]
    warnings: list[str]
    """What to do differently; empty when all went well."""


class AgentTools:
    """`find_concepts` and `search_documents` over one opened index; read-only."""

    def __init__(self, index: SteerableIndex) -> None:
        self.index = index

    def find_concepts(self, text: Phrase, limit: Limit = 8) -> Concepts:
        """Find what this document collection can be steered by, before searching it with more_of or less_of.

        Raises:
            ConfigError: The text is empty or the limit out of range.
        """
        if not text.strip():
            raise ConfigError("text is empty: give a word or phrase, for example 'radio astronomy'")
        found = self.index.bundle.features.search(text, _checked("limit", limit))
        concepts: list[FoundConcept] = [
            {
                "concept": feature.label or feature.name,
                "label_score": feature.score,
                "share_of_documents": round(feature.density, 4),
                "examples": [one_line(example, 160) for example in feature.examples[:2]],
            }
            for feature in found
            if feature.p95 > 0  # others never fire
        ]
        hint = "Any phrase works in more_of and less_of too; these are the single features nearest to yours."
        return {"concepts": concepts, "hint": hint if concepts else "Nothing near; try other words, or any phrase."}

    def search_documents(
        self,
        query: Query,
        more_of: More = [],  # noqa: B006  never changed; a schema shows the default
        less_of: Less = [],  # noqa: B006
        like: Like = [],  # noqa: B006
        unlike: Unlike = [],  # noqa: B006
        strength: How = "medium",
        keep: Keep = DEFAULT_KEEP,
        protect: Protect = False,
        where: Where = "",
        k: Count = 5,
    ) -> Results:
        """Search the documents; more_of, less_of and like steer what comes first, where filters by metadata.

        Each result says which rank it has without steering and which features brought it up.

        Raises:
            ConfigError: An argument is empty, out of range, or asks for more and less of the same.
            FilterError: `where` is not a filter.
            UnknownFeatureError: Nothing in the index expresses a concept; the message names the nearest.
        """
        if not query.strip():
            raise ConfigError("query is empty: say what the documents should answer")
        if strength not in STRENGTHS:
            raise ConfigError(f"strength is {strength!r}: choose light, medium, strong or auto")
        boost = _boost(more_of, less_of, like, unlike, *STRENGTHS[strength])
        k, filter = _checked("k", k), read_filter(where if where.strip() else None, "where")
        with gathered() as warnings:
            steered = self.index.steer(query, boost, keep=keep, protect=protect)
            hits = self.index.search(steered, k, filter=filter, compare=True)
            explanations = self.index.explain_all(steered, [hit.id for hit in hits])
        applied = [
            self._applied(key if isinstance(key, str) else concept.name, concept, strength)
            for key, (concept, strength) in zip(boost, steered.boosted, strict=True)
        ]
        results: list[Result] = [
            {
                "rank": hit.rank,
                "rank_without_steering": hit.rank_before,
                "id": hit.id,
                "text": hit.text if len(hit.text) <= TEXT_LIMIT else hit.text[: TEXT_LIMIT - 1] + "…",
                "metadata": hit.metadata,
                "why": _why(explanation),
            }
            for hit, explanation in zip(hits, explanations, strict=True)
        ]
        warnings += _warnings(applied, results, where)
        return {"applied": applied, "kept": round(steered.kept, 2), "results": results, "warnings": warnings}

    def _applied(self, asked: str, concept: Concept, strength: float) -> Applied:
        features = self.index.bundle.features
        means = [str(features[latent]) for latent in list(concept.weights)[:3]]
        fit, evidence = (None if sure is None else round(sure, 2) for sure in (concept.fit, concept.evidence))
        return {"asked": asked, "strength": round(strength, 3), "means": means, "fit": fit, "evidence": evidence}


def description_of(method: Callable[..., Any]) -> str:
    """Return what a docstring says to a model: all before its sections."""
    return inspect.cleandoc(method.__doc__ or "").split("\nRaises:")[0].strip()


def _why(explanation: Explanation) -> list[str]:
    parts = [part for part in explanation.parts if part.contribution > 0][:3]
    return [
        f"{part.feature} {part.contribution:+.3f}{', by steering' if part.steered > part.contribution / 2 else ''}"
        for part in parts
    ]


def _boost(
    more_of: Sequence[str],
    less_of: Sequence[str],
    like: Sequence[str],
    unlike: Sequence[str],
    towards: Strength,
    away: Strength,
) -> dict[Key, Strength]:
    boost: dict[Key, Strength] = {}
    lists = {"more_of": more_of, "less_of": less_of, "like": like, "unlike": unlike}
    for name, given in lists.items():
        if isinstance(given, str) or not all(isinstance(text, str) for text in given):
            raise ConfigError(f"{name} is {given!r:.80}: give a list, for example ['radio astronomy']")
        if not all(text.strip() for text in given):
            raise ConfigError(f"{name} holds an empty text: leave it out")
    for concepts, strength in ((more_of, towards), (less_of, away)):
        for concept in concepts:
            if boost.setdefault(concept.strip(), strength) != strength:
                raise ConfigError(f"{concept!r} is in more_of and in less_of: leave it in one of them")
    if unlike and not like:
        raise ConfigError("unlike is the contrast of like: give at least one example in like, or use less_of")
    if like:
        boost[Concept.from_examples(like, unlike)] = towards
    return boost


def _checked(name: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST:
        raise ConfigError(f"{name} is {number!r}: it must be a whole number from 1 to {MOST}")
    return number


def _warnings(applied: list[Applied], results: list[Result], where: str) -> list[str]:
    warnings = [
        f"{entry['asked']!r} is hardly expressed by this collection (fit {entry['fit']}): try find_concepts"
        for entry in applied
        if entry["fit"] is not None and entry["fit"] < WEAK_FIT
    ]
    if not results:
        warnings.append("no document matches where: loosen it" if where else "the index is empty")
    elif applied and all(result["rank"] == result["rank_without_steering"] for result in results):
        warnings.append("steering changed no rank here: use a greater strength or another concept")
    return warnings
