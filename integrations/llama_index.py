"""Steered search inside LlamaIndex (extra ``llamaindex``).

Example::

    retriever = SteerableRetriever(index, k=4, boost={"radio astronomy": 1.5})
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    engine.query("solar storms")
    engine.query(SteerableQuery("solar storms", boost={"instrumentation": -1.0}))  # per call, also aquery
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import FloatArray, unit_rows
from ..errors import DataError
from ..runtime import Boost, SteerableIndex, Steering, ViewName
from ..runtime.steering.request import DEFAULT_KEEP
from .optional import needs

with needs("llama_index", pip="'steersearch[llamaindex]'"):
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    from .adapter import search_and_report, with_call

EXPLANATION_KEY = "steerable"


@dataclass
class SteerableQuery(QueryBundle):
    """A query that brings its own steering, wherever LlamaIndex takes one. What is None is as the retriever has it."""

    k: int | None = None
    boost: Boost | None = None
    clamp: Boost | None = None
    keep: float | None = None
    protect: bool | None = None
    filter: dict[str, Any] | None = None
    steering: Steering | None = None


class SteerableRetriever(BaseRetriever):
    """Documents of a `SteerableIndex` as nodes, steered by `boost`. The score is that of `Hit.score`.

    The errors of `SteerableIndex.search` pass through unchanged. An embedding in the query, and the texts that a query
    transformation gave it to embed, take the place of the query's text.

    Args:
        index: An opened index; whoever opened it closes it. The other arguments are those of `SteerableIndex.search`.
        include_explanations: Add why a document was found to the metadata as `steerable`, as
            `integrations.langchain.SteerableRetriever` does; models are not shown it.
        **base: LlamaIndex's own arguments: `callback_manager`, `verbose`, ...
    """

    def __init__(
        self,
        index: SteerableIndex,
        k: int = 4,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = DEFAULT_KEEP,
        protect: bool = False,
        filter: dict[str, Any] | None = None,
        view: ViewName = "dense",
        include_explanations: bool = False,
        **base: Any,
    ) -> None:
        self.index, self._explained = index, include_explanations
        self._configured: dict[str, Any] = {"k": k, "filter": filter, "view": view}
        self._configured |= {"boost": boost, "clamp": clamp, "keep": keep, "protect": protect}
        super().__init__(**base)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        given = query_bundle if isinstance(query_bundle, SteerableQuery) else SteerableQuery(query_bundle.query_str)
        call = {name: getattr(given, name) for name in ("k", "boost", "clamp", "keep", "protect", "filter", "steering")}
        arguments = with_call(self._configured, **call)
        report = search_and_report(self.index, self._query(query_bundle), explanations=self._explained, **arguments)
        nodes = []
        for i, hit in enumerate(report.hits):
            metadata = {**hit.metadata}
            if self._explained:
                metadata.setdefault(EXPLANATION_KEY, report.explanations[i])
            hidden = [EXPLANATION_KEY] if self._explained and EXPLANATION_KEY not in hit.metadata else []
            node = TextNode(
                id_=hit.id,
                text=hit.text,
                metadata=metadata,
                excluded_llm_metadata_keys=hidden,
                excluded_embed_metadata_keys=hidden,
            )
            nodes.append(NodeWithScore(node=node, score=hit.score))
        return nodes

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _query(self, query: QueryBundle) -> str | FloatArray:
        """Return the query's text, or the unit vector of its embedding or of the mean of the texts to embed."""
        if query.embedding is None and not query.custom_embedding_strs:
            text: str = query.query_str
            return text
        rows: Any = [query.embedding]
        if query.embedding is None:
            rows = self.index.bundle.embed_queries(query.custom_embedding_strs)
        mean = np.mean(np.asarray(rows, np.float32), axis=0)
        if not np.any(mean):
            raise DataError("the query's embedding is zero and so has no direction: give a text, or another embedding")
        vector: FloatArray = unit_rows(mean[None])[0]
        return vector
