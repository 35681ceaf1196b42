"""What a model keeps of dense retrieval on queries it was not trained on: the figure that training is steered by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..metrics import FloatArray, IntArray, alive_share, fvu, l0, mean_jaccard, overlap_at, unit_codes, unit_rows
from ..ranking import qrels_of, run_of, score_run
from .codes import decode_all, encode_all
from .neighbours import nearest
from .sae import Codes, SparseAutoencoder
from .sparse_ops import row_sums

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
