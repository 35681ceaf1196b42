"""Documents, vectors and sparse codes in Milvus (`pip install pymilvus`, and `milvus-lite` for one in a file).

Example: ``SteeredMilvus(MilvusClient("http://localhost:19530"), "documents", bundle="bundle")``, see the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import FloatArray
from ...errors import ConfigError, DataError, FilterError
from ...runtime import Bundle, Hit
from ...text import shown
from ..optional import needs
from .sparse import DEPTH, RRF_K, Code, SparseEngine

with needs("pymilvus", pip="pymilvus"):
    from pymilvus import AnnSearchRequest, DataType, MilvusClient, RRFRanker

DENSE, CODES = "dense", "codes"
MAX_TEXT, MAX_ID = 65_535, 512
"""Bytes that a Milvus string holds."""
MAX_LIMIT = 16_384
"""Results that one Milvus search gives."""
RANKED_BY = {DENSE: {"metric_type": "COSINE"}, CODES: {"metric_type": "IP"}}


class SteeredMilvus(SparseEngine):
    """A collection with a vector and a sparse vector; made when it is not there, and searched exactly.

    `filter` is a Milvus expression such as ``metadata["year"] >= 2024``; hybrid is Milvus' own RRF. Milvus takes no
    negative weights in a sparse query, so what ``blend="move"`` pushes away is subtracted here, from as many candidates
    as it takes to be sure of the best `k`; hybrid then fuses here too.

    Args:
        client: Connected; whoever made it closes it.
        collection: Its name.
        bundle, sample: As in `SteeredEngine`.

    Raises:
        ConfigError: The collection has another dimension or distance, or no sparse codes.
        EngineError: Milvus does not answer.
    """

    provider = "Milvus"

    def __init__(
        self,
        client: MilvusClient,
        collection: str,
        bundle: str | Path | Bundle,
        sample: Sequence[str] | FloatArray | None = None,
    ) -> None:
        super().__init__(bundle, sample)
        self.client, self.collection = client, collection
        if not self._call(client.has_collection, collection):
            self._call(self._create)
        what = f"the Milvus collection {collection!r}"
        fields = {field["name"]: field for field in self._call(client.describe_collection, collection)["fields"]}
        if not {"id", "text", "metadata", DENSE, CODES} <= set(fields):
            raise ConfigError(f"{what} has the fields {sorted(fields)}, and no documents with codes: use another name")
        self._check_dimension(what, fields[DENSE]["params"]["dim"])
        distance = self._call(client.describe_index, collection, DENSE)["metric_type"]
        if distance not in ("COSINE", "IP", "L2"):
            raise ConfigError(f"{what} has the distance {distance}: expected COSINE, IP or L2")

    def _create(self) -> None:
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_ID)
        schema.add_field("text", DataType.VARCHAR, max_length=MAX_TEXT)
        schema.add_field("metadata", DataType.JSON)
        schema.add_field(DENSE, DataType.FLOAT_VECTOR, dim=self.bundle.d_in)
        schema.add_field(CODES, DataType.SPARSE_FLOAT_VECTOR)
        graphs = self.client.prepare_index_params()
        graphs.add_index(DENSE, index_type="FLAT", **RANKED_BY[DENSE])
        graphs.add_index(CODES, index_type="SPARSE_INVERTED_INDEX", **RANKED_BY[CODES])
        self.client.create_collection(self.collection, schema=schema, index_params=graphs, consistency_level="Strong")

    def _write(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[dict[str, Any]],
        vectors: FloatArray,
        codes: Sequence[Code],
    ) -> None:
        # Milvus takes no empty vector; no query has this element.
        nothing = {self.bundle.n_latents: 1.0}
        rows = [
            {"id": id, "text": text, "metadata": entry, DENSE: vector.tolist(), CODES: code or nothing}
            for id, text, entry, vector, code in zip(ids, texts, metadata, vectors, codes, strict=True)
        ]
        self.client.upsert(self.collection, rows)

    def _check_sizes(self, ids: Sequence[str], texts: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> None:
        for name, given, most in (("text", texts, MAX_TEXT), ("id", ids, MAX_ID)):
            for one in given:
                if len(one.encode(errors="replace")) > most:
                    what = f"the {name} {one[:40]!r}…"
                    raise DataError(f"{what} has more than the {most:,} bytes that Milvus holds: split it")

    def _dense(self, vector: FloatArray, k: int, filter: Any) -> list[Hit]:
        return self._found(self._search(DENSE, vector.tolist(), k, filter))

    def _hybrid(self, vector: FloatArray, code: Code, k: int, filter: Any) -> list[Hit]:
        if min(code.values()) < 0:
            return super()._hybrid(vector, code, k, filter)
        requests = [
            AnnSearchRequest([data], field, RANKED_BY[field], limit=max(k, DEPTH), expr=_expression(filter) or None)
            for field, data in ((DENSE, vector.tolist()), (CODES, code))
        ]
        named: dict[str, Any] = {"ranker": RRFRanker(RRF_K), "limit": k, "output_fields": ["text", "metadata"]}
        return self._found(self._call(self.client.hybrid_search, self.collection, requests, **named)[0])

    def _latent(self, code: Code, k: int, filter: Any) -> list[Hit]:
        """Return the best by inner product: ever more candidates, until no other can be among the best."""
        towards = {latent: weight for latent, weight in code.items() if weight > 0}
        away = {latent: weight for latent, weight in code.items() if weight < 0}
        if not towards:
            return []
        if not away:
            return self._found(self._search(CODES, towards, k, filter))
        limit = min(max(4 * k, DEPTH), MAX_LIMIT)
        while True:
            found = self._search(CODES, towards, limit, filter, CODES)
            for entry in found:
                held = entry["entity"][CODES]
                entry["exact"] = entry["distance"] + sum(weight * held.get(f, 0.0) for f, weight in away.items())
            best = sorted(found, key=lambda entry: -entry["exact"])
            # Of the rest, none has more than the last candidate had before anything was subtracted.
            sure = len(best) >= k and best[k - 1]["exact"] >= found[-1]["distance"]
            if sure or len(found) < limit or limit == MAX_LIMIT:
                return self._found(best[:k])
            limit = min(4 * limit, MAX_LIMIT)

    def _search(self, field: str, data: Any, limit: int, filter: Any, *more: str) -> list[Any]:
        named: dict[str, Any] = {"anns_field": field, "limit": limit, "search_params": RANKED_BY[field]}
        named |= {"filter": _expression(filter), "output_fields": ["text", "metadata", *more]}
        return [dict(entry) for entry in self._call(self.client.search, self.collection, [data], **named)[0]]

    def _found(self, entries: Sequence[Any]) -> list[Hit]:
        hits = []
        for rank, entry in enumerate(entries, 1):
            score, held = float(entry.get("exact", entry["distance"])), entry["entity"]
            hits.append(Hit(rank, entry["id"], score, held["text"], held["metadata"]))
        return hits

    def vectors(self, ids: Sequence[str]) -> list[FloatArray | None]:
        """Return the unit vectors of documents with one request; see `SteeredEngine.vectors`."""
        # A longer one is an example that is a text.
        known = [id for id in ids if len(id.encode(errors="replace")) <= MAX_ID]
        found = self._call(self.client.get, self.collection, ids=known, output_fields=[DENSE]) if known else []
        rows = {entry["id"]: np.array(entry[DENSE], np.float32) for entry in found}
        return [rows.get(id) for id in ids]

    def _vector_of(self, id: str) -> FloatArray | None:
        return self.vectors([id])[0]


def _expression(filter: Any) -> str:
    """Return a filter as Milvus takes it, empty for none.

    Raises:
        FilterError: It is no expression; one that is empty by mistake would give every document.
    """
    if filter is None or filter == {}:
        return ""
    if not isinstance(filter, str) or not filter.strip():
        raise FilterError(
            f"filter is {shown(filter)}: expected an expression in the dialect of Milvus, for example "
            "'metadata[\"year\"] >= 2024'"
        )
    return filter
