"""`StoreRetriever`: LangChain's retriever of a `SteerableVectorStore`, which reports to callbacks what steering did."""

from __future__ import annotations

from typing import Any, Protocol, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import ConfigDict
from typing_extensions import Unpack

from ...runtime import SteerableIndex, SteeredQuery
from ...runtime.steering.request import SteeringArguments
from ...steering_warnings import gathered, warn
from ..adapter import SteeringReport, moves_of, steering_report
from .callbacks import anotify, notify

FETCH_K = 20
"""How many documents MMR chooses from by default."""
UNSTEERED = {"boost": None, "clamp": None}
"""Arguments of a search whose query is steered already."""


class SteersQueries(Protocol):
    """The store, as far as the retriever uses it."""

    index: SteerableIndex

    def steer(self, query: str, **steering: Unpack[SteeringArguments]) -> SteeredQuery:
        """Return the query that a search would search with."""


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
        if not (run_manager.handlers and (given.get("boost") or given.get("clamp"))):
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
        if not (run_manager.handlers and (given.get("boost") or given.get("clamp"))):
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        steered, warnings = await run_in_executor(None, self._steer, query, given)
        arguments = kwargs | UNSTEERED
        documents = await super()._aget_relevant_documents(cast(str, steered), run_manager=run_manager, **arguments)
        await anotify(run_manager, await run_in_executor(None, self._report, steered, documents, given, warnings))
        return documents

    def _steer(self, query: str, given: dict[str, Any]) -> tuple[SteeredQuery, list[str]]:
        """Return the steered query and its warnings, which are given too."""
        steering = {name: given[name] for name in SteeringArguments.__annotations__ if name in given}
        with gathered() as warnings:
            steered = cast(SteersQueries, self.vectorstore).steer(query, **cast(SteeringArguments, steering))
        for message in warnings:
            warn(message)
        return steered, warnings

    def _report(
        self, steered: SteeredQuery, documents: list[Document], given: dict[str, Any], warnings: list[str]
    ) -> SteeringReport:
        """Return what steering did; with MMR `rank` is the place among the chosen, `rank_before` one by nearness."""
        index = cast(SteersQueries, self.vectorstore).index
        depth = max(FETCH_K, len(documents), given.get("k", 0), given.get("fetch_k", 0))
        hits = index.search(steered, depth, filter=given.get("filter"), compare=True)
        known = {move["id"]: move for move in moves_of(hits)}
        moves = [
            known.get(str(document.id), {"id": document.id, "rank_before": None, "moved_by": []}) | {"rank": rank}
            for rank, document in enumerate(documents, 1)
        ]
        return steering_report(steered, index.bundle.features, moves, warnings)
