"""`SteerableIndex`: documents in a folder, searched and steered without torch.

What adds and verifies documents is imported where it is used: a third of what a search would load, for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from ..arrays import FloatArray, IntArray
from ..errors import ConfigError, DataError
from ..files import absolute
from ..forks import never_free, renew_after_fork
from ..sequences import as_list
from .bundle.bundle import Bundle
from .bundle.fast_queries.table import Queries
from .bundle.onnx_session import MemoryProfile
from .ingest.adoption import facts_of
from .opening import close_parts, open_bundle, open_parts
from .search.backends import Backend, check_backend
from .search.grouping import check_group, grouped, ranks_before
from .search.hits import COMPARE_DEPTH, Hit, Hits, with_comparison
from .search.query import Fusion, Query
from .search.views import IndexDocuments, ViewName, Views, check_search
from .steering.concepts import Concept
from .steering.explain import Explanation, explain_steered
from .steering.highlights.in_words import in_words
from .steering.highlights.word_vectors import WordReader
from .steering.request import DEFAULT_KEEP, Blend, Boost, Key, Removable, Steering, SteeringArguments
from .steering.resolver import Resolver, unsteered
from .steering.steered_query import SteeredQuery
from .store.documents import DocumentStore
from .store.folder import CACHE, DATABASE, check_free, make_folder
from .store.pieces import change_metadata, get_documents, hint_of
from .store.row_encoding import Record

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..vectors import Vectors
    from .ingest.adding import Added
    from .ingest.documents import Source
    from .ingest.merge import Merged
    from .maintenance import IndexStats, Progress, Verification

__all__ = ["Hit", "SteerableIndex"]

QueryLike: TypeAlias = str | FloatArray | SteeredQuery
"""A text, a unit vector (d_in,), or the result of `steer`."""
_OPENED = ("_store", "_views", "_documents", "_resolver")
"""Attributes that hold open files."""
SAVE_AFTER = 1000
"""New documents after which the caches are written immediately."""


class SteerableIndex:
    """An index of documents that can be searched and steered; made by `create` or `open`, and a context manager.

    SQLite is the source of truth; the matrix and graph next to it are checksummed caches that are rebuilt if they are
    missing, stale or damaged. Any number of processes may read; one writes at a time. Threads may share an index.
    """

    def __init__(self, path: Path, store: DocumentStore, bundle: Bundle | None, backend: Backend) -> None:
        self.path = path
        """The folder."""
        self._store, self._bundle, self._backend, self._readonly = store, bundle, backend, store.readonly
        self._views = Views(store, bundle, path / CACHE, backend)
        self._documents = IndexDocuments(store, self._views)
        self._resolver = None if bundle is None else Resolver(bundle, self._documents)
        self._closed = False
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Open the files again in a forked child, when they are used there."""
        if not self._closed:
            for name in _OPENED:
                never_free(vars(self).pop(name, None))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Open the files again that `_after_fork` took away."""
            if name not in _OPENED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            again = _reopen(*self.__reduce__()[1])
            vars(self).update({name: vars(again)[name] for name in _OPENED})
            return vars(self)[name]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by path: the copy is opened again, where it is used."""
        return _reopen, (self.path, self._bundle, self._backend, self._readonly)

    @classmethod
    def create(
        cls,
        path: str | Path,
        bundle: str | Path | Bundle | None,
        *,
        d_in: int | None = None,
        backend: Backend = "auto",
        embedder: Any = None,
    ) -> SteerableIndex:
        """Create an empty index.

        Args:
            path: A folder that does not exist or is empty.
            bundle: The exported folder. The index stores its path (relative to itself) and a digest of its model. None
                for an index of vectors of any embedder, which cannot be steered until `open` is given a bundle.
            d_in: Width of the vectors of an index without a bundle.
            backend: `exact`, `hnsw` (extra ``hnsw``), `usearch`, `usearch-f32`, `usearch-i8` (extra ``usearch``: 16, 32
                or 8 bits a number), or `auto`: exact below 20,000 documents. It is stored for `open`.
            embedder: What embeds texts, where the bundle has no embedder; see `Bundle.load`.

        Raises:
            IndexFolderError: `path` exists and is not empty.
            BundleError: The bundle cannot be used.
            ConfigError: The backend is unknown, or neither a bundle nor a width is given.
            StorageError: The folder cannot be written.
        """
        check_backend(backend)
        opened = open_bundle(bundle, embedder)
        width = d_in if opened is None else opened.d_in
        if width is None or (d_in is not None and d_in != width):
            raise ConfigError(f"d_in is {d_in}: give it for an index without a bundle, and only there")
        folder = absolute(path)
        check_free(folder)
        make_folder(folder, d_in=width, meta={**(facts_of(opened, folder) if opened else {}), "backend": backend})
        return cls(folder, DocumentStore.open(folder / DATABASE), opened, backend)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        bundle: str | Path | Bundle | None = None,
        backend: Backend = "auto",
        readonly: bool = False,
        profile: MemoryProfile = "fast",
        threads: int | None = None,
        embedder: Any = None,
        queries: Queries = "transformer",
    ) -> SteerableIndex:
        """Open an index.

        Args:
            path: The folder.
            bundle: The current path of the bundle, if it was moved. For an index without one: the bundle of the
                embedder that made its vectors; it encodes all documents now.
            backend: As in `create`; `auto` is the stored backend.
            readonly: Never write, not even caches. So is an index whose files this user cannot write, or whose database
                has a second name (``cp -al``); a warning of the log says so once.
            profile: `fast` or `lean`, see `Bundle.load`; ignored for an open bundle.
            threads: CPU threads per graph; ignored for an open bundle.
            embedder: What embeds texts, where the bundle has no embedder; see `Bundle.load`.
            queries: What embeds a query, `transformer`, `fast` or `auto`, see `Bundle.load`; ignored for an open one.

        Raises:
            ConfigError: The backend or profile is unknown, `threads` is below 1, or the bundle is of another embedder
                than the vectors of an index without one.
            IndexFolderError: The folder is missing, damaged, or made with another model than the bundle's.
            BundleError: The bundle is missing or damaged.
        """
        how: dict[str, Any] = {"backend": backend, "readonly": readonly, "profile": profile, "threads": threads}
        return cls(*open_parts(path, bundle, embedder=embedder, queries=queries, **how))

    @property
    def bundle(self) -> Bundle:
        """The bundle that embeds, encodes and names the features; ConfigError if the index has none."""
        if self._bundle is None:
            raise ConfigError(f"{self.path} has no bundle, so it cannot be steered: open it with bundle=")
        return self._bundle

    @property
    def store(self) -> DocumentStore:
        """The documents in SQLite, for who reads more of them than a search returns."""
        return self._store

    @property
    def has_bundle(self) -> bool:
        """Whether the index embeds texts and can be steered."""
        return self._bundle is not None

    def add(
        self,
        texts: Sequence[str],
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        embeddings: FloatArray | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[str]:
        """Add documents and return their ids. An existing id is replaced; the same text is not embedded again.

        Commits 512 documents at a time: after an interruption the same call resumes. Use `add_from` for more documents
        than fit in memory.

        Args:
            texts: The documents, as strings or LangChain documents; the latter may provide ids and metadata. This and
                the next two are lists, columns or generators, taken by position.
            ids: Their ids, unique and not empty; generated by default.
            metadata: One mapping per document with string keys and JSON values.
            embeddings: Unit rows, shape (n, d_in), if already known.
            progress: Called with (documents done, total).

        Raises:
            DataError: Lengths differ, an id occurs twice, an embedding is not a unit row, ...; nothing was added.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full; committed documents are kept.
        """
        from .ingest.adding import add_texts

        if self._bundle is None and embeddings is None:
            raise ConfigError(f"{self.path} has no bundle that embeds texts: give embeddings=, or open it with bundle=")
        names = add_texts(self._store, self._bundle, texts, ids, metadata, embeddings, progress)
        if len(names) >= SAVE_AFTER:
            self.save()
        return names

    def add_from(
        self,
        documents: Source | Vectors,
        *,
        chunk_tokens: int | None = None,
        overlap: int | None = None,
        total: int | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Added:
        """Add any number of documents with 512 in memory at a time; after an interruption the same call resumes.

        A document with an unchanged text is not embedded again; changed metadata is stored. If an id occurs again, the
        later document replaces the earlier one, and `Added.replaced` counts them. The chunks of a document replace all
        its earlier chunks. Adding a file or folder again removes the documents without ids of their own (lines, files)
        that it no longer has, when all of it was read.

        Documents without ids get some that no others have. Lines and files have their number or path, as it is in the
        first source of an empty index, with a prefix (``two.txt:1``, ``docs/readme.txt``) in every other; adding a
        source again finds its own documents. Texts in memory have random ids, documents of LangChain their `source` and
        a checksum of their content. No made-up id replaces a document that has another source.

        Args:
            documents: A path or `Corpus` (see `Corpus.open`); or documents in memory: texts, (id, text, metadata)
                tuples, or documents of LangChain's loaders and text splitters. Or documents with their vectors, from
                `steersearch.vectors.open_vectors`: nothing is embedded then but eight of them, to compare.
            chunk_tokens: Longest chunk in tokens, 0 for no chunks. By default the documents of a path or corpus are cut
                to the embedder's maximum length, and those in memory are not cut.
            overlap: Most tokens that neighbouring chunks share; an eighth of a chunk by default.
            total: Number of documents, for `progress`.
            progress: Called with (documents done, total).

        Raises:
            DataError: A document cannot be used, or would replace one that is not its own (see above; a chunk replaces
                chunks of its document only); earlier blocks of 512 are kept. An unreadable file of a folder is not an
                error: it is listed in the corpus's `problems`.
            ConfigError: The chunk size is out of range, or the vectors are not of the bundle's embedder.
            IndexLockedError, StorageError: As in `add`.
        """
        from .ingest.adding import add_from

        cut = {"chunk_tokens": chunk_tokens, "overlap": overlap}
        added = add_from(self._store, self.bundle, self.path, documents, **cut, total=total, progress=progress)
        if added.embedded >= SAVE_AFTER:
            self.save()
        return added

    def merge(self, shards: Sequence[str | Path], *, progress: Callable[[int, int], None] | None = None) -> Merged:
        """Add the output of `embed_shard` (``sae embed``), in the order of the source; resumes after an interruption.

        Args:
            shards: Folders of shards, or folders that hold them.
            progress: Called with (documents merged, total).

        Returns:
            Number of documents, the unreadable files (id -> reason), and how many documents were replaced and dropped.

        Raises:
            DataError: A shard is missing, duplicate, unfinished, of another bundle or damaged; or as in `add_from`.
            IndexLockedError, StorageError: As in `add_from`.
        """
        from .ingest.merge import merge_shards

        folders = [absolute(shard) for shard in as_list(shards, "shards")]
        merged = merge_shards(self._store, self.bundle.manifest.model_digest, folders, progress)
        self.save()
        return merged

    def delete(
        self, ids: Sequence[str] | None = None, *, filter: Mapping[str, Any] | None = None, source: str | None = None
    ) -> int:
        """Remove documents in one transaction and return their number; unknown ids are ignored.

        Args:
            ids: Ids of documents, which go with all their chunks, or of chunks, which go alone.
            filter: Metadata conditions, as in `search`.
            source: What the metadata has as `source`, or the path of an indexed file or folder without ids of its own.

        Raises:
            ConfigError: None of the three is given, or several, or an empty filter; others as in `add`.
        """
        from .ingest.selecting import delete

        return len(delete(self._store, None if ids is None else as_list(ids, "ids"), filter=filter, source=source))

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """Return the documents, a long one put together of its chunks (`Record.pieces`); None for an unknown id."""
        return get_documents(self._store, ids)

    def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """Return the number of documents, or of those that match a filter; `len` counts chunks one by one."""
        from .ingest.selecting import count

        return count(self._store, filter)

    def update_metadata(
        self, ids: Sequence[str], metadata: Sequence[Mapping[str, Any]], *, replace: bool = False
    ) -> None:
        """Change metadata without embedding anything, in one transaction.

        Args:
            ids: Ids of documents, whose chunks all change, or of chunks; without duplicates.
            metadata: One mapping per id; its keys are set, others are kept.
            replace: Replace all metadata of each document, but for the place of a chunk.

        Raises:
            DataError: An id is unknown or occurs twice, or metadata cannot be stored; nothing was changed.
            IndexLockedError, StorageError: As in `add`.
        """
        change_metadata(self._store, ids, metadata, replace=replace)

    def search(
        self,
        query: QueryLike,
        k: int = 10,
        *,
        steering: Steering | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        exclude: Sequence[Key] | Key | None = None,
        remove: Sequence[Removable] | Removable | None = None,
        blend: Blend = "both",
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        understand: bool = False,
        filter: Mapping[str, Any] | None = None,
        view: ViewName = "dense",
        fusion: Fusion = "rrf",
        text: str | None = None,
        idf: bool = False,
        compare: bool = False,
        highlight: bool = False,
        group: str | None = None,
    ) -> Hits:
        """Return the best documents for a query.

        Args:
            query: A text, a unit vector of length d_in, or the result of `steer`.
            k: Number of results, at least 1; fewer are returned if there are fewer.
            steering: The steering request as one object, in place of the next seven arguments.
            boost: Concept -> strength. 1, or `"auto"`: it counts as much as the query; negative, or `"-auto"`:
                documents about it go down; {} and zeros change nothing.
            clamp: Concept -> value to set in the query's own code; 0 removes the concept from the query.
            exclude: Concepts that no document may be about, beyond what the rest of the query explains.
            remove: Concepts, or each an `Attribute`, to take out of the query and the documents, in the dense view.
            blend: `"both"` ranks documents by how much they are about the query and about the concepts. `"move"` moves
                the query instead, by strengths in typical activations (the paper's way).
            keep: With `blend="move"`, the cosine of the query before and after that `"auto"` preserves.
            protect: Leave alone what the query's own strongest features express of a concept.
            understand: Read wishes of the text: what it asks for in plain words (``cafés in Rome, not touristy``) is
                boosted or excluded, and a text that asks for nothing so stays as it is; see `understand`.
            filter: Metadata conditions, for example ``{"year": {"$gte": 2025}}``; None and ``{}`` match everything.
            view: `dense`, `reconstruction`, `latent`, `words` (BM25), or `hybrid`: dense, latent and words together.
            fusion: How `hybrid` combines them: `"rrf"` by rank, or weights like ``{"dense": .4, "words": .4}`` by
                score.
            text: The query's words if `query` is a vector; required by `words` and `hybrid`.
            idf: Weigh latents by inverse document frequency, in the latent view and in `hybrid`.
            compare: Fill in `Hit.rank_before` and `Hit.moved_by`; costs a second search and an explanation per hit.
            highlight: Fill in `Hit.words`, `Hit.highlights` and `Hit.sentence`: what made it match; embeds their texts.
            group: `"document"`: one hit for each document, its best chunk; or a field of the metadata: one hit for
                each of its values.

        Returns:
            Hits, best first; ties in the order the documents were added.

        Warns:
            SteeringWarning: A boost is obeyed but probably not intended, for example one about nothing in the index.

        Raises:
            ConfigError: k, a strength, keep, view, fusion or group is out of range, or nothing of the query is left.
            UnknownFeatureError: A boost names an unknown latent, or nothing in the bundle expresses it.
            BundleError: There is a boost, and the bundle has no features.
            FilterError: The filter has a syntax error.
            DataError: The query is not a text or unit vector.
        """
        n_results = check_search(query.text if isinstance(query, SteeredQuery) else query, k, view, fusion, text)
        wanted = Steering.of(steering, boost, clamp, keep, protect, exclude, blend, remove)
        steered = self._steered(query, wanted, text, understand)
        request = Query(steered, fusion, idf)
        find = partial(self._hits, view, filter=filter, group=group if group is None else check_group(group))
        with self._views.snapshot():
            hits = find(request, n_results)
            if not (compare or highlight):
                return hits
            plain = find(request.unsteered, max(n_results, COMPARE_DEPTH)) if compare else []
        reasons = self._explanations(steered, [hit.id for hit in hits], words=highlight)
        if highlight:
            # Without those that were deleted a moment ago.
            hits = Hits(replace(hit, words=reasons[hit.id].words) if hit.id in reasons else hit for hit in hits)
        return with_comparison(hits, ranks_before(hits, plain, group), reasons) if compare else hits

    def steer(
        self,
        query: QueryLike,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        *,
        exclude: Sequence[Key] | Key | None = None,
        remove: Sequence[Removable] | Removable | None = None,
        blend: Blend = "both",
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        understand: bool = False,
        steering: Steering | None = None,
        text: str | None = None,
    ) -> SteeredQuery:
        """Return the steered query of a search, with the resolved concepts.

        `search` and `explain` accept it in place of the query, so that it is steered only once. Arguments and errors as
        in `search`.
        """
        wanted = Steering.of(steering, boost, clamp, keep, protect, exclude, blend, remove)
        return self._steered(query, wanted, text, understand)

    def resolve(self, key: Key) -> Concept:
        """Return the `Concept` of a boost's key on these documents, with its weights, to print, save and edit.

        Raises:
            UnknownFeatureError: The latent does not exist, or nothing in the bundle expresses the text.
            ConfigError: The key has another type.
        """
        resolver = self._resolver
        return resolver.resolve(key) if resolver else Resolver(self.bundle).resolve(key)

    def explain(
        self,
        query: str | FloatArray | SteeredQuery,
        id: str,
        *,
        words: bool = False,
        **steering: Unpack[SteeringArguments],
    ) -> Explanation:
        """Explain the dense score of a document by features whose contributions add up to it.

        With `words` also by the words of the document (`Explanation.words`), whose text is embedded again for that. The
        other arguments are those of `search`. DataError if the document does not exist.
        """
        return self.explain_all(query, [id], words=words, **steering)[0]

    def explain_all(
        self, query: QueryLike, ids: Sequence[str], *, words: bool = False, **steering: Unpack[SteeringArguments]
    ) -> list[Explanation]:
        """Explain the dense scores of documents, in the order of `ids`; the query is steered once for all.

        Arguments as in `explain`. DataError if a document does not exist, or `ids` is a single string.
        """
        ids = as_list(ids, "ids")
        found = self._explanations(self._steered(query, Steering.of(**steering)), ids, words=words)
        for id in ids:
            if id not in found:
                raise DataError(f"there is no document {id!r} in {self.path}{hint_of(self._store, id)}")
        return [found[id] for id in ids]

    def sample(self, limit: int) -> tuple[FloatArray, tuple[IntArray, FloatArray]]:
        """Return vectors (n, d_in) and codes ((n, k), (n, k)) of an even sample of the documents, n <= limit."""
        return self._documents.sample_vectors(limit), self._documents.sample_codes(limit)

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """Return the unit vectors of documents, shape (d_in,) each; None for an unknown id."""
        return self._store.vectors_by_id(ids)

    def documents(self) -> tuple[list[str], list[str], FloatArray]:
        """Return all documents in insertion order: ids, texts, and vectors of shape (n, d_in)."""
        return self._documents.everything()

    def stats(self) -> IndexStats:
        """Return the statistics of the index as committed now."""
        from .maintenance import stats_of

        return stats_of(self._store, self.path, self.path / CACHE, self._bundle, self._backend)

    def verify(self, *, sample: int = 64, progress: Progress | None = None) -> Verification:
        """Verify the structure of the database, every document, the caches, and the embeddings of a sample of texts.

        Args:
            sample: Number of texts, spread over the index, that are embedded again.
            progress: Called with (documents read, total).
        """
        from .maintenance import verify

        return verify(self._store, self.bundle, self.path / CACHE, sample=sample, progress=progress)

    def compact(self) -> int:
        """Return the space of removed documents to the disk, and rebuild the caches. Readers can continue meanwhile.

        Returns the bytes by which the folder shrank; negative if caches were missing before.

        Raises:
            IndexLockedError: Another process is writing.
            StorageError: The disk is full or read-only; the documents are unchanged.
        """
        from .maintenance import compact

        return compact(self._store, self._views, self.path)

    def save(self) -> None:
        """Write the caches, so that the next `open` is fast. The documents themselves are always saved.

        Errors as in `compact`.
        """
        self._views.save(complete=True)

    def close(self) -> None:
        """Write outdated caches if possible, then close the files; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if "_store" not in vars(self):  # not used since this process was forked
            return
        close_parts(self.path, self._store, self._views)

    def __enter__(self) -> SteerableIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._store)

    def __repr__(self) -> str:
        from .maintenance import described_index

        return described_index(self.path, None if self._closed else self._store, self._bundle, self._backend)

    def _repr_html_(self) -> str:
        from .maintenance import index_html

        return index_html(self.path, None if self._closed else self._store, self._bundle, self._backend)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.get([id])[0] is not None

    def _steered(
        self,
        query: str | FloatArray | SteeredQuery,
        steering: Steering,
        text: str | None = None,
        understand: bool = False,
    ) -> SteeredQuery:
        if self._resolver is not None:
            return self._resolver.steer(query, steering, text=text, understand=understand)
        return unsteered(self.path, query, steering, text, self._store.d_in)

    def _explanations(self, query: SteeredQuery, ids: Sequence[str], *, words: bool = False) -> dict[str, Explanation]:
        """Return explanations by id, without documents that do not exist."""
        with self._views.snapshot():
            names, rows, vectors = self._store.located(ids)
            found = explain_steered(names, query, vectors, partial(self._views.word_shares, rows), self.bundle)
            texts = {record.rowid: record.text for record in self._store.by_rowid(rows)} if words else {}
        if words:
            read = [texts[row] for row in rows.tolist()]
            # Without the snapshot, so that others can search while the texts are embedded.
            found = in_words(found, query, read, vectors, self._views.said_by, self._word_reader, self.bundle)
        return {explanation.id: explanation for explanation in found}

    @cached_property
    def _word_reader(self) -> WordReader:
        return WordReader(self.bundle)

    def _hits(
        self, view: str, query: Query, k: int, filter: Mapping[str, Any] | None, group: str | None = None
    ) -> Hits:
        if group is not None:
            return grouped(lambda depth: self._hits(view, query, depth, filter), k, group)
        rows, scores = self._views.search(view, query, k, filter)
        found = {record.rowid: record for record in self._store.by_rowid(rows)}
        # Without documents that another process has deleted meanwhile.
        pairs = [(found[int(row)], float(score)) for row, score in zip(rows, scores, strict=True) if int(row) in found]
        return Hits(Hit(i + 1, doc.id, score, doc.text, doc.metadata) for i, (doc, score) in enumerate(pairs))


def _reopen(path: Path, bundle: Bundle | None, backend: Backend, readonly: bool) -> SteerableIndex:
    return SteerableIndex.open(path, bundle=bundle, backend=backend, readonly=readonly)
