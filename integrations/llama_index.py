"""Steered search inside LlamaIndex (extra ``llamaindex``).

Example::

    retriever = SteerableRetriever(index, k=4, boost={"radio astronomy": 1.0})
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    engine.query("solar storms")
    engine.query(SteerableQuery("solar storms", boost={"instrumentation": -1.0}))  # per call, also aquery
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..arrays import FloatArray, unit_rows
from ..errors import DataError
from ..runtime import Blend, Boost, Key, Removable, SteerableIndex, Steering, ViewName
from ..runtime.steering.request import DEFAULT_KEEP
from .optional import needs

with needs("llama_index", pip="'steersearch[llamaindex]'"):
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    from .adapter import CallArguments, search_and_report, with_call

EXPLANATION_KEY = "steerable"


CALL = ("k", "boost", "clamp", "exclude", "remove", "blend", "keep", "protect", "understand", "filter", "steering")
"""Arguments of a search that a query may bring."""


class SteeredText(str):
    """The words of a `SteerableQuery`, which know the query that they belong to.

    Query transformations (HyDE, feedback) make a new query of these words and take over nothing else.
    """

    query: SteerableQuery


@dataclass
class SteerableQuery(QueryBundle):
    """A query that brings its own steering, wherever LlamaIndex takes one. What is None is as the retriever has it.

    The steering also reaches the retriever through query transformations that keep the words of the query, as
    `HyDEQueryTransform` does. Queries that a model writes in its place (`QueryFusionRetriever`, decomposition) have
    none; the retriever's own `boost` steers those too.
    """

    k: int | None = None
    boost: Boost | None = None
    clamp: Boost | None = None
    keep: float | None = None
    protect: bool | None = None
    filter: dict[str, Any] | None = None
    exclude: Sequence[Key] | Key | None = None
    blend: Blend | None = None
    understand: bool | None = None
    steering: Steering | None = None
    remove: Sequence[Removable] | Removable | None = None

    def __post_init__(self) -> None:
        words = SteeredText(str(self))
        words.query = self
        self.query_str = words


class FoundNode(TextNode):
    """A node with its explanation. Its hash leaves that out, so that one document found twice is one node."""

    @property
    def hash(self) -> str:
        """Get the hash of text and metadata."""
        metadata = {name: value for name, value in self.metadata.items() if name != EXPLANATION_KEY}
        text: str = TextNode(text=self.text, metadata=metadata).hash
        return text


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
        exclude: Sequence[Key] | Key | None = None,
        blend: Blend = "both",
        understand: bool = False,
        remove: Sequence[Removable] | Removable | None = None,
        **base: Any,
    ) -> None:
        self.index, self._explained = index, include_explanations
        self._configured: dict[str, Any] = {"k": k, "filter": filter, "view": view, "understand": understand}
        self._configured |= {"boost": boost, "clamp": clamp, "exclude": exclude, "remove": remove, "blend": blend}
        self._configured |= {"keep": keep, "protect": protect}
        super().__init__(**base)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        given = _steerable(query_bundle)
        call = {name: getattr(given, name) for name in CALL} if given else {}
        arguments = with_call(self._configured, cast(CallArguments, call))
        report = search_and_report(self.index, self._query(query_bundle), explanations=self._explained, **arguments)
        nodes = []
        for i, hit in enumerate(report.hits):
            metadata = {**hit.metadata}
            if self._explained:
                metadata.setdefault(EXPLANATION_KEY, report.explanations[i])
            added = self._explained and EXPLANATION_KEY not in hit.metadata
            hidden = [EXPLANATION_KEY] if added else []
            node = (FoundNode if added else TextNode)(
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
            return str(query.query_str)
        rows: Any = [query.embedding]
        if query.embedding is None:
            rows = self.index.bundle.embed_queries(query.custom_embedding_strs)
        mean = np.mean(np.asarray(rows, np.float32), axis=0)
        if not np.any(mean):
            raise DataError("the query's embedding is zero and so has no direction: give a text, or another embedding")
        vector: FloatArray = unit_rows(mean[None])[0]
        return vector


def _steerable(query: QueryBundle) -> SteerableQuery | None:
    """Return the query that brought steering, also where another one was made of its words."""
    if isinstance(query, SteerableQuery):
        return query
    words = [query.query_str, *(query.custom_embedding_strs or [])]
    return next((text.query for text in words if isinstance(text, SteeredText)), None)
