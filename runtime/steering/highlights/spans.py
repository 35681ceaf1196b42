"""Where the words and sentences of a text are, and which of its tokens belong to which word."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from ....arrays import IntArray
from ....text import SENTENCE_END, WORD

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+"
)
"""Letters of scripts without blanks between words, where a token is taken for a word: Thai, Lao, Tibetan, Myanmar,
Khmer, kana, Han."""


def words_of(text: str, tokens: IntArray | None = None) -> IntArray:
    """Return the first character of each word and its last plus one, shape (n, 2), in reading order.

    Args:
        text: Any text.
        tokens: Spans of its tokens, shape (m, 2), which divide what is written without blanks.
    """
    found = [match.span() for match in WORD.finditer(text)]
    if not _UNSPACED.search(text):
        return np.array(found, np.int64).reshape(-1, 2)
    cuts = set() if tokens is None else set(tokens[tokens[:, 0] < tokens[:, 1]].ravel().tolist())
    made: list[tuple[int, int]] = []
    for start, end in found:
        edges = {start, end}
        for run in _UNSPACED.finditer(text, start, end):
            edges |= {run.start(), run.end()}
            edges |= {cut for cut in range(run.start(), run.end()) if tokens is None or cut in cuts}
        ordered = sorted(edges)
        made += pairwise(ordered)
    return np.array(made, np.int64).reshape(-1, 2)


def sentences_of(text: str) -> IntArray:
    """Return the first character of each sentence and its last plus one, shape (n, 2), without blanks around it."""
    starts, ends = [0], []
    for match in SENTENCE_END.finditer(text):
        ends.append(match.start())
        starts.append(match.end())
    ends.append(len(text))
    made = []
    for start, end in zip(starts, ends, strict=True):
        part = text[start:end]
        if part.strip():
            made.append((start + len(part) - len(part.lstrip()), start + len(part.rstrip())))
    return np.array(made, np.int64).reshape(-1, 2)


def words_of_tokens(words: IntArray, tokens: IntArray, length: int) -> IntArray:
    """Return the word that each token stands in, shape (m,); -1 for punctuation and tokens that are not of the text.

    A token of more than one word (some tokenizers join them) counts for the one of which it has most characters.

    Args:
        words: Spans in reading order that do not overlap, shape (n, 2).
        tokens: Spans, shape (m, 2).
        length: Characters of the text.
    """
    owner = np.full(length, -1, np.int64)
    for word, (start, end) in enumerate(words.tolist()):
        owner[start:end] = word
    made = np.full(len(tokens), -1, np.int64)
    for i, (start, end) in enumerate(tokens.tolist()):
        inside = owner[start:end]
        inside = inside[inside >= 0]
        if len(inside):
            # Words are numbered in reading order, so the counts are of one or two neighbours.
            made[i] = inside[0] + int(np.bincount(inside - inside[0]).argmax())
    return made
