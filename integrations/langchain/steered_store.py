"""Any LangChain vector store, searched with a steered vector: the engine does the search, the bundle the steering."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from ...errors import ConfigError, DataError, EngineError
from ...metrics import FloatArray
from ...runtime.bundle import Bundle
from ...runtime.explain import Explanation, explain
from ...runtime.fusion import Fusion
from ...runtime.index import Hit
from ...runtime.resolver import Boost, Resolver, SteeredQuery
from .embeddings import PROBE, check_same_space, unit_rows

SCORED = (
    "similarity_search_with_score_by_vector",
    "similarity_search_by_vector_with_score",
    "similarity_search_by_vector_with_scores",
    "similarity_search_by_vector_with_relevance_scores",
)
"""Searches that return the engine's scores too; LangChain names none, so stores differ."""
DISTANCES = ("distance", "distance_strategy", "_distance_strategy")
"""Where stores keep the distance that they were made with."""
WRONG_DISTANCE = re.compile(r"manhattan|\bl1\b|hamming|jaccard", re.IGNORECASE)
"""On unit vectors cosine, inner product and Euclidean distance rank alike; these do not."""
COMPARED = 8
"""Documents that are searched for by their own text, to see that the store holds vectors of the bundle's embedder."""
OWN_RANK = 3
"""Half have to be found this high: a title that was embedded too may cost a place, another embedder costs all."""


