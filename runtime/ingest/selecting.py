"""Which documents are meant: by id, by their source, or by a filter."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigError, DataError
from ...files import absolute
from ..store.documents import DocumentStore
from ..store.pieces import count_documents, document_of, pieces_of
from ..store.row_encoding import is_unicode, short
from .sources import SOURCE

_COMPARED = 20_000
"""Ids that an unknown one is compared with."""
_BLOCK = 2000

Selection = dict[str, list[str]]
"""Id of a document -> the ids of its rows that are meant: all of them, or some of its chunks."""


def select(
    store: DocumentStore,
    ids: Sequence[str] | None = None,
    *,
    filter: Mapping[str, Any] | None = None,
    source: str | None = None,
) -> Selection:
    """Return the documents that are meant, by one of the three; see `SteerableIndex.delete`.

    Raises:
        ConfigError: None of the three is given, or several, or the filter is empty and would mean all.
        DataError: `ids` is no list of strings, or `source` no text.
        FilterError: The filter has a syntax error.
    """
    given = [name for name, value in (("ids", ids), ("filter", filter), ("source", source)) if value is not None]
    if len(given) != 1:
        raise ConfigError(
            f"{' and '.join(given) or 'nothing'} given: say which documents by one of ids, filter, source"
        )
    if ids is not None:
        return {document: [piece.id for piece in pieces] for document, pieces in pieces_of(store, ids).items()}
    if filter is not None and not filter:
        raise ConfigError("the filter is empty, which matches every document: to remove all delete the folder")
    if source is not None and not (isinstance(source, str) and is_unicode(source) and source):
        raise DataError(f"source is {short(source)}: expected a path, or what the metadata has as `source`")
    with store.snapshot():
        rows = store.rowids_where({"source": source} if source is not None else filter)
        found: Selection = {}
        for start in range(0, len(rows), _BLOCK):
            _gather(found, store, store.ids_of(rows[start : start + _BLOCK]))
        if source is not None:
            prefix = store.meta.get(SOURCE + str(absolute(source)), None)
            known = {id for pieces in found.values() for id in pieces}
            made_up = [] if prefix is None else [id for id in store.made_up_by(prefix) if id not in known]
            _gather(found, store, made_up)
    return found


def delete(
    store: DocumentStore,
    ids: Sequence[str] | None = None,
    *,
    filter: Mapping[str, Any] | None = None,
    source: str | None = None,
) -> Selection:
    """Remove documents in one durable transaction, and return what went; errors as in `select`."""
    with store.writing():
        found = select(store, ids, filter=filter, source=source)
        store.delete([id for pieces in found.values() for id in pieces])
    return found


def count(store: DocumentStore, filter: Mapping[str, Any] | None = None) -> int:
    """Return the number of documents, or of those of which a row matches a filter."""
    return len(select(store, filter=filter)) if filter else count_documents(store)


def nearest_ids(store: DocumentStore, id: str, limit: int = 3) -> list[str]:
    """Return ids of documents that somebody may have meant: those that hold the words, else those spelled alike."""
    if not is_unicode(id):
        return []
    found = store.ids_with(id, 100 * limit) if id else []
    if not found:
        found = difflib.get_close_matches(id[:200], store.ids_with("", _COMPARED), limit, 0.6)
    records = zip(found, store.get(found), strict=True)
    return list(dict.fromkeys(document_of(id, r.metadata) if r else id for id, r in records))[:limit]


def _gather(found: Selection, store: DocumentStore, ids: Sequence[str]) -> None:
    """Put rows to their documents, in the order in which they were added."""
    marked = [id for id in ids if "#" in id]
    documents = {
        id: document_of(id, record.metadata)
        for id, record in zip(marked, store.get(marked), strict=True)
        if record is not None
    }
    for id in ids:
        found.setdefault(documents.get(id, id), []).append(id)
