"""A text as words, brackets and sentences, each with its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from . import english

_WORD = re.compile(
    # A quoted title is one word, so that no cue is seen in it.
    r"\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|«[^»\n]{1,200}»|(?<![\w'’])['‘](?=[\w.])[^'’\n]{1,100}['’](?!\w)"
    r"|\w+(?:['’./&+#@:_-]+\w+)*['’]?|[()\[\]]|[.!?？。]+|[,;:–—，、；：]|(?<=\s)-+(?=\s)"
)
_OPENING, _CLOSING, _STOPS, _BREAKS = "([", ")]", ".!?？。", ",;:–—-，、；："
_QUOTES = "\"“«'‘"


class Word(NamedTuple):
    """A word, a quoted title, or a punctuation mark."""

    text: str
    low: str
    """In lower case, with straight apostrophes; empty for a quoted title, which is no cue."""
    start: int
    end: int
    """Offsets in the text, in characters."""

    @property
    def capital(self) -> bool:
        """Whether it begins with a capital, or is a quoted title."""
        return self.text[0].isupper() or self.text[0] in _QUOTES

    @property
    def word(self) -> bool:
        """Whether it is a word or a title, and no mark."""
        return self.text[0].isalnum() or self.text[0] == "_" or not self.low

    @property
    def opens(self) -> bool:
        """Whether it opens a bracket."""
        return self.text in _OPENING

    @property
    def closes(self) -> bool:
        """Whether it closes a bracket."""
        return self.text in _CLOSING

    @property
    def breaks(self) -> bool:
        """Whether it parts clauses: a comma, semicolon, colon or dash; a title may end in a comma."""
        return self.text[0] in _BREAKS or (not self.low and self.text[-2] in ",，")

    @property
    def stops(self) -> bool:
        """Whether it is a mark that can end a sentence."""
        return self.text[0] in _STOPS


def words_of(text: str) -> list[Word]:
    """Return the words and marks of a text in order."""
    found = []
    for match in _WORD.finditer(text):
        word = match[0]
        low = "" if word[0] in _QUOTES else word.lower().replace("’", "'")
        found.append(Word(word, low, match.start(), match.end()))
    return found


def sentences_of(words: list[Word], text: str) -> list[tuple[int, int]]:
    """Return (first, end) of each sentence, as indices of `words`; the mark at its end belongs to it."""
    found, first = [], 0
    for at, word in enumerate(words):
        inside = at + 1 < len(words) and words[at + 1].closes
        if word.stops and at + 1 < len(words) and not inside and not _abbreviates(words, at, text):
            found.append((first, at + 1))
            first = at + 1
    if first < len(words):
        found.append((first, len(words)))
    return found


def _abbreviates(words: list[Word], at: int, text: str) -> bool:
    """Return whether a full stop belongs to the word before it, or to the one behind."""
    if words[at].text[0] != ".":
        return False
    if not text[words[at].end].isspace():
        return True
    before = words[at - 1].low if at else ""
    return (len(before.rpartition(".")[2]) == 1 and before[-1].isalpha()) or before in english.ABBREVIATIONS


def phrase_at(words: Sequence[Word], at: int, phrase: str) -> int | None:
    """Return the index behind a phrase that begins at a word; None where other words stand there."""
    lows = phrase.split()
    end = at + len(lows)
    return end if at >= 0 and [word.low for word in words[at:end]] == lows else None
