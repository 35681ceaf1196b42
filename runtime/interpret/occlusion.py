"""What in a sentence makes a latent active: leave words out, embed again, look.

The paper's code does this with bare pieces of text, without [CLS] and without an attention mask. Here every piece is a
whole text for the bundle's own embedder, so the model sees what it was made for. Trying every word of every sentence
would take hours on a small CPU: the token model proposes which words matter, the embedder decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...arrays import FloatArray, unit_rows
from ...text import WORD
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Pattern
from .labels import STOP_WORDS, Phrases, says_the_same
from .neuron2graph import TokenModel

KEEPS = 0.5
"""A part of a text keeps a latent active when it has this share of the text's activation (as in Neuron-to-Graph)."""
CHUNK_WORDS = 2
SPANS = 3
"""Spans that are tried: around the one, two and three chunks that promise most."""
MOST_LEFT_OUT = 6
"""Chunks of a text that are left out one by one."""

Span = tuple[int, int]
Embed = Callable[[Sequence[str], str], FloatArray]
"""Embeds texts; the second argument names the step for a progress bar."""


@dataclass(frozen=True)
class Found:
    """One sentence in which a latent is active, and what in it matters."""

    latent: int
    sentence: str
    activation: float
    """Of the sentence alone; 0 when the latent needs the rest of the document."""
    minimal: Span | None = None
    """Characters of the shortest tried span that alone keeps half of the activation; None when none does."""
    kept: float = 0.0
    """Activation of that span alone."""
    spans: tuple[tuple[int, int, float], ...] = ()
    """Characters of the words that were left out, and the share of the activation that is lost without them, 0 to 1, in
    reading order. Measured in the minimal span where there is one, else in the sentence."""


def chunks_of(sentence: str) -> list[Span]:
    """Where the words are that may matter: runs of at most two that are no stop words, character ranges in order."""
    found: list[Span] = []
    words = 0
    for match in WORD.finditer(sentence):
        if match.group().casefold() in STOP_WORDS:
            continue
        if found and words < CHUNK_WORDS and sentence[found[-1][1] : match.start()] == " ":
            found[-1] = (found[-1][0], match.end())
            words += 1
        else:
            found.append(match.span())
            words = 1
    return found


def activations_of(bundle: Bundle, embeddings: FloatArray, latents: Sequence[int]) -> FloatArray:
    """Activation of one latent per text, shape (n,): `latents[i]` in row i."""
    indices, values = bundle.encode(embeddings)
    found: FloatArray = np.where(indices == np.asarray(latents, np.int64)[:, None], values, 0.0).sum(1)
    return found


def occlude(bundle: Bundle, model: TokenModel, founds: Sequence[Found], embed: Embed) -> list[Found]:
    """Find the shortest span that keeps each latent active, and the words in it that it cannot do without.

    Args:
        bundle: Encodes, and knows the atoms.
        model: Proposes words.
        founds: Sentences with the activation of the latent in them.
        embed: Embeds texts.

    Returns:
        The same with `minimal`, `kept` and `spans`; unchanged where the activation is 0.
    """
    chunks = [chunks_of(found.sentence) if found.activation > 0 else [] for found in founds]
    shares = _shares(bundle, model, founds, chunks)
    tried = [(i, span) for i in range(len(founds)) for span in _proposals(chunks[i], shares[i])]
    kept = activations_of(
        bundle,
        embed([founds[i].sentence[a:b] for i, (a, b) in tried], "find what matters"),
        [founds[i].latent for i, _ in tried],
    )
    best: dict[int, tuple[Span, float]] = {}
    for (i, span), activation in zip(tried, kept, strict=True):
        shorter = i not in best or span[1] - span[0] < best[i][0][1] - best[i][0][0]
        if shorter and activation >= KEEPS * founds[i].activation:
            best[i] = (span, float(activation))
    left_out: list[tuple[int, Span]] = []
    texts: list[str] = []
    for i, found in enumerate(founds):
        start, stop = best[i][0] if i in best else (0, len(found.sentence))
        inside = [j for j, (a, b) in enumerate(chunks[i]) if start <= a and b <= stop]
        inside = sorted(sorted(inside, key=lambda j: -shares[i][j])[:MOST_LEFT_OUT])
        for a, b in (chunks[i][j] for j in inside):
            left_out.append((i, (a, b)))
            texts.append(found.sentence[start:a] + found.sentence[b:stop])
    without = activations_of(bundle, embed(texts, "leave words out"), [founds[i].latent for i, _ in left_out])
    spans: dict[int, list[tuple[int, int, float]]] = {}
    for (i, (a, b)), activation in zip(left_out, without, strict=True):
        whole = best[i][1] if i in best else founds[i].activation
        spans.setdefault(i, []).append((a, b, round(float(np.clip(1 - activation / whole, 0.0, 1.0)), 3)))
    result = []
    for i, found in enumerate(founds):
        minimal, activation = best.get(i, (None, 0.0))
        result.append(replace(found, minimal=minimal, kept=activation, spans=tuple(spans.get(i, ()))))
    return result


def _shares(
    bundle: Bundle, model: TokenModel, founds: Sequence[Found], chunks: Sequence[Sequence[Span]]
) -> list[FloatArray]:
    """What each chunk of each sentence adds for its latent by the token model."""
    texts = [found.sentence[a:b] for found, spans in zip(founds, chunks, strict=True) for a, b in spans]
    unique = sorted(set(texts))
    rows = model.sums(bundle.tokenise(unique))
    number = {text: i for i, text in enumerate(unique)}
    return [
        rows[[number[found.sentence[a:b]] for a, b in spans]] @ bundle.atoms[found.latent]
        for found, spans in zip(founds, chunks, strict=True)
    ]


def _proposals(chunks: Sequence[Span], shares: FloatArray) -> Iterator[Span]:
    """From the first to the last of the one, two and three chunks that promise most."""
    order = np.argsort(-shares, kind="stable")
    seen: set[Span] = set()
    for n in range(1, min(SPANS, len(chunks)) + 1):
        chosen = [chunks[i] for i in order[:n]]
        span = (min(a for a, _ in chosen), max(b for _, b in chosen))
        if span not in seen:
            seen.add(span)
            yield span


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
