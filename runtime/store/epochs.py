"""The line of descent of a database: which writer added which documents, so that caches of another one are told apart.

A row id is never used again, so its vector, text and code never change. The same row id in two copies of a database
means the same document if both were copied after it was added. So every writer begins an epoch, a random name for the
row ids that it adds. The name of the epoch of the last row id says which documents all row ids up to it are: the name
was made once, in one database, after everything that came before it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

KEPT = 400
"""Newest epochs that are kept, 10 kB. Caches that are older than all of them are made again."""


class Origin(NamedTuple):
    """What a cache was made of; its fields are part of the cache's sidecar."""

    last_row: int = 0
    """The last row id that the database had given when the cache was made; its document may have been removed."""
    epoch: str = ""
    """The name of the epoch of that row id; empty for a database that has no epochs yet."""

    @property
    def facts(self) -> dict[str, object]:
        """The fields by name."""
        return self._asdict()


UNKNOWN = Origin()
"""Of an index that was not made from a store."""


class Epochs:
    """The epochs of a database, oldest first, each with the first row id that it may give.

    The first epoch begins at row id 0, when the database is made. A database of an older version has none until a
    document is added to it.
    """

    def __init__(self, begun: tuple[tuple[int, str], ...] = ()) -> None:
        self._begun = begun

    @classmethod
    def parse(cls, text: str) -> Epochs:
        """Read the output of `str`; a ValueError for any other text."""
        pairs = [item.partition(":") for item in text.split()]
        return cls(tuple((int(first), name) for first, _, name in pairs))

    def __str__(self) -> str:
        return " ".join(f"{first}:{name}" for first, name in self._begun)

    @property
    def newest(self) -> str:
        """The name of the last epoch; empty if there is none."""
        return self._begun[-1][1] if self._begun else ""

    @property
    def oldest(self) -> int | None:
        """The first row id of the first epoch; None if there is none."""
        return self._begun[0][0] if self._begun else None

    def begin(self, first: int) -> Epochs:
        """Return these epochs and a new one for the row ids from `first` on; an epoch without row ids is replaced."""
        before = tuple(item for item in self._begun if item[0] < first)
        return Epochs((*before, (first, secrets.token_hex(8)))[-KEPT:])

    def origin(self, last_row: int) -> Origin:
        """Return the origin of a cache that is made now, when `last_row` is the last row id that was given."""
        return Origin(last_row, self._at(last_row))

    def include(self, facts: Mapping[str, Any]) -> bool:
        """Return whether the sidecar of a cache names documents of this database.

        A cache of an older version fits a database of an older version only; the caller compares its newest documents.
        """
        if not self._begun:
            return not facts.get("epoch")
        # An empty name is not compared: a cache from before the first epoch may be of any database.
        name = facts.get("epoch")
        return bool(name) and name == self._at(int(facts["last_row"]))

    def _at(self, row: int) -> str:
        return next((name for first, name in reversed(self._begun) if first <= row), "")
