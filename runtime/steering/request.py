"""`Steering`: a request to steer a query, checked once where it enters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict, cast

import numpy as np

from ...errors import ConfigError
from ...text import shown
from .change import check_strength
from .concepts import Concept
from .profile import Profile

Key: TypeAlias = int | str | Concept | Profile
"""Reference to a concept: a latent id (`412`, `"f412"`), a feature's label, free text, a `Concept`, or a `Profile`."""
Strength: TypeAlias = float | Literal["auto", "-auto"]
"""A number of typical activations, or `"auto"` (`"-auto"`): the largest that keeps a given cosine to the query."""
# The key of a Mapping is invariant, so that each type of key is listed.
Boost: TypeAlias = (
    Mapping[str, Strength]
    | Mapping[int, Strength]
    | Mapping[Concept, Strength]
    | Mapping[Profile, Strength]
    | Mapping[int | str, Strength]
    | Mapping[Key, Strength]
    | Profile
)
"""Concept -> strength. A profile alone is boosted at strength 1."""
DEFAULT_KEEP = 0.85
"""Default of `keep`: the cosine of the query before and after steering that `"auto"` preserves."""


class SteeringArguments(TypedDict, total=False):
    """The keyword form of `Steering`, for functions that pass it on."""

    boost: Boost | None
    clamp: Boost | None
    keep: float
    protect: bool
    steering: Steering | None
    """The request as one object, in place of the others."""


@dataclass(frozen=True)
class Steering:
    """A request to change a query. Without boost and clamp it changes nothing.

    Raises:
        ConfigError: `boost` or `clamp` is not a mapping, a strength is not a number, or `keep` is out of range.

    Warns:
        SteeringWarning: A strength beyond +-100 is limited to that.
    """

    boost: Mapping[Key, Strength] = field(default_factory=dict)
    """Concept -> strength in typical activations, or `"auto"`; negative pushes away; 0 changes nothing."""
    clamp: Mapping[Key, float] = field(default_factory=dict)
    """Concept -> value in typical activations to set instead of adding; 0 removes the concept from the query."""
    keep: float = DEFAULT_KEEP
    """Cosine of the query before and after steering that `"auto"` preserves, above 0 and at most 1."""
    protect: bool = False
    """Preserve the activations of the query's own strongest features."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", check_keep(self.keep))
        object.__setattr__(self, "boost", _checked("boost", self.boost))
        object.__setattr__(self, "clamp", _checked("clamp", self.clamp))

    @property
    def empty(self) -> bool:
        """Whether nothing is boosted or clamped."""
        return not (self.boost or self.clamp)

    @classmethod
    def of(
        cls,
        steering: Steering | None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
    ) -> Steering:
        """Return the request of a call, given as an object or by keywords; a ConfigError for both or an invalid one."""
        if steering is None:
            return cls(cast("Mapping[Key, Strength]", boost), cast("Mapping[Key, float]", clamp), keep, protect)
        if not isinstance(steering, cls):
            raise ConfigError(f"steering is {shown(steering)}: give a Steering, or boost= and clamp=")
        if boost is not None or clamp is not None or keep != DEFAULT_KEEP or protect:
            raise ConfigError("give steering=, or boost=, clamp=, keep= and protect=, not both")
        return steering


def _checked(name: str, given: object) -> dict[Key, Strength]:
    """Return a mapping of keys to numbers; a boost may also have `"auto"` and `"-auto"`."""
    if given is None:
        return {}
    if isinstance(given, Profile):
        given = {given: 1.0}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{name} is {shown(given)}: it must map concepts to strengths, for example {{'radio astronomy': 1.5}}"
        )
    checked: dict[Key, Strength] = {}
    for key, strength in given.items():
        sign = auto_sign(strength) if name == "boost" else 0.0
        number: Strength = ("auto" if sign > 0 else "-auto") if sign else check_strength(key, strength)
        if isinstance(key, Profile):  # as it is now, so that a request never changes
            concept = key.concept()
            if concept is None:
                continue
            trusted = name == "boost" and not isinstance(number, str)
            key, number = concept, float(number) * key.trust if trusted else number
        checked[key] = number
    return checked


def auto_sign(strength: object) -> float:
    """Return 1 for `"auto"`, -1 for `"-auto"`, 0 for everything else."""
    if not isinstance(strength, str):
        return 0.0
    return {"auto": 1.0, "-auto": -1.0}.get(strength.strip().casefold(), 0.0)


def check_keep(keep: object) -> float:
    """Return the value of `keep`; a ConfigError if it is not a number above 0 and at most 1."""
    if isinstance(keep, bool) or not isinstance(keep, int | float | np.number) or not 0 < keep <= 1:
        raise ConfigError(
            f"keep is {shown(keep)}: it must be above 0 and at most 1, the cosine that a query keeps to itself"
        )
    return float(keep)
