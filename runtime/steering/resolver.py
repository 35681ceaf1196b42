"""From what a person asked for (`boost`, `clamp`) to the change of a query's code."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from threading import Lock
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from ...errors import BundleError, ConfigError
from ...steering_warnings import gathered, warn
from ..bundle.bundle import Bundle
from .auto_strength import KEEP, auto_sign, check_keep, largest_strength
from .change import Change, apply, check_strength, moved, protected, step_of, strongest
from .concept_directions import Sample, VectorOf
from .concepts import Concept
from .conflicts import Conflicts
from .evidence import Evidence
from .steps import Steps

Key: TypeAlias = int | str | Concept
Strength: TypeAlias = float | Literal["auto", "-auto"]
Boost: TypeAlias = (  # the key of a Mapping is invariant, so that dict[str, float] has to be named
    Mapping[str, Strength]
    | Mapping[int, Strength]
    | Mapping[Concept, Strength]
    | Mapping[int | str, Strength]
    | Mapping[Key, Strength]
)
"""Concept -> strength. A key is a latent id (`412`, `"f412"`), a feature's label, free text, or a `Concept`. A strength
is a number of typical activations, or `"auto"` (`"-auto"`): the largest that keeps a stated share of the query."""

CACHED = 512


@dataclass(frozen=True)
class SteeredQuery:
    """A query and what steering made of it."""

    original: FloatArray
    """The query's own embedding, unit, shape (d_in,)."""
    vector: FloatArray
    """The steered one; `original` itself, bit for bit, when nothing changes."""
    encoded: Callable[[], Change] | None = field(repr=False, compare=False)
    """Makes `change`."""
    concepts: tuple[tuple[Concept, float], ...]
    """What each key of the boost became, with its strength; `"auto"` is a number here."""
    clamped: tuple[tuple[Concept, float], ...]
    """What each key of the clamp became, with its value."""

    @cached_property
    def change(self) -> Change | None:
        """The code before and after; None when there was nothing to steer and no code was asked for.

        Encoded when it is looked at: what a boost adds to a query does not depend on the query's code.
        """
        return None if self.encoded is None else self.encoded()

    @property
    def kept(self) -> float:
        """The share of the query that is left: cosine between `original` and `vector`."""
        return 1.0 if self.vector is self.original else float(self.original.astype(np.float64) @ self.vector)


class _Asked(NamedTuple):
    concept: Concept
    strength: float  # 0 until it is known, for "auto"
    auto: float  # 1 for "auto", -1 for "-auto", 0 for a number


