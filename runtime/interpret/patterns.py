"""Patterns of a latent: the words in its strongest sentences that it cannot do without, and what may stand for them.

References:
    Foote et al. 2023, "Neuron to Graph: Interpreting Language Model Neurons at Scale", arXiv:2305.19911.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...metrics import FloatArray, unit_rows
from ..bundle import Bundle
from .entries import Pattern
from .labels import says_the_same
from .occlusion import KEEPS, Embed, Found, activations_of
from .phrases import Phrases

MATTERS = 0.2
"""Words are part of a pattern when this share of the activation is lost without them."""
PLACES = 3
SUBSTITUTES = 3
"""Candidates that are tried for the word that matters most."""
BLOCK = 256


def words_that_matter(found: Found) -> tuple[str, ...]:
    """Words of a sentence that matter, most decisive first; empty when the latent is not active in it."""
    ordered = sorted(found.spans, key=lambda span: (-span[2], span[0]))
    kept = [span for span in ordered if span[2] >= MATTERS] or ordered[:1]
    return tuple(found.sentence[a:b].casefold() for a, b, _ in kept[:PLACES])


def find_patterns(
    bundle: Bundle, founds: Sequence[Found], phrases: Phrases, typical: FloatArray, embed: Embed
) -> dict[int, tuple[Pattern, ...]]:
    """Patterns of latents, with substitutes for the words that matter most.

    Args:
        bundle: Encodes.
        founds: Any number per latent.
        phrases: Where substitutes are looked for: those nearest to the word.
        typical: Typical activation per latent, shape (n_latents,).
        embed: Embeds texts.

    Returns:
        Latent -> its patterns, most supported first, then strongest.
    """
    read = [(found, words) for found in founds if (words := words_that_matter(found))]
    trials = list(_substitutions(read, _neighbours([words[0] for _, words in read], phrases, embed)))
    kept = activations_of(
        bundle, embed([text for *_, text in trials], "substitute words"), [read[i][0].latent for i, *_ in trials]
    )
    working: dict[int, list[tuple[float, str]]] = {}
    for (i, word, _), activation in zip(trials, kept, strict=True):
        if activation >= KEEPS * (read[i][0].kept or read[i][0].activation):
            working.setdefault(i, []).append((-float(activation), word))
    merged: dict[int, dict[tuple[str, ...], Pattern]] = {}
    for i, (found, words) in enumerate(read):
        mine = merged.setdefault(found.latent, {})
        weight = (found.kept or found.activation) / max(float(typical[found.latent]), 1e-12)
        substitutes = [word for _, word in sorted(working.get(i, []))]
        support = 1
        if (known := mine.get(words)) is not None:
            substitutes = [*known.tokens[0], *substitutes]
            weight, support = max(weight, known.weight), known.support + 1
        first = tuple(dict.fromkeys([words[0], *substitutes]))
        mine[words] = Pattern((first, *((word,) for word in words[1:])), round(weight, 4), support)
    return {
        latent: tuple(sorted(mine.values(), key=lambda p: (-p.support, -p.weight, p.tokens)))
        for latent, mine in merged.items()
    }


def _neighbours(words: Sequence[str], phrases: Phrases, embed: Embed) -> dict[str, list[str]]:
    """For each word or phrase the nearest phrases that are not the same word in another form."""
    unique = sorted(set(words))
    if not unique or not phrases.texts:
        return {}
    rows = unit_rows(embed(unique, "read words") - phrases.mean)
    near: dict[str, list[str]] = {}
    wanted = min(3 * SUBSTITUTES, len(phrases.texts))
    for start in range(0, len(unique), BLOCK):
        closeness = rows[start : start + BLOCK] @ phrases.centred.T
        best = np.argpartition(-closeness, wanted - 1, axis=1)[:, :wanted]
        for word, columns, row in zip(unique[start : start + BLOCK], best, closeness, strict=False):
            ordered = (phrases.texts[c] for c in columns[np.argsort(-row[columns], kind="stable")])
            near[word] = [other for other in ordered if not says_the_same(other, word)][:SUBSTITUTES]
    return near


def _substitutions(
    read: Sequence[tuple[Found, tuple[str, ...]]], neighbours: Mapping[str, list[str]]
) -> Iterator[tuple[int, str, str]]:
    """(which, substitute, the minimal span with it in place of the word that matters most)."""
    for i, (found, words) in enumerate(read):
        start, stop = found.minimal or (0, len(found.sentence))
        span = found.sentence[start:stop]
        at = span.casefold().find(words[0])
        if at < 0:
            continue  # case folding changes the length of some letters
        for other in neighbours.get(words[0], ()):
            yield i, other, span[:at] + other + span[at + len(words[0]) :]
