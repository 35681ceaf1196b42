"""Documents, vectors and sparse codes in Qdrant (`pip install qdrant-client`).

Example: ``SteeredQdrant(QdrantClient("http://localhost:6333"), "documents", bundle="bundle")``, see the package.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray
from ...errors import ConfigError, FilterError
from ...runtime import Bundle, Hit
from ...text import shown
from ..optional import needs
from .sparse import DEPTH, Code, SparseEngine

with needs("qdrant_client", pip="qdrant-client"):
    from qdrant_client import QdrantClient, models

DENSE, CODES = "dense", "codes"
ID, TEXT, METADATA = "_id", "page_content", "metadata"
"""Payload; text and metadata are where `QdrantVectorStore(..., vector_name="dense")` of LangChain reads them."""


class SteeredQdrant(SparseEngine):
    """A collection with the vector "dense" and the sparse vector "codes"; made when it is not there.

    `filter` is a `qdrant_client.models.Filter` over ``metadata.FIELD``; hybrid is Qdrant's own RRF over two prefetches.

    Args:
        client: Connected; whoever made it closes it.
        collection: Its name.
        bundle, sample: As in `SteeredEngine`.

    Raises:
        ConfigError: The collection has another dimension or distance, or no sparse codes.
        EngineError: Qdrant does not answer.
    """

    provider = "Qdrant"

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        bundle: str | Path | Bundle,
        sample: Sequence[str] | FloatArray | None = None,
    ) -> None:
        super().__init__(bundle, sample)
        self.client, self.collection = client, collection
        if not self._call(client.collection_exists, collection):
            self._call(
                client.create_collection,
                collection,
                vectors_config={DENSE: models.VectorParams(size=self.bundle.d_in, distance=models.Distance.COSINE)},
                sparse_vectors_config={CODES: models.SparseVectorParams()},
            )
        found = self._call(client.get_collection, collection).config.params
        what = f"the Qdrant collection {collection!r}"
        dense = found.vectors.get(DENSE) if isinstance(found.vectors, dict) else None
        if dense is None or CODES not in (found.sparse_vectors or {}):
            raise ConfigError(f"{what} lacks the vector {DENSE!r} or the sparse vector {CODES!r}: use another name")
        self._check_dimension(what, dense.size)
        if dense.distance not in (models.Distance.COSINE, models.Distance.DOT, models.Distance.EUCLID):
            raise ConfigError(f"{what} has the distance {dense.distance}: expected Cosine, Dot or Euclid")

    def _write(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[dict[str, Any]],
        vectors: FloatArray,
        codes: Sequence[Code],
    ) -> None:
        points = [
            models.PointStruct(
                id=_point(id),
                vector={DENSE: vector.tolist(), CODES: _sparse(code)},
                payload={ID: id, TEXT: text, METADATA: entry},
            )
            for id, text, entry, vector, code in zip(ids, texts, metadata, vectors, codes, strict=True)
        ]
        self.client.upsert(self.collection, points, wait=True)

    def _dense(self, vector: FloatArray, k: int, filter: Any) -> list[Hit]:
        return self._query(k, filter, query=vector.tolist(), using=DENSE)

    def _latent(self, code: Code, k: int, filter: Any) -> list[Hit]:
        return self._query(k, filter, query=_sparse(code), using=CODES) if code else []

    def _hybrid(self, vector: FloatArray, code: Code, k: int, filter: Any) -> list[Hit]:
        both = ((DENSE, vector.tolist()), (CODES, _sparse(code)))
        depth = max(k, DEPTH)
        lists = [
            models.Prefetch(query=query, using=using, limit=depth, filter=_filter(filter)) for using, query in both
        ]
        return self._query(k, filter, prefetch=lists, query=models.FusionQuery(fusion=models.Fusion.RRF))

    def _query(self, k: int, filter: Any, **query: Any) -> list[Hit]:
        filter = _filter(filter)
        found = self._call(self.client.query_points, self.collection, limit=k, query_filter=filter, **query)
        hits = []
        for rank, point in enumerate(found.points, 1):
            # Another program may have written it, without our id.
            payload = point.payload or {}
            id, text, metadata = payload.get(ID, str(point.id)), payload.get(TEXT, ""), payload.get(METADATA) or {}
            hits.append(Hit(rank, id, point.score, text, metadata))
        return hits

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """Return the unit vectors of documents with one request; see `SteeredEngine.vectors`."""
        points = [_point(id) for id in ids]
        found = self._call(self.client.retrieve, self.collection, points, with_vectors=[DENSE]) if points else []
        rows = {str(point.id): np.array(point.vector[DENSE], np.float32) for point in found}
        return [rows.get(point) for point in points]

    def _vector_of(self, id: str) -> FloatArray | None:
        return self.vectors([id])[0]


def _point(id: str) -> str:
    """Return the UUID of a document: Qdrant takes numbers and UUIDs only."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, id))


def _filter(filter: Any) -> Any:
    """Return a filter as Qdrant takes it, None for none.

    Raises:
        FilterError: It is something else; the client takes some of that for no filter.
    """
    if filter is None or filter == {}:
        return None
    if not isinstance(filter, models.Filter):
        raise FilterError(f"filter is {shown(filter)}: the dialect of Qdrant is qdrant_client.models.Filter")
    return filter


def _sparse(code: Code) -> models.SparseVector:
    return models.SparseVector(indices=list(code), values=list(code.values()))
