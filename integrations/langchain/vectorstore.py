"""`SteerableVectorStore`: a durable LangChain vector store in a folder, steered wherever a search takes arguments."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import UpsertResponse
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from pydantic import ConfigDict
from typing_extensions import Self, Unpack

from ...arrays import FloatArray
from ...errors import ConfigError
from ...files import absolute
from ...runtime import Backend, Bundle, Hit, SteerableIndex, SteeredQuery, Steering, understand
from ...runtime.ingest.documents import COMMIT_EVERY
from ...runtime.steering.request import SteeringArguments, with_request
from ...runtime.store.folder import DATABASE
from ...runtime.store.row_encoding import check_documents
from ...sequences import as_list
from ...steering_warnings import gathered, warn
from ..adapter import SearchArguments, SteeringReport, moves_of, steering_report
from .callbacks import anotify, notify
from .embeddings import PROBE, SteerableEmbeddings, check_same_space, normalised

FETCH_K = 20
"""How many documents MMR chooses from by default."""
UNSTEERED = {"boost": None, "clamp": None, "exclude": None, "remove": None, "understand": False, "steering": None}
"""Arguments of a search whose query is steered already."""


class SteerableVectorStore(VectorStore):
    """Documents in a folder that LangChain can add to, search, and steer.

    With a bundle it is a `SteerableIndex` and every search takes `boost`, `exclude`, `understand` and what else steers.
    With any other LangChain embeddings it is a plain durable store, until it is opened with a bundle of the same
    embedder. Similarity is the cosine. Unknown arguments raise a TypeError. The asynchronous methods run in threads.

    Args:
        path: The folder; opened when there is one, made otherwise.
        bundle: Embeds and steers; an index that is there knows its own.
        embedding: Embeds documents and queries in place of the bundle, and for a bundle without an embedder.
        backend: As in `SteerableIndex.create`.

    Raises:
        ConfigError: Neither bundle nor embedding, or they are different embedders.
        IndexFolderError: Something else is at `path`, or it is damaged, or made with another model.
        StorageError: The folder cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bundle: str | Path | Bundle | None = None,
        embedding: Embeddings | None = None,
        backend: Backend = "auto",
    ) -> None:
        folder = absolute(path)
        if bundle is None and isinstance(embedding, SteerableEmbeddings):
            bundle, embedding = embedding.bundle, None
        opened = Bundle.load(bundle) if isinstance(bundle, str | Path) else bundle
        if opened is not None and embedding is not None and not opened.embeds:
            opened, embedding = opened.with_embedder(embedding), None
        if opened is not None and embedding is not None:
            check_same_space(embedding, opened, f"the embedding {type(embedding).__name__}")
        self.index = _open(folder, opened, embedding, backend)
        if embedding is not None and self.index.has_bundle and not self.index.bundle.embeds:
            # It has a bundle without an embedder, which has to be opened with this one.
            self.index.close()
            self.index, embedding = SteerableIndex.open(folder, backend=backend, embedder=embedding), None
        self._embedding = embedding
        if bundle is None and embedding is not None and self.index.has_bundle:
            try:
                check_same_space(embedding, self.index.bundle, f"the embedding {type(embedding).__name__}")
            except BaseException:
                self.index.close()
                raise

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path | None = None,
        bundle: str | Path | Bundle | None = None,
        backend: Backend = "auto",
        **unknown: Any,
    ) -> Self:
        """Open or make a store at `path`, and add texts to it.

        Raises:
            ConfigError: No `path`.
        """
        _refuse(unknown)
        if path is None:
            raise ConfigError("from_texts needs a folder: give path='my-index'")
        store = cls(path, bundle=bundle, embedding=embedding, backend=backend)
        try:
            store.add_texts(texts, metadatas, ids=ids)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def embeddings(self) -> Embeddings:
        """The embedder of documents and queries."""
        return SteerableEmbeddings(self.index.bundle) if self._embedding is None else self._embedding

    def query_vector(self, text: str) -> FloatArray:
        """Return the unit vector that a text searches with, before steering, shape (d_in,)."""
        if self._embedding is None:
            return self.index.steer(text).original
        name = f"the embedding {type(self._embedding).__name__}"
        row: FloatArray = normalised([self._embedding.embed_query(text)], name)[0]
        return row

    def steer(self, query: str | FloatArray | SteeredQuery, **steering: Unpack[SearchArguments]) -> SteeredQuery:
        """Return the query that a search would search with; every search takes it in place of the text.

        A steered query is returned as it is, a vector is a unit vector (d_in,); errors as of `SteerableIndex.search`.
        """
        _refuse({name: value for name, value in steering.items() if name not in SearchArguments.__annotations__})
        if not isinstance(query, str) or self._embedding is None:
            return self.index.steer(query, **steering)
        if not steering.pop("understand", False):
            return self.index.steer(self.query_vector(query), **steering, text=query)
        read = understand(query)
        wanted = with_request(Steering.of(**cast(SteeringArguments, steering)), read)
        steered = self.index.steer(self.query_vector(read.query), steering=wanted, text=read.query)
        return replace(steered, request=read)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int = COMMIT_EVERY,
        current_time: object = None,
        **unknown: Any,
    ) -> list[str]:
        """Add texts; an id that is there already is replaced, one that is None is made up and never used again.

        Each has a mapping with string keys and JSON values; dates and other values that JSON lacks are stored as
        `steersearch.json_values` says, a datetime as ISO text. Texts, mappings and ids go together by position, whether
        they are lists, columns or generators. `batch_size` texts are embedded and committed together: after a kill
        every committed document is there. `current_time` comes from `TimeWeightedVectorStoreRetriever`, which has put
        it into the metadata already.

        Raises:
            DataError: Lengths differ, an id occurs twice, metadata is not JSON, ...; nothing was added.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full; what was committed before stays.
        """
        _refuse(unknown)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: it must be at least 1")
        given = as_list(texts, "texts")
        known = [None] * len(given) if ids is None else as_list(ids, "ids")
        names = [uuid.uuid4().hex if id is None else id for id in known]
        # None in place of the mapping of a document means none, as in other stores.
        extra = [{}] * len(given) if metadatas is None else as_list(metadatas, "metadatas")
        extra = [{} if entry is None else entry for entry in extra]
        # All of them, before the first is embedded.
        check_documents(names, given, extra)
        for start in range(0, len(given), batch_size):
            block = slice(start, start + batch_size)
            vectors = self._embed(given[block])
            self.index.add(given[block], names[block], extra[block], embeddings=vectors)
        return names

    def add_documents(self, documents: Iterable[Document], **kwargs: Any) -> list[str]:
        """Add documents, also from a generator, which LangChain would read twice; as `add_texts`."""
        return super().add_documents(as_list(documents, "documents"), **kwargs)

    async def aadd_documents(self, documents: Iterable[Document], **kwargs: Any) -> list[str]:
        """As `add_documents`, in a thread."""
        return await super().aadd_documents(as_list(documents, "documents"), **kwargs)

    @classmethod
    def from_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """Open or make a store, and add documents to it; as `from_texts`."""
        return super().from_documents(as_list(documents, "documents"), embedding, **kwargs)

    @classmethod
    async def afrom_documents(cls, documents: Iterable[Document], embedding: Embeddings, **kwargs: Any) -> Self:
        """As `from_documents`, in a thread."""
        return await super().afrom_documents(as_list(documents, "documents"), embedding, **kwargs)

    def upsert(self, items: Sequence[Document], /, **unknown: Any) -> UpsertResponse:
        """Add or replace documents, and return their ids."""
        _refuse(unknown)
        return UpsertResponse(succeeded=self.add_documents(as_list(items, "items")), failed=[])

    def delete(self, ids: list[str] | None = None, **unknown: Any) -> bool:
        """Remove documents, long ones with all their chunks; ids that are not there are ignored.

        Raises:
            ConfigError: No ids. All documents are removed by deleting the folder, not by forgetting an argument.
        """
        _refuse(unknown)
        if ids is None:
            raise ConfigError("delete needs ids; to remove everything close the store and delete its folder")
        self.index.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the stored documents in this order, long ones whole; ids that are not there are left out."""
        found = [record for record in self.index.get(ids) if record is not None]
        return [Document(id=record.id, page_content=record.text, metadata=record.metadata) for record in found]

    def similarity_search(  # type: ignore[override]  # LangChain takes any keyword
        self,
        query: str | SteeredQuery,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[SearchArguments],
    ) -> list[Document]:
        """Return the best documents for a text or for what `steer` returned; errors as of `SteerableIndex.search`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter, **steering)]

    def similarity_search_with_score(
        self,
        query: str | FloatArray | SteeredQuery,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[SearchArguments],
    ) -> list[tuple[Document, float]]:
        """Return the best documents with their scores, largest first.

        They are cosines, -1 to 1; with a boost or an exclusion the sums of the conditions, at most 0; see `Hit.score`.
        """
        hits = self.index.search(self.steer(query, **steering), k, filter=filter)
        return list(zip(_documents(hits), [hit.score for hit in hits], strict=True))

    def similarity_search_by_vector(  # type: ignore[override]  # LangChain takes any keyword
        self,
        embedding: list[float],
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[SearchArguments],
    ) -> list[Document]:
        """Return the best documents for a vector of any length, steered."""
        return [doc for doc, _ in self.similarity_search_with_score_by_vector(embedding, k, filter, **steering)]

    def similarity_search_with_score_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[SearchArguments],
    ) -> list[tuple[Document, float]]:
        """As `similarity_search_with_score`, for a vector of any length."""
        return self.similarity_search_with_score(normalised([embedding], "the query")[0], k, filter, **steering)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **arguments: Any
    ) -> list[tuple[Document, float]]:
        """Return documents with their relevance, 0 to 1: the cosine, or how far all conditions are met."""
        steering = {name: arguments.pop(name) for name in SearchArguments.__annotations__ if name in arguments}
        steered = self.steer(query, **cast(SearchArguments, steering))
        found = self.similarity_search_with_score(steered, k, **arguments)
        relevance = math.exp if steered.terms else self._select_relevance_score_fn()
        return [(document, min(1.0, relevance(score))) for document, score in found]

    def max_marginal_relevance_search(  # type: ignore[override]  # LangChain takes any keyword
        self,
        query: str | FloatArray | SteeredQuery,
        k: int = 4,
        fetch_k: int = FETCH_K,
        lambda_mult: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[SearchArguments],
    ) -> list[Document]:
        """Return documents that are near the steered query and differ from each other; see `..._by_vector`."""
        if k < 1:
            raise ConfigError(f"k is {k}: it must be a whole number of at least 1")
        if not 0 <= lambda_mult <= 1:
            raise ConfigError(f"lambda_mult is {lambda_mult}: it must lie between 0 (variety) and 1 (nearness)")
        steered = self.steer(query, **steering)
        hits = self.index.search(steered, max(k, fetch_k), filter=filter)
        pairs = zip(hits, self.index.vectors([hit.id for hit in hits]), strict=True)
        kept = [(hit, vector) for hit, vector in pairs if vector is not None]  # one may be deleted a moment ago
        if not kept:
            return []
        rows = np.stack([vector for _, vector in kept])
        # The hits are in the order of their scores: of a query with conditions, the best counts as the nearest.
        nearness = np.sort(rows @ steered.vector)[::-1]
        return _documents([kept[i][0] for i in _chosen(nearness, rows, lambda_mult, k)])

    def max_marginal_relevance_search_by_vector(  # type: ignore[override]  # LangChain takes any keyword
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = FETCH_K,
        lambda_mult: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[SearchArguments],
    ) -> list[Document]:
        """Choose `k` of the best `fetch_k`: each next one maximises ``lambda_mult`` nearness - the rest likeness.

        With `lambda_mult` 1 nearness alone counts, with 0 variety alone. The vector may have any length.

        Raises:
            ConfigError: `k` is below 1, or `lambda_mult` outside 0 to 1.
        """
        query = normalised([embedding], "the query")[0]
        return self.max_marginal_relevance_search(query, k, fetch_k, lambda_mult, filter, **steering)

    def as_retriever(self, **kwargs: Any) -> StoreRetriever:
        """Return a retriever of this store; `search_kwargs` takes `k`, `filter`, `boost` and what a call takes."""
        tags = kwargs.pop("tags", None) or [*self._get_retriever_tags()]
        return StoreRetriever(vectorstore=self, tags=tags, **kwargs)

    def close(self) -> None:
        """Write the caches and close the files; harmless twice."""
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        # LangChain wants 0 to 1; an opposite direction is as irrelevant as an unrelated one.
        return lambda cosine: min(1.0, max(0.0, cosine))

    def _embed(self, texts: list[str]) -> FloatArray:
        if self._embedding is None:
            return self.index.bundle.embed_documents(texts)
        return normalised(self._embedding.embed_documents(texts), f"the embedding {type(self._embedding).__name__}")


