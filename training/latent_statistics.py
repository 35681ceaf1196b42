"""Statistics of each latent: how often and how strongly it fires, on which texts, and a label from their words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain, count
from typing import Any

import numpy as np

from ..arrays import FloatArray, IntArray
from ..text import one_line

EXAMPLES = 5
"""Texts that are kept per latent."""
LABEL_TEXTS = 20
"""Strongest texts whose words make the label."""
EXAMPLE_CHARACTERS = 240
LONGEST_WORD = 64
"""Letters of a keyword; longer ones are encoded data, and would fill features.json."""
_WORD = re.compile(r"[^\W\d_][\w'-]{2,}")


def latent_statistics(indices: IntArray, values: FloatArray, n_latents: int) -> list[dict[str, Any]]:
    """Return the density and activation quantiles of each latent, and the rows of its strongest texts.

    Args:
        indices: Latent ids, shape (n, k), int64.
        values: Activations, shape (n, k), float32; 0 means not active.
        n_latents: Number of latents.

    Returns:
        One dict per latent: `id`, `density` (share of texts it fires on), `mean`, `p95` and `max` of its activation
        where it fires (0 when it never does), `top` (rows of its strongest texts, strongest first).
    """
    n, k = indices.shape
    active = values.ravel() > 0
    latents, acts = indices.ravel()[active], values.ravel()[active]
    rows = np.repeat(np.arange(n), k)[active]
    # By latent, then strongest first, then by row.
    order = np.lexsort((rows, -acts, latents))
    latents, acts, rows = latents[order], acts[order], rows[order]
    starts = np.searchsorted(latents, np.arange(n_latents + 1))
    statistics = []
    for latent in range(n_latents):
        part = slice(starts[latent], starts[latent + 1])
        mine = acts[part]
        figures = {"mean": 0.0, "p95": 0.0, "max": 0.0}
        if len(mine):
            figures = {"mean": float(mine.mean()), "p95": float(np.percentile(mine, 95)), "max": float(mine[0])}
        top = rows[part][:LABEL_TEXTS].tolist()
        statistics.append({"id": latent, "density": len(mine) / n, **figures, "top": top})
    return statistics


def describe_latents(statistics: list[dict[str, Any]], texts: Iterable[str]) -> list[dict[str, Any]]:
    """Add `label`, `keywords` and `examples` to the statistics, in one pass over the texts.

    A keyword of a latent is a word of many of its strongest texts and of few other texts. Its score is the share of
    these texts that have the word times the word's inverse document frequency (class-based tf-idf, Grootendorst 2022,
    arXiv:2203.05794, with presence instead of counts, so that one long text cannot decide).

    Args:
        statistics: From `latent_statistics`; `top` has positions in `texts`.
        texts: The texts of the codes, in the same order.

    Returns:
        The entries of features.json, without `top`. A latent that never fires has the label None.
    """
    wanted = {row for entry in statistics for row in entry["top"]}
    frequency: Counter[str] = Counter()
    kept: dict[int, tuple[str, frozenset[str]]] = {}
    n = 0
    for row, text in enumerate(texts):
        words = frozenset(long_words(text))
        frequency.update(words)
        if row in wanted:
            kept[row] = (one_line(text)[:EXAMPLE_CHARACTERS], words)
        n += 1
    taken: set[str] = set()
    features = []
    # Common latents get the short labels.
    for entry in sorted(statistics, key=lambda e: (-e["density"], e["id"])):
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


def long_words(text: str) -> list[str]:
    """Return the lower-cased words of three and more letters, up to `LONGEST_WORD`."""
    return [word.casefold() for word in _WORD.findall(text) if len(word) <= LONGEST_WORD]


def _keywords(texts: list[frozenset[str]], frequency: Counter[str], n: int, limit: int = 8) -> list[str]:
    """Return the best keywords of a latent; stronger texts, which come first, count more."""
    share: dict[str, float] = {}
    for rank, words in enumerate(texts):
        for word in words:
            share[word] = share.get(word, 0.0) + 1.0 / math.sqrt(rank + 1.0)
    scored = {word: weight * math.log((n + 1) / frequency[word]) for word, weight in share.items()}
    return sorted(scored, key=lambda word: (-scored[word], word))[:limit]


def _label(keywords: list[str], taken: set[str]) -> str:
    """Join the fewest keywords, two at least, that are not the label of another latent."""
    base = ", ".join(keywords[:3]) or "texts without words"
    shorter = (", ".join(keywords[:length]) for length in range(2, 9))
    numbered = (f"{base} ({number})" for number in count(2))
    label = next(label for label in chain(shorter, numbered) if label and label not in taken)
    taken.add(label)
    return label
