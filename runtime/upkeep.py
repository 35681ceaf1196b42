"""All that an index does besides searching: streaming, metadata, compacting, figures, verification, reading out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any

from ..arrays import FloatArray, IntArray
from ..corpus import Corpus
from .bundle.bundle import Bundle
from .ingest.documents import Batch, Source, batches, chunker_for, gone, leftovers, open_source, remember
from .ingest.shards import merge_shards
from .search.dense import Backend, VectorIndex, build_index, chosen
from .store.documents import DocumentStore
from .store.row_encoding import check_documents, encode_json
from .verify import Progress, Verification, verify

SAVE_AFTER = 1000
CACHE = "cache"


@dataclass(frozen=True)
class Added:
    """What `add_from` did."""

    embedded: int = 0
    """Documents that were new, or whose text was."""
    updated: int = 0
    """Documents of which only the metadata was new."""
    unchanged: int = 0
    """Documents that were there already."""
    dropped: int = 0
    """Chunks that their document has no more, and documents whose file is gone."""


@dataclass(frozen=True)
class IndexStats:
    """The figures of an index."""

    documents: int
    generation: int
    """How often documents were added or deleted."""
    d_in: int
    n_latents: int
    k: int
    backend: str
    """`exact`, `hnsw`, `usearch`, ...: what searches at this size."""
    database_bytes: int
    free_bytes: int
    """Of these, left by removed documents: `compact` gives them back."""
    cache_bytes: int
    cached: bool
    """Whether the caches are of this generation, so that the next `open` is fast."""
    bundle: str
    writer: str | None
    """Who is writing at this moment."""


class Upkeep:
    """The part of `SteerableIndex` that does not search."""

    path: Path
    bundle: Bundle
    _store: DocumentStore
    _backend: Backend
    _lock: RLock
    _vectors: VectorIndex | None

    def add_from(
        self,
        documents: Source,
        *,
        chunk_tokens: int | None = None,
        overlap: int | None = None,
        total: int | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Added:
        """Add any number of documents with 512 in memory at a time; after a kill the same call goes on where it was.

        A document that is there with the same text is not embedded again; with other metadata it gets the new. One
        whose id comes later again is replaced by the later one. What is cut into chunks replaces all chunks that the
        same document had before; a folder that is added again drops the files that are gone from it.

        Args:
            documents: A path or `Corpus` (see `Corpus.open`); or documents in memory: (id, text, metadata) of each, or
                what LangChain's loaders and text splitters give.
            chunk_tokens: Longest chunk in tokens, 0 for no chunks. By default the documents of a path or corpus are cut
                to what the embedder reads, and those in memory are stored as they are.
            overlap: Tokens that neighbouring chunks share at most; an eighth of a chunk by default.
            total: How many documents there are, for `progress`.
            progress: Called with (documents done, total).

        Raises:
            DataError: A document cannot be used; those before its block of 512 stay. A file of a folder that cannot be
                read is no error: it is named in the corpus's `problems`.
            ConfigError: A chunk cannot have this size.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full; what was committed before stays.
        """
        source = open_source(documents)
        corpus = source if isinstance(source, Corpus) else None
        numbered = source.blocks() if isinstance(source, Corpus) else source
        chunker = None
        if corpus is not None or chunk_tokens:
            chunker = chunker_for(self.bundle, chunk_tokens, overlap)
        done, added = 0, Added()
        with self._store.writing():
            for batch in batches(numbered, chunker):
                added = self._add_batch(batch, added)
                if corpus is not None or chunker is not None:
                    added = self._drop(leftovers(self._store, batch.counts), added)
                done += len(batch.counts)
                if progress:
                    progress(done, total)
            if corpus is not None and corpus.folder is not None:
                dead = dict.fromkeys(gone(self.path, corpus), 0)
                added = self._drop(leftovers(self._store, dead), added)
                remember(self.path, corpus)
        if added.embedded >= SAVE_AFTER:
            self.save()
        return added

    def merge(
        self, shards: Sequence[str | Path], *, progress: Callable[[int, int], None] | None = None
    ) -> tuple[int, dict[str, str]]:
        """Add what `embed_shard` (``sae embed``) made, in the order of the source; after a kill it goes on.

        Args:
            shards: Their folders, or folders that hold them.
            progress: Called with (documents merged, documents in all).

        Returns:
            Documents in all, and the files that could not be read: id -> why.

        Raises:
            DataError: A shard is missing, twice there, unfinished, of another bundle or damaged.
            IndexLockedError, StorageError: As in `add_from`.
        """
        merged = merge_shards(self._store, self.bundle.manifest.model_digest, [Path(s) for s in shards], progress)
        self.save()
        return merged

    def update_metadata(
        self, ids: Sequence[str], metadata: Sequence[Mapping[str, Any]], *, replace: bool = False
    ) -> None:
        """Change metadata without embedding anything, in one transaction.

        Args:
            ids: Documents that are there, each once.
            metadata: One mapping per id; its keys are set, others stay.
            replace: Put the mapping in the place of all metadata of its document.

        Raises:
            DataError: An id is not there or comes twice, or metadata cannot be stored; nothing was changed.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full or read-only.
        """
        self._store.update_metadata(ids, metadata, replace=replace)

    def compact(self) -> int:
        """Give back the space of removed documents, and make the caches anew. Readers go on meanwhile.

        Returns:
            Bytes by which the folder shrank; below 0 when caches were missing before.

        Raises:
            IndexLockedError: Another process is writing.
            StorageError: The disk is full or read-only; the documents are unchanged.
        """
        with self._store.writing(), self._lock:
            before = self._bytes()
            self._store.compact()
            if self._vectors is not None:
                self._vectors.close()
            self._vectors = build_index(self._store, self._backend)
            self.save()
            return before - self._bytes()

    def stats(self) -> IndexStats:
        """The figures of the index as it is committed now."""
        with self._store.snapshot():
            documents, generation = len(self._store), self._store.generation
            free = self._store.free_bytes
        backend, cache_bytes = chosen(self._backend, documents), _size_of(self.path / CACHE)
        sidecars = ["cache.json"] if backend == "exact" else ["cache.json", f"{backend.partition('-')[0]}.json"]
        return IndexStats(
            documents=documents,
            generation=generation,
            d_in=self.bundle.d_in,
            n_latents=self.bundle.n_latents,
            k=self.bundle.k,
            backend=backend,
            database_bytes=self._bytes() - cache_bytes,
            free_bytes=free,
            cache_bytes=cache_bytes,
            cached=all(_generation_of(self.path / CACHE / name) == generation for name in sidecars),
            bundle=os.path.normpath(self.bundle.path),
            writer=self._store.lock.holder(),
        )

    def verify(self, *, sample: int = 64, progress: Progress | None = None) -> Verification:
        """Check the structure of the database, every document, the caches, and that a sample of texts embeds as stored.

        Args:
            sample: Texts, spread over the index, that are embedded again.
            progress: Called with (documents read, documents).
        """
        return verify(self._store, self.bundle, self.path / CACHE, sample=sample, progress=progress)

    def sample(self, limit: int) -> tuple[FloatArray, tuple[IntArray, FloatArray]]:
        """Vectors and codes of documents spread over the index: (n, d_in) and ((n, k), (n, k)), n <= limit."""
        rows = self._spread(limit)
        return self._store.vectors_of(rows), self._store.codes_of(rows)

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """The unit vectors of documents, in this order, shape (d_in,) each, None where there is no such document."""
        return self._store.vectors_by_id(ids)

    def documents(self) -> tuple[list[str], list[str], FloatArray]:
        """All documents in the order they came: ids, texts, and vectors of shape (n, d_in)."""
        with self._store.snapshot():
            rows = self._store.rowids()
            records = self._store.by_rowid(rows)
            return [r.id for r in records], [r.text for r in records], self._store.vectors_of(rows)

    def save(self) -> None:
        """Write the caches."""
        raise NotImplementedError

    def _add_batch(self, batch: Batch, so_far: Added) -> Added:
        unique = {document.id: document for document in batch.documents}
        texts, metadata = [d.text for d in unique.values()], [d.metadata for d in unique.values()]
        check_documents(list(unique), texts, metadata)
        new = self._put(list(unique), texts, metadata, None)
        return replace(
            so_far,
            embedded=so_far.embedded + new.embedded,
            updated=so_far.updated + new.updated,
            unchanged=so_far.unchanged + new.unchanged,
        )

    def _drop(self, ids: list[str], so_far: Added) -> Added:
        return replace(so_far, dropped=so_far.dropped + self._store.delete(ids)) if ids else so_far

    def _put(
        self, ids: list[str], texts: Sequence[str], metadata: Sequence[Mapping[str, Any]], vectors: FloatArray | None
    ) -> Added:
        """Store a block of checked documents; without `vectors`, embed only what is not there with the same text."""
        stored = self._store.get(ids) if vectors is None else [None] * len(ids)
        fresh = [i for i, old in enumerate(stored) if old is None or old.text != texts[i]]
        moved = [
            i
            for i, old in enumerate(stored)
            if old is not None and old.text == texts[i] and encode_json(old.metadata) != encode_json(dict(metadata[i]))
        ]
        if fresh:
            some = [texts[i] for i in fresh]
            rows = self.bundle.embed(some) if vectors is None else vectors
            codes = self.bundle.encode(rows)
            self._store.put([ids[i] for i in fresh], some, [metadata[i] for i in fresh], rows, *codes)
        if moved:
            self._store.update_metadata([ids[i] for i in moved], [metadata[i] for i in moved], replace=True)
        return Added(len(fresh), len(moved), len(ids) - len(fresh) - len(moved))

    def _spread(self, limit: int) -> IntArray:
        """At most so many rowids, spread over the index."""
        rows = self._store.rowids()
        return rows[:: max(1, -(-len(rows) // limit))]

    def _bytes(self) -> int:
        return _size_of(self.path)


def _generation_of(sidecar: Path) -> object:
    """What a cache says that it is of; None when it is missing or damaged."""
    try:
        return json.loads(sidecar.read_text(encoding="utf-8"))["generation"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _size_of(folder: Path) -> int:
    """Bytes of all files in a folder; one that goes away meanwhile does not count."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