class StoreRetriever(VectorStoreRetriever):
    """LangChain's retriever of a store. Arguments of a call replace those of `search_kwargs`, key by key.

    Callbacks and tracers get a report of steering, as by `SteerableRetriever`; that costs two more searches, so it is
    made only when there are handlers. For the same in the metadata of documents, search the store's index with
    ``SteerableRetriever(index=store.index, include_explanations=True)``.
    """

    # as_retriever(boost=...) without search_kwargs would do nothing, silently
    model_config = ConfigDict(extra="forbid")

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        given = self.search_kwargs | kwargs
        if not (run_manager.handlers and any(given.get(name) for name in UNSTEERED)):
            return super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
        steered, warnings = self._steer(query, given)
        arguments = kwargs | UNSTEERED
        documents = super()._get_relevant_documents(cast(str, steered), run_manager=run_manager, **arguments)
        notify(run_manager, self._report(steered, documents, given, warnings))
        return documents

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        given = self.search_kwargs | kwargs
        if not (run_manager.handlers and any(given.get(name) for name in UNSTEERED)):
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        steered, warnings = await run_in_executor(None, self._steer, query, given)
        arguments = kwargs | UNSTEERED
        documents = await super()._aget_relevant_documents(cast(str, steered), run_manager=run_manager, **arguments)
        await anotify(run_manager, await run_in_executor(None, self._report, steered, documents, given, warnings))
        return documents

    def _steer(self, query: str, given: dict[str, Any]) -> tuple[SteeredQuery, list[str]]:
        """Return the steered query and its warnings, which are given too."""
        steering = {name: given[name] for name in SearchArguments.__annotations__ if name in given}
        with gathered() as warnings:
            steered = cast(SteerableVectorStore, self.vectorstore).steer(query, **cast(SearchArguments, steering))
        for message in warnings:
            warn(message)
        return steered, warnings

    def _report(
        self, steered: SteeredQuery, documents: list[Document], given: dict[str, Any], warnings: list[str]
    ) -> SteeringReport:
        """Return what steering did; with MMR `rank` is the place among the chosen, `rank_before` one by nearness."""
        index = cast(SteerableVectorStore, self.vectorstore).index
        depth = max(FETCH_K, len(documents), given.get("k", 0), given.get("fetch_k", 0))
        hits = index.search(steered, depth, filter=given.get("filter"), compare=True)
        known = {move["id"]: move for move in moves_of(hits)}
        moves = [
            known.get(str(document.id), {"id": document.id, "rank_before": None, "moved_by": []}) | {"rank": rank}
            for rank, document in enumerate(documents, 1)
        ]
        return steering_report(steered, index.bundle.features, moves, warnings)


