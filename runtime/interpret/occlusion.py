"""Occlusion: which words of a sentence make a latent active, and the patterns that such words form.

Words are left out or replaced, the rest is embedded again, and the change of the activation is measured. Every piece is
a whole text for the bundle's own embedder, with the special tokens and the attention mask that the model was trained
with; the paper's code embeds bare pieces without them. Trying every word of every sentence would take hours on a small
CPU, so the token model proposes words and the embedder decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...arrays import FloatArray, unit_rows
from ...noun_phrases.stop_words import STOP_WORDS
from ...text import WORD, share_word
from ..bundle.bundle import Bundle
from ..bundle.interpretation import Pattern
from .names.candidates import Candidates
from .neuron2graph import TokenModel

MIN_KEPT = 0.5
"""A part of a text keeps a latent active with at least this share of the text's activation, as in Neuron-to-Graph."""
CHUNK_WORDS = 2
MAX_SPANS = 3
"""Spans that are tried: around the most promising chunk, the best two and the best three."""
MAX_OCCLUDED = 6
"""Chunks of a text that are left out one by one."""
MIN_SALIENCY = 0.2
"""Words are part of a pattern when at least this share of the activation is lost without them."""
MAX_PLACES = 3
"""Places of a pattern."""
SUBSTITUTES = 3
"""Candidates that are tried for the most salient word."""
BLOCK = 256

Span = tuple[int, int]
Embed = Callable[[Sequence[str], str], FloatArray]
"""Embeds texts; the second argument names the step for a progress bar."""


@dataclass(frozen=True)
class ActiveSentence:
    """A sentence in which a latent is active, and the parts of it that matter."""

    latent: int
    text: str
    activation: float
    """Of the sentence alone; 0 when the latent needs the rest of the document."""
    minimal: Span | None = None
    """Characters of the shortest tried span that alone keeps the latent active; None when none does."""
    minimal_activation: float = 0.0
    """Activation of that span alone."""
    spans: tuple[tuple[int, int, float], ...] = ()
    """Characters of words, and their saliency, 0 to 1, in reading order: their share of what sets the sentence apart in
    the latent, where the embedder tells what each word adds (`sentence_parts`); else the share of the activation that
    is lost without them, measured in the minimal span where there is one."""


def occlude(
    bundle: Bundle, model: TokenModel, sentences: Sequence[ActiveSentence], embed: Embed
) -> list[ActiveSentence]:
    """Find the shortest span of each sentence that keeps its latent active, and the saliency of the words in it.

    Sentences that have `spans` keep them; of the others the model proposes words, which are left out one by one.
    Sentences are returned with `minimal`, `minimal_activation` and `spans`; unchanged where the activation is 0.
    """
    chunks = [chunks_of(sentence.text) if sentence.activation > 0 else [] for sentence in sentences]
    exact = [bool(sentence.spans) for sentence in sentences]
    shares = [
        np.array([saliency for *_, saliency in sentence.spans], np.float32) if known and spans else guessed
        for sentence, known, spans, guessed in zip(
            sentences, exact, chunks, _chunk_shares(bundle, model, sentences, chunks), strict=True
        )
    ]
    tried = [(i, span) for i in range(len(sentences)) for span in _propose_spans(chunks[i], shares[i])]
    kept = activations_of(
        bundle,
        embed([sentences[i].text[a:b] for i, (a, b) in tried], "find what matters"),
        [sentences[i].latent for i, _ in tried],
    )
    minimal: dict[int, tuple[Span, float]] = {}
    for (i, span), activation in zip(tried, kept, strict=True):
        shorter = i not in minimal or span[1] - span[0] < minimal[i][0][1] - minimal[i][0][0]
        if shorter and activation >= MIN_KEPT * sentences[i].activation:
            minimal[i] = (span, float(activation))
    occluded: list[tuple[int, Span]] = []
    texts: list[str] = []
    for i, sentence in enumerate(sentences):
        if exact[i]:
            continue
        start, stop = minimal[i][0] if i in minimal else (0, len(sentence.text))
        inside = [j for j, (a, b) in enumerate(chunks[i]) if start <= a and b <= stop]
        inside = sorted(sorted(inside, key=lambda j: -shares[i][j])[:MAX_OCCLUDED])
        for a, b in (chunks[i][j] for j in inside):
            occluded.append((i, (a, b)))
            texts.append(sentence.text[start:a] + sentence.text[b:stop])
    without = activations_of(bundle, embed(texts, "leave words out"), [sentences[i].latent for i, _ in occluded])
    spans: dict[int, list[tuple[int, int, float]]] = {}
    for (i, (a, b)), activation in zip(occluded, without, strict=True):
        whole = minimal[i][1] if i in minimal else sentences[i].activation
        spans.setdefault(i, []).append((a, b, round(float(np.clip(1 - activation / whole, 0.0, 1.0)), 3)))
    result = []
    for i, sentence in enumerate(sentences):
        shortest, activation = minimal.get(i, (None, 0.0))
        found = sentence.spans if exact[i] else tuple(spans.get(i, ()))
        result.append(replace(sentence, minimal=shortest, minimal_activation=activation, spans=found))
    return result


