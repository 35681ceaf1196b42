"""`Steering`: a request to steer a query, checked once where it enters."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, TypeAlias, TypedDict, TypeVar, cast

import numpy as np

from ...errors import ConfigError
from ...text import described, shown
from ..language.request import Request
from .attributes import Attribute
from .change import check_strength
from .concepts import Concept
from .profiles.profile import Profile

Key: TypeAlias = int | str | Concept | Profile
"""Reference to a concept: a latent id (`412`, `"f412"`), a feature's label, free text, a `Concept`, or a `Profile`."""
Removable: TypeAlias = Key | Attribute
"""What `remove` takes out: a concept, whose direction goes, or an `Attribute`, which is then worth nothing."""
Strength: TypeAlias = float | Literal["auto", "-auto"]
"""1 counts as much as the query. `"auto"` and `"-auto"` are 1 and -1, and with `blend="move"` the largest that keeps a
given cosine to the query."""
Blend: TypeAlias = Literal["both", "move"]
"""How a boost works. `"both"`: documents are ranked by how much they are about the query and about the concepts.
`"move"`: the query moves along the concepts, in units of their typical activation (the paper's way)."""
BLENDS = ("both", "move")
SAID_NOT = -1.0
"""Strength of what a text in plain words does not want."""
_K = TypeVar("_K", covariant=True)
_V = TypeVar("_V", covariant=True)


class Pairs(Protocol[_K, _V]):
    """What is read of a mapping. Its keys may have a narrower type, which the keys of `Mapping` may not."""

    def __iter__(self) -> Iterator[_K]: ...
    def __len__(self) -> int: ...
    def keys(self) -> KeysView[_K]:
        """Return the keys."""
        ...

    def values(self) -> ValuesView[_V]:
        """Return the values."""
        ...

    def items(self) -> ItemsView[_K, _V]:
        """Return keys with their values."""
        ...


Boost: TypeAlias = Pairs[Key, Strength] | Profile
"""Concept -> strength. A profile alone is boosted at strength 1."""
DEFAULT_KEEP = 0.96
"""Default of `keep`: the cosine of the query before and after moving that `"auto"` preserves, about 16 degrees. On
news, newsgroups and questions about diseases most documents are about both at 12 to 20 degrees."""


class SteeringArguments(TypedDict, total=False):
    """The keyword form of `Steering`, for functions that pass it on."""

    boost: Boost | None
    clamp: Boost | None
    exclude: Sequence[Key] | Key | None
    remove: Sequence[Removable] | Removable | None
    blend: Blend
    keep: float
    protect: bool
    steering: Steering | None
    """The request as one object, in place of the others."""