class SteeredStore:
    """A vector store and the bundle that steers its queries; `SteerableRetriever.over` makes one.

    Nothing of the engine is kept: every search asks it again. Threads may share one as far as the store allows it.

    Args:
        store: Holds vectors of the bundle's embedder.
        bundle: The exported folder of that embedder, or an opened bundle.

    Raises:
        ConfigError: The store cannot search by vector, or has another dimension, embedder or distance.
        EngineError: The engine behind the store does not answer.
        BundleError: The bundle cannot be used.
    """

    def __init__(self, store: VectorStore, bundle: str | Path | Bundle) -> None:
        self.store = store
        """The store."""
        self.provider = type(store).__name__
        """Its name in messages and traces."""
        self._search_by_vector, self._scored = _search_method(store)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
        """What embeds, encodes and names the features."""
        self._resolver = Resolver(self.bundle, self._vector_of)
        self._filter_name = _filter_name(self._search_by_vector)
        self._check()

    def steer(
        self, query: str | FloatArray, boost: Boost | None = None, clamp: Boost | None = None, *, code: bool = False
    ) -> SteeredQuery:
        """The steered vector, and what each concept became; see `SteerableIndex.steer`."""
        return self._resolver.steer(self._query(query), boost, clamp, code=code)

    def search(
        self,
        query: str | FloatArray,
        k: int = 10,
        *,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        filter: Any = None,
        view: str = "dense",
        fusion: Fusion = "rrf",
        text: str | None = None,
    ) -> list[Hit]:
        """The best documents of the store for a steered query.

        Args:
            query: A text, or a unit vector of length d_in.
            k: Results wanted, at least 1.
            boost: Concept -> strength.
            clamp: Concept -> value.
            filter: In the dialect of the store.
            view: Only `dense`: the store holds no codes.
            fusion: Of the view `hybrid`, which is not there.
            text: For views that search words, which are not there.

        Returns:
            Hits in the order of the store. `score` is the store's own number, NaN where it gives none; `id` is "" where
            it gives none.

        Raises:
            ConfigError: k, a strength or the view is out of range.
            UnknownFeatureError: A boost names a latent that is not there.
            EngineError: The engine does not answer, or refuses the filter.
        """
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ConfigError(f"k is {k!r}: it must be a whole number of at least 1")
        if view != "dense":
            raise ConfigError(f"view is {view!r}: another engine holds no codes, so only dense is there")
        vector = self.steer(query, boost, clamp).vector
        how = {} if filter is None or filter == {} else {self._filter_name: filter}
        found = self._ask(self._search_by_vector, vector.tolist(), k=int(k), **how)
        pairs: list[tuple[Document, float]] = found if self._scored else [(document, math.nan) for document in found]
        return [
            Hit(rank, document.id or "", float(score), document.page_content, dict(document.metadata))
            for rank, (document, score) in enumerate(pairs, 1)
        ]

    def explain_text(
        self, query: str | FloatArray, text: str, *, boost: Boost | None = None, clamp: Boost | None = None
    ) -> Explanation:
        """Why a document with this text has its cosine: parts per feature that add up to it."""
        steered = self.steer(query, boost, clamp, code=True)
        assert steered.change is not None
        vector = self.bundle.embed([text])[0]
        return explain(text[:40], steered.original, vector, steered.change, self.bundle.atoms, self.bundle.features)

    def _query(self, query: str | FloatArray) -> FloatArray:
        if isinstance(query, str):
            vector: FloatArray = self.bundle.embed([query])[0]
            return vector
        if not isinstance(query, np.ndarray) or query.shape != (self.bundle.d_in,):
            raise DataError(
                f"the query is {type(query).__name__}: give a text or a unit vector of length {self.bundle.d_in}"
            )
        row: FloatArray = unit_rows(query[None], "the query")[0]
        return row

    def _vector_of(self, id: str) -> FloatArray | None:
        """The vector of a stored document, for concepts from examples."""
        try:
            found = self._ask(self.store.get_by_ids, [id])
        except EngineError as error:
            if isinstance(error.__cause__, NotImplementedError | TypeError | ValueError):
                return None  # the store knows no ids, or not of this form: the example is a text
            raise
        return self.bundle.embed([found[0].page_content])[0] if found else None

    def _ask(self, method: Callable[..., Any], *arguments: Any, **how: Any) -> Any:
        try:
            return method(*arguments, **how)
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), "no message")
            raise EngineError(
                f"{self.provider} did not answer ({type(error).__name__}: {first:.200}): see that its engine "
                f"runs, that it holds vectors of dimension {self.bundle.d_in}, and that the filter is in its dialect"
            ) from error

    def _check(self) -> None:
        for name in DISTANCES:
            distance = getattr(self.store, name, None)
            if distance is not None and WRONG_DISTANCE.search(str(distance)):
                raise ConfigError(
                    f"{self.provider} was made with the distance {distance}: steering needs cosine, inner product or "
                    "Euclidean distance; make the collection again with one of these"
                )
        what = f"the store {self.provider}"
        if self.store.embeddings is not None:
            check_same_space(self.store.embeddings, self.bundle, what)
        texts = [hit.text for hit in self.search(PROBE, COMPARED)]
        found = [text in [hit.text for hit in self.search(text, OWN_RANK)] for text in texts]
        if 2 * sum(found) < len(found):
            raise ConfigError(
                f"{what} finds {sum(found)} of {len(found)} documents by their own text, embedded by "
                f"{self.bundle.path}: its vectors come from another embedder or are not of unit length, or its "
                "distance is another one; fill it with SteerableEmbeddings of that bundle, and with cosine distance"
            )


def _search_method(store: VectorStore) -> tuple[Callable[..., Any], bool]:
    """The store's search by vector, and whether it returns scores."""
    for name in SCORED:
        if hasattr(store, name):
            return getattr(store, name), True
    if type(store).similarity_search_by_vector is VectorStore.similarity_search_by_vector:
        raise ConfigError(
            f"{type(store).__name__} cannot search by vector, so it cannot be steered: "
            "choose a store with similarity_search_by_vector, or SteerableVectorStore"
        )
    return store.similarity_search_by_vector, False


def _filter_name(method: Callable[..., Any]) -> str:
    names = inspect.signature(method).parameters
    return "expr" if "expr" in names and "filter" not in names else "filter"
