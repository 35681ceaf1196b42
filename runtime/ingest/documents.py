"""Documents of any source as batches of chunks."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from os import PathLike
from typing import Any, NamedTuple

from ...corpus import Corpus, Document
from ...corpus.chunks import Chunker
from ...corpus.plain_tokens import count_plain_tokens
from ...corpus.rows import content_id, read_objects
from ...errors import DataError
from ...sequences import in_order
from ..bundle.bundle import Bundle
from ..bundle.manifest import TOKENIZER
from ..store.row_encoding import short

COMMIT_EVERY = 512
"""Most documents that are embedded and stored together."""

PLAIN_TOKENS = 512
"""Plain tokens of a chunk by default, some 2,000 characters."""

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
    """Return the chunker of a bundle, with room for its prefix; None if `tokens` is 0. Errors as in `Chunker`.

    For a bundle without a tokenizer it counts plain tokens, and chunks have `PLAIN_TOKENS` by default.
    """
    if tokens == 0:
        return None
    prefix = bundle.manifest.document_prefix
    if TOKENIZER not in bundle.manifest.files:
        # Services read thousands of tokens, and no passage of that length is about one thing.
        most = bundle.manifest.max_length - count_plain_tokens(prefix)
        return Chunker(None, most, min(PLAIN_TOKENS, most) if tokens is None else tokens, overlap)
    taken = len(bundle.tokenise([prefix])[0]) if prefix else 0
    return Chunker(bundle.path / "tokenizer.json", bundle.manifest.max_length - taken, tokens, overlap)


def batches(
    documents: Iterable[tuple[int, Document]],
    chunker: Chunker | None,
    check: Callable[[list[Document]], None] | None = None,
) -> Iterator[Batch]:
    """Cut documents and group at most 512 chunks, never of two blocks, so that a block always has the same batches.

    `check` gets all chunks of a document before the first of them is in a batch.

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
        if check is not None and len(pieces) > 1:
            check(pieces)
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
    texts: list[Any], ids: Sequence[str] | None, metadata: Sequence[Mapping[str, Any]] | None
) -> tuple[list[str], Sequence[str] | None, Sequence[Mapping[str, Any]] | None]:
    """Return texts, ids and metadata of LangChain documents; plain texts are returned unchanged."""
    if not any(hasattr(text, "page_content") for text in texts):
        return texts, ids, metadata
    rows = list(read_objects(texts))
    return (
        [row.text for row in rows],
        [uuid.uuid4().hex if row.made_up else row.id for row in rows] if ids is None else ids,
        [row.metadata for row in rows] if metadata is None else metadata,
    )


def _in_memory(source: Iterable[object]) -> Iterator[Document]:
    """Yield documents from tuples of (id, text, metadata), our documents, texts, or documents of LangChain.

    Every id is unique beyond this call: a text has a random one, a document without an id one of its content.
    """
    numbers: Counter[str] = Counter()
    items = iter(in_order(source, "documents"))
    for position, item in enumerate(items):
        if isinstance(item, Document) or (isinstance(item, tuple) and len(item) == 3):
            document = _checked(item if isinstance(item, Document) else Document(*item), position)
            if document.made_up:
                document = replace(document, id=content_id(document.text, document.metadata, numbers), made_up=False)
            yield document
            continue
        for row in read_objects(chain([item], items)):
            yield Document(uuid.uuid4().hex if row.made_up else row.id, row.text, row.metadata)
        return


def _checked(document: Document, position: int) -> Document:
    """Check the types of a document; what they hold is checked where it is stored."""
    for name, value, kind in (
        ("id", document.id, str),
        ("text", document.text, str),
        ("metadata", document.metadata, Mapping),
    ):
        if not isinstance(value, kind):
            expected = "a string" if kind is str else "a mapping"
            raise DataError(
                f"document {position} has the {name} {short(value)} ({type(value).__name__}): expected {expected}"
            )
    return document
