"""`PlainWords`: token ids without a tokenizer, for the interpretation of latents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Lock
from zlib import crc32

import numpy as np

from ....arrays import IntArray
from ....forks import renew_after_fork
from ..embedder import check_texts

START = 0
"""Id of the token that every text begins with, so that no text is without tokens. It says nothing about a text."""
REMEMBERED = 2**18
"""Words whose ids are kept, some 30 MB."""
# Scripts that put no spaces between words: Thai to Khmer, kana, Han, and what is beyond the first plane.
_APART = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_APART}]|[^\W{_APART}](?:[\w'-]*[^\W{_APART}])?(?<![{_APART}])")
"""A word with its hyphens and apostrophes, or one character of a script without spaces."""


class PlainWords:
    """Words as tokens: a token is a word without regard to case, or one character of a script without spaces.

    The id of a word is a checksum of it, so that it is the same in every process and no list of words is needed. Two
    words share an id once in some ten thousand words, and count as one then. Threads may share an object.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words: dict[int, str] = {}
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        """Replace the lock, which another thread may have held."""
        self._lock = Lock()

    def tokenise(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the token ids of texts, (n,) int64 each: `START`, then one for each word; a DataError for no texts."""
        with self._lock:
            return [np.array([START, *map(self._id, words_of(text))], np.int64) for text in check_texts(texts)]

    def token_text(self, token: int) -> str:
        """Return the word of an id that this object gave; empty for any other."""
        return self._words.get(token, "")

    def _id(self, word: str) -> int:
        known = self._ids.get(word)
        if known is None:
            if len(self._ids) >= REMEMBERED:
                self._ids.clear()
                self._words.clear()
            # tokens.npz holds 32 bits with a sign.
            known = self._ids[word] = crc32(word.encode()) & 0x7FFFFFFF or 1
            self._words[known] = word
        return known


def words_of(text: str) -> list[str]:
    """Return the tokens of a text as words in lower case, in reading order."""
    return _WORD.findall(text.casefold())
