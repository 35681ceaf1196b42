"""The part of an index that says why documents have their scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..metrics import FloatArray
from .budget import KEEP
from .bundle import Bundle
from .explain import Explanation, explain_all
from .resolver import Boost, SteeredQuery
from .store import DocumentStore


class Explaining(ABC):
    """The part of `SteerableIndex` that explains."""

    path: Path
    bundle: Bundle
    _store: DocumentStore

    @abstractmethod
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
        """What a search would search with."""

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
        with self._store.snapshot():
            records = self._store.get(ids)
            rows = [record.rowid for record in records if record is not None]
            vectors = self._store.vectors_of(np.array(rows, np.int64))
        if len(rows) < len(ids):
            raise DataError(f"there is no document {ids[records.index(None)]!r} in {self.path}")
        assert steered.change is not None
        bundle = self.bundle
        return explain_all(ids, steered.original, vectors, steered.change, bundle.atoms, bundle.features)
