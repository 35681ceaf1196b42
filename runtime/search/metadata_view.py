"""What filters read, kept up to date like a view."""

from __future__ import annotations

from ...arrays import IntArray
from ..store.row_encoding import encode_json
from .metadata_rows import MetadataRows
from .query import Query, RankedRows
from .view import CachedView, read_new_rows


class MetadataView(CachedView[MetadataRows]):
    """The metadata of the documents; see `MetadataRows`. No view of its own to choose."""

    needs_bundle = False

    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Refuse: metadata has no scores."""
        raise NotImplementedError

    def refresh(self) -> MetadataRows:
        """Return the rows as they are in the store now; call it inside a snapshot, after `sync`."""
        if self.index.changes != self._store.metadata_changes:
            self.sync()
        return self.index

    def _update(self) -> None:
        # Metadata that changed keeps its row id, so that nothing tells which it was.
        if self._index is not None and self._index.changes != self._store.metadata_changes:
            self._index = None
        self._index = self._index or self._load()
        # Nothing happened since it was written: then the row ids need not be read, which takes as long as a filter.
        if self._index is None or self._index.saved_generation != self._store.generation:
            super()._update()

    def unsaved(self) -> bool:
        """Return whether the cache has other content; none is written where `metadata_changes` has no name for it."""
        return super().unsaved() and self._store.revision is not None

    def _load(self) -> MetadataRows | None:
        if self._store.revision is None:
            return None
        return MetadataRows.load(self._source.folder, self._store.metadata_changes, self._store.is_origin_of)

    def _new(self) -> MetadataRows:
        return MetadataRows(self._store.metadata_changes)

    def _add(self, index: MetadataRows, rows: IntArray) -> None:
        index.add(read_new_rows(self._store, rows, self._store.iter_metadata, "metadata"))

    def _matches_store(self, index: MetadataRows, rows: IntArray) -> bool:
        return index.has(rows, [encode_json(record.metadata) for record in self._store.by_rowid(rows)])
