"""Statistics of each latent: how often and how strongly it fires, on which texts, and a label from their words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..arrays import FloatArray, IntArray
from ..noun_phrases import NounPhrases
from ..text import one_line

EXAMPLES = 5
"""Texts that are kept per latent."""
LABEL_TEXTS = 20
"""Strongest texts whose words make the label."""
EXAMPLE_CHARACTERS = 240
NAMED_CHARACTERS = 2000
"""Of a text that are read for names."""
ALTERNATIVES = 8
"""Names that are tried, where the best is another latent's."""
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
        The entries of features.json, without `top`. The label is a noun phrase of the strongest texts, chosen like the
        keywords; None where a latent never fires, and where its phrases are the labels of more frequent latents.
    """
    wanted = {row for entry in statistics for row in entry["top"]}
    frequency: Counter[str] = Counter()
    kept: dict[int, tuple[str, frozenset[str]]] = {}
    n = 0
    for row, text in enumerate(texts):
        words = frozenset(long_words(text))
        frequency.update(words)
        if row in wanted:
            kept[row] = (text[:NAMED_CHARACTERS], words)
        n += 1
    grammar = NounPhrases(text for text, _ in kept.values())
    phrases = {row: {phrase.key: phrase.text for phrase in grammar.of(text)} for row, (text, _) in kept.items()}
    common = Counter(key for found in phrases.values() for key in found)
    taken: set[str] = set()
    features = []
    # Common latents choose first.
    for entry in sorted(statistics, key=lambda e: (-e["density"], e["id"])):
        keywords = _keywords([kept[row][1] for row in entry["top"]], frequency, n)
        names = _names([phrases[row] for row in entry["top"]], common, len(kept))
        label = next((name for name in map(grammar.written, names) if name.casefold() not in taken), None)
        taken.add((label or "").casefold())
        features.append(
            {
                "id": entry["id"],
                "label": label,
                **{name: entry[name] for name in ("density", "mean", "p95", "max")},
                "keywords": keywords,
                "examples": [one_line(kept[row][0])[:EXAMPLE_CHARACTERS] for row in entry["top"][:EXAMPLES]],
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


def _names(texts: list[dict[tuple[str, ...], str]], common: Counter[tuple[str, ...]], n: int) -> list[str]:
    """Return noun phrases that a latent may be called by, best first; stronger texts, which come first, count more.

    Args:
        texts: Of each of its texts: key of a phrase -> how it is written.
        common: In how many of `n` texts each phrase is.
        n: Texts.
    """
    share: dict[tuple[str, ...], float] = {}
    written: dict[tuple[str, ...], str] = {}
    for rank, found in enumerate(texts):
        for key, text in found.items():
            share[key] = share.get(key, 0.0) + 1.0 / math.sqrt(rank + 1.0)
            written.setdefault(key, text)
    scored = {key: weight * math.log((n + 1) / common[key]) for key, weight in share.items()}
    return [written[key] for key in sorted(scored, key=lambda key: (-scored[key], key))[:ALTERNATIVES]]
