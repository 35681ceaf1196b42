"""What a page asks for: JSON that anybody may have written, checked once, here.

A state is what the studio shows: a query and how it is steered. The address of the page, a snapshot and a request hold
the same object::

    {"query": "solar storms", "k": 10, "view": "dense", "filter": null, "understand": false, "concepts": [
      {"key": {"phrase": "radio astronomy"}, "strength": 1, "on": true, "off": [], "exclude": false}]}

A key is one of ``{"phrase": "..."}``, ``{"feature": 412}``, ``{"more": [ids], "less": [ids], "phrase": "..."}``,
``{"concept": "name of a saved one"}`` and ``{"weights": {"412": 1.0}}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from ...errors import ConfigError
from ...runtime.search.views import VIEWS
from ...runtime.store.filters import compile_filter
from ...text import shown

LONGEST_QUERY, LONGEST_PHRASE, LONGEST_ID = 20_000, 2_000, 1_000
"""Characters."""
MOST_RESULTS, MOST_CONCEPTS, MOST_EXAMPLES, MOST_WEIGHTS = 100, 32, 200, 1_000
_STATE = ("query", "k", "view", "filter", "concepts", "understand")
_CONCEPT = ("key", "strength", "on", "off", "exclude")
_KEYS = {
    "phrase": ("phrase",),
    "feature": ("feature",),
    "more": ("more", "less", "phrase"),
    "less": ("more", "less", "phrase"),
    "concept": ("concept",),
    "weights": ("weights", "phrase"),
}
"""What tells a kind of key -> the names that it may have."""


@dataclass(frozen=True)
class Wish:
    """One concept of a state."""

    key: Mapping[str, Any]
    """As it was given, checked."""
    strength: float | str = 1.0
    """A number, `"auto"` or `"-auto"`."""
    on: bool = True
    off: tuple[int, ...] = ()
    """Latents of it that are switched off."""
    exclude: bool = False

    @property
    def name(self) -> str:
        """Text by which two wishes are told apart."""
        return json.dumps([self.key, sorted(self.off)], sort_keys=True)


@dataclass(frozen=True)
class State:
    """A query and how it is steered; see the module."""

    query: str = ""
    k: int = 10
    view: str = "dense"
    filter: Mapping[str, Any] | None = None
    wishes: tuple[Wish, ...] = ()
    understand: bool = False
    steering: str = field(default="", compare=False)
    """JSON of what decides the steered query, the same for the same: all but `k`, `view` and `filter`."""

    def asking(self, query: str) -> State:
        """Return the same steering for another query."""
        return _named(replace(self, query=query))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON values that `read_state` reads."""
        concepts = [
            {"key": dict(w.key), "strength": w.strength, "on": w.on, "off": list(w.off), "exclude": w.exclude}
            for w in self.wishes
        ]
        body = {"query": self.query, "k": self.k, "view": self.view, "filter": self.filter, "concepts": concepts}
        return body | {"understand": self.understand}


