"""From what a person asked for (`boost`, `clamp`) to the change of a query's code."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

from ..errors import ConfigError
from ..metrics import FloatArray
from .bundle import Bundle
from .concepts import Concept, VectorOf
from .steering import Change, apply, check_strength, steer

Key: TypeAlias = int | str | Concept
Boost: TypeAlias = (  # the key of a Mapping is invariant, so that dict[str, float] has to be named
    Mapping[str, float]
    | Mapping[int, float]
    | Mapping[Concept, float]
    | Mapping[int | str, float]
    | Mapping[Key, float]
)
"""Concept -> strength. A key is a latent id (`412`, `"f412"`), a feature's label, free text, or a `Concept`."""

CACHED = 512


@dataclass(frozen=True)
class SteeredQuery:
    """A query and what steering made of it."""

    original: FloatArray
    """The query's own embedding, unit, shape (d_in,)."""
    vector: FloatArray
    """The steered one; `original` itself, bit for bit, when nothing changes."""
    change: Change | None
    """The code before and after; None when there was nothing to steer and no code was needed."""
    concepts: tuple[tuple[Concept, float], ...]
    """What each key of the boost became, with its strength."""
    clamped: tuple[tuple[Concept, float], ...]
    """What each key of the clamp became, with its value."""


class Resolver:
    """Resolves keys against a bundle and remembers those that had to be embedded.

    Args:
        bundle: Embeds, encodes and knows the features.
        vector_of: Id of an indexed document -> its vector, for concepts from examples.
    """

    def __init__(self, bundle: Bundle, vector_of: VectorOf | None = None) -> None:
        self._bundle, self._vector_of = bundle, vector_of
        self._texts: OrderedDict[str, Concept] = OrderedDict()
        self._lock = Lock()

    def resolve(self, key: Key) -> Concept:
        """The concept of a key, as weighted latents.

        Raises:
            UnknownFeatureError: No such latent, or nothing in the bundle expresses the text.
            ConfigError: Not a key.
        """
        if isinstance(key, Concept):
            return key.resolve(self._bundle, self._vector_of)
        if not isinstance(key, int | str):
            raise ConfigError(f"{key!r} is not a concept: give a latent id, a label, a phrase or a Concept")
        if isinstance(key, str) and not key.strip():
            raise ConfigError("a concept is an empty text: give a latent id, a label, a phrase or a Concept")
        feature = self._bundle.features.find(key)
        if feature is not None:
            return Concept.from_latents({feature.id: 1.0}, feature.label or feature.name).resolve(self._bundle)
        text = str(key)
        with self._lock:
            known = self._texts.get(text)
            if known is not None:
                self._texts.move_to_end(text)
                return known
        concept = Concept.from_text(text).resolve(self._bundle)
        with self._lock:
            self._texts[text] = concept
            if len(self._texts) > CACHED:
                self._texts.popitem(last=False)
        return concept

    def steer(self, query: FloatArray, boost: Boost | None, clamp: Boost | None, *, code: bool = False) -> SteeredQuery:
        """Steer one query.

        Args:
            query: Unit vector, shape (d_in,), float32.
            boost: Adds: concept -> strength in typical activations.
            clamp: Sets: concept -> value in typical activations; 0 removes.
            code: Encode the query even when there is nothing to steer.
        """
        boosts, clamps = self._all("boost", boost), self._all("clamp", clamp)
        if not (boosts or clamps or code):
            return SteeredQuery(query, query, None, (), ())
        indices, values = self._bundle.encode(query[None])
        change = apply(
            indices[0],
            values[0],
            self._bundle.features.typical,
            [(concept.weights, strength) for concept, strength in boosts],
            [(concept.weights, value) for concept, value in clamps],
        )
        vector = query if change.empty else steer(query, change, self._bundle.atoms)
        return SteeredQuery(query, vector, change, boosts, clamps)

    def _all(self, name: str, asked: Boost | None) -> tuple[tuple[Concept, float], ...]:
        if asked is None:
            return ()
        if not isinstance(asked, Mapping):
            raise ConfigError(
                f"{name} is {asked!r}: it must map concepts to strengths, for example {{'radio astronomy': 1.5}}"
            )
        checked = [(key, check_strength(key, strength)) for key, strength in asked.items()]
        return tuple((self.resolve(key), strength) for key, strength in checked)
