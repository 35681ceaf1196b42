"""The documents whose id their source made up, a line number or a path, and the source of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .sqlite import Database, chunks

TABLE = "CREATE TABLE made_up (id TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID"
"""Made with the first such document, so that an index without any is as before."""


def owners_of(database: Database, ids: Iterable[str]) -> dict[str, str]:
    """Return the sources of those documents whose id was made up: id -> prefix of the source."""
    found: dict[str, str] = {}
    if _has_table(database):
        for marks, part in chunks(list(ids)):
            found |= dict(database.rows(f"SELECT id, source FROM made_up WHERE id IN ({marks})", part))
    return found


def made_up_by(database: Database, source: str) -> list[str]:
    """Return the ids that a source, named by its prefix, made up."""
    found = database.rows("SELECT id FROM made_up WHERE source = ?", (source,)) if _has_table(database) else []
    return [id for (id,) in found]


def set_owners(database: Database, owners: Mapping[str, str]) -> None:
    """Record the sources of documents; the caller holds a transaction."""
    if owners:
        if not _has_table(database):
            database.rows(TABLE)
        database.many("INSERT OR REPLACE INTO made_up VALUES (?, ?)", list(owners.items()))


def remove_owners(database: Database, ids: Iterable[str]) -> None:
    """Forget the sources of documents; the caller holds a transaction."""
    if _has_table(database):
        database.many("DELETE FROM made_up WHERE id = ?", [(id,) for id in ids])


def _has_table(database: Database) -> bool:
    return bool(database.rows("SELECT 1 FROM sqlite_master WHERE name = 'made_up'"))
