"""Adding documents to a store, embedded if their text is new and committed in blocks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray, check_unit_rows
from ...corpus import Corpus, Document
from ...errors import ConfigError, DataError
from ...json_values import json_values
from ...sequences import as_list
from ...vectors import Vectors
from ..bundle.bundle import Bundle
from ..store.documents import DocumentStore
from ..store.row_encoding import Record, check_documents, encode_json
from .documents import COMMIT_EVERY, Batch, Source, batches, chunker_for, open_source, unpack
from .earlier import recorded_files, take_over
from .given import check_given
from .replacing import check_replaced, gone_documents, made_up_documents, other_chunks, stale_chunks
from .sources import Names, wanted_prefix


@dataclass(frozen=True)
class Added:
    """Counts of what `add_from` did."""

    embedded: int = 0
    """Documents that were new or had a new text, or a new vector where vectors were given."""
    updated: int = 0
    """Documents of which only the metadata changed."""
    unchanged: int = 0
    """Documents that did not change."""
    dropped: int = 0
    """Chunks that their document no longer has, and documents without ids that their source no longer has."""
    replaced: int = 0
    """Of those embedded, the documents that took the place of another text under their id."""
    documents: int = field(default=0, repr=False, compare=False)
    """Documents of the source; the counts above are of their pieces, one for each that was not cut."""
    cut: int = field(default=0, repr=False, compare=False)
    """Of these, the documents that were cut into several chunks."""
    longest: tuple[str, int] = field(default=("", 1), repr=False, compare=False)
    """The one of most chunks, and their number."""

    def __add__(self, other: Added) -> Added:
        """Return the sum of two counts."""
        return Added(
            self.embedded + other.embedded,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.dropped + other.dropped,
            self.replaced + other.replaced,
            self.documents + other.documents,
            self.cut + other.cut,
            max(self.longest, other.longest, key=lambda longest: longest[1]),
        )


def add_from(
    store: DocumentStore,
    bundle: Bundle,
    folder: Path,
    documents: Source | Vectors,
    *,
    chunk_tokens: int | None = None,
    overlap: int | None = None,
    total: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Added:
    """Add documents of any source to the store of an index in `folder`; see `SteerableIndex.add_from`."""
    held = None
    if isinstance(documents, Vectors):
        if chunk_tokens:
            raise ConfigError(f"{documents.name} has one vector per document, so none can be cut: leave chunks out")
        held, chunk_tokens, documents = documents, 0, check_given(bundle, documents)
    source = open_source(documents)
    corpus = source if isinstance(source, Corpus) else None
    numbered = source.blocks() if isinstance(source, Corpus) else source
    chunker = chunker_for(bundle, chunk_tokens, overlap) if corpus is not None or chunk_tokens else None
    done, read, added = 0, 0, Added()
    seen: set[str] = set()
    with store.writing():
        names = Names(store, corpus.origin, wanted_prefix(corpus)) if corpus is not None else Names(store, "", "")
        if corpus is not None and corpus.folder is not None and not names.is_recorded:
            take_over(store, names, recorded_files(folder, corpus.folder.path))

        def check(chunks: list[Document]) -> None:
            check_replaced(store, chunks, store.get([chunk.id for chunk in chunks]), names)
            whole = chunks[0].id.rpartition("#")[0]
            stale({whole: len(chunks)}, {whole: names.prefix} if chunks[0].made_up else {})

        stale = partial(stale_chunks, store, by_hand=not names.origin)
        named = ((block, names.document(document)) for block, document in numbered)
        for batch in batches(named, chunker, check):
            rows = None if held is None else held.rows[read : read + len(batch.documents)]
            prefixes = {id: names.prefix for id in made_up_documents(batch)}
            seen.update(prefixes)
            added += _add_batch(store, bundle, batch, names, rows, stale(batch.counts, prefixes))
            read += len(batch.documents)
            done += len(batch.counts)
            if progress:
                progress(done, total)
        if corpus is not None:
            # Only now: an interrupted run has not seen all.
            added += _drop(store, gone_documents(store, names, seen, corpus.problems))
    return added


def add_texts(
    store: DocumentStore,
    bundle: Bundle | None,
    texts: Sequence[str],
    ids: Sequence[str] | None,
    metadata: Sequence[Mapping[str, Any]] | None,
    embeddings: FloatArray | None,
    progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Check documents, all before the first is embedded, and put them in blocks; return their ids.

    Arguments and errors as in `SteerableIndex.add`.
    """
    texts, ids, metadata = unpack(as_list(texts, "texts"), ids, metadata)
    names = [uuid.uuid4().hex for _ in texts] if ids is None else as_list(ids, "ids")
    extra = [{} for _ in texts] if metadata is None else as_list(metadata, "metadata")
    rows = None if embeddings is None else check_unit_rows(embeddings, "embeddings", store.d_in)
    for name, given in (("ids", names), ("metadata", extra), ("embeddings", rows)):
        if given is not None and len(given) != len(texts):
            raise DataError(f"{len(texts)} texts but {len(given)} {name}: give one per text")
    check_documents(names, texts, extra)
    with store.writing():
        for start in range(0, len(texts), COMMIT_EVERY):
            block = slice(start, start + COMMIT_EVERY)
            vectors = None if rows is None else rows[block]
            stale = other_chunks(store, names[block], names)
            put(store, bundle, names[block], texts[block], extra[block], vectors, remove=stale)
            if progress:
                progress(min(start + COMMIT_EVERY, len(texts)), len(texts))
    return names


