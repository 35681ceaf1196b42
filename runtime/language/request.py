"""`Request`: what a text in plain words asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import ConfigError, DataError
from ...text import described, one_line, shown, visible


@dataclass(frozen=True, repr=False)
class Request:
    """What is looked for, what there should be more or less of, and what should not be there.

    `str` shows it on one line. `dataclasses.replace` changes it.

    Raises:
        ConfigError: A part has the wrong type, or the same words are wished for and excluded.
    """

    query: str
    """What remains of the text; the text itself, unchanged, where it has no cue."""
    boost: Mapping[str, float] = field(default_factory=dict)
    """Words -> strength: 1 for more of it, -1 for less."""
    exclude: tuple[str, ...] = ()
    """Words that say what should not be there."""

    def __post_init__(self) -> None:
        if not isinstance(self.query, str):
            raise ConfigError(f"query is {shown(self.query)}: it must be a text")
        if not isinstance(self.boost, Mapping):
            raise ConfigError(
                f"boost is {shown(self.boost)}: it must map words to strengths, for example {{'jazz': 1}}"
            )
        for words, strength in self.boost.items():
            number = isinstance(strength, int | float) and not isinstance(strength, bool)
            if not isinstance(words, str) or not number or not abs(strength) < float("inf"):
                raise ConfigError(f"boost has {shown(words)}: {shown(strength)}: it must map words to finite numbers")
        if isinstance(self.exclude, str) or not all(isinstance(words, str) for words in _items(self.exclude)):
            raise ConfigError(f"exclude is {shown(self.exclude)}: it must be a list of words, for example ['jazz']")
        object.__setattr__(self, "boost", {words: float(strength) for words, strength in self.boost.items()})
        object.__setattr__(self, "exclude", tuple(self.exclude))
        excluded = {words.casefold() for words in self.exclude}
        for words, strength in self.boost.items():
            if strength > 0 and words.casefold() in excluded:
                raise ConfigError(f"{shown(words)} is both wished for and excluded: leave out one of the two")

    @property
    def steered(self) -> bool:
        """Whether there is anything besides the query."""
        return bool(self.boost or self.exclude)

    def __repr__(self) -> str:
        boost = f"boost={shown(self.boost)}" if self.boost else ""
        exclude = f"exclude={shown(self.exclude)}" if self.exclude else ""
        return described("Request", shown(self.query), boost, exclude)

    def __str__(self) -> str:
        """Return the query and its chips on one line: `cafés in Rome  + for families  − touristy`."""
        wishes = sorted(self.boost.items(), key=lambda item: item[1] <= 0)
        chips = [f"{'+' if strength > 0 else '−'} {_chip(words, strength)}" for words, strength in wishes]
        chips += [f"− {one_line(words)}" for words in self.exclude]
        return visible("  ".join([one_line(self.query), *chips]))

    def to_dict(self) -> dict[str, Any]:
        """Return the request as values of JSON, for `from_dict`."""
        return {"query": self.query, "boost": dict(self.boost), "exclude": list(self.exclude)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Return the request that `to_dict` wrote; a DataError for other values, which names them."""
        if not isinstance(values, Mapping) or "query" not in values or set(values) - {"query", "boost", "exclude"}:
            raise DataError(f"a request is {shown(values)}: it must have query, and may have boost and exclude")
        try:
            return cls(values["query"], values.get("boost", {}), values.get("exclude", ()))
        except ConfigError as error:
            raise DataError(f"a request cannot be read: {error}") from error


def _items(given: object) -> list[object]:
    """Return the items of a list or tuple; what is neither is its own only item, which is no text."""
    return list(given) if isinstance(given, list | tuple) else [given]


def _chip(words: str, strength: float) -> str:
    """Return a boost as its chip shows it. A dislike is `less ...`, so that it is told from what is excluded."""
    shown_words = one_line(words) if strength > 0 else f"less {one_line(words)}"
    return shown_words if abs(strength) == 1 else f"{shown_words} ({abs(strength):g})"
