"""`SteeredStore`: any LangChain vector store, searched with a vector that the bundle steered."""

from __future__ import annotations

import inspect
import logging
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from ...arrays import FloatArray, unit_rows
from ...errors import ConfigError, EngineError
from ...runtime import Bundle, Hit, SteeredQuery
from ...text import shown
from ..engines.base import SteeredEngine
from .embeddings import PROBE, bundle_for, check_same_space
from .stores import reader_of, stored_vectors

logger = logging.getLogger(__name__)

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
"""Documents that conditions rank again. Of a store that shows no vectors their texts are embedded at their first time,
some 10 ms each."""
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
            Stores that show their vectors (see `stores`) are asked for them; of others the texts are embedded. The last
            4,096 are remembered. 0 ranks none: the store is searched with a vector between query and concepts, its
            order stays, and nothing is excluded.
        embeddings: What embeds texts for a bundle without an embedder: LangChain's embeddings, or what else
            `Bundle.load` takes as embedder; by default those of the store.

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
        embeddings: Any = None,
    ) -> None:
        if isinstance(rescored, bool) or not isinstance(rescored, int) or rescored < 0:
            raise ConfigError(f"rescored is {shown(rescored)}: it must be a whole number of at least 0")
        self.store, self.rescored = store, rescored
        self.provider = type(store).__name__
        self._search_by_vector, self._scored = _search_method(store)
        self._reader, self._given = reader_of(store), embeddings
        super().__init__(bundle_for(bundle, embeddings, store.embeddings, f"the store {self.provider}"), sample)
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
        if not found:
            return None
        text = found[0].page_content
        row: FloatArray = self._vectors([Hit(1, id, 0.0, text, {})])[0]
        return row

    def _vectors(self, hits: Sequence[Hit]) -> FloatArray:
        return self._texts.of([hit.text for hit in hits], lambda places: self._stored(hits, places))

    def _stored(self, hits: Sequence[Hit], places: list[int]) -> dict[int, FloatArray]:
        """Return the unit vectors that the store shows of some hits, by place."""
        named = {hits[place].id: place for place in places if hits[place].id}
        if self._reader is None or not named:
            return {}
        try:
            found = self._call(stored_vectors, self.store, self._reader, list(named))
        except EngineError as error:
            if not isinstance(error.__cause__, AttributeError | KeyError | NotImplementedError | TypeError):
                raise
            # Another version of the store's package: texts are embedded, as for stores that show nothing.
            logger.warning("%s does not show its vectors (%s): texts are embedded", self.provider, error.__cause__)
            self._reader = None
            return {}
        shown = {named[id]: row for id, row in found.items() if row.shape == (self.bundle.d_in,)}
        return {at: unit_rows(row[None])[0] for at, row in shown.items() if 0 < np.linalg.norm(row) < np.inf}

    def _check(self) -> None:
        for name in DISTANCES:
            distance = getattr(self.store, name, None)
            if distance is not None and WRONG_DISTANCE.search(str(distance)):
                raise ConfigError(
                    f"{self.provider} was made with the distance {distance}: steering needs cosine, inner product or "
                    "Euclidean distance; make the collection again with one of these"
                )
        what = f"the store {self.provider}"
        for other, name in ((self.store.embeddings, what), (self._given, "embeddings=")):
            # Those that the bundle has been given are compared with what it remembers, at their first use.
            if other is not None and hasattr(other, "embed_query") and not self.bundle.uses(other):
                check_same_space(other, self.bundle, name)
        texts = [hit.text for hit in self.search(PROBE, PROBED)]
        rows = list(self.bundle.embed_documents(texts)) if texts else []
        found = [
            text in [hit.text for hit in self.search(row, OWN_RANK)] for text, row in zip(texts, rows, strict=True)
        ]
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
