"""The steerable index: documents in a folder, searched and steered without torch."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

import numpy as np

from ..arrays import FloatArray
from ..errors import DataError, IndexFolderError, IndexLockedError, SteersearchError, StorageError
from .bundle.bundle import Bundle
from .bundle.onnx_session import Profile
from .ingest.documents import COMMIT_EVERY, spread
from .search.dense import Backend, VectorIndex, check_backend, open_index, remembered, sync
from .search.fusion import Fusion
from .search.hits import COMPARED, Hit, compared
from .search.inputs import check_unit_rows
from .search.query import Asked, View, check_search
from .search.views import Views
from .steerable import Steerable
from .steering.auto_strength import KEEP
from .steering.evidence import Evidence
from .steering.resolver import Boost, Resolver
from .store.documents import DocumentStore
from .store.row_encoding import Record, check_documents
from .upkeep import CACHE, SAVE_AFTER, Upkeep

__all__ = ["Hit", "SteerableIndex", "View"]

logger = logging.getLogger(__name__)

DATABASE = "documents.sqlite"
FOR_EVIDENCE = 512
"""Documents whose codes tell on which features an index has documents."""
FOR_MEANING = 5_000
"""Documents whose vectors tell what a phrase means in an index."""


class SteerableIndex(Steerable, Upkeep):
    """Documents that can be searched and steered. Make one with `create` or `open`; use it as a context manager.

    SQLite is the only truth; the matrix and graph beside it are checksummed caches that are rebuilt when they are
    missing, stale or damaged. Any number of processes may read; one writes at a time. Threads may share an index.
    """

    def __init__(self, path: Path, store: DocumentStore, bundle: Bundle, backend: Backend) -> None:
        self.path = path
        """The folder."""
        self.bundle = bundle
        """What embeds, encodes and names the features."""
        self._store, self._backend = store, backend

        def generation() -> int:
            return store.generation

        evidence = Evidence(bundle, self._nearest, lambda: store.codes_of(self._spread(FOR_EVIDENCE)), generation)
        self._resolver = Resolver(
            bundle, self._vector_of, evidence, generation, lambda: store.vectors_of(self._spread(FOR_MEANING))
        )
        self._lock = RLock()
        self._vectors: VectorIndex | None = None
        self._generation = -1
        self._closed = False
        self._views = Views(store, bundle, path / CACHE)

    @classmethod
    def create(cls, path: str | Path, bundle: str | Path | Bundle, *, backend: Backend = "auto") -> SteerableIndex:
        """Make an empty index.

        Args:
            path: A folder that does not exist yet, or is empty.
            bundle: The exported folder. The index remembers where it is (relative to itself) and what is in it.
            backend: `exact`, `hnsw` (extra ``hnsw``), `usearch`, `usearch-f32`, `usearch-i8` (extra ``usearch``: 16, 32
                or 8 bits a number), or `auto`: exact below 20,000 documents. `open` remembers it.

        Raises:
            IndexFolderError: Something is at `path` already.
            BundleError: The bundle cannot be used.
            StorageError: The folder cannot be written.
        """
        check_backend(backend)
        opened = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        folder = Path(path)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise IndexFolderError(f"{folder} exists and is not empty: use SteerableIndex.open")
        meta = {
            "bundle": os.path.relpath(opened.path.resolve(), folder.resolve()),
            "model_digest": opened.manifest.model_digest,
            "k": str(opened.k),
            "backend": backend,
        }
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        except OSError as error:
            raise StorageError(f"cannot make {folder}: {error}") from error
        try:
            temporary.chmod(0o755)
            DocumentStore.create(temporary / DATABASE, d_in=opened.d_in, meta=meta).close()
            os.replace(temporary, folder)
        except OSError as error:
            raise StorageError(f"cannot make {folder}: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(folder, DocumentStore.open(folder / DATABASE), opened, backend)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        bundle: str | Path | Bundle | None = None,
        backend: Backend = "auto",
        readonly: bool = False,
        profile: Profile = "fast",
        threads: int | None = None,
    ) -> SteerableIndex:
        """Open an index.

        Args:
            path: The folder.
            bundle: Where the bundle is now, if it was moved.
            backend: As in `create`; `auto` is what the index was made for.
            readonly: Never write, not even caches.
            profile: `fast` or `lean`, see `Bundle.load`; not used for a bundle that is open already.
            threads: CPU threads per graph, likewise.

        Raises:
            ConfigError: There is no such backend or profile, or `threads` is below 1.
            IndexFolderError: Missing, damaged, or made with another model than the bundle's.
            BundleError: The bundle is missing or damaged.
        """
        check_backend(backend)
        folder = Path(path)
        if not (folder / DATABASE).is_file():
            raise IndexFolderError(
                f"{folder} is not an index: make one with `sae index --bundle BUNDLE --data FILE --out {folder}`"
            )
        store = DocumentStore.open(folder / DATABASE, readonly=readonly)
        try:
            meta = store.meta
            if isinstance(bundle, Bundle):
                opened = bundle
            else:
                where = Path(bundle) if bundle is not None else folder / meta["bundle"]
                if bundle is None and not where.exists():
                    raise IndexFolderError(
                        f"{folder} was made with the bundle {where}, which is gone: say where it is with bundle="
                    )
                opened = Bundle.load(where, profile=profile, threads=threads)
            if opened.manifest.model_digest != meta["model_digest"] or opened.d_in != store.d_in:
                raise IndexFolderError(
                    f"{folder} was made with another model (d_in {store.d_in}) than {opened.path} "
                    f"(d_in {opened.d_in}): "
                    "open it with its own bundle, or index the documents again"
                )
            return cls(folder, store, opened, remembered(backend, meta))
        except KeyError as error:
            store.close()
            raise IndexFolderError(f"{folder} lacks {error} in its database: index the documents again") from error
        except SteersearchError:
            store.close()
            raise

    def add(
        self,
        texts: Sequence[str],
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        embeddings: FloatArray | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[str]:
        """Add documents; an id that is there already is replaced, and not embedded again where its text is the same.

        Committed 512 at a time: after a kill every committed document is there, and the same call goes on from there.
        For more documents than fit in memory there is `add_from`.

        Args:
            texts: The documents; LangChain documents too, which bring their ids and metadata.
            ids: Their ids, unique and not empty; made up when not given.
            metadata: One mapping per document with string keys and JSON values.
            embeddings: Unit rows, shape (n, d_in), if they are known already.
            progress: Called with (documents done, documents).

        Returns:
            The ids.

        Raises:
            DataError: Lengths differ, an id occurs twice, an embedding is not a unit row, ...; nothing was added.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full; what was committed before stays.
        """
        if isinstance(texts, str):
            raise DataError("texts is a single string: give a list of texts")
        texts, ids, metadata = spread(texts, ids, metadata)
        names = [uuid.uuid4().hex for _ in texts] if ids is None else list(ids)
        extra: Sequence[Mapping[str, Any]] = [{} for _ in texts] if metadata is None else metadata
        rows = None if embeddings is None else check_unit_rows(embeddings, "embeddings", self.bundle.d_in)
        for name, given in (("ids", names), ("metadata", extra), ("embeddings", rows)):
            if given is not None and len(given) != len(texts):
                raise DataError(f"{len(texts)} texts but {len(given)} {name}: give one per text")
        check_documents(names, texts, extra)  # all of them, before the first is embedded
        with self._store.writing():
            for start in range(0, len(texts), COMMIT_EVERY):
                block = slice(start, start + COMMIT_EVERY)
                self._put(names[block], texts[block], extra[block], None if rows is None else rows[block])
                if progress:
                    progress(min(start + COMMIT_EVERY, len(texts)), len(texts))
        if len(texts) >= SAVE_AFTER:
            self.save()
        return names

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents; returns how many there were. Ids that are not there are passed over."""
        if isinstance(ids, str):
            raise DataError("ids is a single string: give a list of ids")
        return self._store.delete(ids)

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The stored documents, None where there is none."""
        return self._store.get(ids)

    def search(
        self,
        query: str | FloatArray,
        k: int = 10,
        *,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = KEEP,
        protect: bool = False,
        filter: Mapping[str, Any] | None = None,
        view: View = "dense",
        fusion: Fusion = "rrf",
        text: str | None = None,
        idf: bool = False,
        compare: bool = False,
    ) -> list[Hit]:
        """The best documents for a query.

        Args:
            query: A text, or a unit vector of length d_in.
            k: Results wanted, at least 1; fewer come back when there are fewer.
            boost: Concept -> strength, in typical activations; negative pushes away; {} and zeros change nothing;
                `"auto"` and `"-auto"` are the largest that keeps the share `keep` of the query.
            clamp: Concept -> value to set instead of adding; 0 removes the concept from the query.
            keep: Cosine of the query before and after steering that `"auto"` keeps, above 0 and at most 1.
            protect: Leave alone how strongly the query expresses its own strongest features.
            filter: Metadata conditions, for example ``{"year": {"$gte": 2025}}``.
            view: `dense`, `reconstruction` (the paper's), `latent`, `words` (BM25; only documents with a word of the
                query), or `hybrid`: dense, latent and words together.
            fusion: How `hybrid` joins them: `"rrf"` by rank, or weights like ``{"dense": .4, "words": .4}`` by score.
            text: The query's words where `query` is a vector; `words` and `hybrid` need them.
            idf: In the latent view, alone or in `hybrid`, let latents that few documents have count more.
            compare: Fill in `Hit.rank_before` and `Hit.moved_by`; costs a second search and one look at each hit.

        Returns:
            Hits, best first; equal scores in the order the documents were added.

        Warns:
            SteeringWarning: A boost is obeyed and probably not meant: beyond +-100, about nothing in the index, taken
                back by another boost or a clamp, or without room for `"auto"`.

        Raises:
            ConfigError: k, a strength, keep, the view or the fusion is out of range.
            UnknownFeatureError: A boost names a latent that is not there, or nothing in the bundle expresses it.
            BundleError: There is a boost, and the bundle has no features.
            FilterError: The filter has a syntax error.
            DataError: The query is not a text or unit vector.
        """
        words = check_search(query, k, view, fusion, text)
        code = compare or view not in ("dense", "words")
        steered = self.steer(query, boost, clamp, keep=keep, protect=protect, code=code)
        asked = Asked(view, fusion, words, steered, idf=idf)
        with self._lock, self._store.snapshot():  # one state from the filter to the texts, whoever writes meanwhile
            hits = self._hits(asked, int(k), filter)
            if not compare:
                return hits
            plain = self._hits(replace(asked, plain=True), max(int(k), COMPARED), filter)
        return compared(hits, plain, steered, self._vector_of, self.bundle)

    def save(self) -> None:
        """Write the caches, so that the next `open` is fast. The documents themselves are always saved."""
        with self._lock:
            vectors = self._sync()
            if vectors.saved_generation == self._generation and not self._views.unsaved(self._generation):
                return
        vectors.ready()  # other threads search meanwhile
        with self._store.writing(), self._lock:  # in this order everywhere, and what was read above may be older
            vectors = self._sync()
            if vectors.saved_generation != self._generation:
                vectors.save(self.path / CACHE, self._generation)
            self._views.save(self._generation)

    def close(self) -> None:
        """Write the caches if they are out of date and can be written, then let go of the folder; harmless twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._vectors is not None and not self._store.readonly:
                self.save()
        except (IndexLockedError, StorageError) as error:
            logger.warning("left the caches of %s as they were: %s", self.path, error)
        finally:
            if self._vectors is not None:
                self._vectors.close()
            self._vectors = None  # which has a file of the folder mapped
            self._store.close()

    def __enter__(self) -> SteerableIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._store.get([id])[0] is not None

    def _vector_of(self, id: str) -> FloatArray | None:
        return self.vectors([id])[0]

    def _hits(self, asked: Asked, k: int, filter: Mapping[str, Any] | None) -> list[Hit]:
        vectors = self._sync()
        rows, scores = self._views.search(asked, k, filter, vectors, self._generation)
        found = {record.rowid: record for record in self._store.by_rowid(rows)}
        # One deleted by another process a moment ago is left out.
        pairs = [(found[int(row)], float(score)) for row, score in zip(rows, scores, strict=True) if int(row) in found]
        return [Hit(i + 1, doc.id, score, doc.text, doc.metadata) for i, (doc, score) in enumerate(pairs)]

    def _nearest(self, rows: FloatArray) -> FloatArray:
        with self._lock:
            vectors = self._sync()
            return np.array([score for row in rows for score in vectors.search(row, 1)[1]], np.float32)

    def _sync(self) -> VectorIndex:
        """The vectors of the newest committed generation, brought up to date with what was committed since."""
        if self._vectors is None:
            self._vectors = open_index(self._store, self.path / CACHE, self._backend)
            self._generation = sync(self._vectors, self._store)
        elif self._generation != self._store.generation:
            self._generation = sync(self._vectors, self._store)
        return self._vectors
