"""A text as words, brackets and sentences, each with its place."""

from __future__ import annotations

import re
from typing import NamedTuple

from . import english
from .english import Kind

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


def kind_of(words: list[Word]) -> Kind:
    """Return what a sentence does, by its first words and its verbs."""
    lows = [word.low for word in words if word.word]
    first = 0
    while first < len(lows) and lows[first] in english.GREETINGS:
        first += 1
    lows = lows[first:] or lows
    if not lows:
        return Kind.PHRASE
    if lows[0] in english.PREPOSITIONS and len(lows) > 1 and lows[1] in english.ASKING:
        lows = lows[1:]
    if (
        lows[0] in english.AUXILIARIES
        and len(lows) > 2
        and lows[1] == "you"
        and lows[2] not in ("have", "know", "sell")
    ):
        lows = lows[3:] if lows[2] in english.GREETINGS and len(lows) > 3 else lows[2:]
        if not _requests(lows):
            return Kind.DOING if lows[0] not in english.ASKING else Kind.QUESTION
    if _requests(lows):
        return _request(lows)
    if lows[0] in english.ASKING or lows[0] in english.AUXILIARIES:
        return _question(lows)
    states = _states(lows, words[-1].text == ".")
    if words[-1].text[0] in "?？" and not states:
        for at in range(1, len(words) - 1):
            if words[at - 1].breaks and words[at].low in english.ASKING:
                return kind_of(words[at:])
    if not states:
        return Kind.PHRASE
    return Kind.QUESTION if words[-1].text[0] in "?？" else Kind.STATEMENT


def _requests(lows: list[str]) -> bool:
    """Return whether words begin with a verb that asks for something."""
    return lows[0] in english.REQUESTS or lows[1:2] in (["me"], ["us"]) or " ".join(lows[:2]) in english.REQUEST_PHRASES


def _request(lows: list[str]) -> Kind:
    """Return the kind of a sentence that begins with a verb of requests: tell me how to is a question of how to."""
    for at, low in enumerate(lows[1:6], 1):
        if low in ("how", "why", "whether", "if"):
            return Kind.DOING if _does(lows[at:]) else Kind.QUESTION if low != "how" else Kind.REQUEST
    return Kind.REQUEST


def _question(lows: list[str]) -> Kind:
    if _does(lows):
        return Kind.DOING
    if lows[0] in english.AUXILIARIES and lows[1:2] == ["there"]:
        return Kind.LIST
    if lows[0] == "do" and lows[1:2] == ["you"]:
        return Kind.REQUEST
    return Kind.LIST if lows[0] in english.LISTING else Kind.QUESTION


def _does(lows: list[str]) -> bool:
    """Return whether somebody does something: how to, how do I, can you, is it possible."""
    if lows[:2] == ["how", "to"] or lows[:3] == ["is", "it", "possible"] or "way" in lows[2:4]:
        return True
    rest = lows[1:] if lows[0] == "how" else lows
    if rest[:2] == ["do", "you"] and rest[2:3] and rest[2] in ("have", "know", "sell"):
        return False
    return len(rest) > 1 and rest[0] in english.AUXILIARIES and rest[1] in english.PERSONS


def _states(lows: list[str], ended: bool) -> bool:
    """Return whether the words state something: they have a verb that is in no relative clause.

    Args:
        lows: The words in lower case.
        ended: Whether a full stop follows.
    """
    if lows[0] in english.SUBJECTS:
        return True
    related = False
    # Where the verbs of a relative clause end: an auxiliary, a negation, and a verb.
    clause = 0
    for at, low in enumerate(lows[1:], 1):
        before = lows[at - 1]
        if low in english.RELATIVES:
            related = True
        elif (
            at < clause
            or before == "to"
            or (low in english.DOUBTFUL and before in english.COMMON)
            or (before == "but" and lows[at + 1 : at + 2] == ["not"])
        ):
            continue
        elif low in english.AUXILIARIES or low in english.STATING or (ended and low in english.DOUBTFUL):
            if not related and before not in ("and", "or", "but"):
                return True
            related, clause = False, at + 3
    return False