class Resolver:
    """Resolves keys against a bundle and remembers those that took work.

    Args:
        bundle: Embeds, encodes and knows the features.
        vector_of: Id of an indexed document -> its vector, for concepts from examples.
        evidence: Says how much the documents are about a phrase; it is not asked without one.
        generation: How often the documents were changed; without it, concepts from examples are never remembered.
        sample: Vectors of documents spread over the index, which say what a phrase means in it.
    """

    def __init__(
        self,
        bundle: Bundle,
        vector_of: VectorOf | None = None,
        evidence: Evidence | None = None,
        generation: Callable[[], int] | None = None,
        sample: Sample | None = None,
    ) -> None:
        self._bundle, self._vector_of, self._evidence, self._generation = bundle, vector_of, evidence, generation
        self._sample = sample
        self._steps = Steps(bundle)
        self._conflicts = Conflicts(bundle, self._steps)
        self._known: OrderedDict[str | Concept, tuple[int, Concept, tuple[str, ...]]] = OrderedDict()
        self._lock = Lock()

    def resolve(self, key: Key) -> Concept:
        """The concept of a key, as weighted latents.

        Raises:
            UnknownFeatureError: No such latent, or nothing in the bundle expresses the text.
            ConfigError: Not a key.
        """
        return self._resolve(key, self._generation)

    def _resolve(self, key: Key, generation: Callable[[], int] | None) -> Concept:
        if isinstance(key, Concept):
            if key.more_like and not key.weights and self._generation is None:  # an example may be given another vector
                return key.resolve(self._bundle, self._vector_of)
            return self._remembered(key, key, generation)
        if not isinstance(key, int | np.integer | str):
            raise ConfigError(f"{key!r} is not a concept: give a latent id, a label, a phrase or a Concept")
        if isinstance(key, str) and not key.strip():
            raise ConfigError("a concept is an empty text: give a latent id, a label, a phrase or a Concept")
        feature = self._bundle.features.find(key)
        if feature is None:
            text = str(key).strip()
            return self._remembered(text, Concept.from_text(text), generation)
        made = Concept.from_latents({feature.id: 1.0}, feature.label or feature.name).resolve(self._bundle)
        by_label = isinstance(key, str) and key.strip().casefold() == (feature.label or "").casefold()
        return replace(made, source="label") if by_label else made

    def steer(
        self,
        query: FloatArray,
        boost: Boost | None,
        clamp: Boost | None,
        *,
        keep: float = KEEP,
        protect: bool = False,
        code: bool = False,
    ) -> SteeredQuery:
        """Steer one query.

        Args:
            query: Unit vector, shape (d_in,), float32.
            boost: Adds: concept -> strength in typical activations, or `"auto"`.
            clamp: Sets: concept -> value in typical activations; 0 removes.
            keep: Share of the query that `"auto"` keeps, a cosine. All `"auto"` strengths of a boost are the same, and
                what the numbers beside them do comes first.
            protect: Leave alone how strongly the query expresses its own strongest features.
            code: Encode the query even when there is nothing to steer.
        """
        share = check_keep(keep)
        boosts, clamps = self._all("boost", boost), self._all("clamp", clamp)
        values = tuple((asked.concept, asked.strength) for asked in clamps)
        if not (boosts or clamps or code):
            return SteeredQuery(query, query, None, (), ())
        self._conflicts.check([(asked.concept, asked.strength + asked.auto) for asked in boosts], values)
        change_by = self._changer(query, boosts, values, protect)

        def step_by(factor: float) -> WideArray:
            if clamps or protect:
                return step_of(change_by(factor), self._bundle.atoms)
            return self._added(boosts, factor)  # known without the query's code

        factor = 0.0
        if any(asked.auto for asked in boosts):
            start = step_by(0.0)
            factor = self._factor(query, start, step_by(1.0) - start, share)
        strengths = tuple((asked.concept, asked.strength + factor * asked.auto) for asked in boosts)
        return SteeredQuery(query, moved(query, step_by(factor)), lambda: change_by(factor), strengths, values)

    def _added(self, boosts: Sequence[_Asked], factor: float) -> WideArray:
        """``(z' - z) W_dec`` of boosts alone, shape (d_in,): the sum of what each adds, whatever the query is."""
        step = np.zeros(self._bundle.d_in)
        for asked in boosts:
            if strength := asked.strength + factor * asked.auto:
                step += strength * self._steps.of(asked.concept)
        return step

    def _changer(
        self, query: FloatArray, boosts: Sequence[_Asked], values: Sequence[tuple[Concept, float]], protect: bool
    ) -> Callable[[float], Change]:
        """What `"auto"` standing for a factor makes of the query's code; the query is encoded at the first call."""
        typical, atoms = self._bundle.features.typical, self._bundle.atoms
        set_to = [(concept.weights, value) for concept, value in values]

        @cache
        def code() -> tuple[IntArray, FloatArray]:
            (latents,), (activations,) = self._bundle.encode(query[None])
            return latents, activations

        @cache
        def change_by(factor: float) -> Change:
            latents, activations = code()
            added = [(asked.concept.weights, asked.strength + factor * asked.auto) for asked in boosts]
            free = apply(latents, activations, typical, added, set_to)
            if not protect:
                return free
            own = strongest(latents, activations, typical, {latent for weights, _ in set_to for latent in weights})
            change = protected(free, own, atoms)
            if change is not free and np.abs(step_of(change, atoms)).max() < 1e-3 * np.abs(step_of(free, atoms)).max():
                warn("protect=True leaves nothing of this boost: it is what the query is about; boost without protect")
            return change

        return change_by

    def _factor(self, query: FloatArray, start: WideArray, step: WideArray, keep: float) -> float:
        """The strength that `"auto"` stands for, where `start` is added without it and `step` by it."""
        origin = query.astype(np.float64)
        first = origin + start
        factor = largest_strength(origin, first, step, keep)
        kept = float(origin @ first) / max(float(np.linalg.norm(first)), 1e-12)
        if factor == 0 and kept < keep - 1e-9:
            warn(
                f'the strength "auto" is 0: what stands beside it already leaves {kept:.2f} of the query, and keep is '
                f"{keep:g}; lower keep or the other strengths"
            )
        return factor

    def _all(self, name: str, asked: Boost | None) -> list[_Asked]:
        if asked is None:
            return []
        if not isinstance(asked, Mapping):
            raise ConfigError(
                f"{name} is {asked!r}: it must map concepts to strengths, for example {{'radio astronomy': 1.5}}"
            )
        checked = []
        for key, strength in asked.items():
            sign = auto_sign(strength) if name == "boost" else 0.0
            checked.append((key, 0.0 if sign else check_strength(key, strength), sign))
        if checked and not self._bundle.features.typical.any():
            raise BundleError(
                f"the bundle {self._bundle.path} has no features: none of its latents was measured on a corpus, so "
                "there is nothing to boost; train with documents and export again"
            )
        generation = cache(self._generation) if self._generation else None  # read once for all keys
        return [_Asked(self._resolve(key, generation), strength, sign) for key, strength, sign in checked]

    def _remembered(self, key: str | Concept, asked: Concept, generation_now: Callable[[], int] | None) -> Concept:
        """What a concept became on these documents; what depends on them is made anew when they change."""
        generation = generation_now() if generation_now and not asked.weights else 0
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0] == generation:
                self._known.move_to_end(key)
        if known is None or known[0] != generation:
            known = generation, *self._resolved(asked)
            with self._lock:
                self._known[key] = known
                if len(self._known) > CACHED:
                    self._known.popitem(last=False)
        for doubt in known[2]:  # each time, so that what is told does not depend on who asked before
            warn(doubt)
        return known[1]

    def _resolved(self, asked: Concept) -> tuple[Concept, tuple[str, ...]]:
        """A concept with its weights, and the warnings that it gave."""
        with gathered() as doubts:
            concept = asked.resolve(self._bundle, self._vector_of, self._sample)
            if self._evidence and asked.source == "text" and not asked.weights:
                concept = replace(concept, evidence=self._evidence.of(asked.name))
        return concept, tuple(doubts)
