"""`SteerableVectorStore`: a durable LangChain vector store in a folder, steered wherever a search takes arguments."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import UpsertResponse
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from pydantic import ConfigDict
from typing_extensions import Self, Unpack

from ...arrays import FloatArray
from ...errors import ConfigError, DataError
from ...runtime.bundle.bundle import Bundle
from ...runtime.index import DATABASE, Hit, SteerableIndex
from ...runtime.ingest.documents import COMMIT_EVERY
from ...runtime.search.dense import Backend
from ...runtime.store.row_encoding import check_documents
from ...steering_warnings import gathered
from ..adapter import Steered, Steering, concepts_of, moves_of
from .callbacks import atell, tell
from .embeddings import PROBE, SteerableEmbeddings, check_same_space, unit_rows
from .plain import PlainIndex, is_plain

if TYPE_CHECKING:
    pass

FETCH_K = 20
"""How many documents MMR chooses from when nothing is said."""


class StoreRetriever(VectorStoreRetriever):
    """LangChain's retriever of a store. Arguments of a call replace those of `search_kwargs`, key by key.

    Callbacks and tracers are told what steering did, as by `SteerableRetriever`; that costs two more searches, so it
    is done only when somebody listens. For the same in the metadata of documents, search the store's index with
    ``SteerableRetriever(index=store.index, include_explanations=True)``.
    """

    model_config = ConfigDict(
        extra="forbid"
    )  # as_retriever(boost=...) without search_kwargs would do nothing, silently

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        documents = super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
        if run_manager.handlers:
            tell(run_manager, self._steered(query, documents, self.search_kwargs | kwargs))
        return documents

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        documents = await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        if run_manager.handlers:
            given = self.search_kwargs | kwargs
            await atell(run_manager, await run_in_executor(None, self._steered, query, documents, given))
        return documents

    def _steered(self, query: str, documents: list[Document], given: dict[str, Any]) -> Steered:
        """What steering did; with MMR `rank` is the place among the chosen, and `rank_before` one by nearness alone."""
        index = cast("SteerableVectorStore", self.vectorstore).index
        how = cast(Steering, {name: given[name] for name in Steering.__annotations__ if name in given})
        if not isinstance(index, SteerableIndex) or not (how.get("boost") or how.get("clamp")):
            return Steered()
        with gathered() as warnings:  # the search itself gave them
            steered = index.steer(cast("SteerableVectorStore", self.vectorstore).query_vector(query), **how)
            depth = max(FETCH_K, len(documents), given.get("k", 0), given.get("fetch_k", 0))
            hits = index.search(steered.original, depth, **how, filter=given.get("filter"), compare=True)
        moves = {move["id"]: move for move in moves_of(hits)}
        moved = [
            moves.get(str(document.id), {"id": document.id, "rank_before": None, "moved_by": []}) | {"rank": rank}
            for rank, document in enumerate(documents, 1)
        ]
        return Steered(concepts_of(steered, index.bundle.features), round(steered.kept, 4), moved, warnings)


class SteerableVectorStore(VectorStore):
    """Documents in a folder that LangChain can add to, search, and steer.

    With a bundle it is a `SteerableIndex` and every search takes `boost`, `clamp`, `keep` and `protect`. With any other
    LangChain embeddings it is a plain durable store, until it is opened with a bundle of the same embedder. Similarity
    is the cosine. Unknown arguments raise a TypeError. The asynchronous methods run in threads.

    Args:
        path: The folder; opened when there is one, made otherwise.
        bundle: Embeds and steers; an index that is there knows its own.
        embedding: Embeds documents and queries in place of the bundle.
        backend: As in `SteerableIndex.create`.

    Raises:
        ConfigError: Neither bundle nor embedding, or they are different embedders.
        IndexFolderError: Something else is at `path`, or it is damaged, or made with another model.
        BundleError: The bundle cannot be used.
        StorageError: The folder cannot be written.
    """

    index: SteerableIndex | PlainIndex
    """What holds the documents."""

    def __init__(
        self,
        path: str | Path,
        *,
        bundle: str | Path | Bundle | None = None,
        embedding: Embeddings | None = None,
        backend: Backend = "auto",
    ) -> None:
        folder = Path(path)
        if bundle is None and isinstance(embedding, SteerableEmbeddings):
            bundle, embedding = embedding.bundle, None
        opened = Bundle.load(bundle) if isinstance(bundle, str | Path) else bundle
        if opened is not None and embedding is not None:
            check_same_space(embedding, opened, f"the embedding {type(embedding).__name__}")
        self.index = _open(folder, opened, embedding, backend)
        self._embedding = embedding
        if bundle is None and embedding is not None and isinstance(self.index, SteerableIndex):
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
        """Open or make a store at `path` and add texts to it.

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
        """What embeds documents and queries."""
        if self._embedding is not None:
            return self._embedding
        assert isinstance(self.index, SteerableIndex)
        return SteerableEmbeddings(self.index.bundle)

    def query_vector(self, text: str) -> FloatArray:
        """The unit vector that a text searches with, before steering, shape (d_in,)."""
        if self._embedding is None:
            assert isinstance(self.index, SteerableIndex)
            return self.index.steer(text).original
        name = f"the embedding {type(self._embedding).__name__}"
        row: FloatArray = unit_rows([self._embedding.embed_query(text)], name)[0]
        return row

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int = COMMIT_EVERY,
        **unknown: Any,
    ) -> list[str]:
        """Add texts; an id that is there already is replaced, one that is None is made up.

        Committed `batch_size` at a time: after a kill every committed document is there.

        Args:
            texts: The documents.
            metadatas: One mapping per document with string keys and JSON values.
            ids: Their ids.
            batch_size: Documents that are embedded and committed together.
            **unknown: Refused.

        Raises:
            DataError: Lengths differ, an id occurs twice, metadata is not JSON, ...; nothing was added.
            IndexLockedError: Another process is writing.
            StorageError: The disk is full; what was committed before stays.
        """
        _refuse(unknown)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}: it must be at least 1")
        if isinstance(texts, str):
            raise DataError("texts is a single string: give a list of texts")
        given = list(texts)
        names = [uuid.uuid4().hex if id is None else id for id in (ids or [None] * len(given))]
        extra = list(metadatas or [{}] * len(given))
        check_documents(names, given, extra)  # all of them, before the first is embedded
        for start in range(0, len(given), batch_size):
            block = slice(start, start + batch_size)
            vectors = self._embed(given[block])
            self.index.add(given[block], names[block], extra[block], embeddings=vectors)
        return names

    def upsert(self, items: Sequence[Document], /, **unknown: Any) -> UpsertResponse:
        """Add or replace documents; the ids that are there now."""
        _refuse(unknown)
        return UpsertResponse(succeeded=self.add_documents(list(items)), failed=[])

    def delete(self, ids: list[str] | None = None, **unknown: Any) -> bool:
        """Remove documents; ids that are not there are passed over.

        Raises:
            ConfigError: No ids. All documents are removed by deleting the folder, not by forgetting an argument.
        """
        _refuse(unknown)
        if ids is None:
            raise ConfigError("delete needs ids; to remove everything close the store and delete its folder")
        self.index.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The stored documents, in this order; ids that are not there are passed over."""
        found = [record for record in self.index.get(ids) if record is not None]
        return [Document(id=record.id, page_content=record.text, metadata=record.metadata) for record in found]

    def similarity_search(  # type: ignore[override]  # LangChain takes any keyword
        self,
        query: str,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[Steering],
    ) -> list[Document]:
        """The best documents for a text, steered; arguments and errors as of `SteerableIndex.search`.

        Args:
            query: The text.
            k: Documents wanted.
            filter: Metadata conditions.
            **steering: `boost`, `clamp`, `keep`, `protect`.
        """
        return _documents(self._search(self.query_vector(query), k, filter, steering))

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[Steering],
    ) -> list[tuple[Document, float]]:
        """The best documents with their cosine to the (steered) query, -1 to 1, largest first."""
        hits = self._search(self.query_vector(query), k, filter, steering)
        return list(zip(_documents(hits), [hit.score for hit in hits], strict=True))

    def similarity_search_by_vector(  # type: ignore[override]  # LangChain takes any keyword
        self,
        embedding: list[float],
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[Steering],
    ) -> list[Document]:
        """The best documents for a vector of any length, steered."""
        return [doc for doc, _ in self.similarity_search_with_score_by_vector(embedding, k, filter, **steering)]

    def similarity_search_with_score_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[Steering],
    ) -> list[tuple[Document, float]]:
        """As `similarity_search_with_score`, for a vector of any length."""
        hits = self._search(unit_rows([embedding], "the query")[0], k, filter, steering)
        return list(zip(_documents(hits), [hit.score for hit in hits], strict=True))

    def max_marginal_relevance_search(  # type: ignore[override]  # LangChain takes any keyword
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[Steering],
    ) -> list[Document]:
        """Documents that are near the steered query and differ from each other; see `..._by_vector`."""
        vector = self.query_vector(query).tolist()
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter, **steering)

    def max_marginal_relevance_search_by_vector(  # type: ignore[override]  # LangChain takes any keyword
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Mapping[str, Any] | None = None,
        **steering: Unpack[Steering],
    ) -> list[Document]:
        """Choose `k` of the best `fetch_k`: each next one maximises ``lambda_mult`` nearness - the rest likeness.

        Args:
            embedding: The query, of any length.
            k: Documents wanted.
            fetch_k: How many to choose from; at least k are.
            lambda_mult: 1 is nearness only, 0 variety only.
            filter: Metadata conditions.
            **steering: `boost`, `clamp`, `keep`, `protect`.

        Raises:
            ConfigError: `k` is below 1, or `lambda_mult` outside 0 to 1.
        """
        if k < 1:
            raise ConfigError(f"k is {k}: it must be a whole number of at least 1")
        if not 0 <= lambda_mult <= 1:
            raise ConfigError(f"lambda_mult is {lambda_mult}: it must lie between 0 (variety) and 1 (nearness)")
        query = unit_rows([embedding], "the query")[0]
        hits = self._search(query, max(k, fetch_k), filter, steering)
        pairs = zip(hits, self.index.vectors([hit.id for hit in hits]), strict=True)
        kept = [(hit, vector) for hit, vector in pairs if vector is not None]  # one may be deleted a moment ago
        if isinstance(self.index, SteerableIndex):
            with gathered():  # the search gave the warnings
                query = self.index.steer(query, **steering).vector
        chosen = maximal_marginal_relevance(query, [vector.tolist() for _, vector in kept], lambda_mult, k)
        return _documents([kept[i][0] for i in chosen])

    def as_retriever(self, **kwargs: Any) -> StoreRetriever:
        """A retriever of this store; `search_kwargs` takes `k`, `filter`, `boost` and what a call takes."""
        tags = kwargs.pop("tags", None) or [*self._get_retriever_tags()]
        return StoreRetriever(vectorstore=self, tags=tags, **kwargs)

    def close(self) -> None:
        """Write the caches and let go of the folder; harmless twice."""
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: min(
            1.0, max(0.0, cosine)
        )  # LangChain wants 0 to 1; opposite is as irrelevant as unrelated

    def _search(self, vector: FloatArray, k: int, filter: Mapping[str, Any] | None, steering: Steering) -> list[Hit]:
        _refuse({name: value for name, value in steering.items() if name not in Steering.__annotations__})
        return self.index.search(vector, k, filter=filter, **steering)

    def _embed(self, texts: list[str]) -> FloatArray:
        if self._embedding is None:
            assert isinstance(self.index, SteerableIndex)
            return self.index.bundle.embed(texts)
        return unit_rows(self._embedding.embed_documents(texts), f"the embedding {type(self._embedding).__name__}")


def _open(
    folder: Path, bundle: Bundle | None, embedding: Embeddings | None, backend: Backend
) -> SteerableIndex | PlainIndex:
    if is_plain(folder):
        if bundle is None and embedding is None:
            raise ConfigError(f"{folder} has no bundle yet: give embedding= to use it as it is, or bundle= to steer it")
        plain = PlainIndex(folder, None, backend)
        if bundle is None:
            return plain
        try:
            plain.encode(bundle)
        finally:
            plain.close()
        return SteerableIndex.open(folder, bundle=bundle, backend=backend)
    if (folder / DATABASE).is_file():
        return SteerableIndex.open(folder, bundle=bundle, backend=backend)
    if bundle is not None:
        return SteerableIndex.create(folder, bundle, backend=backend)
    if embedding is None:
        raise ConfigError(f"{folder} is a new store: give bundle= to steer it, or embedding= for a plain one")
    width = unit_rows([embedding.embed_query(PROBE)], f"the embedding {type(embedding).__name__}").shape[1]
    return PlainIndex(folder, width, backend)


def _documents(hits: list[Hit]) -> list[Document]:
    return [Document(id=hit.id, page_content=hit.text, metadata=hit.metadata) for hit in hits]


def _refuse(unknown: Mapping[str, Any]) -> None:
    if unknown:
        raise TypeError(
            f"unexpected argument {next(iter(unknown))!r}: a search takes k, filter, boost, clamp, keep and protect"
        )
