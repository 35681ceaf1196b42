"""`SteeredQuery`: a query before and after steering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from ...arrays import FloatArray
from .change import Change
from .concepts import Concept


@dataclass(frozen=True)
class SteeredQuery:
    """A query before and after steering, accepted by every search, explanation and engine in place of a text."""

    original: FloatArray
    """The embedding of the query, unit length, shape (d_in,)."""
    vector: FloatArray
    """The steered vector; `original` itself, bit for bit, if nothing changes."""
    boosted: tuple[tuple[Concept, float], ...]
    """The concept of each key of the boost with its strength; `"auto"` is a number here."""
    clamped: tuple[tuple[Concept, float], ...]
    """The concept of each key of the clamp with its value."""
    make_change: Callable[[], Change] = field(repr=False, compare=False)
    """Encodes the query and returns `change`."""
    text: str | None = None
    """The words of the query; None if only a vector is known."""

    @cached_property
    def change(self) -> Change:
        """The query's code before and after steering, encoded on first access, since boosts alone do not need it."""
        return self.make_change()

    @property
    def kept(self) -> float:
        """The cosine between `original` and `vector`."""
        return 1.0 if self.vector is self.original else float(self.original.astype("float64") @ self.vector)

    @property
    def unsteered(self) -> SteeredQuery:
        """The same query without steering."""
        return SteeredQuery(self.original, self.original, (), (), lambda: self.change.unsteered, self.text)
