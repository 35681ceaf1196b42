"""The retriever that `SteerableVectorStore.as_retriever` makes: LangChain's own, which also tells what steering did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import ConfigDict

from ...runtime.index import SteerableIndex
from ..ranks import ranks_without_steering
from .answers import Moves, atell, concepts_of, tell

if TYPE_CHECKING:
    from .vectorstore import SteerableVectorStore


class StoreRetriever(VectorStoreRetriever):
    """LangChain's retriever of a store. Arguments of a call replace those of `search_kwargs`, key by key.

    Callbacks and tracers are told what steering did, as by `SteerableRetriever`; that costs one more search, so it
    is done only when somebody listens.
    """

    model_config = ConfigDict(
        extra="forbid"
    )  # as_retriever(boost=...) without search_kwargs would do nothing, silently

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        documents = super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
        if run_manager.handlers:
            tell(run_manager, self._moves(query, documents, self.search_kwargs | kwargs))
        return documents

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        documents = await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        if run_manager.handlers:
            given = self.search_kwargs | kwargs
            await atell(run_manager, await run_in_executor(None, self._moves, query, documents, given))
        return documents

    def _moves(self, query: str, documents: list[Document], given: dict[str, Any]) -> Moves:
        store = cast("SteerableVectorStore", self.vectorstore)
        boost, clamp = given.get("boost"), given.get("clamp")
        if not isinstance(store.index, SteerableIndex) or not (boost or clamp):
            return Moves()
        vector = store.query_vector(query)
        plain = ranks_without_steering(store.index, vector, len(documents), filter=given.get("filter"))
        moves = [
            {"id": document.id, "rank": rank, "rank_without_steering": plain.get(str(document.id))}
            for rank, document in enumerate(documents, 1)
        ]
        return Moves(concepts_of(store.index.steer(vector, boost, clamp)), moves)
