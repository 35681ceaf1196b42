"""The part of an index that steers a query and says what steering did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..arrays import FloatArray
from ..errors import DataError
from .bundle.bundle import Bundle
from .search.inputs import query_vector
from .steering.auto_strength import KEEP
from .steering.concepts import Concept
from .steering.explain import Explanation, explain_all
from .steering.resolver import Boost, Key, Resolver, SteeredQuery
from .store.documents import DocumentStore


class Steerable:
    """The part of `SteerableIndex` that steers and explains."""

    path: Path
    bundle: Bundle
    _store: DocumentStore
    _resolver: Resolver

    def steer(
        self,
        query: str | FloatArray,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        *,
        keep: float = KEEP,
        protect: bool = False,
        code: bool = False,
    ) -> SteeredQuery:
        """What a search would search with: the steered vector, what each concept became, and how sure that is."""
        return self._resolver.steer(
            query_vector(query, self.bundle), boost, clamp, keep=keep, protect=protect, code=code
        )

    def resolve(self, key: Key) -> Concept:
        """What a key of a boost becomes on these documents: a `Concept` with weights, which prints, saves and edits.

        Raises:
            UnknownFeatureError: No such latent, or nothing in the bundle expresses the text.
            ConfigError: Not a key.
        """
        return self._resolver.resolve(key)

    def explain(
        self,
        query: str | FloatArray,
        id: str,
        *,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = KEEP,
        protect: bool = False,
    ) -> Explanation:
        """Why a document has its dense score: parts per feature that add up to it.

        Raises:
            DataError: There is no such document.
        """
        return self.explain_all(query, [id], boost=boost, clamp=clamp, keep=keep, protect=protect)[0]

    def explain_all(
        self,
        query: str | FloatArray,
        ids: Sequence[str],
        *,
        boost: Boost | None = None,
        clamp: Boost | None = None,
        keep: float = KEEP,
        protect: bool = False,
    ) -> list[Explanation]:
        """Why documents have their dense scores, in the order of `ids`; the query is steered once for all of them.

        Raises:
            DataError: There is no such document, or `ids` is a single string.
        """
        if isinstance(ids, str):
            raise DataError("ids is a single string: give a list of ids, or use explain")
        steered = self.steer(query, boost, clamp, keep=keep, protect=protect, code=True)
        vectors = np.empty((len(ids), self.bundle.d_in), np.float32)
        for i, vector in enumerate(self._store.vectors_by_id(ids)):
            if vector is None:
                raise DataError(f"there is no document {ids[i]!r} in {self.path}")
            vectors[i] = vector
        assert steered.change is not None
        bundle = self.bundle
        return explain_all(ids, steered.original, vectors, steered.change, bundle.atoms, bundle.features)
