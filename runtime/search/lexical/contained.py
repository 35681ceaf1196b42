"""The words that documents contain, as evidence for what they are about."""

from __future__ import annotations

from ....arrays import IntArray
from ..query import Query, RankedRows, best_rows
from ..view import CachedView, read_new_rows
from .word_sets import WordSets


class ContainedView(CachedView[WordSets]):
    """Search by the share of the query's words; see `WordSets`. No view of its own to choose: others use its shares."""

    needs_words = True
    needs_bundle = False

    def search(self, query: Query, k: int, allowed: IntArray | None) -> RankedRows:
        """Return the documents with the most words of the query; see `View.search`."""
        rows = self.index.rowids if allowed is None else allowed
        return best_rows(rows, self.index.shares(rows, query.steered.text or "").astype("float32"), k)

    def _load(self) -> WordSets | None:
        return WordSets.load(self._source.folder, self._store.is_origin_of)

    def _new(self) -> WordSets:
        return WordSets()

    def _add(self, index: WordSets, rows: IntArray) -> None:
        index.add(read_new_rows(self._store, rows, self._store.iter_texts, "texts"))

    def _matches_store(self, index: WordSets, rows: IntArray) -> bool:
        return index.has(rows, [record.text for record in self._store.by_rowid(rows)])
