"""`Revisions`: a name for every commit, and what was removed between two of them."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence

import numpy as np

from ...arrays import IntArray
from .sqlite import Database

KEPT = 64
"""Commits of this process whose removals are remembered; a document costs 8 bytes."""
REVISION, METADATA = "revision", "metadata_changes"
"""The keys of the `meta` table."""


class Revisions:
    """The names of the commits of a database; the caller holds a snapshot or a transaction.

    Names are random, so that two copies of a database that were changed apart never have the same one. Versions before
    this one give none: the number in front of a name tells whether one of them has committed after it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._removed: deque[tuple[str, str, IntArray]] = deque(maxlen=KEPT)

    def current(self, commits: int) -> str | None:
        """Return the name of the latest commit, of that number; None if an older version made it."""
        name = self._value(REVISION)
        return name if name.split()[:1] == [str(commits)] else None

    def of_metadata(self, commits: int) -> str:
        """Return a name that changes whenever the metadata of documents that were there does."""
        # Any commit of an older version may have changed some.
        return f"{commits} commits" if self.current(commits) is None else self._value(METADATA)

    def commit(self, commits: int, removed: Sequence[tuple[int, str]], *, metadata: bool) -> None:
        """Name a commit in its transaction.

        Args:
            commits: Its number.
            removed: The documents that it removes, as row ids and ids.
            metadata: Whether it changes the metadata of documents that were there.
        """
        before, after = self.current(commits - 1), f"{commits} {secrets.token_hex(8)}"
        self._set(REVISION, after)
        if metadata or before is None:
            self._set(METADATA, secrets.token_hex(8))
        # One that is rolled back is never asked for.
        if before is not None:
            self._removed.append((before, after, np.array([row for row, _ in removed], np.int64)))

    def removed_since(self, before: str | None, commits: int) -> IntArray | None:
        """Return the row ids that were removed after a revision, shape (n,).

        None where that is not known: another process has written since, or it is too long ago.
        """
        found, at = [np.empty(0, np.int64)], self.current(commits)
        for first, last, rowids in reversed(self._removed):
            if at is None or at == before:
                break
            if last == at:
                found.append(rowids)
                at = first
        return np.concatenate(found) if at is not None and at == before else None

    def _value(self, key: str) -> str:
        found = self._database.rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(found[0][0]) if found else ""

    def _set(self, key: str, value: str) -> None:
        self._database.rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
