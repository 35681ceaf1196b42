"""Documents of any source as batches of chunks, and the documents that they replace."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ...corpus import Corpus, Document
from ...corpus.chunks import Chunker
from ...corpus.rows import read_objects
from ...errors import DataError, StorageError
from ...files import replace_file
from ..bundle.bundle import Bundle
from ..store.documents import DocumentStore

logger = logging.getLogger(__name__)

COMMIT_EVERY = 512
"""Most documents that are embedded and stored together."""
FOLDERS = "folders"
"""Folder of an index that records the files it holds of each source folder."""
_LOOKUP = 64  # chunks that are looked up at a time

Source = Corpus | str | PathLike[str] | Iterable[object]
"""The sources of `add_from`: a path, a corpus, or documents in memory."""


class Batch(NamedTuple):
    """Documents that are embedded and stored together."""

    block: int
    """The block of the source that contains them."""
    documents: list[Document]
    counts: dict[str, int]
    """Id of each source document that ends in this batch -> its number of chunks."""


def open_source(source: Source) -> Corpus | Iterator[tuple[int, Document]]:
    """Return a corpus for a path, and the documents of any other source numbered in blocks."""
    if isinstance(source, Corpus | str | PathLike):
        return Corpus.open(source)
    return ((at // COMMIT_EVERY, document) for at, document in enumerate(_in_memory(source)))


def chunker_for(bundle: Bundle, tokens: int | None = None, overlap: int | None = None) -> Chunker | None:
    """Return the chunker of a bundle, with room for its prefix; None if `tokens` is 0. Errors as in `Chunker`."""
    if tokens == 0:
        return None
    prefix = bundle.manifest.document_prefix
    taken = len(bundle.tokenise([prefix])[0]) if prefix else 0
    return Chunker(bundle.path / "tokenizer.json", bundle.manifest.max_length - taken, tokens, overlap)


def batches(documents: Iterable[tuple[int, Document]], chunker: Chunker | None) -> Iterator[Batch]:
    """Cut documents and group at most 512 chunks, never of two blocks, so that a block always has the same batches.

    Raises:
        DataError: A chunk and another document have the same id.
    """
    batch = Batch(0, [], {})
    chunked: dict[str, int] = {}  # document -> number of chunks
    marked: set[str] = set()  # document ids that look like chunk ids
    for block, document in documents:
        if block != batch.block and batch.documents:
            yield batch
            batch = Batch(block, [], {})
        batch = batch._replace(block=block)
        pieces = [document] if chunker is None else chunker.cut(document)
        if len(pieces) > 1:
            chunked[document.id] = len(pieces)
        if chunker is not None and "#" in document.id:
            marked.add(document.id)
        for id in _duplicate_ids(document.id, len(pieces), chunked, marked):
            raise DataError(f"a chunk and another document have the id {id!r}: rename the document")
        for piece in pieces:
            if len(batch.documents) == COMMIT_EVERY:
                yield batch
                batch = Batch(block, [], {})
            batch.documents.append(piece)
        batch.counts[document.id] = len(pieces)
    if batch.documents:
        yield batch


def _duplicate_ids(id: str, pieces: int, chunked: Mapping[str, int], marked: set[str]) -> list[str]:
    """Return the ids that this document and its chunks share with others, or with chunks of others."""
    base, _, number = id.rpartition("#")
    mine = [id] if pieces == 1 and number.isdecimal() and 1 <= int(number) <= chunked.get(base, 0) else []
    return mine + [f"{id}#{n}" for n in range(1, pieces + 1) if marked and pieces > 1 and f"{id}#{n}" in marked]


def unpack(
    texts: Sequence[Any], ids: Sequence[str] | None, metadata: Sequence[Mapping[str, Any]] | None
) -> tuple[Sequence[str], Sequence[str] | None, Sequence[Mapping[str, Any]] | None]:
    """Return texts, ids and metadata of LangChain documents; plain texts are returned unchanged."""
    if isinstance(texts, str) or not any(hasattr(text, "page_content") for text in texts[:1]):
        return texts, ids, metadata
    rows = list(read_objects(texts))
    return (
        [row.text for row in rows],
        [row.id for row in rows] if ids is None else ids,
        [row.metadata for row in rows] if metadata is None else metadata,
    )


def stale_chunks(store: DocumentStore, counts: Mapping[str, int]) -> list[str]:
    """Return the ids of chunks that documents no longer have.

    `counts` maps documents to their number of chunks now; 1 is the document itself, 0 a removed document.
    """
    probes = {id: [*([id] if n != 1 else []), f"{id}#{1 if n == 1 else n + 1}"] for id, n in counts.items()}
    found = iter(store.get([probe for pair in probes.values() for probe in pair]))
    stale = []
    for id, pair in probes.items():
        *whole, chunk = ((probe, next(found)) for probe in pair)
        stale += [probe for probe, record in whole if record is not None]
        if chunk[1] is not None:
            stale += _chunks_from(store, id, int(chunk[0].rpartition("#")[2]))
    return stale


def missing_files(folder: Path, corpus: Corpus) -> list[str]:
    """Return the recorded files of a folder that no longer exist; none if a part of it is unreadable."""
    assert corpus.folder is not None
    path, now = _record_path(folder, corpus), set(corpus.folder.ids())
    if not now.issuperset(corpus.problems):
        return []
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        return sorted({id for id in before if isinstance(id, str)} - now)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        logger.warning("%s cannot be read (%s): files that are gone stay in the index", path, error)
        return []


def record_files(folder: Path, corpus: Corpus) -> None:
    """Record the files that the index holds of a folder; StorageError if the disk is full."""
    assert corpus.folder is not None
    path = _record_path(folder, corpus)
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, json.dumps(corpus.folder.ids()).encode())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _record_path(folder: Path, corpus: Corpus) -> Path:
    assert corpus.folder is not None
    name = hashlib.sha256(str(corpus.folder.path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return folder / FOLDERS / f"{name}.json"


def _chunks_from(store: DocumentStore, id: str, number: int) -> list[str]:
    """Return the chunks of a document from a number on, without ids that users chose themselves."""
    stale: list[str] = []
    while True:
        ids = [f"{id}#{n}" for n in range(number, number + _LOOKUP)]
        for n, (name, record) in enumerate(zip(ids, store.get(ids), strict=True), start=number):
            if record is None or record.metadata.get("chunk") != n or not {"start", "end"} <= record.metadata.keys():
                return stale
            stale.append(name)
        number += _LOOKUP


def _in_memory(source: Iterable[object]) -> Iterator[Document]:
    """Yield documents from tuples of (id, text, metadata), our documents, or those of LangChain."""
    items = iter(source)
    for item in items:
        if isinstance(item, Document):
            yield item
        elif isinstance(item, tuple) and len(item) == 3:
            yield Document(*item)
        else:
            yield from (Document(row.id, row.text, row.metadata) for row in read_objects(chain([item], items)))
            return
