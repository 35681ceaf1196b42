"""Steered search inside LangChain: `SteerableRetriever` (extra ``langchain``).

A boost can be given in four places. A call's own wins over a configured one, which wins over the constructor's; the
whole mapping is replaced, not merged::

    retriever = SteerableRetriever.open("my-index", k=4, boost={"radio astronomy": 1.5})
    retriever.invoke("solar storms", boost={"instrumentation": -1.0})  # also ainvoke, batch, abatch, stream
    retriever.bind(boost={"instrumentation": -1.0})
    deep = retriever.configurable_fields(boost=ConfigurableField(id="boost"))  # reaches a retriever inside a chain:
    (deep | prompt | model).invoke("solar storms", config={"configurable": {"boost": {"instrumentation": -1.0}}})
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._extras import require

require("langchain", "langchain_core")

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun  # noqa: E402
from langchain_core.documents import Document  # noqa: E402
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams  # noqa: E402
from langchain_core.runnables import run_in_executor  # noqa: E402
from pydantic import ConfigDict  # noqa: E402
from typing_extensions import Self  # noqa: E402

from ..runtime.ann import Backend  # noqa: E402
from ..runtime.bundle import Bundle  # noqa: E402
from ..runtime.concepts import Concept  # noqa: E402
from ..runtime.index import Hit, SteerableIndex, View  # noqa: E402
from ..runtime.resolver import Boost, Key  # noqa: E402

PLAIN_TOP = 100
"""`rank_without_steering` is looked up in this many plain results, or in `k` where that is more."""
TOP_FEATURES = 5
SCORE_KEY = "relevance_score"
EXPLANATION_KEY = "steerable"


class SteerableRetriever(BaseRetriever):
    """Documents of a `SteerableIndex`, steered by `boost`. Copies share the opened index, so they cost nothing.

    Unknown arguments raise, in the constructor (`pydantic.ValidationError`) and per call (`TypeError`). The errors of
    `SteerableIndex.search` (`UnknownFeatureError`, `ConfigError`, `FilterError`, ...) pass through unchanged. Safe to
    use from several threads. What each concept became is given to callbacks as `on_text`, in words and as `steering=`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    index: SteerableIndex
    """An opened index. Whoever opened it closes it: ``retriever.index.close()`` after `open`."""
    k: int = 4
    """Documents wanted; fewer come back when there are fewer."""
    boost: dict[Key, float] | None = None
    """Concept -> strength: 1.0 is "as present as in a document about it", 0 changes nothing, negative pushes away."""
    clamp: dict[Key, float] | None = None
    """Concept -> value to set instead of adding; 0 removes the concept from the query."""
    filter: dict[str, Any] | None = None
    """Metadata conditions, for example ``{"year": {"$gte": 2025}}``."""
    view: View = "dense"
    """What is compared: `dense`, `reconstruction` or `latent`."""
    include_scores: bool = False
    """Add the score to the metadata as `relevance_score`. A document's own key of that name is kept."""
    include_explanations: bool = False
    """Add why a document was found to the metadata as `steerable` (JSON values). A document's own key is kept.

    ``{score, rank, rank_without_steering, plain_top, concepts, features}``: `rank_without_steering` is null when the
    document is not among the first `plain_top` plain results; `concepts` is what was asked and how well it could be
    expressed (`fit`, 0 to 1); `features` are the five largest parts of the dense score, with the score of each label
    (held-out AUC, null when it was not measured). Prompts that print metadata will show it to the model."""

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

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        documents, concepts = self._search(query, k, boost, clamp, filter)
        if concepts:
            run_manager.on_text(_in_words(concepts), steering=concepts)
        return documents

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        # The base class would drop these arguments on the way; only the search goes to a thread, callbacks stay here.
        documents, concepts = await run_in_executor(None, self._search, query, k, boost, clamp, filter)
        if concepts:
            await run_manager.on_text(_in_words(concepts), steering=concepts)
        return documents

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "steersearch"
        params["ls_embedding_provider"] = "steersearch"
        params["ls_embedding_model"] = self.index.bundle.manifest.embedder["id"]
        return params

    def _search(
        self, query: str, k: int | None, boost: Boost | None, clamp: Boost | None, filter: Mapping[str, Any] | None
    ) -> tuple[list[Document], list[dict[str, Any]]]:
        """The documents, and what each concept became. None means "as constructed", {} means "none this time"."""
        k = self.k if k is None else k
        boost = self.boost if boost is None else boost
        clamp = self.clamp if clamp is None else clamp
        filter = self.filter if filter is None else filter
        # Embedded and resolved once; nothing below runs the embedder again.
        vector = self.index.steer(query).original
        steered = self.index.steer(vector, boost, clamp)
        boost, clamp = _resolved(boost, steered.concepts), _resolved(clamp, steered.clamped)
        concepts = [_concept(concept, strength=strength) for concept, strength in steered.concepts]
        concepts += [_concept(concept, clamp=value) for concept, value in steered.clamped]
        hits = self.index.search(vector, k, boost=boost, clamp=clamp, filter=filter, view=self.view)
        documents = [Document(id=hit.id, page_content=hit.text, metadata=hit.metadata) for hit in hits]
        if self.include_scores:
            for document, hit in zip(documents, hits, strict=True):
                document.metadata.setdefault(SCORE_KEY, hit.score)
        if self.include_explanations:
            plain_top = max(PLAIN_TOP, int(k))
            plain = self.index.search(vector, plain_top, filter=filter, view=self.view)
            ranks = {hit.id: hit.rank for hit in plain}
            for document, hit in zip(documents, hits, strict=True):
                why = {
                    "score": hit.score,
                    "rank": hit.rank,
                    "rank_without_steering": ranks.get(hit.id),
                    "plain_top": plain_top,
                    "concepts": copy.deepcopy(concepts),
                    "features": self._top_features(vector, hit, boost, clamp),
                }
                document.metadata.setdefault(EXPLANATION_KEY, why)
        return documents, concepts

    def _top_features(self, vector: Any, hit: Hit, boost: Boost, clamp: Boost) -> list[dict[str, Any]]:
        parts = self.index.explain(vector, hit.id, boost=boost, clamp=clamp).parts[:TOP_FEATURES]
        return [
            {
                "feature": part.feature.name,
                "label": part.feature.label,
                "score": part.feature.score,
                "contribution": round(part.contribution, 4),
            }
            for part in parts
        ]


def _resolved(asked: Boost | None, resolved: tuple[tuple[Concept, float], ...]) -> dict[Key, float]:
    """The same mapping with each `Concept` in its resolved form, which need not be embedded again."""
    pairs = zip(asked or {}, resolved, strict=True)
    return {concept if isinstance(key, Concept) else key: strength for key, (concept, strength) in pairs}


def _concept(concept: Concept, **how: float) -> dict[str, Any]:
    return {"concept": concept.name, **how, "fit": None if concept.fit is None else round(concept.fit, 3)}


def _in_words(concepts: list[dict[str, Any]]) -> str:
    parts = []
    for entry in concepts:
        how = f"boost {entry['strength']:+g}" if "strength" in entry else f"clamp {entry['clamp']:g}"
        fit = "" if entry["fit"] is None else f" (fit {entry['fit']:.2f})"
        parts.append(f"{how} {entry['concept']!r}{fit}")
    return "steering: " + ", ".join(parts)
