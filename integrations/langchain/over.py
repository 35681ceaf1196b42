"""`SteeredStore`: any LangChain vector store, searched with a vector that the bundle steered."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from ...arrays import FloatArray
from ...errors import ConfigError, EngineError
from ...runtime import Bundle, Hit, SteeredQuery
from ...text import shown
from ..engines.base import SteeredEngine
from .embeddings import PROBE, check_same_space

SCORED = (
    "similarity_search_with_score_by_vector",
    "similarity_search_by_vector_with_score",
    "similarity_search_by_vector_with_scores",
    "similarity_search_by_vector_with_relevance_scores",
)
"""Searches that return the engine's scores too; LangChain names none, so stores differ."""
DISTANCES = ("distance", "distance_strategy", "_distance_strategy")
"""Attributes in which stores keep the distance that they were made with."""
WRONG_DISTANCE = re.compile(r"manhattan|\bl1\b|hamming|jaccard", re.IGNORECASE)
"""On unit vectors cosine, inner product and Euclidean distance rank alike; these do not."""
PROBED = 8
"""Documents that are searched for by their own text, to see that the store holds vectors of the bundle's embedder."""
RESCORED = 40
"""Documents that conditions rank again: their texts are embedded at their first time, some 10 ms each."""
OWN_RANK = 3
"""Half of them must be found this high: a title that was embedded too may cost a place, another embedder all."""


class SteeredStore(SteeredEngine):
    """A vector store and the bundle that steers its queries; `SteerableRetriever.over` makes one.

    Threads may share one as far as the store allows it. `score` is the store's own number, or the sum of the conditions
    where `SteeredEngine.search` says so; `filter` is in the store's dialect.

    Args:
        store: Holds vectors of the bundle's embedder.
        bundle: The exported folder of that embedder, or an opened bundle. `sample` is as in `SteeredEngine`.
        rescored: How many documents of the store a boost or exclusion ranks again, at least twice the results.
            LangChain gives no vectors, so their texts are embedded; the last 4,096 are remembered. 0 embeds none: the
            store is searched with a vector between query and concepts, its order stays, and nothing is excluded.

    Raises:
        ConfigError: The store cannot search by vector, has another dimension, embedder or distance, or `rescored` is
            not a whole number of at least 0.
        EngineError: The engine behind the store does not answer.
    """

    probed = 4  # each is embedded

    def __init__(
        self,
        store: VectorStore,
        bundle: str | Path | Bundle,
        sample: Sequence[str] | FloatArray | None = None,
        *,
        rescored: int = RESCORED,
    ) -> None:
        if isinstance(rescored, bool) or not isinstance(rescored, int) or rescored < 0:
            raise ConfigError(f"rescored is {shown(rescored)}: it must be a whole number of at least 0")
        self.store, self.rescored = store, rescored
        self.provider = type(store).__name__
        self._search_by_vector, self._scored = _search_method(store)
        super().__init__(bundle, sample)
        names = inspect.signature(self._search_by_vector).parameters
        self._filter_name = "expr" if "expr" in names and "filter" not in names else "filter"
        self._check()

    def _hits(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        filters = {} if filter is None or filter == {} else {self._filter_name: filter}
        found = self._call(self._search_by_vector, steered.vector.tolist(), k=k, **filters)
        pairs: list[tuple[Document, float]] = found if self._scored else [(document, math.nan) for document in found]
        return [
            Hit(rank, document.id or "", float(score), document.page_content, dict(document.metadata))
            for rank, (document, score) in enumerate(pairs, 1)
        ]

    def _vector_of(self, id: str) -> FloatArray | None:
        try:
            found = self._call(self.store.get_by_ids, [id])
        except EngineError as error:
            if isinstance(error.__cause__, NotImplementedError | TypeError | ValueError):
                # The store knows no ids, or none of this form, so the example is a text.
                return None
            raise
        return self.bundle.embed_documents([found[0].page_content])[0] if found else None

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
        texts = [hit.text for hit in self.search(PROBE, PROBED)]
        found = [text in [hit.text for hit in self.search(text, OWN_RANK)] for text in texts]
        if 2 * sum(found) < len(found):
            raise ConfigError(
                f"{what} finds {sum(found)} of {len(found)} documents by their own text, embedded by "
                f"{self.bundle.path}: its vectors come from another embedder or are not of unit length, or its "
                "distance is another one; fill it with SteerableEmbeddings of that bundle, and with cosine distance"
            )


def _search_method(store: VectorStore) -> tuple[Callable[..., Any], bool]:
    """Return the store's search by vector, and whether it returns scores."""
    for name in SCORED:
        if hasattr(store, name):
            return getattr(store, name), True
    if type(store).similarity_search_by_vector is VectorStore.similarity_search_by_vector:
        raise ConfigError(
            f"{type(store).__name__} cannot search by vector, so it cannot be steered: "
            "choose a store with similarity_search_by_vector, or SteerableVectorStore"
        )
    return store.similarity_search_by_vector, False