@dataclass(frozen=True, repr=False)
class Steering:
    """A request to steer a query. Without boost, clamp, exclude and remove it changes nothing.

    Raises:
        ConfigError: `boost` or `clamp` is not a mapping, a strength is not a number, `keep` is out of range, `blend` is
            unknown, or a key is both boosted and excluded, or boosted and removed.

    Warns:
        SteeringWarning: A strength beyond +-100 is limited to that.
    """

    boost: Mapping[Key, Strength] = field(default_factory=dict)
    """Concept -> strength, or `"auto"`. 1: it counts as much as the query; negative: documents about it go down; 0
    changes nothing."""
    clamp: Mapping[Key, float] = field(default_factory=dict)
    """Concept -> value in typical activations to set in the query's own code; 0 removes the concept from the query."""
    exclude: tuple[Key, ...] = ()
    """Concepts that no document may be about, beyond what the rest of the query explains."""
    blend: Blend = "both"
    """How a boost works: `"both"` or `"move"`."""
    keep: float = DEFAULT_KEEP
    """With `blend="move"`, the cosine of the query before and after that `"auto"` preserves, above 0 and at most 1."""
    protect: bool = False
    """Preserve the activations of the query's own strongest features."""
    remove: tuple[Removable, ...] = ()
    """Concepts and attributes that are taken out of the query and of all documents, so that none is ranked by them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", check_keep(self.keep))
        object.__setattr__(self, "boost", _checked("boost", self.boost))
        object.__setattr__(self, "clamp", _checked("clamp", self.clamp))
        object.__setattr__(self, "exclude", _checked_keys("exclude", self.exclude))
        object.__setattr__(self, "remove", _checked_keys("remove", self.remove, Attribute))
        if not isinstance(self.blend, str) or self.blend not in BLENDS:
            raise ConfigError(f"blend is {shown(self.blend)}: choose both or move")
        for key in self.exclude:
            strength = self.boost.get(key, 0)
            if strength == "auto" or (strength != "-auto" and float(strength) > 0):
                raise ConfigError(f"{shown(key)} is in boost and in exclude: leave it out of one of them")
        for removed in self.remove:
            if not isinstance(removed, Attribute) and self.boost.get(removed, 0):
                raise ConfigError(f"{shown(removed)} is in boost and in remove: leave it out of one of them")

    def __repr__(self) -> str:
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        default: dict[str, object] = {entry.name: entry.default for entry in fields(self)} | {"boost": {}, "clamp": {}}
        changed = [f"{name}={shown(value, 120)}" for name, value in given.items() if value != default[name]]
        return described("Steering", *changed)

    @property
    def empty(self) -> bool:
        """Whether nothing is boosted, clamped, excluded or removed."""
        return not (self.boost or self.clamp or self.exclude or self.remove)

    @classmethod
    def of(
        cls,
        steering: Steering | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        exclude: Sequence[Key] | Key | None = None,
        blend: Blend = "both",
        remove: Sequence[Removable] | Removable | None = None,
    ) -> Steering:
        """Return the request of a call, given as an object or by keywords; a ConfigError for both or an invalid one."""
        if steering is None:
            mappings = cast("Mapping[Key, Strength]", boost), cast("Mapping[Key, float]", clamp)
            keys = cast("tuple[Key, ...]", exclude), cast("tuple[Removable, ...]", remove)
            return cls(*mappings, keys[0], blend, keep, protect, keys[1])
        if not isinstance(steering, cls):
            raise ConfigError(
                f"steering is {shown(steering)}: give a Steering, or boost=, clamp=, exclude= and remove="
            )
        given = any(argument is not None for argument in (boost, clamp, exclude, remove))
        if given or keep != DEFAULT_KEEP or protect or blend != "both":
            raise ConfigError(
                "give steering=, or boost=, clamp=, exclude=, remove=, blend=, keep= and protect=, not both"
            )
        return steering


def with_request(steering: Steering, request: Request) -> Steering:
    """Return a steering request with what a text asks for; keys that the former has already stay as they are.

    What a text does not want has the strength `SAID_NOT`: whoever writes "Aaron, but not Moses" does not want texts
    about Moses, and takes a text about Aaron that speaks of him, which `exclude` would not.
    """
    said = {**dict.fromkeys(request.exclude, SAID_NOT), **request.boost}
    boost: dict[Key, Strength] = {key: strength for key, strength in said.items() if key not in steering.exclude}
    return replace(steering, boost={**boost, **steering.boost})


def _checked(name: str, given: object) -> dict[Key, Strength]:
    """Return a mapping of keys to numbers; a boost may also have `"auto"` and `"-auto"`."""
    if given is None:
        return {}
    if isinstance(given, Profile):
        given = {given: 1.0}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{name} is {shown(given)}: it must map concepts to strengths, for example {{'radio astronomy': 1}}"
        )
    checked: dict[Key, Strength] = {}
    for key, strength in given.items():
        sign = auto_sign(strength) if name == "boost" else 0.0
        number: Strength = ("auto" if sign > 0 else "-auto") if sign else check_strength(key, strength)
        # A profile as it is now, so that a request never changes; without clicks it is not there.
        concept = key.concept() if isinstance(key, Profile) else key
        if isinstance(key, Profile) and name == "boost" and not isinstance(number, str):
            number *= key.trust
        if concept is not None:
            checked[concept] = number
    return checked


def _checked_keys(name: str, given: object, *more: type) -> tuple[Any, ...]:
    """Return the keys of `exclude` or `remove`, each once; a single one may stand alone. `more` are further types."""
    if given is None:
        return ()
    kinds = (int, np.integer, str, Concept, Profile, *more)
    keys = (given,) if isinstance(given, kinds) else given
    if isinstance(keys, Mapping | bytes) or not isinstance(keys, Iterable):
        raise ConfigError(f"{name} is {shown(given)}: it must list concepts, for example ['radio astronomy']")
    found: dict[object, None] = {}
    for key in keys:
        if isinstance(key, bool) or not isinstance(key, kinds):
            raise ConfigError(f"{shown(key)} is not a concept: give a latent id, a label, a phrase or a Concept")
        concept = key.concept() if isinstance(key, Profile) else key
        if concept is not None:  # a profile without clicks
            found[int(concept) if isinstance(concept, np.integer) else concept] = None
    return tuple(found)


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
