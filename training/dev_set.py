"""Held-out queries, and the share of dense retrieval that a model keeps on them: training selects weights by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..arrays import FloatArray, IntArray, unit_rows
from ..metrics import alive_share, fvu, l0, mean_jaccard, overlap_at, qrels_of, run_of, score_run, unit_codes
from .batches import nearest
from .sae import Codes, SparseAutoencoder, decode_all, encode_all
from .sparse_ops import row_sums

HELD_OUT = 0.05
"""Share of the queries that is held out when there are too few judgments."""
JUDGED_HELD_OUT = 0.15
"""Share of the judged queries that is held out. There are often only hundreds of them."""
MIN_JUDGED = 100
"""Fewest judged queries for which nDCG is measured. With fewer, queries of all kinds are held out."""
MAX_DOCUMENTS = 20_000
MAX_QUERIES = 1000
"""Bounds of a dev set."""
BLOCK = 8192
"""Documents whose latent scores are computed together."""
Encoded = tuple[IntArray, FloatArray]
"""Indices and values of codes, each (n, k)."""


@dataclass(frozen=True)
class DevSet:
    """Held-out queries and the documents they are searched in."""

    queries: FloatArray
    """Unit rows, shape (queries, d_in); the model is not trained on them."""
    documents: FloatArray
    """Unit rows, shape (documents, d_in); the model may be trained on them, as on the documents of an index."""
    relevant: Sequence[Mapping[int, int]] | None = None
    """Judgments of each query: row of a document -> grade. None without judgments."""

    @classmethod
    def choose(
        cls,
        queries: FloatArray,
        documents: FloatArray,
        relevant: Sequence[Mapping[int, int]] | None = None,
        *,
        limit: int = MAX_DOCUMENTS,
        seed: int = 0,
    ) -> DevSet:
        """Make a dev set of bounded size: all documents, or the judged and nearest ones and random others.

        Args:
            queries: Unit rows, shape (queries, d_in); the first 1,000 are used.
            documents: Unit rows, shape (documents, d_in); may be memory-mapped.
            relevant: Judgments by row of `documents`.
            limit: Most documents.
            seed: Seed of the random choice.
        """
        queries = np.array(queries[:MAX_QUERIES], np.float32)
        relevant = None if relevant is None else list(relevant[:MAX_QUERIES])
        if len(documents) <= limit:
            return cls(queries, np.array(documents, np.float32), relevant)
        judged = np.array(sorted({row for rows in relevant or () for row in rows}), np.int64)
        near = nearest(queries, documents, max(10, min(100, limit // (2 * len(queries)))))
        rows = np.union1d(judged, near)
        rows = np.union1d(rows, np.random.default_rng(seed).permutation(len(documents))[: max(0, limit - len(rows))])
        if relevant is not None:
            relevant = [{int(np.searchsorted(rows, r)): grade for r, grade in pairs.items()} for pairs in relevant]
        return cls(queries, np.stack([documents[row] for row in rows]).astype(np.float32), relevant)

    def measure(self, sae: SparseAutoencoder) -> dict[str, float]:
        """Measure reconstruction, sparsity and retention.

        Returns:
            `fvu`, `fvu_queries`, `l0`, `alive` and `jaccard`; `overlap10_reconstruction` and `overlap10_latent`, the
            share of the dense top 10 that is kept; `retention`, the mean of these two. With judgments also
            `ndcg10_reconstruction` and `ndcg10_latent`, shares of the dense nDCG@10. Training selects weights by
            `retention`: over a hundred judged queries nDCG differs by 1.5 points between equal models.
        """
        codes, query_codes = encode_all(sae, self.documents), encode_all(sae, self.queries)
        x_hat, q_hat = decode_all(sae, *codes), decode_all(sae, *query_codes)
        dense = self.queries @ self.documents.T
        latent = latent_scores(query_codes, codes, sae.config.n_latents)
        scores = {"reconstruction": q_hat @ unit_rows(x_hat).T, "latent": latent}
        figures = {
            "fvu": fvu(self.documents, x_hat),
            "fvu_queries": fvu(self.queries, q_hat, self.documents.mean(0)),
            "l0": l0(codes[1]),
            "alive": alive_share(*codes, sae.config.n_latents),
            "jaccard": mean_jaccard(*codes),
        }
        kept = {f"overlap10_{view}": overlap_at(dense, found) for view, found in scores.items()}
        figures |= kept | {"retention": sum(kept.values()) / len(kept)}
        if self.relevant is not None:
            qrels = qrels_of(self.relevant)
            best = max(score_run(run_of(dense), qrels)["nDCG@10"], 1e-9)
            for view, found in scores.items():
                figures[f"ndcg10_{view}"] = score_run(run_of(found), qrels)["nDCG@10"] / best
        return figures


def split_queries(
    documents: FloatArray, queries: FloatArray, n_real: int, relevant: Sequence[Mapping[int, int]] | None, *, seed: int
) -> tuple[FloatArray, int, DevSet]:
    """Hold out queries for the dev set: judged ones if there are at least 100, else queries of all kinds.

    Args:
        documents: Unit rows, shape (n, d_in).
        queries: Unit rows, shape (m, d_in), the `n_real` real ones first.
        n_real: Number of real ones.
        relevant: Judgments of the real ones, or None.
        seed: The same seed holds out the same queries.

    Returns:
        The queries to train on, the number of real ones among them, and the dev set. A single query is in both.
    """
    judged = relevant is not None and n_real >= MIN_JUDGED
    among, share = (n_real, JUDGED_HELD_OUT) if judged else (len(queries), HELD_OUT)
    held = np.sort(np.random.default_rng(seed).permutation(among)[: min(max(1, int(among * share)), MAX_QUERIES)])
    chosen = np.array(queries[held], np.float32)
    rows = [relevant[i] for i in held] if judged and relevant is not None else None
    dev = DevSet.choose(chosen, documents, rows, seed=seed)
    if len(queries) == 1:
        return queries, n_real, dev
    kept = np.setdiff1d(np.arange(len(queries)), held)
    return queries[kept], int((kept < n_real).sum()), dev


def latent_scores(queries: Encoded, documents: Encoded, n_latents: int) -> FloatArray:
    """Return cosines of sublinear codes, shape (queries, documents), without a dense matrix of document codes."""
    (ids, values), (own_ids, own_values) = (
        (torch.from_numpy(i), torch.from_numpy(unit_codes(v))) for i, v in (queries, documents)
    )
    rows = Codes(ids, values).dense(n_latents).T.contiguous()  # (n_latents, queries)
    blocks = (slice(start, start + BLOCK) for start in range(0, len(own_ids), BLOCK))
    return torch.cat([row_sums(own_ids[b], own_values[b], rows) for b in blocks]).T.numpy()
