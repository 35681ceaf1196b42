"""`SteeredQuery`: a query before and after steering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from ...arrays import FloatArray, WideArray
from ...text import described, shown
from ..language.request import Request
from .attributes import Removed
from .change import Change, shifted
from .concepts import Concept
from .conditions.terms import Term
from .request import Blend


@dataclass(frozen=True, repr=False)
class SteeredQuery:
    """A query before and after steering, accepted by every search, explanation and engine in place of a text."""

    original: FloatArray
    """The embedding of the query, unit length, shape (d_in,)."""
    vector: FloatArray
    """The vector that engines are searched with, unit length; `original` itself, bit for bit, if nothing changes.

    With `blend="both"` it lies between the query and the concepts, where documents about both are; an index ranks what
    is near it by `terms`."""
    boosted: tuple[tuple[Concept, float], ...]
    """The concept of each key of the boost with its strength; `"auto"` is a number here."""
    clamped: tuple[tuple[Concept, float], ...]
    """The concept of each key of the clamp with its value."""
    make_change: Callable[[], Change] = field(repr=False, compare=False)
    """Encodes the query and returns `change`."""
    text: str | None = None
    """The words of the query; None if only a vector is known."""
    excluded: tuple[Concept, ...] = ()
    """The concepts that documents may not be about."""
    blend: Blend = "both"
    """How the boost works."""
    request: Request | None = None
    """What `understand=True` read in the text; None without it."""
    terms: tuple[Term, ...] = field(default=(), repr=False, compare=False)
    """The conditions that documents are ranked by, the query's own first; empty if similarity to `vector` ranks."""
    about: FloatArray | None = field(default=None, repr=False, compare=False)
    """The vector of the query's own condition: `original` as clamps, and with `blend="move"` boosts, move it."""
    removed: tuple[Removed, ...] = ()
    """What each key of `remove` takes from the query."""

    def __repr__(self) -> str:
        text = "a vector" if self.text is None else shown(self.text, 60)
        said = {"boost": self.boosted, "clamp": self.clamped}
        steered = [f"{name} {shown(one.name, 30)} {value:+.2g}" for name, of in said.items() for one, value in of]
        steered += [f"exclude {shown(one.name, 30)}" for one in self.excluded]
        steered += [f"remove {shown(one.name, 30)}" for one in self.removed]
        return described("SteeredQuery", text, *steered, f"kept {self.kept:.2f}")

    @cached_property
    def change(self) -> Change:
        """The query's code before and after it moved, encoded on first access, since boosts alone do not need it."""
        return self.make_change()

    @property
    def kept(self) -> float:
        """The cosine between `original` and `vector`."""
        return 1.0 if self.vector is self.original else float(self.original.astype("float64") @ self.vector)

    @property
    def unsteered(self) -> SteeredQuery:
        """The same query without steering."""
        return SteeredQuery(self.original, self.original, (), (), lambda: self.change.unsteered, self.text)

    @property
    def alone(self) -> SteeredQuery:
        """The query of its own condition, without concepts as conditions; the same query if it has none."""
        if self.about is None:
            return self
        moved_by = self.boosted if self.blend == "move" else ()
        removed = self.removed
        return SteeredQuery(
            self.original, self.about, moved_by, self.clamped, lambda: self.change, self.text, removed=removed
        )

    def moved(self, atoms: FloatArray) -> WideArray:
        """Return the query as its code moves it, without what is removed, before normalisation, (d_in,), float64."""
        made = shifted(self.original, self.change, atoms)
        for one in self.removed:
            made = made - one.step
        return made