def find_patterns(
    bundle: Bundle, sentences: Sequence[ActiveSentence], phrases: Candidates, typical: FloatArray, embed: Embed
) -> dict[int, tuple[Pattern, ...]]:
    """Make patterns of the salient words of sentences from `occlude`, with substitutes for the most salient one.

    The phrases nearest to a word are tried as its substitutes. `typical` is the typical activation per latent, shape
    (n_latents,). Returns latent -> its patterns, most supported first, then strongest.
    """
    salient = [(sentence, words) for sentence in sentences if (words := salient_words(sentence))]
    tried = list(_substitutions(salient, _nearest_phrases([words[0] for _, words in salient], phrases, embed)))
    kept = activations_of(
        bundle, embed([text for *_, text in tried], "substitute words"), [salient[i][0].latent for i, *_ in tried]
    )
    working: dict[int, list[tuple[float, str]]] = {}
    for (i, word, _), activation in zip(tried, kept, strict=True):
        if activation >= MIN_KEPT * (salient[i][0].minimal_activation or salient[i][0].activation):
            working.setdefault(i, []).append((-float(activation), word))
    merged: dict[int, dict[tuple[str, ...], Pattern]] = {}
    for i, (sentence, words) in enumerate(salient):
        patterns = merged.setdefault(sentence.latent, {})
        weight = (sentence.minimal_activation or sentence.activation) / max(float(typical[sentence.latent]), 1e-12)
        substitutes = [word for _, word in sorted(working.get(i, []))]
        support = 1
        if (known := patterns.get(words)) is not None:
            substitutes = [*known.tokens[0], *substitutes]
            weight, support = max(weight, known.weight), known.support + 1
        first = tuple(dict.fromkeys([words[0], *substitutes]))
        patterns[words] = Pattern((first, *((word,) for word in words[1:])), round(weight, 4), support)
    return {
        latent: tuple(sorted(patterns.values(), key=lambda p: (-p.support, -p.weight, p.tokens)))
        for latent, patterns in merged.items()
    }


def chunks_of(sentence: str) -> list[Span]:
    """Return the character ranges of the chunks of a sentence: runs of at most two words that are no stop words."""
    chunks: list[Span] = []
    words = 0
    for match in WORD.finditer(sentence):
        if match.group().casefold() in STOP_WORDS:
            continue
        if chunks and words < CHUNK_WORDS and sentence[chunks[-1][1] : match.start()] == " ":
            chunks[-1] = (chunks[-1][0], match.end())
            words += 1
        else:
            chunks.append(match.span())
            words = 1
    return chunks