def _open(folder: Path, bundle: Bundle | None, embedding: Embeddings | None, backend: Backend) -> SteerableIndex:
    if (folder / DATABASE).is_file():
        index = SteerableIndex.open(folder, bundle=bundle, backend=backend)
        if embedding is None and not index.has_bundle:
            index.close()
            raise ConfigError(f"{folder} has no bundle yet: give embedding= to use it as it is, or bundle= to steer it")
        return index
    if bundle is not None:
        return SteerableIndex.create(folder, bundle, backend=backend)
    if embedding is None:
        raise ConfigError(f"{folder} is a new store: give bundle= to steer it, or embedding= for a plain one")
    width = normalised([embedding.embed_query(PROBE)], f"the embedding {type(embedding).__name__}").shape[1]
    return SteerableIndex.create(folder, None, d_in=width, backend=backend)


def _chosen(nearness: FloatArray, rows: FloatArray, lambda_mult: float, k: int) -> list[int]:
    """Return at most `k` places by maximal marginal relevance (Carbonell and Goldstein 1998); rows are unit (n, d)."""
    chosen: list[int] = []
    likeness = np.zeros(len(rows))
    for _ in range(min(k, len(rows))):
        worth = lambda_mult * nearness - (1 - lambda_mult) * likeness if chosen else nearness.copy()
        worth[chosen] = -np.inf
        best = int(np.argmax(worth))
        likeness = np.maximum(likeness, rows @ rows[best]) if chosen else rows @ rows[best]
        chosen.append(best)
    return chosen


def _documents(hits: list[Hit]) -> list[Document]:
    return [Document(id=hit.id, page_content=hit.text, metadata=hit.metadata) for hit in hits]


def _refuse(unknown: Mapping[str, Any]) -> None:
    if unknown:
        raise TypeError(
            f"unexpected argument {next(iter(unknown))!r}: a search takes k, filter, boost, exclude, understand, "
            "clamp, blend, keep and protect"
        )