def read_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        ConfigError: It is no JSON, or no object.
    """
    try:
        value = json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
        raise ConfigError(f"the body is not JSON ({why}): send an object with the header Content-Type") from None
    return as_object(value, "the body")


def read_state(value: object, what: str = "state") -> State:
    """Return the state of a JSON value; a ConfigError or FilterError that names what is wrong with it."""
    given = as_object(value, what)
    check_names(given, _STATE, what)
    query = as_text(given.get("query", ""), "query", LONGEST_QUERY, empty=True)
    k = as_whole(given.get("k", 10), "k", 1, MOST_RESULTS)
    view = as_text(given.get("view", "dense"), "view", 40)
    if view not in VIEWS:
        raise ConfigError(f"view is {shown(view)}: choose {', '.join(VIEWS)}")
    filter = given.get("filter")
    if filter is not None:
        filter = as_object(filter, "filter")
        check_texts(filter, "filter")
        compile_filter(filter)
    concepts = as_list(given.get("concepts", []), "concepts", MOST_CONCEPTS)
    wishes = tuple(_wish(concept, f"concepts[{i}]") for i, concept in enumerate(concepts))
    understand = as_bool(given.get("understand", False), "understand")
    return _named(State(query, k, view, filter or None, wishes, understand))


def read_key(value: object, what: str = "key") -> dict[str, Any]:
    """Return a checked key of a concept; a ConfigError that names what is wrong with it."""
    given = as_object(value, what)
    kind = next((name for name in ("weights", "more", "less", "phrase", "feature", "concept") if name in given), None)
    if kind is None:
        raise ConfigError(f"{what} is {shown(value)}: give a phrase, feature, more, concept or weights")
    check_names(given, _KEYS[kind], what)
    checked: dict[str, Any] = {}
    for name, held in given.items():
        where = f"{what}.{name}"
        if name in ("phrase", "concept"):
            checked[name] = as_text(held, where, LONGEST_PHRASE, empty=kind != name)
        elif name == "feature":
            checked[name] = as_whole(held, where, 0, 10**9)
        elif name == "weights":
            checked[name] = _weights(held, where)
        else:
            texts = as_list(held, where, MOST_EXAMPLES)
            checked[name] = [as_text(text, f"{where}[{i}]", LONGEST_ID) for i, text in enumerate(texts)]
    if kind in ("more", "less") and not (checked.get("more") or checked.get("less")):
        raise ConfigError(f"{what} has no examples: give ids of documents as more, or as less")
    return checked


def as_object(value: object, what: str) -> dict[str, Any]:
    """Return a JSON object; a ConfigError for anything else."""
    if not isinstance(value, dict):
        raise ConfigError(f"{what} is {shown(value)}: it must be a JSON object")
    return value


def as_list(value: object, what: str, most: int) -> list[Any]:
    """Return a list of at most `most` values; a ConfigError for anything else."""
    if not isinstance(value, list) or len(value) > most:
        raise ConfigError(f"{what} is {shown(value)}: it must be a list of at most {most:,} values")
    return value


def as_text(value: object, what: str, longest: int, *, empty: bool = False) -> str:
    """Return a text; a ConfigError for anything else, one that is too long, and half of a character pair."""
    if not isinstance(value, str) or not (empty or value.strip()):
        raise ConfigError(f"{what} is {shown(value)}: it must be a text")
    if len(value) > longest:
        raise ConfigError(f"{what} has {len(value):,} characters: at most {longest:,} are taken")
    check_texts(value, what)
    return value


def as_whole(value: object, what: str, least: int, most: int) -> int:
    """Return a whole number from `least` to `most`; a ConfigError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{what} is {shown(value)}: it must be a whole number from {least:,} to {most:,}")
    return value


def as_number(value: object, what: str) -> float:
    """Return a finite number as a float; a ConfigError for anything else."""
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{what} is {shown(value)}: it must be a finite number")
    return number


def as_bool(value: object, what: str) -> bool:
    """Return a truth value; a ConfigError for anything else."""
    if not isinstance(value, bool):
        raise ConfigError(f"{what} is {shown(value)}: it must be true or false")
    return value


def check_names(given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    """Check that an object has no other names than these; or a ConfigError that says which."""
    for name in given:
        if name not in names:
            raise ConfigError(f"{what} has {shown(name)}, which nothing knows: it may have {', '.join(names)}")


def check_texts(value: object, what: str) -> None:
    """Check that no text in JSON values has half of a character pair, which is no character; or a ConfigError."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        raise ConfigError(f"{what} has half of a character pair, or is nested too deeply: send whole ones") from None


def _wish(value: object, what: str) -> Wish:
    given = as_object(value, what)
    check_names(given, _CONCEPT, what)
    key = read_key(given.get("key"), f"{what}.key")
    strength = given.get("strength", 1.0)
    if strength not in ("auto", "-auto"):
        strength = as_number(strength, f"{what}.strength")
    off = as_list(given.get("off", []), f"{what}.off", MOST_WEIGHTS)
    latents = tuple(as_whole(latent, f"{what}.off[{i}]", 0, 10**9) for i, latent in enumerate(off))
    on, exclude = (as_bool(given.get(name, name == "on"), f"{what}.{name}") for name in ("on", "exclude"))
    return Wish(key, strength, on, latents, exclude)


def _weights(value: object, what: str) -> dict[str, float]:
    given = as_object(value, what)
    if not 0 < len(given) <= MOST_WEIGHTS:
        raise ConfigError(f"{what} has {len(given):,} latents: give 1 to {MOST_WEIGHTS:,}")
    for latent in given:
        if not (latent.isascii() and latent.isdigit() and len(latent) < 10):
            raise ConfigError(f"{what} has {shown(latent)}: write latents as numbers, for example 412")
    return {latent: as_number(weight, f"{what}.{latent}") for latent, weight in given.items()}


def _named(state: State) -> State:
    body = [state.query, state.understand, [[w.key, w.strength, w.on, w.off, w.exclude] for w in state.wishes]]
    return replace(state, steering=json.dumps(body, sort_keys=True))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