def salient_words(sentence: ActiveSentence) -> tuple[str, ...]:
    """Return the words of a sentence that matter, most salient first; none when the latent is not active in it."""
    if sentence.activation <= 0:
        return ()
    start, stop = sentence.minimal or (0, len(sentence.text))
    inside = [span for span in sentence.spans if start <= span[0] and span[1] <= stop]
    ordered = sorted(inside, key=lambda span: (-span[2], span[0]))
    kept = [span for span in ordered if span[2] >= MIN_SALIENCY] or ordered[:1]
    return tuple(sentence.text[a:b].casefold() for a, b, _ in kept[:MAX_PLACES])


def activations_of(bundle: Bundle, embeddings: FloatArray, latents: Sequence[int]) -> FloatArray:
    """Return the activation of one latent per text, `latents[i]` in row i, shape (n,)."""
    indices, values = bundle.encode(embeddings)
    activations: FloatArray = np.where(indices == np.asarray(latents, np.int64)[:, None], values, 0.0).sum(1)
    return activations


def _chunk_shares(
    bundle: Bundle, model: TokenModel, sentences: Sequence[ActiveSentence], chunks: Sequence[Sequence[Span]]
) -> list[FloatArray]:
    """Predict with the token model how much each chunk of each sentence adds to its latent."""
    texts = [sentence.text[a:b] for sentence, spans in zip(sentences, chunks, strict=True) for a, b in spans]
    unique = sorted(set(texts))
    rows = model.sums(bundle.tokenise(unique))
    position = {text: i for i, text in enumerate(unique)}
    return [
        rows[[position[sentence.text[a:b]] for a, b in spans]] @ bundle.atoms[sentence.latent]
        for sentence, spans in zip(sentences, chunks, strict=True)
    ]


def _propose_spans(chunks: Sequence[Span], shares: FloatArray) -> Iterator[Span]:
    """Yield the spans from the first to the last of the one, two and three most promising chunks."""
    order = np.argsort(-shares, kind="stable")
    seen: set[Span] = set()
    for n in range(1, min(MAX_SPANS, len(chunks)) + 1):
        best = [chunks[i] for i in order[:n]]
        span = (min(a for a, _ in best), max(b for _, b in best))
        if span not in seen:
            seen.add(span)
            yield span


def _nearest_phrases(words: Sequence[str], phrases: Candidates, embed: Embed) -> dict[str, list[str]]:
    """Find for each word the nearest phrases that are not another form of it."""
    unique = sorted(set(words))
    if not unique or not phrases.texts:
        return {}
    rows = unit_rows(embed(unique, "read words") - phrases.mean)
    nearest: dict[str, list[str]] = {}
    wanted = min(3 * SUBSTITUTES, len(phrases.texts))
    for start in range(0, len(unique), BLOCK):
        closeness = rows[start : start + BLOCK] @ phrases.centred.T
        best = np.argpartition(-closeness, wanted - 1, axis=1)[:, :wanted]
        for word, columns, row in zip(unique[start : start + BLOCK], best, closeness, strict=False):
            ordered = (phrases.texts[c] for c in columns[np.argsort(-row[columns], kind="stable")])
            nearest[word] = [other for other in ordered if not share_word(other, word)][:SUBSTITUTES]
    return nearest


def _substitutions(
    salient: Sequence[tuple[ActiveSentence, tuple[str, ...]]], nearest: Mapping[str, list[str]]
) -> Iterator[tuple[int, str, str]]:
    """Yield (position in `salient`, substitute, minimal span with it in place of the most salient word)."""
    for i, (sentence, words) in enumerate(salient):
        start, stop = sentence.minimal or (0, len(sentence.text))
        span = sentence.text[start:stop]
        at = span.casefold().find(words[0])
        # Case folding changes the length of some letters.
        if at < 0:
            continue
        for other in nearest.get(words[0], ()):
            yield i, other, span[:at] + other + span[at + len(words[0]) :]
