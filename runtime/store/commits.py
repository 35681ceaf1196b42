"""`Commits`: what every commit of a store records about itself, so that a lost, copied or older state is noticed."""

from __future__ import annotations

from collections.abc import Sequence

from ...arrays import IntArray
from .checksums import State
from .epochs import Epochs, Origin
from .revisions import Revisions
from .sqlite import Database, damage_errors


class Commits:
    """The totals, name, epoch and generation of the commits of a database; the caller holds a snapshot or transaction.

    `State` counts what is there, `Revisions` names each commit, `Epochs` says which writer added which row, and the
    generation counts the changes that make caches of vectors old.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revisions = Revisions(database)
        self._epoch = ""  # the one that this object began

    @property
    def state(self) -> State:
        """The totals over all documents."""
        with damage_errors(self._database.path):
            return State.parse(self._database.fact("SELECT value FROM meta WHERE key = 'state'"))

    @property
    def generation(self) -> int:
        """Number of committed changes to the documents, without those that leave caches of the vectors valid."""
        with damage_errors(self._database.path):
            return int(self._database.fact("SELECT value FROM meta WHERE key = 'generation'"))

    @property
    def revision(self) -> str | None:
        """The name of the latest commit; None if an older version made it."""
        return self._revisions.current(self.state.commits)

    @property
    def metadata_changes(self) -> str:
        """A name that changes whenever the metadata of documents that were there does."""
        return self._revisions.of_metadata(self.state.commits)

    def removed_since(self, revision: str | None) -> IntArray | None:
        """Return the row ids that were removed after a revision; see `Revisions.removed_since`."""
        return self._revisions.removed_since(revision, self.state.commits)

    @property
    def last_row(self) -> int:
        """The last row id that was given, also if its document was removed; 0 before the first."""
        return int(self._database.rows("SELECT max(seq) FROM sqlite_sequence WHERE name = 'documents'")[0][0] or 0)

    @property
    def epochs(self) -> Epochs:
        """Which writer added which rows."""
        with damage_errors(self._database.path):
            found = self._database.rows("SELECT value FROM meta WHERE key = 'epochs'")
            return Epochs.parse(found[0][0]) if found else Epochs()

    @property
    def origin(self) -> Origin:
        """What a cache that is made now is made of."""
        return self.epochs.origin(self.last_row)

    def begin_epoch(self, first: int) -> None:
        """Begin an epoch, unless the last one is of this object: after another writer there is a new one."""
        epochs = self.epochs
        if not self._epoch or epochs.newest != self._epoch:
            epochs = epochs.begin(first)
            self._epoch = epochs.newest
            self._database.rows("INSERT OR REPLACE INTO meta VALUES ('epochs', ?)", (str(epochs),))

    def record(
        self,
        added: Sequence[tuple[int, str]] = (),
        removed: Sequence[tuple[int, str]] = (),
        *,
        metadata: bool = False,
    ) -> None:
        """Record one more commit in its transaction, which added and removed these (row id, id) pairs.

        `metadata` says whether it changes the metadata of documents that were there. What adds or removes documents is
        a new generation.
        """
        state = self.state.after(added, removed)
        if added or removed:
            self._database.rows("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")
        self._database.rows("UPDATE meta SET value = ? WHERE key = 'state'", (str(state),))
        self._revisions.commit(state.commits, removed, metadata=metadata)
