"""Documents, vectors and sparse codes in Qdrant (`pip install qdrant-client`).

Example::

    engine = SteeredQdrant(QdrantClient("http://localhost:6333"), "documents", bundle="bundle")
    engine.add(texts, ids)
    engine.search("solar storms", 5, boost={"radio astronomy": 1.5}, view="hybrid")
    SteerableRetriever(index=engine, view="hybrid", boost={"radio astronomy": 1.5})  # in LangChain
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import need

need("qdrant_client", "qdrant-client")

from qdrant_client import QdrantClient, models  # noqa: E402

from ...arrays import FloatArray  # noqa: E402
from ...errors import ConfigError  # noqa: E402
from ...runtime.bundle.bundle import Bundle  # noqa: E402
from ...runtime.search.hits import Hit  # noqa: E402
from ...runtime.steering.resolver import SteeredQuery  # noqa: E402
from .sparse import DEPTH, Code, SparseEngine, code_of  # noqa: E402

DENSE, CODES = "dense", "codes"
ID, TEXT, METADATA = "_id", "page_content", "metadata"
"""Payload; text and metadata are where `QdrantVectorStore(..., vector_name="dense")` of LangChain reads them."""


class SteeredQdrant(SparseEngine):
    """A collection with the vector "dense" and the sparse vector "codes"; made when it is not there.

    `filter` is a `qdrant_client.models.Filter` over ``metadata.FIELD``; hybrid is Qdrant's own RRF over two prefetches.

    Args:
        client: Connected; whoever made it closes it.
        collection: Its name.
        bundle: The exported folder, or an opened bundle.
        sample: As in `SteeredEngine`.

    Raises:
        ConfigError: The collection has another dimension or distance, or no sparse codes.
        EngineError: Qdrant does not answer.
        BundleError: The bundle cannot be used.
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
        if not self._ask(client.collection_exists, collection):
            self._ask(
                client.create_collection,
                collection,
                vectors_config={DENSE: models.VectorParams(size=self.bundle.d_in, distance=models.Distance.COSINE)},
                sparse_vectors_config={CODES: models.SparseVectorParams()},
            )
        self._check(self._ask(client.get_collection, collection).config.params)

    def _check(self, found: Any) -> None:
        what = f"the Qdrant collection {self.collection!r}"
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

    def _hits(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        vector, code = steered.vector.tolist(), code_of(steered)
        how: dict[str, Any] = {"query": vector, "using": DENSE}
        if view == "latent":
            if not code:
                return []
            how = {"query": _sparse(code), "using": CODES}
        elif view == "hybrid" and code:
            depth = max(k, DEPTH)
            how = {
                "prefetch": [
                    models.Prefetch(query=vector, using=DENSE, limit=depth, filter=filter),
                    models.Prefetch(query=_sparse(code), using=CODES, limit=depth, filter=filter),
                ],
                "query": models.FusionQuery(fusion=models.Fusion.RRF),
            }
        found = self._ask(self.client.query_points, self.collection, limit=k, query_filter=filter, **how)
        return [
            Hit(rank, payload.get(ID, str(point.id)), point.score, payload.get(TEXT, ""), payload.get(METADATA) or {})
            for rank, point in enumerate(found.points, 1)
            for payload in [point.payload or {}]  # another program may have written it, without our id
        ]

    def _vector_of(self, id: str) -> FloatArray | None:
        found = self._ask(self.client.retrieve, self.collection, [_point(id)], with_vectors=[DENSE])
        return np.array(found[0].vector[DENSE], np.float32) if found else None


def _point(id: str) -> str:
    """Qdrant takes numbers and UUIDs."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, id))


def _sparse(code: Code) -> models.SparseVector:
    return models.SparseVector(indices=list(code), values=list(code.values()))
