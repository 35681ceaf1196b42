"""`Resolver`: from a `Steering` request to a `SteeredQuery`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray, check_unit_rows, is_unit
from ...errors import BundleError, ConfigError, DataError
from ...steering_warnings import gathered, warn
from ...text import shown
from ..bundle.bundle import Bundle
from ..bundle.features import Features
from ..language.request import Request
from .attributes import Attribute, Removed, removed_from
from .auto_strength import largest_strength
from .change import Change, add_step, amounts_of, apply, orthogonalise, step_of, strongest
from .concept_directions import beginning_of
from .concepts import Concept
from .conditions.conjunction import Code, Conjunction, aimed
from .conflicts import Conflicts
from .contexts import contexts_of
from .documents import Documents
from .evidence import Evidence
from .profiles.profile import Profile
from .request import DEFAULT_KEEP, Key, Steering, Strength, with_request
from .steered_query import SteeredQuery

CACHED = 512
_NEGATION = re.compile(
    r"(?:not|no|without|except|never|anything but|other than|nothing (?:about|on|of))\s+"
    r"(?:(?:an?|the|any|about)\s+)*(.+)",
    re.IGNORECASE,
)
"""A phrase that asks for less, and what of. `non-fiction` is a thing of its own."""
LEAST_LEFT = 0.2
"""Length of what `remove` may leave of a query of length 1: the rest of a query that is removed itself is noise."""


class Resolved(NamedTuple):
    """A resolved key."""

    concept: Concept
    step: WideArray
    """Its addition to a query at strength 1: ``sum of weight * typical * atom``, shape (d_in,)."""
    code: Code
    """Its latents and their activations at strength 1."""
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]
    """Warnings that no document is about it, which is no reason to warn where it is not wanted."""


class Boosted(NamedTuple):
    """The boost of one concept."""

    resolved: Resolved
    number: float
    """Its strength; 0 for `"auto"`."""
    auto: float
    """1 for `"auto"`, -1 for `"-auto"`, 0 for a number."""

    def strength(self, factor: float) -> float:
        """Return the strength, with `factor` in place of `"auto"`."""
        return self.number + factor * self.auto


class Resolver:
    """Steering of queries, with a cache of the concepts resolved against the documents. Threads may share one."""

    def __init__(self, bundle: Bundle, documents: Documents | None = None) -> None:
        self._bundle, self._documents = bundle, documents or Documents()
        self._evidence = Evidence(bundle, self._documents)
        self._conflicts = Conflicts(bundle, self._step)
        self._conjunction = Conjunction(bundle, self._documents)
        # Typed, because True equals latent 1.
        self._concept_of = lru_cache(CACHED, typed=True)(self._find_concept)
        self._resolved = lru_cache(CACHED, typed=True)(self._make_resolved)
        # Not read before a concept is asked for.
        self._features: Features | None = None

    def resolve(self, key: Key) -> Concept:
        """Return the concept of a key, as weighted latents.

        Raises:
            UnknownFeatureError: The latent does not exist, or nothing in the bundle expresses the text.
            ConfigError: The key has another type.
        """
        return self._resolve(key, lambda: self._documents.generation).concept

    def steer(
        self,
        query: str | FloatArray | SteeredQuery,
        steering: Steering,
        *,
        text: str | None = None,
        understand: bool = False,
    ) -> SteeredQuery:
        """Steer a query; a `SteeredQuery` is returned unchanged.

        Args:
            query: A text, or a unit vector of length d_in.
            steering: The request. All its `"auto"` strengths are equal, and apply after the numeric ones.
            text: The words of a query that is a vector.
            understand: Read what the text asks for in plain words; see `language.understand`.

        Raises:
            ConfigError: A strength is out of range, the boosts cancel the query out, or the query is already steered
                and the request is not empty.
            DataError: The query is not a text or unit vector.
            UnknownFeatureError: A key names an unknown latent, or nothing in the bundle expresses it.
            BundleError: The request is not empty, and the bundle has no features.

        Warns:
            SteeringWarning: The request is obeyed but probably not intended.
        """
        if understand:
            request = self._understood(query, text)
            steered = self.steer(request.query, with_request(steering, request))
            return replace(steered, request=request)
        if isinstance(query, SteeredQuery):
            return check_steered(query, steering, text, self._bundle.d_in)
        self._prefetch(query, steering)
        vector = query_vector(query, self._bundle)
        words = query if isinstance(query, str) and text is None else text
        if steering.empty:
            return SteeredQuery(vector, vector, (), (), lambda: self._changer(vector, [], (), False)(0.0), words)
        boosts, clamped, excluded = self._concepts_of(steering)
        moving = boosts if steering.blend == "move" else []
        if steering.blend == "both" and steering.keep != DEFAULT_KEEP:
            warn(f"keep={steering.keep:g} changes nothing: it is for blend='move', and here the query does not move")
        if len(boosts) > 1 or clamped or excluded:
            asked = [(boost.resolved.concept, boost.strength(1.0)) for boost in boosts]
            self._conflicts.check(asked, clamped, [resolved.concept for resolved in excluded])
        change_by = self._changer(vector, moving, clamped, steering.protect)

        def step_by(factor: float) -> WideArray:
            if clamped or (moving and steering.protect):
                return step_of(change_by(factor), self._bundle.atoms)
            return self._step_of_boosts(moving, factor)  # does not need the query's code

        factor = 1.0
        if any(boost.auto for boost in moving):
            start = step_by(0.0)
            factor = self._factor(vector, start, step_by(1.0) - start, steering.keep)
        boosted = tuple((boost.resolved.concept, boost.strength(factor)) for boost in boosts)
        step = step_by(factor)
        removed = self._removed(vector, step, steering)
        about = add_step(vector, step - sum(one.step for one in removed) if removed else step)
        protect = steering.protect
        coded = [] if moving else [(b.resolved, s) for b, (_, s) in zip(boosts, boosted, strict=True) if s]
        asked_for = [(one.concept, self._code(one, vector, protect), s) for one, s in coded]
        asked_for = [one for one in asked_for if len(one[1][0])]
        out = [(one.concept, self._code(one, vector, protect)) for one in excluded]
        out = [one for one in out if len(one[1][0])]
        if not asked_for and not out:
            made = SteeredQuery(vector, about, boosted, clamped, lambda: change_by(factor), words, blend=steering.blend)
            return replace(made, removed=removed) if removed else made
        terms = self._conjunction.terms(about, words, asked_for, out)
        return SteeredQuery(
            vector,
            aimed(about, terms),
            boosted,
            clamped,
            lambda: change_by(factor),
            words,
            tuple(one.concept for one in excluded),
            steering.blend,
            terms=terms,
            about=about,
            removed=removed,
        )

    def _removed(self, query: FloatArray, step: WideArray, steering: Steering) -> tuple[Removed, ...]:
        """Return what `remove` takes from a query that boosts and clamps move by `step`."""
        directions = []
        for key in steering.remove:
            if isinstance(key, Attribute):
                directions.append((key.name, key.vector(self._bundle.d_in), key.reward))
            else:
                found = self._resolve(key, lambda: self._documents.generation, wanted=False)
                directions.append((found.concept.name, found.step, 0.0))
        if not directions:
            return ()
        moved = query.astype(np.float64) + step
        removed = removed_from(moved, directions)
        left = float(np.linalg.norm(moved - sum(one.step for one in removed)))
        if left < LEAST_LEFT:
            raise ConfigError(
                f"remove leaves {left:.2f} of the query: {shown(removed[0].name)} is what the query asks for; leave it "
                "out of remove"
            )
        return removed

    def _prefetch(self, query: object, steering: Steering) -> None:
        """Embed the query and all phrases of a request at once, where an embedder pays for every call."""
        if not self._bundle.brings or steering.empty:
            return
        phrases = []
        for key in (*steering.boost, *steering.clamp, *steering.exclude, *steering.remove):
            # Whatever is wrong with a key is told where it is resolved.
            if isinstance(key, Concept) or (isinstance(key, str) and key.strip()):
                concept, depends = self._concept_of(key.strip() if isinstance(key, str) else key)
                if depends and concept.source == "text":
                    with gathered():
                        phrases.append(beginning_of(concept.name, self._bundle))
        if phrases:
            texts = [text for phrase in phrases for text in contexts_of(self._bundle).texts_with(phrase)]
            queries = [*phrases, query] if isinstance(query, str) else phrases
            self._bundle.prefetch([*phrases, *texts], queries)

    def _understood(self, query: object, text: str | None) -> Request:
        if not isinstance(query, str) or text is not None:
            raise ConfigError("understand=True reads a text, and the query is none: give the text, or leave it out")
        # Its grammar takes 26 ms to import.
        from ..language.grammar import understand as read_request

        return read_request(query)

    def _code(self, resolved: Resolved, query: FloatArray, protect: bool) -> Code:
        """Return the latents of a concept and their activations at strength 1.

        With `protect` without what the query's own strongest features have of it; none, with a warning, if that is all.
        """
        if not protect:
            return resolved.code
        typical, atoms, concept = self._bundle.features.typical, self._bundle.atoms, resolved.concept
        (latents,), (activations,) = self._bundle.encode(query[None])
        whole = apply(latents[:0], activations[:0], typical, [(concept.weights, 1.0)])
        own = strongest(latents, activations, typical)
        missing = np.setdiff1d(own, whole.latents)
        zeros = np.zeros(len(missing), np.float32)
        order = np.argsort(every := np.concatenate([whole.latents, missing]), kind="stable")
        after = np.concatenate([whole.after, zeros])[order]
        unprotected = Change(every[order], np.zeros_like(after), after)
        change = orthogonalise(unprotected, own, atoms)
        if _leaves_nothing(shown(concept.name), change, unprotected, atoms):
            return amounts_of({}, typical)
        return change.latents, change.after.astype(np.float64)

    def _concepts_of(
        self, steering: Steering
    ) -> tuple[list[Boosted], tuple[tuple[Concept, float], ...], tuple[Resolved, ...]]:
        asked = any(
            not isinstance(key, Attribute)
            for key in (*steering.boost, *steering.clamp, *steering.exclude, *steering.remove)
        )
        if asked and not self._bundle.features.typical.any():
            raise BundleError(
                f"the bundle {self._bundle.path} has no features: none of its latents was measured on a corpus, so "
                "there is nothing to boost; train with documents and export again"
            )
        read: list[int | None] = []

        def generation() -> int | None:  # read once for all keys
            if not read:
                read.append(self._documents.generation)
            return read[0]

        boosts = []
        for key, strength in steering.boost.items():
            number, auto = _number_and_auto(strength)
            boosts.append(Boosted(self._resolve(key, generation, wanted=number + auto >= 0), number, auto))
            if number + auto > 0 and boosts[-1].resolved.concept.source == "text":
                _warn_of_negation(boosts[-1].resolved.concept.name)
        clamped = tuple((self._resolve(key, generation).concept, value) for key, value in steering.clamp.items())
        excluded = tuple(self._resolve(key, generation, wanted=False) for key in steering.exclude)
        return boosts, clamped, excluded

    def _resolve(self, key: Key, generation: Callable[[], int | None], wanted: bool = True) -> Resolved:
        """Resolve a key, again after a change of the documents if it depends on them."""
        if isinstance(key, Profile):
            key = key.concept() or _no_clicks()
        if not isinstance(key, int | np.integer | str | Concept):
            raise ConfigError(f"{shown(key)} is not a concept: give a latent id, a label, a phrase or a Concept")
        if isinstance(key, str):
            key = key.strip()
        if self._features is not self._bundle.features:  # a user's edit gave features other labels
            self._features = self._bundle.features
            self._concept_of.cache_clear()
            self._resolved.cache_clear()
        concept, depends = self._concept_of(key)
        now = generation() if depends else None
        # Without a generation, the vector of an example may change at any time.
        if depends and now is None and concept.more_like:
            resolved = self._make_resolved(key, None)
        else:
            resolved = self._resolved(key, now)
        # Repeated at every use, so that a warning does not depend on earlier calls.
        for warning in (*resolved.warnings, *(resolved.doubts if wanted else ())):
            warn(warning)
        return resolved

    def _make_resolved(self, key: int | str | Concept, generation: int | None) -> Resolved:
        wanted, depends = self._concept_of(key)
        with gathered() as warnings:
            concept = wanted.resolve(self._bundle, self._documents)
        with gathered() as doubts:
            if depends and wanted.source == "text":
                concept = replace(concept, evidence=self._evidence.of(wanted.name))
        code = amounts_of(concept.weights, self._bundle.features.typical)
        return Resolved(concept, self._step(concept), code, tuple(warnings), tuple(doubts))

    def _find_concept(self, key: int | str | Concept) -> tuple[Concept, bool]:
        """Return the concept that a key names, and whether its resolution depends on the documents."""
        if isinstance(key, Concept):
            return key, not key.weights
        if key == "":
            raise ConfigError("a concept is an empty text: give a latent id, a label, a phrase or a Concept")
        feature = self._bundle.features.find(key)
        by_label = feature is not None and isinstance(key, str) and key.casefold() == (feature.label or "").casefold()
        # Who names an inert feature means what its label says, which it does not bring; its number means it alone.
        if feature is None or (by_label and feature.inert):
            return Concept.from_text(str(key)), True
        made = Concept.from_latents({feature.id: 1.0}, feature.label or feature.name)
        return replace(made, source="label") if by_label else made, False

    def _step(self, concept: Concept) -> WideArray:
        """Return the addition of a concept at strength 1, shape (d_in,)."""
        latents, amounts = amounts_of(concept.weights, self._bundle.features.typical)
        step: WideArray = amounts @ self._bundle.atoms[latents].astype(np.float64)
        return step

    def _step_of_boosts(self, boosts: Sequence[Boosted], factor: float) -> WideArray:
        """Return ``(z' - z) W_dec`` of boosts alone, shape (d_in,), which does not depend on the query."""
        step = np.zeros(self._bundle.d_in)
        for boost in boosts:
            if strength := boost.strength(factor):
                step += strength * boost.resolved.step
        return step

    def _changer(
        self, query: FloatArray, boosts: Sequence[Boosted], clamped: Sequence[tuple[Concept, float]], protect: bool
    ) -> Callable[[float], Change]:
        """Return a function from the factor of `"auto"` to the change; its first call encodes the query."""
        made: dict[float, Change] = {}
        codes: list[tuple[IntArray, FloatArray]] = []

        def change_by(factor: float) -> Change:
            if factor not in made:
                if not codes:
                    (latents,), (activations,) = self._bundle.encode(query[None])
                    codes.append((latents, activations))
                made[factor] = self._changed(*codes[0], factor, boosts, clamped, protect)
            return made[factor]

        return change_by

    def _changed(
        self,
        latents: IntArray,
        activations: FloatArray,
        factor: float,
        boosts: Sequence[Boosted],
        clamped: Sequence[tuple[Concept, float]],
        protect: bool,
    ) -> Change:
        """Return the change of a query's code; see `_changer`."""
        typical, atoms = self._bundle.features.typical, self._bundle.atoms
        set_to = [(concept.weights, value) for concept, value in clamped]
        added = [(boost.resolved.concept.weights, boost.strength(factor)) for boost in boosts]
        unprotected = apply(latents, activations, typical, added, set_to)
        if not protect:
            return unprotected
        clamped_latents = {latent for weights, _ in set_to for latent in weights}
        change = orthogonalise(unprotected, strongest(latents, activations, typical, clamped_latents), atoms)
        if change is not unprotected:
            _leaves_nothing("this boost", change, unprotected, atoms)
        return change

    def _factor(self, query: FloatArray, start: WideArray, step: WideArray, keep: float) -> float:
        """Return the strength of `"auto"`, given the step without it (`start`) and its own step at strength 1."""
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


def query_vector(query: str | FloatArray, bundle: Bundle) -> FloatArray:
    """Return the unit vector of a query, shape (d_in,), float32; errors as in `check_query_vector`."""
    return bundle.embed_query(query) if isinstance(query, str) else check_query_vector(query, bundle.d_in)


def check_query_vector(query: object, d_in: int) -> FloatArray:
    """Check a unit vector of length d_in and return it as contiguous float32, without a copy if it is that already.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(query, np.ndarray) or query.ndim != 1:
        raise DataError(f"the query is {type(query).__name__}: give a text or a unit vector of length {d_in}")
    if is_unit(query, d_in):
        return query
    row: FloatArray = check_unit_rows(query[None], "the query", d_in)[0]
    return row


def check_steered(query: SteeredQuery, steering: Steering, text: str | None, d_in: int) -> SteeredQuery:
    """Check a steered query and return it.

    Raises:
        ConfigError: The request is not empty.
        DataError: The query was steered with the bundle of another model.
    """
    if not steering.empty or text is not None:
        raise ConfigError("the query is steered already: give boost, clamp and text where it is steered")
    if query.vector.shape != (d_in,):
        raise DataError(f"the query was steered with another bundle: its vector has shape {query.vector.shape}")
    return query


def _leaves_nothing(what: str, change: Change, unprotected: Change, atoms: FloatArray) -> bool:
    """Return whether `protect` takes all of a change away, with a warning that names it."""
    after, before = (np.abs(step_of(one, atoms)).max() for one in (change, unprotected))
    if nothing := bool(after < 1e-3 * before):
        warn(f"protect=True leaves nothing of {what}: it is what the query is about; leave protect out")
    return nothing


def _number_and_auto(strength: Strength) -> tuple[float, float]:
    if isinstance(strength, str):
        return 0.0, 1.0 if strength == "auto" else -1.0
    return float(strength), 0.0


def _no_clicks() -> Concept:
    raise ConfigError("the profile has no clicks yet, so that it is no concept: like or dislike documents first")


def unsteered(
    folder: Path, query: str | FloatArray | SteeredQuery, steering: Steering, text: str | None, d_in: int
) -> SteeredQuery:
    """Return the query of a search in an index without a bundle, a unit vector of width `d_in`.

    Raises:
        ConfigError: It is a text, or is to be steered.
        DataError: It is no unit vector.
    """
    if isinstance(query, str):
        raise ConfigError(f"{folder} has no bundle that embeds texts: give a vector, or open it with bundle=")
    if isinstance(query, SteeredQuery):
        return check_steered(query, steering, text, d_in)
    vector = check_query_vector(query, d_in)
    if not steering.empty:
        raise ConfigError(f"{folder} has no bundle, so it cannot be steered: open it with bundle=")
    return SteeredQuery(vector, vector, (), (), _no_code, text)


def _no_code() -> Change:
    raise ConfigError("the index has no bundle, so its queries have no code: open it with bundle=")


def _warn_of_negation(phrase: str) -> None:
    """Warn of a boost such as `not a library`: an embedding of it is about libraries."""
    found = _NEGATION.fullmatch(phrase.strip())
    if found:
        thing = shown(found[1])
        warn(
            f"a boost of {shown(phrase)} brings more about {thing}, not less: write exclude=[{thing}], or a strength "
            f"of -1 for {thing}",
            "negation",
        )
