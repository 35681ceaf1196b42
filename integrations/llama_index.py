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

from ..extras import require

require("llamaindex", "llama_index")

from llama_index.core.retrievers import BaseRetriever  # noqa: E402
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode  # noqa: E402

from ..arrays import FloatArray, unit_rows  # noqa: E402
from ..errors import DataError  # noqa: E402
from ..runtime.index import SteerableIndex, View  # noqa: E402
from ..runtime.steering.auto_strength import KEEP  # noqa: E402
from ..runtime.steering.resolver import Boost  # noqa: E402
from .adapter import Ask, answer  # noqa: E402

EXPLANATION_KEY = "steerable"


@dataclass
class SteerableQuery(QueryBundle):
    """A query that brings its own steering, wherever LlamaIndex takes a query; None means "as the retriever has it"."""

    k: int | None = None
    boost: Boost | None = None
    clamp: Boost | None = None
    keep: float | None = None
    protect: bool | None = None
    filter: dict[str, Any] | None = None


class SteerableRetriever(BaseRetriever):
    """Documents of a `SteerableIndex` as nodes, steered by `boost`. The score is that of `Hit.score`.

    The errors of `SteerableIndex.search` pass through unchanged. An embedding in the query, and the texts that a query
    transformation gave it to embed, take the place of the query's text.

    Args:
        index: An opened index; whoever opened it closes it.
        k: Documents wanted.
        boost: Concept -> strength, or `"auto"`.
        clamp: Concept -> value to set.
        keep: The share of the query that `"auto"` keeps.
        protect: Leave alone how strongly the query expresses its own strongest features.
        filter: Metadata conditions.
        view: What is compared.
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
        keep: float = KEEP,
        protect: bool = False,
        filter: dict[str, Any] | None = None,
        view: View = "dense",
        include_explanations: bool = False,
        **base: Any,
    ) -> None:
        self.index, self._explained = index, include_explanations
        self._ask = Ask(k, boost, clamp, keep, protect, filter, view)
        super().__init__(**base)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        given = query_bundle if isinstance(query_bundle, SteerableQuery) else SteerableQuery(query_bundle.query_str)
        own = {name: getattr(given, name) for name in ("k", "boost", "clamp", "keep", "protect", "filter")}
        ask = Ask(**{**vars(self._ask), **{name: value for name, value in own.items() if value is not None}})
        found = answer(self.index, self._query(query_bundle), ask, moves=False, explanations=self._explained)
        nodes = []
        for i, hit in enumerate(found.hits):
            metadata = {**hit.metadata}
            if self._explained:
                metadata.setdefault(EXPLANATION_KEY, found.explanations[i])
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
        """The query's text, or the unit vector of its embedding or of the mean of what is to be embedded."""
        if query.embedding is None and not query.custom_embedding_strs:
            text: str = query.query_str
            return text
        rows: Any = [query.embedding]
        if query.embedding is None:
            rows = self.index.bundle.embed(query.custom_embedding_strs)
        mean = np.mean(np.asarray(rows, np.float32), axis=0)
        if not np.any(mean):
            raise DataError("the query's embedding is zero and so has no direction: give a text, or another embedding")
        vector: FloatArray = unit_rows(mean[None])[0]
        return vector
