"""`SteerableRetriever`: documents for a query, steered by `boost`.

A boost can be given in four places. A call's own wins over a configured one, which wins over the constructor's; the
whole mapping is replaced, not merged::

    retriever = SteerableRetriever.open("my-index", k=4, boost={"radio astronomy": 1.5})
    retriever.invoke("solar storms", boost={"instrumentation": -1.0})  # also ainvoke, batch, abatch, stream
    retriever.bind(boost={"instrumentation": -1.0})
    deep = retriever.configurable_fields(boost=ConfigurableField(id="boost"))  # reaches a retriever inside a chain:
    (deep | prompt | model).invoke("solar storms", config={"configurable": {"boost": {"instrumentation": -1.0}}})
    SteerableRetriever.over(any_vector_store, bundle="bundle", boost={"radio astronomy": 1.5})  # another engine
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict
from typing_extensions import Self

from ...arrays import FloatArray
from ...runtime.bundle.bundle import Bundle
from ...runtime.index import SteerableIndex, View
from ...runtime.search.dense import Backend
from ...runtime.steering.auto_strength import KEEP
from ...runtime.steering.resolver import Boost, Key, Strength
from ..adapter import Answer, Ask, answer
from ..engines.base import SteeredEngine
from .callbacks import atell, documents_of, tell
from .over import SteeredStore

SCORE_KEY = "relevance_score"
STORE_SCORE_KEY = "store_score"
EXPLANATION_KEY = "steerable"


class SteerableRetriever(BaseRetriever):
    """Documents of a `SteerableIndex`, steered by `boost`. Copies share the opened index, so they cost nothing.

    Unknown arguments raise, in the constructor (`pydantic.ValidationError`) and per call (`TypeError`). The errors of
    `SteerableIndex.search` (`UnknownFeatureError`, `ConfigError`, `FilterError`, ...) pass through unchanged. Safe to
    use from several threads. Callbacks and tracers are told what steering did: `on_text`, in words and as `steering=`,
    and a run "steering" inside the retriever's run. Both hold ``{concepts, kept, moves, warnings}``, see `Steered` in
    `integrations.answers` (`moves` after `over` only with `include_explanations`, since ranks cost the engine a second
    search). A boost that is probably not meant gives a `SteeringWarning`, which Python shows once per place.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    index: SteerableIndex | SteeredEngine
    """An opened index, what `over` made, or an engine with sparse codes (`integrations.sparse`). Whoever opened it
    closes it: ``retriever.index.close()`` after `open`."""
    k: int = 4
    """Documents wanted; fewer come back when there are fewer."""
    boost: dict[Key, Strength] | None = None
    """Concept -> strength: 1.0 is "as present as in a document about it", 0 changes nothing, negative pushes away;
    `"auto"` and `"-auto"` are the largest that keeps the share `keep` of the query."""
    clamp: dict[Key, float] | None = None
    """Concept -> value to set instead of adding; 0 removes the concept from the query."""
    keep: float = KEEP
    """Cosine of the query before and after steering that `"auto"` keeps, above 0 and at most 1."""
    protect: bool = False
    """Leave alone how strongly the query expresses its own strongest features."""
    filter: Any = None
    """Metadata conditions, for example ``{"year": {"$gte": 2025}}``; after `over` in the dialect of the store."""
    view: View = "dense"
    """What is compared: `dense`, `reconstruction`, `latent`, `words` or `hybrid`; in an engine with sparse codes
    `dense`, `latent` or `hybrid`, in any other `dense`."""
    fusion: Literal["rrf"] | dict[str, float] = "rrf"
    """How `hybrid` joins its views, see `SteerableIndex.search`; an engine joins them by rank."""
    include_scores: bool = False
    """Add the score to the metadata as `relevance_score`. A document's own key of that name is kept."""
    include_explanations: bool = False
    """Add why a document was found to the metadata as `steerable` (JSON values). A document's own key is kept.

    ``{rank, rank_before, compared, score, kept, concepts, features, moved_by, warnings}``: `rank_before` is the rank
    without steering, null when it is not among the first `compared` plain results; `concepts` is what each key became
    and how sure that is (`strength` or `clamp`, `fit`, `evidence`, the strongest features in `means`); `features` are
    the five largest parts of the dense score, `moved_by` the five that steering changed most, each with the score of
    its label (held-out AUC, null when it was not measured); `kept` is the share of the query that is left; `warnings`
    are what was obeyed and is probably not meant. Prompts that print metadata will show it to the model."""

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        bundle: str | Path | Bundle | None = None,
        backend: Backend = "auto",
        **fields: Any,
    ) -> Self:
        """Open an index and make a retriever for it.

        Args:
            path: The index folder.
            bundle: Where the bundle is now, if it was moved.
            backend: As in `SteerableIndex.open`.
            **fields: The retriever's fields: `k`, `boost`, `filter`, ...

        Raises:
            IndexFolderError: The index is missing, damaged, or made with another model.
            BundleError: The bundle is missing or damaged.
            pydantic.ValidationError: A field does not exist or has the wrong type.
        """
        index = SteerableIndex.open(path, bundle=bundle, backend=backend)
        try:
            return cls(index=index, **fields)
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
        **fields: Any,
    ) -> Self:
        """Steer any LangChain vector store that searches by vector and holds vectors of the bundle's embedder.

        The steered query vector goes to the store, so its engine does the search. `filter` is given to the store as it
        is, in the store's own dialect (as `expr` to Milvus). With `include_scores` the engine's own number, a
        similarity or a distance, is added as `store_score`. The store is called synchronously, in a thread for
        `ainvoke`. Embeds and compares a few texts once, so that a store that does not fit is refused here.

        Args:
            vectorstore: A store filled with vectors of the bundle's embedder, for example by `SteerableEmbeddings`.
            bundle: The exported folder of that embedder.
            sample: Some hundred to thousand of the store's documents, spread over all, as texts or unit rows (n, d_in):
                they say what a phrase means in them. Without them the bundle's reference corpus is asked.
            **fields: The retriever's fields: `k`, `boost`, `filter`, ...

        Raises:
            ConfigError: The store cannot search by vector, or has another dimension, embedder or distance.
            EngineError: The engine behind the store does not answer.
            BundleError: The bundle is missing or damaged.
            pydantic.ValidationError: A field does not exist or has the wrong type.
        """
        return cls(index=SteeredStore(vectorstore, bundle, sample), **fields)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float | None = None,
        protect: bool | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        found = self._search(query, self._ask(k, boost, clamp, keep, protect, filter), bool(run_manager.handlers))
        tell(run_manager, found)
        return self._documents(found)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float | None = None,
        protect: bool | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        # The base class would drop these arguments on the way; only the search goes to a thread, callbacks stay here.
        ask = self._ask(k, boost, clamp, keep, protect, filter)
        found = await run_in_executor(None, self._search, query, ask, bool(run_manager.handlers))
        await atell(run_manager, found)
        return self._documents(found)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = (
            self.index.provider if isinstance(self.index, SteeredEngine) else "steersearch"
        )
        params["ls_embedding_provider"] = "steersearch"
        params["ls_embedding_model"] = self.index.bundle.manifest.embedder["id"]
        return params

    def _ask(
        self,
        k: int | None,
        boost: Boost | None,
        clamp: Boost | None,
        keep: float | None,
        protect: bool | None,
        filter: Any,
    ) -> Ask:
        """None means "as constructed", {} means "none this time"."""
        return Ask(
            self.k if k is None else k,
            self.boost if boost is None else boost,
            self.clamp if clamp is None else clamp,
            self.keep if keep is None else keep,
            self.protect if protect is None else protect,
            self.filter if filter is None else filter,
            self.view,
            self.fusion,
        )

    def _search(self, query: str, ask: Ask, watched: bool) -> Answer:
        moves = watched and isinstance(self.index, SteerableIndex)  # somebody's server is asked twice only on demand
        return answer(self.index, query, ask, moves=moves, explanations=self.include_explanations)

    def _documents(self, found: Answer) -> list[Document]:
        score_key = STORE_SCORE_KEY if isinstance(self.index, SteeredEngine) else SCORE_KEY
        return documents_of(
            found, score_key if self.include_scores else None, EXPLANATION_KEY if self.include_explanations else None
        )
