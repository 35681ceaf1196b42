"""`Studio`: one index as the pages ask for it, with what repeats from request to request kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from ...bounded_cache import BoundedCache
from ...errors import ConfigError, SteersearchError, UnknownFeatureError
from ...runtime import Concept, Features, Key, SteerableIndex, SteeredQuery, Steering, Strength
from ...runtime.steering.request import with_request
from ...steering_warnings import Message, gathered
from ...text import shown
from .requests import State, Wish
from .sample import Sample, take_sample
from .saved import Saved

STEERED, CONCEPTS = 512, 512
"""Steered queries and concepts that are kept; one that is kept takes some 100 KB."""
UNUSABLE, OFF, UNCLEAR = "unusable", "off", "unclear"
"""Kinds of warnings of the studio's own, beside those of `steering_warnings`."""


@dataclass(frozen=True)
class Warned:
    """A warning in place."""

    kind: str
    text: str
    key: Mapping[str, Any] | None = None
    """The key of the concept that it is about."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"kind": self.kind, "text": self.text} | ({} if self.key is None else {"key": self.key})


@dataclass(frozen=True)
class Resolved:
    """A concept of a state as the index takes it."""

    key: Key
    """What the Python API is given: a phrase, a latent or a `Concept`."""
    concept: Concept
    """What it became, without the latents that are switched off."""
    whole: Concept
    """With them."""
    sign: float
    """-1 for examples of what is not wanted only, which are boosted with the opposite sign."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A state that was steered."""

    state: State
    steered: SteeredQuery
    steering: Steering
    """The request of the page, without what was read in the text."""
    found: tuple[Resolved | None, ...]
    """For each wish what it became; None for one that cannot be used."""
    warnings: tuple[Warned, ...]


