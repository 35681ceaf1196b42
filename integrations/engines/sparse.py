"""`SparseEngine`: documents with their vectors and sparse codes in another engine."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...arrays import FloatArray, IntArray, check_unit_rows, unit_rows
from ...errors import ConfigError, DataError
from ...json_values import json_values
from ...metrics import unit_codes
from ...runtime import Hit, SteeredQuery
from ...runtime.search.terms import HALF
from ...runtime.store.row_encoding import check_documents
from ...sequences import as_list
from .base import SteeredEngine
from .rescoring import joined, ranked_by_terms

Code: TypeAlias = dict[int, float]
"""Latent -> weight, ascending; inner products of these are the scores of our latent view."""
DEPTH = 100
"""Documents of each list that hybrid search fuses, or k where that is more."""
RRF_K = 60
"""Reciprocal rank fusion adds 1 / (60 + rank) (Cormack, Clarke, Buettcher 2009), where the engine lets it be chosen."""
BATCH = 256


class SparseEngine(SteeredEngine):
    """An engine that holds documents with their vectors and sparse codes.

    `dense` compares vectors, `latent` the codes (documents that share no latent with the query may be left out), and
    `hybrid` fuses both lists by their ranks. A boost or an exclusion ranks the candidates of each list again, by the
    vectors that the engine holds.
    """

    views = ("dense", "latent", "hybrid")

    def add(
        self,
        texts: Sequence[str],
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        *,
        embeddings: FloatArray | None = None,
    ) -> list[str]:
        """Embed, encode and write documents, and return their ids; an id that is there already is replaced.

        Args:
            texts: The documents.
            ids: Their ids, unique and not empty; made up when not given.
            metadata: One mapping per document with string keys and JSON values, or what `json_values` makes such.
            embeddings: Unit rows, shape (n, d_in), if they are known already.

        Raises:
            DataError: Lengths differ, an id occurs twice, an embedding is not a unit row, ...; nothing was added.
            EngineError: The engine does not answer; the blocks before stay.
        """
        texts = as_list(texts, "texts")
        names = [uuid.uuid4().hex for _ in texts] if ids is None else as_list(ids, "ids")
        given: list[Mapping[str, Any]] = [{} for _ in texts] if metadata is None else as_list(metadata, "metadata")
        check_documents(names, texts, given)
        extra = [json_values(entry) for entry in given]
        self._check_sizes(names, texts, extra)
        rows = None if embeddings is None else check_unit_rows(embeddings, "embeddings", self.bundle.d_in)
        if rows is not None and len(rows) != len(texts):
            raise DataError(f"{len(texts)} texts but {len(rows)} embeddings: give one per text")
        for start in range(0, len(texts), BATCH):
            part = slice(start, start + BATCH)
            vectors = self.bundle.embed_documents(texts[part]) if rows is None else rows[part]
            codes = codes_of(*self.bundle.encode(vectors))
            self._call(self._write, names[part], texts[part], extra[part], vectors, codes)
        return names

    @abstractmethod
    def _write(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadata: Sequence[dict[str, Any]],
        vectors: FloatArray,
        codes: Sequence[Code],
    ) -> None:
        """Write a block of checked documents."""

    @abstractmethod
    def _dense(self, vector: FloatArray, k: int, filter: Any) -> list[Hit]:
        """Return the best `k` by the cosine with a vector of shape (d_in,)."""

    @abstractmethod
    def _latent(self, code: Code, k: int, filter: Any) -> list[Hit]:
        """Return the best `k` by the inner product with a code, which may be empty."""

    def _hybrid(self, vector: FloatArray, code: Code, k: int, filter: Any) -> list[Hit]:
        """Return the best `k` of both lists; an engine that can fuse them itself overrides this."""
        depth = max(k, DEPTH)
        return fused(self._dense(vector, depth, filter), self._latent(code, depth, filter))[:k]

    def _hits(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        if view == "dense":
            return self._dense(steered.vector, k, filter)
        code = code_of(steered)
        if view == "latent":
            return self._latent(code, k, filter)
        return self._hybrid(steered.vector, code, k, filter) if code else self._dense(steered.vector, k, filter)

    def _by_terms(self, steered: SteeredQuery, view: str, k: int, filter: Any) -> list[Hit]:
        if view == "dense":
            return super()._by_terms(steered, view, k, filter)
        if view == "hybrid":
            depth = max(k, DEPTH)
            return fused(*(self._by_terms(steered, each, depth, filter) for each in ("dense", "latent")))[:k]
        depth, code = self._depth(steered, k), code_of(steered.alone)
        hits = joined(self._latent(code, depth, filter), self._dense(steered.vector, depth, filter))
        if not hits:
            return []
        vectors = self._vectors(hits)
        # Of every candidate, since the engine told the scores of its best only.
        codes = codes_of(*self.bundle.encode(vectors))
        scores = np.array([sum(code[latent] * own[latent] for latent in code.keys() & own.keys()) for own in codes])
        similar = scores / max(HALF * float(scores.max()), 1e-12)
        return ranked_by_terms(steered, hits, vectors, k, similar)

    def _vectors(self, hits: Sequence[Hit]) -> FloatArray:
        """Return the vectors that the engine holds; a document that another program wrote is embedded."""
        rows = self.vectors([hit.id for hit in hits])
        missing = iter(self._texts.of([hit.text for hit, row in zip(hits, rows, strict=True) if row is None]))
        found = [next(missing) if row is None else row for row in rows]
        return unit_rows(np.stack(found)) if found else np.zeros((0, self.bundle.d_in), np.float32)

    def _check_sizes(self, ids: Sequence[str], texts: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> None:
        """Raise a `DataError` where the engine cannot hold an id, a text or a value of the metadata."""

    def _check_dimension(self, what: str, dimension: int) -> None:
        if dimension != self.bundle.d_in:
            raise ConfigError(
                f"{what} holds vectors of dimension {dimension} and the bundle {self.bundle.path} makes "
                f"{self.bundle.d_in}: use the bundle of its embedder, or another name"
            )


def codes_of(indices: IntArray, values: FloatArray) -> list[Code]:
    """Return the codes of documents as they are compared, from what `Bundle.encode` returns, shapes (n, k)."""
    return [_code(*pair) for pair in zip(indices, unit_codes(values), strict=True)]


def code_of(steered: SteeredQuery) -> Code:
    """Return the code of a steered query: negative where it was pushed away, empty when nothing is left."""
    change = steered.change
    return _code(change.latents, unit_codes(change.after[None])[0])


def fused(*lists: Sequence[Hit]) -> list[Hit]:
    """Return the hits of all lists by reciprocal rank fusion, best first."""
    scores: dict[str, float] = {}
    hits = {hit.id: hit for found in lists for hit in found}
    for found in lists:
        for hit in found:
            scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (RRF_K + hit.rank)
    order = sorted(scores, key=lambda id: -scores[id])
    return [Hit(rank, id, scores[id], hits[id].text, hits[id].metadata) for rank, id in enumerate(order, 1)]


def _code(latents: IntArray, weights: FloatArray) -> Code:
    pairs = sorted(zip(latents.tolist(), weights.tolist(), strict=True))
    return {latent: weight for latent, weight in pairs if weight}
