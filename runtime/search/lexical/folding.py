"""Texts as the words view splits them: one form per character, and words of scripts that write none apart."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import pairwise

VERSION = 1
"""Part of the identity of a cache of words. It changes with whatever changes the words of a text."""

# Soft hyphens, zero-width characters, marks of direction and of variants: nobody sees them inside of words.
_INVISIBLE = (
    "[\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufe00-\ufe0f"
    "\U000e0000-\U000e01ef]+"
)
# Accents that no letter has taken up, and vowel points of Hebrew and Arabic, which most texts leave out.
_MARKS = (
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8]+"
)
# Scripts without blanks between words, or, as Hangul, with endings that belong to a word: Thai, Lao, Tibetan, Myanmar,
# Khmer, kana, Han, Hangul. The marks of a letter stay with it.
_LETTERS = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0f40-\u0f6c\u1000-\u102a\u103f"
    "\u1780-\u17b3\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
_BELONGING = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u0f90-\u0fbc\u102b-\u103e\u17b4-\u17d3"
    "\u3099\u309a"
)
_UNIT = f"[{_LETTERS}][{_BELONGING}]*"


def fold(text: str, *, query: bool = False) -> str:
    """Return a text in which equal words are equal and every word stands between blanks or punctuation.

    Compatible characters become one (NFKC), upper and lower case too; vowel points and invisible characters go. A run
    of letters of a script without blanks between words becomes its pairs of neighbours, as other engines have it
    (Lucene's CJKBigramFilter), so that a word is found wherever it stands. A text also has its single letters, so that
    a word of one letter is found; a query has them only where the run is one.

    Args:
        text: Any text.
        query: Whether words are looked for, and not stored.
    """
    if text.isascii():
        return text
    seen = _pattern(_INVISIBLE).sub("", text.encode("utf-8", "replace").decode())
    plain = _pattern(_MARKS).sub("", unicodedata.normalize("NFKC", seen).casefold())
    return _pattern(f"(?:{_UNIT})+").sub(lambda run: _pairs(run[0], query), plain)


@cache
def _pattern(expression: str) -> re.Pattern[str]:
    """Compile an expression when it is first used: together they take 12 ms, which ASCII need not wait for."""
    return re.compile(expression)


def _pairs(run: str, query: bool) -> str:
    letters = _pattern(_UNIT).findall(run)
    pairs = [first + second for first, second in pairwise(letters)]
    return f" {' '.join(pairs if query and pairs else letters + pairs)} "