class Studio:
    """An index and what is kept beside it. Threads share an object.

    Args:
        index: Opened; whoever opened it closes it.
        allow_write: Whether pages may save concepts, snapshots and judgments, and edit features.
        bundle: Where the bundle was said to be, if it was moved: for the texts of `copies`.
    """

    def __init__(self, index: SteerableIndex, *, allow_write: bool = False, bundle: Path | None = None) -> None:
        if not index.has_bundle:
            raise ConfigError(f"{index.path} has no bundle, so it cannot be steered: open it with --bundle")
        self.index, self.allow_write, self.moved_bundle = index, allow_write, bundle
        self.saved = Saved(index.path)
        self.editing = Lock()
        """Held while features are edited."""
        self.edited: list[dict[int, Any]] = []
        """What each edit of this process changed, newest last: latent -> its `Edit` before."""
        self.kept: BoundedCache[tuple[object, ...], Any] = BoundedCache(256)
        """Answers that depend on the documents alone, by name, revision and argument."""
        self._steered: BoundedCache[tuple[object, ...], Asked] = BoundedCache(STEERED)
        self._concepts: BoundedCache[tuple[object, ...], Resolved | Warned] = BoundedCache(CONCEPTS)
        self._making = Lock()

    @property
    def features(self) -> Features:
        """The features with the users' edits."""
        return self.index.bundle.features

    @property
    def revision(self) -> tuple[object, ...]:
        """What answers depend on: the documents, their metadata, the edits of features and the saved concepts."""
        store = self.index.store
        return store.generation, store.metadata_changes, id(self.features), self.saved.revision

    @property
    def sample(self) -> Sample:
        """An even sample of the documents, read once for a state of the index."""
        key = ("sample", *self.revision[:2])
        with self._making:  # it takes a second: who comes meanwhile waits for the one
            return self.kept.get_or_make(key, lambda: take_sample(self.index))  # type: ignore[no-any-return]

    @cached_property
    def name(self) -> str:
        """What the page calls the index."""
        return self.index.path.resolve().name

    @cached_property
    def exact_words(self) -> bool:
        """Whether scores are a sum over the words of a document; see `Bundle.document_parts`."""
        return not self.index.bundle.brings and self.index.bundle.document_parts(["a"]) is not None

    def ask(self, state: State) -> Asked:
        """Return a state steered; from memory where it was asked before and the index is the same.

        Raises:
            ConfigError: The query is empty, or the same concept stands there twice.
            SteersearchError: As `SteerableIndex.steer`.
        """
        if not state.query.strip():
            raise ConfigError("the query is empty: say what the documents should answer")
        key = (state.steering, *self.revision)
        found = self._steered.get(key)
        if found is None:
            found = self._ask(state)
            self._steered.put(key, found)
        return replace(found, state=state)

    def resolve(self, wish: Wish) -> Resolved | Warned:
        """Return what a concept of a state became, or the warning that says why it cannot be used."""
        key = (wish.name, *self.revision)
        found = self._concepts.get(key)
        if found is None:
            found = self._resolve(wish)
            self._concepts.put(key, found)
        return found

    def key_of(self, key: Mapping[str, Any]) -> tuple[Key, float]:
        """Return what the Python API takes for a key, and the sign of its strength; errors as `Concept.load`."""
        if "concept" in key:
            return self.saved.concept(key["concept"], self.index.bundle), 1.0
        if "weights" in key:
            weights = {int(latent): weight for latent, weight in key["weights"].items()}
            return Concept.from_latents(weights, key.get("phrase") or None), 1.0
        if "more" in key or "less" in key:
            more, less, phrase = key.get("more") or [], key.get("less") or [], key.get("phrase", "")
            if more:
                return Concept.from_examples(more, less, phrase=phrase), 1.0
            # Only what is not wanted: documents like it go down.
            return Concept.from_examples(less, phrase=phrase), -1.0
        return (key["feature"] if "feature" in key else key["phrase"]), 1.0

    def _resolve(self, wish: Wish) -> Resolved | Warned:
        try:
            with gathered() as warnings:
                key, sign = self.key_of(wish.key)
                whole = self.index.resolve(key)
        except UnknownFeatureError as error:
            return Warned(UNUSABLE, str(error), wish.key)
        except SteersearchError as error:
            if "concept" in wish.key or "more" in wish.key or "less" in wish.key:
                return Warned(UNUSABLE, str(error), wish.key)
            raise
        concept = whole
        if set(wish.off) & whole.weights.keys():
            left = {latent: weight for latent, weight in whole.weights.items() if latent not in wish.off}
            if not left:
                text = f"all features of {shown(whole.name)} are switched off: it counts for nothing"
                return Warned(OFF, text, wish.key)
            key = concept = replace(whole, weights=left)
        feature = self.features[next(iter(whole.weights))]
        if len(whole.weights) == 1 and feature.label is None:
            words = f"perhaps {feature.guess}" if feature.guess else "nobody knows what it stands for"
            warnings.append(Message.of(f"{feature.name} has no label that holds: {words}", UNCLEAR))
        return Resolved(key, concept, whole, sign, tuple(warnings))

    def _ask(self, state: State) -> Asked:
        boost: dict[Key, Strength] = {}
        exclude: list[Key] = []
        found: list[Resolved | None] = []
        told: list[Warned] = []
        for wish in state.wishes:
            made = self.resolve(wish)
            if isinstance(made, Warned):
                found.append(None)
                if wish.on:
                    told.append(made)
                continue
            found.append(made)
            if not wish.on:
                continue
            if made.key in boost or made.key in exclude:
                raise ConfigError(f"{shown(made.concept.name)} is there twice: leave one of them out")
            strength = signed(wish.strength, made.sign)
            if wish.exclude:
                exclude.append(made.key)
            else:
                boost[made.key] = strength
            unwanted = wish.exclude or strength == "-auto" or (not isinstance(strength, str) and strength < 0)
            for text in made.warnings:
                kind = getattr(text, "kind", "")
                # That no document is about it is no reason to warn where it is not wanted.
                if not (unwanted and kind == "nothing"):
                    told.append(Warned(kind, text, wish.key))
        with gathered() as warnings:
            steering = Steering(boost, exclude=tuple(exclude))
            steered = self.index.steer(state.query, steering=steering, understand=state.understand)
        known = {warning.text for warning in told}
        told += [
            Warned(getattr(text, "kind", ""), text, self._about(text, state, found))
            for text in warnings
            if text not in known
        ]
        return Asked(state, steered, steering, tuple(found), tuple(told))

    @staticmethod
    def _about(text: str, state: State, found: list[Resolved | None]) -> Mapping[str, Any] | None:
        """Return the key of the concept that a warning names first; None where it names none."""
        places = [
            (text.find(shown(made.concept.name)), at) for at, made in enumerate(found) if made and state.wishes[at].on
        ]
        first = min(((place, at) for place, at in places if place >= 0), default=None)
        return None if first is None else state.wishes[first[1]].key


def signed(strength: float | str, sign: float) -> Strength:
    """Return a strength as the Python API takes it, with the opposite sign where `sign` is below 0."""
    if isinstance(strength, str):
        return "auto" if (strength == "auto") == (sign > 0) else "-auto"
    return strength * sign


def boosted_keys(asked: Asked) -> list[Key]:
    """Return the keys of `SteeredQuery.boosted`, in its order: what was read in the text, then the page's own."""
    request = asked.steered.request
    return [*(asked.steering if request is None else with_request(asked.steering, request)).boost]


def name_of(key: Mapping[str, Any]) -> str:
    """Return a key as one text, the same for the same key."""
    return json.dumps(key, sort_keys=True)
