"""Documents and their pieces: a row of the store is a short document, or one chunk of a long one.

A chunk is called ``DOCUMENT#n`` and its metadata says where it stands: `chunk`, `start`, `end`, and `page` or
`heading`. So which document a row belongs to is in the row itself, in indexes of every version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...chunk_places import PLACE, placed
from ...errors import DataError
from ...sequences import as_list
from .documents import DocumentStore
from .row_encoding import Record, check_ids, check_strings, encode_json, short

_KEPT = ("source", "page", "heading")
"""Fields of chunks that stay where all metadata is replaced, unless they are given."""
_MISSING = "[…]"


def is_chunk(id: str, metadata: Mapping[str, object]) -> bool:
    """Return whether a document is a chunk that a chunker made, and not one whose id looks like it."""
    number = metadata.get("chunk")
    return type(number) is int and all(name in metadata for name in PLACE) and id.endswith(f"#{number}")


def document_of(id: str, metadata: Mapping[str, object]) -> str:
    """Return the id of the document that a row belongs to: that of a chunk without its number."""
    return id.removesuffix(f"#{metadata['chunk']}") if is_chunk(id, metadata) else id


def chunks_of(store: DocumentStore, document: str) -> list[Record]:
    """Return the chunks of a document in their order; none of one that is whole or not there."""
    found = store.get(store.ids_beginning(f"{document}#"))
    chunks = [r for r in found if r is not None and document_of(r.id, r.metadata) == document != r.id]
    return sorted(chunks, key=_number)


def pieces_of(store: DocumentStore, ids: Sequence[str]) -> dict[str, list[Record]]:
    """Return document -> its pieces in order, for ids of documents and of chunks; unknown ids are left out.

    An id of a document stands for all of it, that of a chunk for this one.
    """
    found: dict[str, dict[str, Record]] = {}
    wanted = list(dict.fromkeys(check_ids(ids)))
    with store.snapshot():
        for id, record in zip(wanted, store.get(wanted), strict=True):
            own = [] if record is None else [record]
            if record is None or not is_chunk(id, record.metadata):
                own += chunks_of(store, id) if id else []
            for piece in own:
                found.setdefault(document_of(piece.id, piece.metadata), {})[piece.id] = piece
    return {document: sorted(each.values(), key=_number) for document, each in found.items()}


def get_documents(store: DocumentStore, ids: Sequence[str]) -> list[Record | None]:
    """Return the documents of `ids`, in that order, a long one put together; None for an unknown id.

    The id of a chunk gives the chunk. See `SteerableIndex.get`.
    """
    wanted = check_ids(ids)
    with store.snapshot():
        found = store.get(wanted)
        for at, (id, record) in enumerate(zip(wanted, found, strict=True)):
            if record is None and id:
                chunks = chunks_of(store, id)
                found[at] = joined(id, chunks) if chunks else None
    return found


def joined(document: str, chunks: Sequence[Record]) -> Record:
    """Return a document put together of its chunks, at least one, in order.

    What two chunks share is there once. The blanks between them were not stored: there are as many, lines where they
    were several, so that the places of all chunks hold. A chunk that was removed leaves ``[…]``, padded with blanks.
    """
    parts: list[str] = []
    at, last = 0, 0
    for chunk in chunks:
        start, number = int(str(chunk.metadata["start"])), _number(chunk)
        gap = max(0, start - at)
        if number > last + 1:
            parts.append(_MISSING[:gap].ljust(gap))
        else:
            parts.append(" " * gap if gap < 2 or not last else "\n" * gap)
        parts.append(chunk.text[max(0, at - start) :])
        at, last = max(at, start + len(chunk.text)), number
    return Record(chunks[0].rowid, document, "".join(parts), _own_metadata(chunks), tuple(chunk.id for chunk in chunks))


def hint_of(store: DocumentStore, id: str) -> str:
    """Return what to say where one row is wanted and `id` is a document of several; empty otherwise."""
    chunks = chunks_of(store, id)
    return f" by itself, it was cut: name one of {short(chunks[0].id)} to {short(chunks[-1].id)}" if chunks else ""


def change_metadata(
    store: DocumentStore,
    ids: Sequence[str],
    metadata: Iterable[Mapping[str, Any]],
    *,
    replace: bool = False,
    without: Iterable[str] = (),
) -> int:
    """Change the metadata of documents with all their chunks, in one transaction; return the number of rows.

    What says where a chunk stands stays as it is. `without` are fields that are taken away. See
    `SteerableIndex.update_metadata`, whose arguments and errors this has.
    """
    ids, metadata, gone = check_strings("ids", ids), as_list(metadata, "metadata"), set(without)
    if len(set(ids)) < len(ids) or len(ids) != len(metadata):
        store.update_metadata(ids, metadata, replace=replace)  # raises, with the reason
    with store.writing():
        rows: dict[str, Mapping[str, Any]] = {}
        for id, new in zip(ids, metadata, strict=True):
            pieces = [piece for each in pieces_of(store, [id]).values() for piece in each]
            if not pieces:
                raise DataError(f"there is no document {short(id)} in {store.path}: add it first")
            for piece in pieces:
                rows[piece.id] = _changed(piece, new, replace, gone)
        store.update_metadata(list(rows), list(rows.values()), replace=True)
    return len(rows)


def count_documents(store: DocumentStore) -> int:
    """Return the number of documents: the chunks of one are one. Reads the metadata of all chunks."""
    with store.snapshot():
        chunks = list(store.iter_chunks())
        return len(store) - len(chunks) + len({id.removesuffix(f"#{number}") for id, number in chunks})


def _changed(piece: Record, new: Mapping[str, Any], replaces: bool, gone: set[str]) -> dict[str, Any]:
    old = dict(piece.metadata)
    place: dict[str, object] = {}
    if is_chunk(piece.id, old):
        place = {name: old.pop(name) for name in PLACE}
    if replaces:
        old = {name: value for name, value in old.items() if place and name in _KEPT}
    kept = {name: value for name, value in (old | dict(new)).items() if name not in gone}
    return placed(kept, place)


def _own_metadata(chunks: Sequence[Record]) -> dict[str, object]:
    """Return what all chunks say of their document, without their places."""
    first, *others = (chunk.metadata for chunk in chunks)
    same = {
        name: value
        for name, value in first.items()
        if name not in PLACE
        and all(name in other and encode_json(other[name]) == encode_json(value) for other in others)
    }
    for name in [name for name in same if name.startswith("document.")]:
        same[name.removeprefix("document.")] = same.pop(name)
    return same


def _number(record: Record) -> int:
    """Return the number of a chunk; 0 of what is none, which comes first."""
    return int(str(record.metadata["chunk"])) if is_chunk(record.id, record.metadata) else 0
