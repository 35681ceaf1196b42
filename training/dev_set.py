"""What a model keeps of dense retrieval on queries it was not trained on: the figure that training is steered by."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..arrays import FloatArray, IntArray, unit_rows
from ..errors import DataError
from ..metrics import alive_share, fvu, l0, mean_jaccard, overlap_at, qrels_of, run_of, score_run, unit_codes
from .batches import nearest
from .sae import Codes, SparseAutoencoder, decode_all, encode_all
from .sparse_ops import row_sums

logger = logging.getLogger(__name__)

HELD_OUT = 0.05
"""Share of the queries that is held out when they have no judgments."""
JUDGED_HELD_OUT = 0.15
"""Share of the real queries that is held out: they have judgments, but there are often only hundreds of them."""
MIN_JUDGED = 100
"""With fewer real queries nDCG over the held-out part would say nothing, and all queries take part in the split."""
SAMPLE = 20_000
"""Rows that the mean and the variance are taken from."""


def split_queries(
    documents: FloatArray,
    queries: FloatArray,
    n_real: int,
    relevant: Sequence[Mapping[int, int]] | None,
    *,
    seed: int,
) -> tuple[FloatArray, int, DevSet]:
    """Hold out queries for the dev set: judged ones if there are at least 100, else any.

    Args:
        documents: Unit rows, shape (n, d_in).
        queries: Unit rows, shape (m, d_in), the real ones first.
        n_real: Number of real ones.
        relevant: Judgments of the real ones, or None.
        seed: The same seed holds out the same queries.

    Returns:
        The queries to train on, how many of them are real, and the dev set. A single query is in both.
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


def moments(documents: FloatArray) -> tuple[FloatArray, float]:
    """Mean, shape (d_in,), and mean squared distance from it, of rows spread evenly over the documents.

    Raises:
        DataError: All rows are the same.
    """
    sample = np.array(documents[:: max(1, len(documents) // SAMPLE)][:SAMPLE], np.float32)
    mean = sample.mean(0)
    spread = ((sample - mean) ** 2).mean(0)
    variance = float(spread.sum())
    if variance < 1e-8:
        raise DataError(f"the embeddings are all the same (variance {variance:.1e}): nothing can be learned from them")
    constant = np.flatnonzero(sample.min(0) == sample.max(0))
    if len(constant):
        logger.warning(
            "%d column(s) of the embeddings never change, the first is %d: training goes on without them, "
            "but look at the embedder",
            len(constant),
            constant[0],
        )
    return mean, variance


def check_embeddings(array: FloatArray, name: str) -> FloatArray:
    """Refuse what is not a matrix of finite unit rows; read block by block.

    Raises:
        DataError: Wrong shape or dtype, NaN, infinite or zero rows, rows that are not of unit length.
    """
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{name} has shape {array.shape} and dtype {array.dtype}: expected (n, d_in) of floats")
    if array.shape[0] < 2 or array.shape[1] < 2:
        raise DataError(f"{name} has shape {array.shape}: expected at least 2 rows and 2 columns")
    for start in range(0, len(array), 65_536):
        norms = np.linalg.norm(np.asarray(array[start : start + 65_536], np.float32), axis=1)
        bad = np.flatnonzero(~np.isfinite(norms) | (np.abs(norms - 1) > 1e-2))
        if len(bad):
            row, norm = start + int(bad[0]), float(norms[bad[0]])
            cure = "remove NaN and infinite values" if not np.isfinite(norm) else "divide every row by its length first"
            raise DataError(f"{name}: row {row} has length {norm:.4g}, expected unit rows (length 1): {cure}")
    return array


Pair = tuple[IntArray, FloatArray]

MAX_DOCUMENTS = 20_000
MAX_QUERIES = 1000
BLOCK = 8192


@dataclass(frozen=True)
class DevSet:
    """Held-out queries and the documents they are searched in."""

    queries: FloatArray
    """Unit rows, shape (queries, d_in), not trained on."""
    documents: FloatArray
    """Unit rows, shape (documents, d_in); these may be trained on, as the documents of an index are."""
    relevant: Sequence[Mapping[int, int]] | None = None
    """Row of a document -> grade, per query; None without judgments."""

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
        """Bound the work: all documents, or those that matter to the queries and random others.

        Args:
            queries: Unit rows, shape (queries, d_in); the first 1,000 are used.
            documents: Unit rows, shape (documents, d_in); may be memory-mapped.
            relevant: Judgments by row of `documents`.
            limit: Documents that are searched, at most.
            seed: Chooses the random ones.
        """
        queries = np.array(queries[:MAX_QUERIES], np.float32)
        relevant = None if relevant is None else list(relevant[:MAX_QUERIES])
        if len(documents) <= limit:
            return cls(queries, np.array(documents, np.float32), relevant)
        judged = np.array(sorted({row for rows in relevant or () for row in rows}), np.int64)
        near = nearest(queries, documents, max(10, min(100, limit // (2 * len(queries)))))
        rows = np.union1d(judged, near)
        others = np.random.default_rng(seed).permutation(len(documents))[: max(0, limit - len(rows))]
        rows = np.union1d(rows, others)
        if relevant is not None:
            relevant = [{int(np.searchsorted(rows, r)): grade for r, grade in pairs.items()} for pairs in relevant]
        return cls(queries, np.stack([documents[row] for row in rows]).astype(np.float32), relevant)

    def measure(self, sae: SparseAutoencoder) -> dict[str, float]:
        """Reconstruction, sparsity and retention.

        Returns:
            `fvu`, `fvu_queries`, `l0`, `alive`, `jaccard`; `overlap10_reconstruction` and `overlap10_latent`, the share
            of the dense top 10 that is kept, and `retention`, their mean; with judgments also `ndcg10_reconstruction`
            and `ndcg10_latent`, shares of the dense nDCG@10. Weights are chosen by `retention`: over a hundred judged
            queries nDCG differs by 1.5 points between equal models, and would choose half-trained ones.
        """
        codes, query_codes = encode_all(sae, self.documents), encode_all(sae, self.queries)
        x_hat, q_hat = decode_all(sae, *codes), decode_all(sae, *query_codes)
        dense = self.queries @ self.documents.T
        scores = {
            "reconstruction": q_hat @ unit_rows(x_hat).T,
            "latent": latent_scores(query_codes, codes, sae.config.n_latents),
        }
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
            best = score_run(run_of(dense), qrels)["nDCG@10"]
            figures |= {
                f"ndcg10_{view}": score_run(run_of(found), qrels)["nDCG@10"] / max(best, 1e-9)
                for view, found in scores.items()
            }
        return figures


def latent_scores(queries: Pair, documents: Pair, n_latents: int) -> FloatArray:
    """Cosines of sublinear codes, shape (queries, documents), without a dense matrix of the documents' codes."""
    (ids, values), (own_ids, own_values) = (
        (torch.from_numpy(i), torch.from_numpy(unit_codes(v))) for i, v in (queries, documents)
    )
    rows = Codes(ids, values).dense(n_latents).T.contiguous()  # (n_latents, queries)
    blocks = (slice(start, start + BLOCK) for start in range(0, len(own_ids), BLOCK))
    return torch.cat([row_sums(own_ids[b], own_values[b], rows) for b in blocks]).T.numpy()
