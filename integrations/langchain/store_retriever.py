"""The retriever that `SteerableVectorStore.as_retriever` makes: LangChain's own, which also tells what steering did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import ConfigDict

from ..._warn import gathered
from ...runtime.index import SteerableIndex
from ..answers import Steered, Steering, concepts_of, moves_of
from .telling import atell, tell

if TYPE_CHECKING:
    from .vectorstore import SteerableVectorStore


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
