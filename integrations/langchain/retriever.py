"""`SteerableRetriever`: documents for a query, steered by `boost`.

A boost can be given in four places. A call's own replaces a configured one, which replaces the constructor's; the
mappings are not merged::

    retriever = SteerableRetriever.open("my-index", k=4, boost={"radio astronomy": 1.0})
    retriever.invoke("solar storms", boost={"instrumentation": -1.0})  # also ainvoke, batch, abatch, stream
    retriever.bind(boost={"instrumentation": -1.0})
    deep = retriever.configurable_fields(boost=ConfigurableField(id="boost"))  # reaches a retriever inside a chain:
    (deep | prompt | model).invoke("solar storms", config={"configurable": {"boost": {"instrumentation": -1.0}}})
    retriever.invoke("solar storms", exclude=["satellites"])  # no document about them
    retriever.invoke("solar storms, but not satellites", understand=True)  # less of them, read of the words
    SteerableRetriever.over(any_vector_store, bundle="bundle", boost={"radio astronomy": 1.0})  # another engine
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, field_validator
from typing_extensions import Self, Unpack

from ...arrays import FloatArray
from ...runtime import (
    Backend,
    Blend,
    Boost,
    Bundle,
    Key,
    Profile,
    Removable,
    SteerableIndex,
    Strength,
    ViewName,
)
from ...runtime.search.views import VIEWS
from ...runtime.steering.request import DEFAULT_KEEP
from ..adapter import CallArguments, SearchReport, search_and_report, with_call
from ..engines.base import SteeredEngine
from .callbacks import anotify, documents_of, notify
from .over import RESCORED, SteeredStore

SCORE_KEY = "relevance_score"
STORE_SCORE_KEY = "store_score"
EXPLANATION_KEY = "steerable"
HIGHLIGHT_KEY = "highlight"
SEARCH = (
    *("k", "boost", "clamp", "exclude", "remove", "blend", "keep", "protect", "understand"),
    *("filter", "view", "fusion", "group"),
)
"""Fields that are arguments of a search."""


class RetrieverFields(TypedDict, total=False):
    """Fields of a `SteerableRetriever`, for type checkers; see there."""

    k: int
    boost: Boost | None
    clamp: Boost | None
    exclude: Sequence[Key] | None
    remove: Sequence[Removable] | None
    blend: Blend
    keep: float
    protect: bool
    understand: bool
    filter: Any
    view: ViewName
    fusion: Literal["rrf"] | dict[str, float]
    group: str | None
    include_scores: bool
    include_explanations: bool
    highlight: bool
    name: str | None
    tags: list[str] | None
    metadata: dict[str, Any] | None


class SteerableRetriever(BaseRetriever):
    """Documents of a `SteerableIndex`, steered by `boost`. Copies share the opened index, so they cost nothing.

    Unknown arguments raise, in the constructor (`pydantic.ValidationError`) and per call (`TypeError`). The errors of
    `SteerableIndex.search` (`UnknownFeatureError`, `ConfigError`, `FilterError`, ...) pass through unchanged. Safe to
    use from several threads. Callbacks and tracers get a report of steering: `on_text`, in words and as `steering=`,
    and a run "steering" inside the retriever's run. Both hold ``{concepts, kept, moves, warnings, understood}``, see
    `SteeringReport` in `integrations.adapter` (`moves` after `over` only with `include_explanations`, since ranks cost
    the engine a second search). A boost that is probably not meant gives a `SteeringWarning`, which Python shows once
    per place.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    index: SteerableIndex | SteeredEngine
    """An opened index, what `over` made, or an engine with sparse codes (`integrations.engines`). Whoever opened it
    closes it: ``retriever.index.close()`` after `open`."""
    k: int = 4
    """Documents wanted; fewer come back when there are fewer."""
    boost: dict[Key, Strength] | Profile | None = None
    """Concept -> strength: 1.0, or `"auto"`, counts as much as the query, 0 changes nothing; with a negative one, or
    `"-auto"`, documents about it go down. Or a `Profile`."""
    clamp: dict[Key, float] | None = None
    """Concept -> value to set in the query's own code; 0 removes the concept from the query."""
    exclude: list[Key] | None = None
    """Concepts that no document may be about, beyond what the rest of the query explains."""
    remove: list[Removable] | None = None
    """Concepts, or an `Attribute` that ``sae audit`` found, to take out of the query and all documents, so that none is
    ranked by it; in the dense view."""
    blend: Blend = "both"
    """How a boost works: `both` ranks documents by how much they are about the query and about the concepts; `move`
    moves the query, by strengths in typical activations."""
    keep: float = DEFAULT_KEEP
    """With `move`, the cosine of the query before and after that `"auto"` keeps, above 0 and at most 1."""
    protect: bool = False
    """Leave alone what the query's own strongest features express of a concept."""
    understand: bool = False
    """Read wishes of the text: with ``cafés in Rome, not touristy``, what is touristy goes down; callbacks are told."""
    filter: Any = None
    """Metadata conditions, for example ``{"year": {"$gte": 2025}}``; after `over` in the dialect of the store."""
    view: ViewName = "dense"
    """The view to search: `dense`, `reconstruction`, `latent`, `words` or `hybrid`; in an engine with sparse codes
    `dense`, `latent` or `hybrid`, in any other `dense`."""
    fusion: Literal["rrf"] | dict[str, float] = "rrf"
    """How `hybrid` joins its views, see `SteerableIndex.search`; an engine joins them by rank."""
    group: str | None = None
    """`document`: one result for each document, its best chunk; or a field of the metadata such as `source`: one result
    for each of its values. Only in an index of ours."""
    include_scores: bool = False
    """Add the score to the metadata as `relevance_score`. A document's own key of that name is kept."""
    include_explanations: bool = False
    """Add why a document was found to the metadata as `steerable` (JSON values). A document's own key is kept.

    ``{rank, rank_before, compared, score, kept, understood, concepts, terms, features, moved_by, warnings}``:
    `rank_before` is the rank without steering, null when it is not among the first `compared` plain results; `concepts`
    is what each key became and how sure that is (`strength`, `clamp` or `exclude`, `fit`, `evidence`, the strongest
    features in `means`); `terms` is what the query and each concept add to the dense score, `features` are its five
    largest parts, `moved_by` the five that steering changed most, each with the score of its label (held-out AUC, null
    when it was not measured); `kept` is the share of the query that is left, `understood` what was read of the text;
    `warnings` are what was obeyed and is probably not meant. Prompts that print metadata will show it to the model."""

    highlight: bool = False
    """Add the sentence that made a document match to the metadata as `highlight`, for citations: ``{text, start,
    end}``, the last two as characters of `page_content`. A document's own key is kept. The texts are embedded again."""

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        bundle: str | Path | Bundle | None = None,
        backend: Backend = "auto",
        embeddings: Any = None,
        **fields: Unpack[RetrieverFields],
    ) -> Self:
        """Open an index and make a retriever for it.

        Args:
            path: The index folder.
            bundle: Where the bundle is now, if it was moved.
            backend: As in `SteerableIndex.open`.
            embeddings: What embeds texts, where the bundle has no embedder: LangChain's embeddings, or what else
                `SteerableIndex.open` takes as `embedder`.
            **fields: The retriever's fields: `k`, `boost`, `filter`, ...

        Raises:
            SteersearchError: As `SteerableIndex.open`.
            pydantic.ValidationError: A field does not exist or has the wrong type.
        """
        index = SteerableIndex.open(path, bundle=bundle, backend=backend, embedder=embeddings)
        try:
            return cls(index=index, **cast(dict[str, Any], fields))
        except BaseException:
            index.close()
            raise

    @classmethod
    def over(
        cls,
        vectorstore: VectorStore,
        bundle: str | Path | Bundle,
        *,
        sample: Sequence[str] | FloatArray | None = None,
        rescored: int = RESCORED,
        embeddings: Any = None,
        **fields: Unpack[RetrieverFields],
    ) -> Self:
        """Steer any LangChain vector store that searches by vector and holds vectors of the bundle's embedder.

        The store's engine does the search, for the query and for a vector between query and concepts; what it finds is
        ranked as an index of ours ranks. `filter` is given to the store as it is, in the store's own dialect (as `expr`
        to Milvus). With `include_scores` the engine's own number, a similarity or a distance, is added as
        `store_score`, and where the order is ours the score that makes it as `relevance_score`. The store is called
        synchronously, in a thread for `ainvoke`. Embeds and compares a few texts once, so that a store that does not
        fit is refused here. Without a `sample` the first steered search looks for one: it calls the store 64 times, and
        embeds some 250 texts where the store does not show its vectors.

        Args:
            vectorstore: A store filled with vectors of the bundle's embedder, for example by `SteerableEmbeddings`.
            bundle: The exported folder of that embedder, or a bundle without one, of `sae train --vectors`.
            sample: Some hundred to thousand of its documents, as texts or unit rows (n, d_in), see `SteeredEngine`.
            rescored: How many documents of the store a boost or exclusion ranks again, see `SteeredStore`.
            embeddings: What embeds texts for a bundle without an embedder; by default the store's own embeddings.
            **fields: The retriever's fields: `k`, `boost`, `filter`, ...

        Raises:
            ConfigError: The store cannot search by vector, or has another dimension, embedder or distance.
            EngineError: The engine behind the store does not answer.
            pydantic.ValidationError: A field does not exist or has the wrong type.
        """
        store = SteeredStore(vectorstore, bundle, sample, rescored=rescored, embeddings=embeddings)
        return cls(index=store, **cast(dict[str, Any], fields))

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **call: Unpack[CallArguments],
    ) -> list[Document]:
        arguments = self._arguments(call)
        report = self._search(query, arguments, bool(run_manager.handlers))
        notify(run_manager, report)
        return self._documents(report)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **call: Unpack[CallArguments],
    ) -> list[Document]:
        # The base class would drop these arguments on the way; only the search goes to a thread, callbacks stay here.
        arguments = self._arguments(call)
        report = await run_in_executor(None, self._search, query, arguments, bool(run_manager.handlers))
        await anotify(run_manager, report)
        return self._documents(report)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = self._engine.provider if self._engine else "steersearch"
        params["ls_embedding_provider"] = "steersearch"
        params["ls_embedding_model"] = self.index.bundle.manifest.embedder["id"] or "unknown"
        return params

    @field_validator("view")
    @classmethod
    def _check_view(cls, view: str) -> str:
        if view not in VIEWS:
            raise ValueError(f"view is {view!r}: choose one of {', '.join(VIEWS)}")
        return view

    @property
    def _engine(self) -> SteeredEngine | None:
        """The engine that is searched, where it is not an index of ours."""
        return self.index if isinstance(self.index, SteeredEngine) else None

    def _arguments(self, call: CallArguments) -> dict[str, Any]:
        return with_call({name: getattr(self, name) for name in SEARCH}, call)

    def _search(self, query: str, arguments: dict[str, Any], handlers: bool) -> SearchReport:
        # Somebody's server is searched twice only on demand.
        moves = handlers and self._engine is None
        wanted: dict[str, Any] = {"explanations": self.include_explanations, "highlight": self.highlight}
        return search_and_report(self.index, query, moves=moves, **wanted, **arguments)

    def _documents(self, report: SearchReport) -> list[Document]:
        keys = SCORE_KEY, STORE_SCORE_KEY if self._engine else None
        scored = keys if self.include_scores else None
        explained = EXPLANATION_KEY if self.include_explanations else None
        return documents_of(report, scored, explained, HIGHLIGHT_KEY if self.highlight else None)