def put(
    store: DocumentStore,
    bundle: Bundle | None,
    ids: list[str],
    texts: Sequence[str],
    metadata: Sequence[Mapping[str, Any]],
    vectors: FloatArray | None = None,
    *,
    stored: Sequence[Record | None] | None = None,
    made_up: Mapping[str, str] | None = None,
    remove: Sequence[str] = (),
) -> Added:
    """Store a block of checked documents without duplicate ids; texts that are not stored yet are embedded.

    If vectors are given, unit rows of shape (n, d_in), every document is stored again unless `stored` says otherwise;
    without codes if there is no bundle. `stored` is what `store.get(ids)` returns, if that is known, and None for
    documents that are stored in any case; `made_up` and `remove` as in `DocumentStore.put`.
    """
    if stored is None:
        stored = store.get(ids) if vectors is None else [None] * len(ids)
    new = [i for i, old in enumerate(stored) if old is None or old.text != texts[i]]
    changed = [
        i
        for i, old in enumerate(stored)
        if old is not None
        and old.text == texts[i]
        and encode_json(old.metadata) != encode_json(json_values(metadata[i]))
    ]
    if new:
        some = [texts[i] for i in new]
        if bundle is None:
            assert vectors is not None, "without a bundle the caller provides vectors"
            rows, codes = vectors, (np.empty((len(some), 0), np.int64), np.empty((len(some), 0), np.float32))
        else:
            rows = bundle.embed_documents(some) if vectors is None else vectors[new]
            codes = bundle.encode(rows)
        own = {ids[i]: made_up[ids[i]] for i in new if ids[i] in made_up} if made_up else None
        store.put([ids[i] for i in new], some, [metadata[i] for i in new], rows, *codes, made_up=own, remove=remove)
    elif remove:
        store.delete(remove)
    if changed:
        store.update_metadata([ids[i] for i in changed], [metadata[i] for i in changed], replace=True)
    replaced = sum(stored[i] is not None for i in new)
    return Added(len(new), len(changed), len(ids) - len(new) - len(changed), replaced=replaced)


def _add_batch(
    store: DocumentStore, bundle: Bundle, batch: Batch, names: Names, rows: FloatArray | None, stale: list[str]
) -> Added:
    """Store a batch; `rows` are the documents' vectors, if they are there already, shape (n, d_in).

    The chunks of `stale`, which the documents no longer have, go in the same transaction.
    """
    # The last of those with one id.
    places = list({document.id: at for at, document in enumerate(batch.documents)}.values())
    unique = [batch.documents[at] for at in places]
    ids, texts, metadata = [d.id for d in unique], [d.text for d in unique], [d.metadata for d in unique]
    check_documents(ids, texts, metadata)
    stored = store.get(ids)
    check_replaced(store, unique, stored, names)
    made_up = {document.id: names.prefix for document in unique if document.made_up}
    vectors = None
    if rows is not None:
        vectors = np.array(rows[places], np.float32)
        there = store.vectors_by_id(ids)
        for at, old in enumerate(stored):
            before = there[at]
            if old is not None and old.text == texts[at] and before is not None and (before != vectors[at]).any():
                stored[at] = None
    now = set(ids)
    stale = [id for id in stale if id not in now]
    added = put(store, bundle, ids, texts, metadata, vectors, stored=stored, made_up=made_up, remove=stale)
    cut = {id: pieces for id, pieces in batch.counts.items() if pieces > 1}
    return replace(
        added,
        replaced=added.replaced + len(batch.documents) - len(unique),
        dropped=len(stale),
        documents=len(batch.counts),
        cut=len(cut),
        longest=max(cut.items(), key=lambda longest: longest[1], default=("", 1)),
    )


def _drop(store: DocumentStore, ids: list[str]) -> Added:
    return Added(dropped=store.delete(ids)) if ids else Added()
