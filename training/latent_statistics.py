"""What each latent responds to: how often it fires, how strongly, on which texts, and a label from their words."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..arrays import FloatArray, IntArray

logger = logging.getLogger(__name__)

EXAMPLES = 5
LABEL_TEXTS = 20
EXAMPLE_CHARACTERS = 240
_WORD = re.compile(r"[^\W\d_][\w'-]{2,}")


def words_of(text: str) -> list[str]:
    """Lower-cased words of three letters and more."""
    return [word.casefold() for word in _WORD.findall(text)]


def latent_statistics(indices: IntArray, values: FloatArray, n_latents: int) -> list[dict[str, Any]]:
    """Density and activation quantiles per latent, and the rows of its strongest texts.

    Args:
        indices: Latent ids, shape (n, k), int64.
        values: Activations, shape (n, k), float32; 0 = not active.
        n_latents: Number of latents.

    Returns:
        One dict per latent: `id`, `density` (share of texts it fires on), `mean`, `p95` and `max` of its activation
        where it fires (0 when it never does), `top` (rows of its strongest texts, strongest first).
    """
    n, k = indices.shape
    active = values.ravel() > 0
    latents, acts = indices.ravel()[active], values.ravel()[active]
    rows = np.repeat(np.arange(n), k)[active]
    order = np.lexsort((rows, -acts, latents))  # by latent, then strongest first, then first row
    latents, acts, rows = latents[order], acts[order], rows[order]
    starts = np.searchsorted(latents, np.arange(n_latents + 1))
    statistics = []
    for latent in range(n_latents):
        part = slice(starts[latent], starts[latent + 1])
        mine = acts[part]
        fired = len(mine) > 0
        statistics.append(
            {
                "id": latent,
                "density": len(mine) / n,
                "mean": float(mine.mean()) if fired else 0.0,
                "p95": float(np.percentile(mine, 95)) if fired else 0.0,
                "max": float(mine[0]) if fired else 0.0,
                "top": rows[part][:LABEL_TEXTS].tolist(),
            }
        )
    return statistics


def describe_latents(statistics: list[dict[str, Any]], texts: Iterable[str]) -> list[dict[str, Any]]:
    """Add `label`, `keywords` and `examples` to the statistics, in one pass over the texts.

    A keyword of a latent is a word that many of its strongest texts share and few others have: the share of its texts
    that hold the word times the word's inverse document frequency (class-based tf-idf, Grootendorst 2022,
    arXiv:2203.05794, with presence in place of counts so that one long text cannot decide).

    Args:
        statistics: From `latent_statistics`; `top` refers to positions in `texts`.
        texts: The texts that the codes belong to, in the same order.

    Returns:
        The entries of features.json: the statistics without `top`; a latent that never fires has label None.
    """
    wanted = {row for entry in statistics for row in entry["top"]}
    frequency: Counter[str] = Counter()
    kept: dict[int, tuple[str, frozenset[str]]] = {}
    n = 0
    for row, text in enumerate(texts):
        words = frozenset(words_of(text))
        frequency.update(words)
        if row in wanted:
            kept[row] = (" ".join(text.split())[:EXAMPLE_CHARACTERS], words)
        n += 1
    taken: set[str] = set()
    features = []
    for entry in sorted(statistics, key=lambda e: (-e["density"], e["id"])):  # common latents get the short labels
        keywords = _keywords([kept[row][1] for row in entry["top"]], frequency, n)
        features.append(
            {
                "id": entry["id"],
                "label": _label(keywords, taken) if entry["top"] else None,
                **{name: entry[name] for name in ("density", "mean", "p95", "max")},
                "keywords": keywords,
                "examples": [kept[row][0] for row in entry["top"][:EXAMPLES]],
            }
        )
    return sorted(features, key=lambda e: int(e["id"]))


def _keywords(texts: list[frozenset[str]], frequency: Counter[str], n: int, limit: int = 8) -> list[str]:
    """The most telling words, nearer the top of the list when more of the strongest texts hold them."""
    share: dict[str, float] = {}
    for rank, words in enumerate(texts):
        for word in words:
            share[word] = share.get(word, 0.0) + 1.0 / math.sqrt(rank + 1.0)
    scored = {word: weight * math.log((n + 1) / frequency[word]) for word, weight in share.items()}
    return sorted(scored, key=lambda word: (-scored[word], word))[:limit]


def _label(keywords: list[str], taken: set[str]) -> str:
    """Two or three keywords that no other latent has as its label yet."""
    for length in (2, 3, 4, 5, 6, 7, 8):
        label = ", ".join(keywords[:length])
        if label and label not in taken:
            taken.add(label)
            return label
    base, number = ", ".join(keywords[:3]) or "texts without words", 2
    while f"{base} ({number})" in taken:
        number += 1
    taken.add(f"{base} ({number})")
    return f"{base} ({number})"
