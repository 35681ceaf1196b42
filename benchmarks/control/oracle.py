"""The paper's control experiment as its code has it: an oracle, since what is boosted is what is relevant.

*Document side*: in the code of every relevant document the query's latents are raised by delta. *Query side*: in the
code of the query the latents of every relevant document are. Queries and documents are reconstructions. (arXiv
2411.00786, section 4. Its code raises by an absolute delta, without another TopK. How many latents it took is not
known: here all k.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from steersearch.arrays import FloatArray, unit_rows
from steersearch.runtime import Bundle

DELTAS = (0.0, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512)
DEPTH = 10
SIDES = ("document side", "query side")


def oracle_curves(
    bundle: Bundle, documents: FloatArray, queries: FloatArray, relevant: Sequence[Mapping[int, int]]
) -> dict[str, dict[str, list[float]]]:
    """Side -> MRR@10, P@10 and R@10 (means over the queries), one value per delta.

    Args:
        bundle: The autoencoder.
        documents: Unit rows, shape (n, d).
        queries: Unit rows, shape (m, d).
        relevant: Per query the rows of its relevant documents; at least one each.
    """
    document_code, query_code = bundle.encode(documents), bundle.encode(queries)
    rows, asked = bundle.decode(*document_code), bundle.decode(*query_code)
    # Raising a latent by delta adds delta times its atom to the reconstruction.
    document_step, query_step = (
        (bundle.atoms[code[0]] * (code[1] > 0)[:, :, None]).sum(1) for code in (document_code, query_code)
    )
    searched = unit_rows(rows)
    figures: dict[str, dict[str, list[float]]] = {side: {"MRR@10": [], "P@10": [], "R@10": []} for side in SIDES}
    for delta in DELTAS:
        found: dict[str, list[tuple[float, float, float]]] = {side: [] for side in SIDES}
        for query, judged in enumerate(relevant):
            gold = np.array(sorted(judged))
            plain = unit_rows(asked[query][None])[0]
            scores = searched @ plain
            scores[gold] = unit_rows(rows[gold] + delta * query_step[query]) @ plain
            found["document side"].append(_figures(scores, gold))
            raised = asked[query] + delta * document_step[gold].sum(0)
            found["query side"].append(_figures(searched @ unit_rows(raised[None])[0], gold))
        for side in SIDES:
            for name, value in zip(figures[side], np.mean(found[side], 0).tolist(), strict=True):
                figures[side][name].append(value)
    return figures


def _figures(scores: FloatArray, gold: np.ndarray) -> tuple[float, float, float]:
    """MRR, precision and recall at 10 of one query."""
    top = np.argsort(-scores, kind="stable")[:DEPTH]
    hits = np.flatnonzero(np.isin(top, gold))
    return (1 / (1 + int(hits[0])) if len(hits) else 0.0), len(hits) / DEPTH, len(hits) / len(gold)
