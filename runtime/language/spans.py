"""What a cue takes out of a sentence: where it ends, and what it names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from . import english
from .cues import Found, Sentence
from .english import Kind
from .words import Word, phrase_at


class Span(NamedTuple):
    """Words that leave the query, and what they wish for or exclude."""

    first: int
    end: int
    parts: tuple[tuple[int, int], ...]
    """(first, end) of each thing that is named."""
    strength: float | None
    """Of the wish; None excludes."""


def spans_of(sentence: Sentence) -> list[Span]:
    """Return the spans of a sentence, in order."""
    spans: list[Span] = []
    end = sentence.first
    for at, found in sentence.cues.items():
        span = _span(sentence, found) if at >= end and found.first >= end else None
        if span is not None:
            spans.append(span)
            end = max(span.end, at + 1)
    audience = _audience(sentence)
    return [*spans, audience] if audience and audience.first >= end else spans


def end_of_opening(sentence: Sentence, found: Found) -> int | None:
    """Return where the clause ends that opens a sentence: behind the comma before its question or request.

    A comma before `who` may begin a relative clause. So the question with `other` or `else` counts before the first.
    """
    words = sentence.words
    first: int | None = None
    for at in range(found.end + 1, sentence.end):
        if not _starts(words, at, sentence.end):
            continue
        if any(word.low in english.OTHER for word in words[at : at + 5]):
            return first if first is not None and words[first].low in english.AUXILIARIES | english.REQUESTS else at
        relative = first is not None and words[first].low in english.CLAUSES and words[at].low not in english.CLAUSES
        if words[at - 1].breaks and (first is None or relative):
            first = at
    return first


def _starts(words: Sequence[Word], at: int, limit: int) -> bool:
    """Return whether a question or a request begins at a word."""
    low = words[at].low
    if low in english.GREETINGS | english.PREPOSITIONS and at + 1 < limit:
        low = words[at + 1].low
    return low in english.ASKING or (words[at - 1].breaks and low in english.AUXILIARIES | english.REQUESTS)


def _span(sentence: Sentence, found: Found) -> Span | None:
    """Return what a cue takes out of a sentence; None where nothing is named."""
    opens = found.first == sentence.first and found.cue.opens
    end = end_of_opening(sentence, found) if opens else None
    if end is None:
        if found.first == 0 and opens:
            return None
        end = _Reach(sentence, found).end()
    first, last = found.end, _without_courtesies(sentence.words, found.end, end)
    if found.cue.strength is None:
        first = _without_talk(sentence.words, first, last)
        parts = _items(sentence.words, first, last)
    else:
        first = next((behind for behind in _behind(sentence.words, first) if behind < last), first)
        parts = ((first, last),)
    return Span(found.first, end, parts, found.cue.strength) if first < last else None


class _Reach:
    """How far the words behind a cue are what it names."""

    def __init__(self, sentence: Sentence, found: Found) -> None:
        words = sentence.words
        self._sentence, self._found = sentence, found
        before = words[found.first - 1] if found.first > sentence.first else None
        self._inside = before is not None and before.opens
        self._between = before is not None and before.breaks
        self._listed = self._is_list()
        # "Which actors besides X have won": the verb of the question is still to come.
        verb = any(word.low in english.AUXILIARIES for word in words[sentence.first : found.first])
        self._subject = found.cue.compares and sentence.kind is not Kind.PHRASE and not verb

    def end(self) -> int:
        """Return the index behind what the cue names."""
        words, depth, related = self._sentence.words, 0, False
        for at in range(self._found.end, self._sentence.end):
            word = words[at]
            if word.closes and depth == 0:
                return at
            depth += word.opens - word.closes
            if depth or word.closes or at == self._found.end:
                continue
            if word.stops:
                if at + 1 == self._sentence.end:
                    return at
                continue
            related = related or word.low in english.RELATIVES
            if self._clause_ends(at) or self._comma_ends(at) or self._question_goes_on(at, related):
                return at
        return self._sentence.end

    def _is_list(self) -> bool:
        """Return whether a word joins the last of several things: not A, B or C."""
        words = self._sentence.words
        for at in range(self._found.end, self._sentence.end):
            if words[at].closes or (at > self._found.end and self._cue_begins(at)):
                return False
            if words[at].low in english.PREPOSITIONS and words[at - 1].breaks:
                return False
            if words[at].low in english.LINKS:
                return True
        return False

    def _cue_begins(self, at: int) -> bool:
        """Return whether another cue begins at a word, with the comma before it and the words that join it."""
        words, start = self._sentence.words, at
        while start < self._sentence.end and (words[start].breaks or words[start].low in english.JOINING):
            start += 1
        found = self._sentence.cues.get(start)
        return found is not None and found.first <= at + (start > at)

    def _clause_ends(self, at: int) -> bool:
        """Return whether another clause, cue or relative clause of the same kind begins at a word."""
        word, cue = self._sentence.words[at], self._found.cue
        if self._cue_begins(at) or (not self._inside and self._question_begins(at)):
            return True
        again = cue.pattern.startswith("WHICH") and word.low in english.CLASSES["WHICH"]
        return (again and not self._sentence.words[at - 1].breaks) or (word.low == "but" and cue.strength is None)

    def _question_begins(self, at: int) -> bool:
        """Return whether `and what ...`, `, how ...` or the like begins another question."""
        words = self._sentence.words
        comma = words[at].breaks
        behind = at + 1 + (comma and words[min(at + 1, self._sentence.end - 1)].low == "and")
        joined = words[behind - 1].low == "and"
        if not (comma or joined) or behind >= self._sentence.end or (words[at - 1].capital and words[at + 1].capital):
            return False
        low = words[behind].low
        if low in english.PREPOSITIONS and comma and joined:
            return True
        verb = low in english.AUXILIARIES and behind + 1 < self._sentence.end
        # "X and where he lived" is no question, "X and where does he live" is one.
        if low in english.CLAUSES and not comma:
            return words[min(behind + 1, self._sentence.end - 1)].low in english.AUXILIARIES
        return verb or (low in english.ASKING and (joined or low not in english.CLAUSES))

    def _comma_ends(self, at: int) -> bool:
        """Return whether what the cue names ends at a comma, semicolon or dash."""
        words, kind, cue = self._sentence.words, self._sentence.kind, self._found.cue
        # A title may end in a comma.
        if not words[at].breaks or not words[at].low or words[at].text == ":":
            return False
        if words[at].text not in (",", "，", "-", "–", "—") or at + 1 >= self._sentence.end:
            return True
        before, behind = words[at - 1], words[at + 1]
        if self._listed and not self._inside and self._between and cue.compares:
            return any(word.low in english.LINKS for word in words[self._found.end : at])
        numbers = before.low[:1].isdigit() and behind.low[:1].isdigit()
        if self._inside or self._listed or numbers or (before.capital and _named(behind)):
            return False
        if kind is Kind.PHRASE or (kind is Kind.REQUEST and behind.low in english.PREPOSITIONS):
            return True
        if cue.strength is not None and kind not in english.NAMED:
            return True
        # "..., apart from X, does ...": only "X, the Y" and "X, who is Y" go on.
        asked = words[min(at + 2, self._sentence.end - 1)].low in english.OTHER | {"do", "does", "did"}
        described = behind.low in english.DETERMINERS or (behind.low in english.CLAUSES and not asked)
        return self._between and cue.compares and not (described and _named(before))

    def _question_goes_on(self, at: int, related: bool) -> bool:
        """Return whether a word behind a name belongs to the query again: its verb, or a preposition."""
        if not self._found.cue.compares:
            return False
        words, name = self._sentence.words, self._found.end
        name += words[name].low in english.DETERMINERS
        if self._found.bare and words[name].capital and words[at - 1].capital and words[at].low in english.BEHIND:
            return True
        verb = words[at].low in english.AUXILIARIES or (words[at - 1].capital and words[at].low.endswith("ed"))
        return self._subject and not related and verb


def _named(word: Word) -> bool:
    """Return whether a word behind a name and a comma may go on with it: Lawrence, Kansas; September 12, 2015."""
    return word.capital or word.low[:1].isdigit()


def _behind(words: Sequence[Word], first: int) -> list[int]:
    """Return the index behind each phrase of `WISHED` that begins at a word."""
    return [end for phrase in english.WISHED if (end := phrase_at(words, first, phrase)) is not None]


def _without_courtesies(words: Sequence[Word], first: int, end: int) -> int:
    """Return the end of what is named without marks and courtesies behind it."""
    while True:
        while end > first and not words[end - 1].word and not words[end - 1].closes:
            end -= 1
        starts = [end - 1 - phrase.count(" ") for phrase in english.ENDINGS if _ends(words, end, phrase)]
        if not starts or min(starts) <= first:
            return end
        end = min(starts)


def _ends(words: Sequence[Word], end: int, phrase: str) -> bool:
    """Return whether words end in a phrase."""
    return phrase_at(words[:end], end - 1 - phrase.count(" "), phrase) == end


def _without_talk(words: Sequence[Word], first: int, end: int) -> int:
    """Return the start of what is excluded without `any information about`, articles and prepositions before it."""
    while first < end - 1:
        noun = first
        while noun < end - 1 and words[noun].low in english.BEFORE | english.DETERMINERS:
            noun += 1
        behind = noun + 1
        while behind < end - 1 and words[behind].low in english.OF:
            behind += 1
        if words[noun].low in english.CLASSES["NEWS"] - english.TOPICS and behind > noun + 1:
            first = behind
        elif words[first].low in english.LEADING | english.WEAK:
            first += 1
        else:
            break
    return first


def _items(words: Sequence[Word], first: int, end: int) -> tuple[tuple[int, int], ...]:
    """Return (first, end) of the things of a list. It is cut only where each is short and stands for itself.

    A list of names in capitals stays whole, for it may be a title: Pride and Prejudice.
    """
    links = [at for at in range(first, end) if words[at].text == "," or words[at].low in english.LINKS]
    edges = [first - 1, *links, end]
    items = [(a + 1, b) for a, b in pairwise(edges) if a + 1 < b]
    things = [words[a:b] for a, b in items]
    linked = any(words[at].low in english.LINKS for at in links)
    short = all(len(thing) <= _SHORT and all(_plain(word) for word in thing) for thing in things)
    if not linked or len(items) < 2 or not short:
        return ((first, end),)
    names = all(thing[0].capital for thing in things) or len({thing[-1].capital for thing in things}) > 1
    # "The workers and clients of X" is one thing, "the workers and the clients" are two.
    shared = things[0][0].low in english.DETERMINERS and things[-1][0].low not in english.DETERMINERS
    return ((first, end),) if names or shared else tuple(items)


_SHORT = 3
"""Words of a thing in a list; a longer one may describe them all."""


def _plain(word: Word) -> bool:
    """Return whether a word neither joins others nor is a mark."""
    return word.word and word.low not in english.PREPOSITIONS | english.RELATIVES


def _audience(sentence: Sentence) -> Span | None:
    """Return the wish for whom something should be, behind a comma at the end: pasta recipes, for children."""
    words, end = sentence.words, sentence.end
    while end > sentence.first and words[end - 1].stops:
        end -= 1
    if sentence.kind not in english.NAMED or words[end - 1].low not in english.AUDIENCE:
        return None
    for at in range(max(sentence.first + 1, end - 4), end - 1):
        if words[at].low == "for" and words[at - 1].breaks:
            return Span(at, end, ((at, end),), 1.0)
    return None
