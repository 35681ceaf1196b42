"""`SqliteRecordManager`: a durable record of what `langchain_core.indexing.index` has indexed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

from langchain_core.indexing import RecordManager
from langchain_core.runnables import run_in_executor

from ...errors import DataError, StorageError
from ...files import absolute
from ...runtime.store.sqlite import Database, create_database
from ...sequences import as_list

_SCHEMA = """CREATE TABLE IF NOT EXISTS records (
    namespace TEXT NOT NULL, key TEXT NOT NULL, group_id TEXT, updated_at REAL NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID"""


class SqliteRecordManager(RecordManager):
    """Keys of indexed documents in an SQLite file, so that an incremental re-index survives a restart.

    Every call is one durable transaction; threads may share a manager, and so may processes.

    Args:
        namespace: One name per vector store, for example its folder.
        path: The SQLite file, made when missing; inside the index folder it is moved and deleted with it.

    Raises:
        StorageError: The file cannot be made.
        IndexFolderError: It is not an SQLite file.
    """

    def __init__(self, namespace: str, path: str | Path) -> None:
        super().__init__(namespace)
        self.path = absolute(path)
        if not self.path.is_file():
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot make the folder {self.path.parent}: {error.strerror or error}") from error
            create_database(self.path, _make_table)
        self._database = Database(self.path)
        self.create_schema()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._database.close()

    def create_schema(self) -> None:
        """Make the table unless it is there."""
        _make_table(self._database)

    def get_time(self) -> float:
        """Return seconds since 1970, always after what is recorded already, also when the clock was set back."""
        last = self._database.rows("SELECT max(updated_at) FROM records WHERE namespace = ?", (self.namespace,))[0][0]
        return max(time.time(), math.nextafter(last or 0.0, math.inf))

    def update(
        self, keys: Sequence[str], *, group_ids: Sequence[str | None] | None = None, time_at_least: float | None = None
    ) -> None:
        """Record keys as indexed now, each with the group (source) it belongs to.

        Raises:
            DataError: There are not as many groups as keys, or `time_at_least` lies in the future.
        """
        keys = as_list(keys, "keys")
        groups: Sequence[str | None] = [None] * len(keys) if group_ids is None else as_list(group_ids, "group_ids")
        if len(groups) != len(keys):
            raise DataError(f"{len(keys)} keys but {len(groups)} group_ids: give one per key")
        with self._database.transaction():
            now = self.get_time()
            if time_at_least and time_at_least > now:
                raise DataError(f"time_at_least is {time_at_least} and the time is {now}: it must not be in the future")
            rows = [(self.namespace, key, group, now) for key, group in zip(keys, groups, strict=True)]
            self._database.many("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", rows)

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Return for each key whether it is recorded."""
        keys = as_list(keys, "keys")
        sql = "SELECT key FROM records WHERE namespace = ? AND key IN (SELECT value FROM json_each(?))"
        found = {key for (key,) in self._database.rows(sql, (self.namespace, json.dumps(keys)))}
        return [key in found for key in keys]

    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the keys recorded before and after given times, of given groups; no group matches an empty list."""
        sql = "SELECT key FROM records WHERE namespace = ? AND updated_at < ? AND updated_at > ?"
        bounds = (math.inf if before is None else before, -math.inf if after is None else after)
        parameters: list[object] = [self.namespace, *bounds]
        if group_ids is not None:
            sql += " AND group_id IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(as_list(group_ids, "group_ids")))
        parameters.append(-1 if limit is None else limit)
        rows = self._database.rows(f"{sql} ORDER BY updated_at, key LIMIT ?", parameters)
        return [key for (key,) in rows]

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Remove keys; those that are not there are ignored."""
        sql = "DELETE FROM records WHERE namespace = ? AND key IN (SELECT value FROM json_each(?))"
        with self._database.transaction():
            self._database.rows(sql, (self.namespace, json.dumps(as_list(keys, "keys"))))

    async def acreate_schema(self) -> None:
        """As `create_schema`, in a thread."""
        await run_in_executor(None, self.create_schema)

    async def aget_time(self) -> float:
        """As `get_time`, in a thread."""
        return await run_in_executor(None, self.get_time)

    async def aupdate(
        self, keys: Sequence[str], *, group_ids: Sequence[str | None] | None = None, time_at_least: float | None = None
    ) -> None:
        """As `update`, in a thread."""
        await run_in_executor(None, self.update, keys, group_ids=group_ids, time_at_least=time_at_least)

    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        """As `exists`, in a thread."""
        return await run_in_executor(None, self.exists, keys)

    async def alist_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """As `list_keys`, in a thread."""
        return await run_in_executor(None, self.list_keys, before=before, after=after, group_ids=group_ids, limit=limit)

    async def adelete_keys(self, keys: Sequence[str]) -> None:
        """As `delete_keys`, in a thread."""
        await run_in_executor(None, self.delete_keys, keys)


def _make_table(database: Database) -> None:
    database.rows(_SCHEMA)
