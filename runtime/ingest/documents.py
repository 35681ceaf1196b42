"""Documents of any source on their way into an index: in chunks, in blocks, and without what they left there before."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ...corpus import Corpus, Document
from ...corpus.chunks import Chunker
from ...corpus.loaded import read_objects
from ...errors import DataError, StorageError
from ...files import replace_file
from ..bundle.bundle import Bundle
from ..store.documents import DocumentStore

logger = logging.getLogger(__name__)

COMMIT_EVERY = 512
"""Documents that are embedded and stored together at most."""
FOLDERS = "folders"
"""Where an index remembers which files it holds of a folder."""
_STEP = 64

Source = Corpus | str | PathLike[str] | Iterable[object]
"""What `add_from` takes: a path, a corpus, or documents in memory."""


class Batch(NamedTuple):
    """Documents that are embedded and stored together."""

    block: int
    """The block of the source that they are from."""
    documents: list[Document]
    counts: dict[str, int]
    """Id of each document of the source that ends here -> its number of chunks."""


def open_source(source: Source) -> Corpus | Iterator[tuple[int, Document]]:
    """A corpus for a path; the documents of anything else, numbered in blocks.

    Raises:
        DataError: The path cannot be used.
    """
    if isinstance(source, Corpus | str | PathLike):
        return Corpus.open(source)
    return ((at // COMMIT_EVERY, document) for at, document in enumerate(_in_memory(source)))


def chunker_for(bundle: Bundle, tokens: int | None = None, overlap: int | None = None) -> Chunker | None:
    """What cuts documents for this bundle; None when `tokens` is 0.

    Raises:
        ConfigError: A number is out of range.
    """
    if tokens == 0:
        return None
    return Chunker(bundle.path / "tokenizer.json", bundle.manifest.max_length, tokens, overlap)


def batches(documents: Iterable[tuple[int, Document]], chunker: Chunker | None) -> Iterator[Batch]:
    """Cut documents and gather at most 512 chunks, never of two blocks: whoever embeds a block embeds it alike.

    Raises:
        DataError: A chunk and another document have the same id.
    """
    batch = Batch(0, [], {})
    chunked: dict[str, int] = {}  # how many chunks a document has
    marked: set[str] = set()  # ids of documents that look like those of chunks
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
        for id in _clashes(document.id, len(pieces), chunked, marked):
            raise DataError(f"a chunk and another document have the id {id!r}: rename the document")
        for piece in pieces:
            if len(batch.documents) == COMMIT_EVERY:
                yield batch
                batch = Batch(block, [], {})
            batch.documents.append(piece)
        batch.counts[document.id] = len(pieces)
    if batch.documents:
        yield batch


def _clashes(id: str, pieces: int, chunked: Mapping[str, int], marked: set[str]) -> list[str]:
    """Ids that this document and its chunks share with others, or with chunks of others."""
    base, _, number = id.rpartition("#")
    mine = [id] if pieces == 1 and number.isdecimal() and 1 <= int(number) <= chunked.get(base, 0) else []
    return mine + [f"{id}#{n}" for n in range(1, pieces + 1) if marked and pieces > 1 and f"{id}#{n}" in marked]


def spread(
    texts: Sequence[Any], ids: Sequence[str] | None, metadata: Sequence[Mapping[str, Any]] | None
) -> tuple[Sequence[str], Sequence[str] | None, Sequence[Mapping[str, Any]] | None]:
    """LangChain documents as texts, ids and metadata; texts stay as they are."""
    if isinstance(texts, str) or not any(hasattr(text, "page_content") for text in texts[:1]):
        return texts, ids, metadata
    rows = list(read_objects(texts))
    return (
        [row.text for row in rows],
        [row.id for row in rows] if ids is None else ids,
        [row.metadata for row in rows] if metadata is None else metadata,
    )


def leftovers(store: DocumentStore, counts: Mapping[str, int]) -> list[str]:
    """The ids of chunks that documents had before and have no more.

    Args:
        store: Where they are.
        counts: Document -> its number of chunks now; 1 is the document itself, 0 a document that is gone.
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


def gone(folder: Path, corpus: Corpus) -> list[str]:
    """The files that an index holds of a folder and that are not there any more; none when a part cannot be seen."""
    assert corpus.folder is not None
    now = set(corpus.folder.ids())
    if not now.issuperset(corpus.problems):
        return []
    try:
        before = json.loads(_memory(folder, corpus).read_text(encoding="utf-8"))
        return sorted({id for id in before if isinstance(id, str)} - now)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        logger.warning("%s cannot be read (%s): files that are gone stay in the index", _memory(folder, corpus), error)
        return []


def remember(folder: Path, corpus: Corpus) -> None:
    """Write down which files of a folder the index holds.

    Raises:
        StorageError: The disk is full.
    """
    assert corpus.folder is not None
    path = _memory(folder, corpus)
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, json.dumps(corpus.folder.ids()).encode())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _memory(folder: Path, corpus: Corpus) -> Path:
    assert corpus.folder is not None
    name = hashlib.sha256(str(corpus.folder.path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return folder / FOLDERS / f"{name}.json"


def _chunks_from(store: DocumentStore, id: str, number: int) -> list[str]:
    """The chunks of a document from one number on, without those that people called so themselves."""
    stale: list[str] = []
    while True:
        ids = [f"{id}#{n}" for n in range(number, number + _STEP)]
        for n, (name, record) in enumerate(zip(ids, store.get(ids), strict=True), start=number):
            if record is None or record.metadata.get("chunk") != n or not {"start", "end"} <= record.metadata.keys():
                return stale
            stale.append(name)
        number += _STEP


def _in_memory(source: Iterable[object]) -> Iterator[Document]:
    """Tuples of (id, text, metadata), documents of ours, or of LangChain."""
    items = iter(source)
    for item in items:
        if isinstance(item, Document):
            yield item
        elif isinstance(item, tuple) and len(item) == 3:
            yield Document(*item)
        else:
            yield from (Document(row.id, row.text, row.metadata) for row in read_objects(_chained(item, items)))
            return


def _chained(first: object, rest: Iterator[object]) -> Iterator[object]:
    yield first
    yield from rest
