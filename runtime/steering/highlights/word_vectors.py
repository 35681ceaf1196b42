"""What each word of a text adds to its embedding: the sum of its tokens, or what the embedding loses without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray
from ....bounded_cache import BoundedCache
from ...bundle.bundle import Bundle
from ...bundle.token_parts import TokenParts
from .spans import words_of, words_of_tokens

CACHED = {"fast": 2**26, "lean": 2**23}
"""Bytes of vectors that are kept, by the profile of the bundle, some 200 or 25 long documents: who moves a slider sees
the same ones again and again."""
WORDS, FEWEST, OUTSIDE = 1024, 8, 12
"""Words that are embedded to leave out those of one text, each piece with the whole rest: every word of 32, runs of 10
of 100. At least so many pieces are left out, half a second for an abstract; and at most so many with an embedder from
outside, where each may cost money. What a run adds is spread evenly over its words."""
DIFFERENT = 0.02
"""Distance of two unit vectors, about one degree, from which on they are not embeddings of one text."""


class WordVectors(NamedTuple):
    """What the words of a text add to its embedding."""

    spans: IntArray
    """Shape (n, 2); see `spans.words_of`. Words that the embedder did not read are left out."""
    vectors: FloatArray
    """Shape (n, d_in), float32. With what `total` has beside them they add up to the embedding."""
    shares: WideArray
    """The share of the text's tokens that each word has, shape (n,); 0 where words were left out."""
    total: FloatArray
    """The embedding as it is made now, shape (d_in,)."""
    exact: bool
    """Whether the vectors are those of the tokens."""


class WordReader:
    """Reads the words of texts: their vectors, of which the last ones are kept. Threads may share one."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._kept: BoundedCache[str, WordVectors] = BoundedCache(
            CACHED[bundle.profile], lambda one: one.vectors.nbytes
        )

    def of(self, texts: Sequence[str]) -> list[WordVectors]:
        """Return the vectors of the words of documents; those that are not known are embedded together."""
        known = {text: self._kept.get(text) for text in texts}
        missing = [text for text, found in known.items() if found is None]
        if missing:
            made = _from_tokens(self._bundle, missing) or _by_leaving_out(self._bundle, missing)
            for text, vectors in zip(missing, made, strict=True):
                known[text] = vectors
                self._kept.put(text, vectors)
        return [found for text in texts if (found := known[text]) is not None]


def _from_tokens(bundle: Bundle, texts: list[str]) -> list[WordVectors] | None:
    parts = bundle.document_parts(texts)
    if parts is None:
        return None
    return [_joined(text, tokens) for text, tokens in zip(texts, parts, strict=True)]


def _joined(text: str, tokens: TokenParts) -> WordVectors:
    """Add up the tokens of each word."""
    words = words_of(text, tokens.spans)
    owners = words_of_tokens(words, tokens.spans, len(text))
    read = np.unique(owners[owners >= 0])
    places = np.searchsorted(read, owners)
    inside = owners >= 0
    membership = np.zeros((len(read), len(owners)), np.float32)
    membership[places[inside], np.flatnonzero(inside)] = 1
    shares = membership.sum(1, np.float64) / max(len(owners), 1)
    total = np.asarray(tokens.vectors.sum(0, np.float64), np.float32)
    return WordVectors(words[read], membership @ tokens.vectors, shares, total, True)


def _by_leaving_out(bundle: Bundle, texts: list[str]) -> list[WordVectors]:
    """Embed each text without each of its words, or runs of them, and take the difference."""
    wanted: list[str] = []
    plans = []
    for text in texts:
        words = words_of(text)
        most = OUTSIDE if bundle.brings else max(FEWEST, WORDS // max(len(words), 1))
        runs = np.array_split(np.arange(len(words)), min(most, len(words))) if len(words) else []
        without = []
        for run in runs:
            left = text[: words[run[0], 0]] + text[words[run[-1], 1] :]
            # Some embedders refuse a text without words; without it, all is lost.
            without.append(len(wanted) if left.strip() else -1)
            wanted += [left] if left.strip() else []
        plans.append((words, runs, without))
    rows = bundle.embed_documents([*texts, *wanted])
    made = []
    for text_row, (words, runs, without) in zip(rows, plans, strict=False):
        vectors = np.zeros((len(words), len(text_row)), np.float32)
        for run, at in zip(runs, without, strict=True):
            lost = text_row if at < 0 else text_row - rows[len(texts) + at]
            vectors[run] = lost / len(run)
        made.append(WordVectors(words, vectors, np.zeros(len(words)), text_row, False))
    return made
