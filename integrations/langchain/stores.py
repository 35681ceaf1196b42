"""Vectors out of LangChain's vector stores: all of them, to train on, and those of some documents, to rank by.

LangChain has no method that lists vectors, so each kind of store is read in its own way, by the name of its class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from langchain_core.vectorstores import VectorStore
from numpy.typing import ArrayLike

from ...corpus import Corpus, Document
from ...embedding_cache import default_cache_dir
from ...errors import ConfigError, DataError, EngineError
from ...files import absolute
from ...vectors import Vectors
from ...vectors.files import FileOfVectors
from ...vectors.given import prepared
from ...vectors.rows import UnitRowsFile

PAGE = 1000
"""Documents that are asked for at a time."""


class Held(NamedTuple):
    """One document as a store holds it."""

    id: str
    text: str
    metadata: Mapping[str, Any]
    vector: ArrayLike | str | None
    """Of any length; a str as PostgreSQL writes it."""


class Reader(NamedTuple):
    """How a kind of store is read."""

    all: Callable[[Any], Iterator[Held]]
    """Every document, in an order that stays the same."""
    some: Callable[[Any, list[str]], Iterator[Held]]
    """Those of some ids, in any order."""


def vectors_from_store(store: VectorStore, *, skip_bad: bool = False, folder: str | Path | None = None) -> Vectors:
    """Read all documents of a LangChain vector store with their vectors, to train on: ``train(vectors=…)``.

    Chroma, FAISS, InMemoryVectorStore, PGVector, PGVectorStore, Qdrant and SteerableVectorStore can be read. Nothing in
    the store is changed and nothing is embedded. Texts are held in memory, vectors in a file of the cache folder.

    Args:
        store: The store, as it is connected.
        skip_bad: Leave out documents without a vector, and those whose vector is zero, NaN or infinite.
        folder: Where there is room for the vectors; the cache folder by default.

    Raises:
        ConfigError: The store cannot list its vectors.
        DataError: It is empty, or its vectors have no direction or several widths.
        EngineError: The engine behind the store does not answer.
        StorageError: The disk is full.
    """
    reader, name = reader_of(store), type(store).__name__
    if reader is None:
        raise ConfigError(
            f"{name} cannot list its vectors, only {', '.join(READERS)} can: export them to a file, .npy or .parquet, "
            "and use `sae train --vectors`"
        )
    place = absolute(folder) if folder is not None else default_cache_dir()
    rows, documents, width = UnitRowsFile(place), list[Document](), 0
    held = _answered(reader.all(store), name)
    while page := list(islice(held, PAGE)):
        vectors = [_row(each, name) for each in page]
        for each, row in zip(page, vectors, strict=True):
            if row is not None and len(row) != (width := width or len(row)):
                raise DataError(f"{name}: the vector of {each.id!r} has {len(row)} numbers, others have {width}")
        gap = np.full(width, np.nan, np.float32)
        rows.append(np.stack([gap if row is None else row for row in vectors]))
        documents += [Document(each.id, each.text, each.metadata) for each in page]
    if not documents:
        raise DataError(f"{name} is empty: fill it first")
    corpus = Corpus.from_documents(name, documents)
    return prepared(FileOfVectors(rows.open(), rows.lengths, None, corpus), None, name, skip_bad=skip_bad, folder=place)


def reader_of(store: VectorStore) -> Reader | None:
    """Return how a store is read; None for one that does not show its vectors."""
    return next((READERS[kind.__name__] for kind in type(store).__mro__ if kind.__name__ in READERS), None)


def stored_vectors(store: VectorStore, reader: Reader, ids: Sequence[str]) -> dict[str, Any]:
    """Return the vectors of some documents by id, (d,) float32 of any length; those without one are left out."""
    found = ((held.id, _row(held, type(store).__name__)) for held in reader.some(store, list(ids)))
    return {id: row for id, row in found if row is not None}


def _row(held: Held, name: str) -> Any:
    vector = json.loads(held.vector) if isinstance(held.vector, str) else held.vector
    if vector is None:
        return None
    try:
        row = np.asarray(vector, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: the vector of {held.id!r} is no list of numbers ({error})") from error
    if row.ndim != 1:
        raise DataError(f"{name}: the vector of {held.id!r} has shape {row.shape}, expected one list of numbers")
    return row


def _answered(held: Iterator[Held], name: str) -> Iterator[Held]:
    try:
        yield from held
    except (ConfigError, DataError):
        raise
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "no message")
        raise EngineError(
            f"{name} did not list its vectors ({type(error).__name__}: {first:.200}): see that its engine runs, and "
            "that its package has the version that steersearch was tested with (docs/engines.md)"
        ) from error


def _memory(store: Any) -> Iterator[Held]:
    return (Held(str(id), one["text"], one["metadata"], one["vector"]) for id, one in list(store.store.items()))


def _some_memory(store: Any, ids: list[str]) -> Iterator[Held]:
    known = ((id, store.store.get(id)) for id in ids)
    return (Held(id, one["text"], one["metadata"], one["vector"]) for id, one in known if one is not None)


def _chroma_page(store: Any, **which: Any) -> list[Held]:
    found = store.get(include=["embeddings", "documents", "metadatas"], **which)
    columns = (found[name] for name in ("ids", "documents", "metadatas", "embeddings"))
    return [Held(id, text or "", metadata or {}, vector) for id, text, metadata, vector in zip(*columns, strict=True)]


def _chroma(store: Any) -> Iterator[Held]:
    at = 0
    while page := _chroma_page(store, limit=PAGE, offset=at):
        yield from page
        at += len(page)


def _faiss(store: Any, places: Mapping[int, str] | None = None) -> Iterator[Held]:
    for place, id in sorted((store.index_to_docstore_id if places is None else places).items()):
        document = store.docstore.search(id)
        if not isinstance(document, str):
            yield Held(str(id), document.page_content, document.metadata, store.index.reconstruct(place))


def _some_faiss(store: Any, ids: list[str]) -> Iterator[Held]:
    wanted = set(ids)
    return _faiss(store, {place: id for place, id in store.index_to_docstore_id.items() if id in wanted})


def _qdrant_points(store: Any, points: Sequence[Any]) -> Iterator[Held]:
    for point in points:
        payload, vector = point.payload or {}, point.vector
        if isinstance(vector, Mapping):
            vector = vector.get(store.vector_name)
        text, metadata = (payload.get(getattr(store, f"{kind}_payload_key")) for kind in ("content", "metadata"))
        yield Held(str(point.id), text or "", metadata or {}, vector)


def _qdrant(store: Any) -> Iterator[Held]:
    at = None
    while True:
        points, at = store.client.scroll(
            store.collection_name, limit=PAGE, offset=at, with_vectors=True, with_payload=True
        )
        yield from _qdrant_points(store, points)
        if at is None:
            return


def _some_qdrant(store: Any, ids: list[str]) -> Iterator[Held]:
    return _qdrant_points(store, store.client.retrieve(store.collection_name, ids, with_vectors=True))


def _postgres(store: Any, ids: list[str] | None = None) -> Iterator[Held]:
    """Read a PGVectorStore by SQL: a page after the last id, or some ids."""
    from sqlalchemy import text

    inner = store._PGVectorStore__vs
    id, content, vector = (f'"{name}"' for name in (inner.id_column, inner.content_column, inner.embedding_column))
    others = [*inner.metadata_columns, *([inner.metadata_json_column] if inner.metadata_json_column else [])]
    columns = ", ".join([f"{id} AS held_id, {content} AS held_text, CAST({vector} AS text) AS held_vector"])
    columns += "".join(f', "{name}"' for name in others)
    table = f'SELECT {columns} FROM "{inner.schema_name}"."{inner.table_name}"'

    async def rows(where: str, **values: Any) -> Any:
        async with inner.engine.connect() as connection:
            return (await connection.execute(text(f"{table} {where}"), values)).mappings().fetchall()

    def held(row: Mapping[str, Any]) -> Held:
        metadata = {name: row[name] for name in inner.metadata_columns}
        kept = row[inner.metadata_json_column] if inner.metadata_json_column else None
        return Held(str(row["held_id"]), row["held_text"] or "", {**(kept or {}), **metadata}, row["held_vector"])

    if ids is not None:
        names = {f"id_{number}": each for number, each in enumerate(ids)}
        listed = ", ".join(f":{name}" for name in names)
        found = store._engine._run_as_sync(rows(f"WHERE CAST({id} AS text) IN ({listed})", **names))
        yield from map(held, found)
        return
    last: dict[str, Any] = {}
    while True:
        after = f"WHERE {id} > :last " if last else ""
        page = store._engine._run_as_sync(rows(f"{after}ORDER BY {id} LIMIT {PAGE}", **last))
        yield from map(held, page)
        if len(page) < PAGE:
            return
        last = {"last": page[-1]["held_id"]}


def _old_postgres(store: Any, ids: list[str] | None = None) -> Iterator[Held]:
    """Read a PGVector, the older class, through its own table."""
    table = store.EmbeddingStore
    with store._make_sync_session() as session:
        collection = store.get_collection(session)
        found = session.query(table).filter(table.collection_id == collection.uuid)
        found = found.order_by(table.id) if ids is None else found.filter(table.id.in_(ids))
        for row in found.yield_per(PAGE):
            yield Held(str(row.id), row.document or "", row.cmetadata or {}, row.embedding)


def _own(store: Any, ids: list[str] | None = None) -> Iterator[Held]:
    names = store.index.documents()[0] if ids is None else ids
    for start in range(0, len(names), PAGE):
        page = names[start : start + PAGE]
        for record, vector in zip(store.index.get(page), store.index.vectors(page), strict=True):
            if record is not None:
                yield Held(record.id, record.text, record.metadata, vector)


READERS: dict[str, Reader] = {
    "InMemoryVectorStore": Reader(_memory, _some_memory),
    "Chroma": Reader(_chroma, lambda store, ids: iter(_chroma_page(store, ids=ids))),
    "FAISS": Reader(_faiss, _some_faiss),
    "QdrantVectorStore": Reader(_qdrant, _some_qdrant),
    "PGVectorStore": Reader(_postgres, _postgres),
    "PGVector": Reader(_old_postgres, _old_postgres),
    "SteerableVectorStore": Reader(_own, _own),
}
"""Name of the class -> how it is read."""
