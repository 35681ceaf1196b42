"""`understand`: a text in plain words as a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ...errors import ConfigError
from ...text import shown
from . import english
from .cues import Found, Sentence, find_cue
from .english import Kind
from .request import Request
from .words import Word, kind_of, sentences_of, words_of

MOST_CHARACTERS = 1000
"""A longer text is a document, not a request."""
_TIMES = 8
"""A query that remains is read again at most so often; each time takes at least a word away."""


class _Span(NamedTuple):
    """Words that leave the query, and what they wish for or exclude."""

    first: int
    end: int
    parts: tuple[tuple[int, int], ...]
    """(first, end) of each thing that is named."""
    strength: float | None


def understand(text: str) -> Request:
    """Return what a text asks for: the query, what there should be more of, and what should not be there.

    Args:
        text: In plain English. What it does not want stands behind cues such as `not`, `without`, `except`; what it
            wants more of behind `more`, `especially`. Titles in quotes or capitals, idioms (`no longer`) and facts
            (`why is X not working`) have no cue.

    Returns:
        The request. Its query is the text itself, unchanged, where there is no cue, where nothing else would remain,
        and where it has more than 1,000 characters.

    Raises:
        ConfigError: The text is not a `str`, or wishes for and excludes the same words.
    """
    if not isinstance(text, str):
        raise ConfigError(f"text is {shown(text)}: it must be a str, such as 'cafés in Rome, not touristy'")
    boost: dict[str, float] = {}
    exclude: list[str] = []
    query = text
    if len(text) <= MOST_CHARACTERS:
        for _ in range(_TIMES):
            rest = _take(query, boost, exclude)
            if rest is None:
                break
            query = rest
    return Request(query, boost, tuple(dict.fromkeys(exclude)))


def _take(text: str, boost: dict[str, float], exclude: list[str]) -> str | None:
    """Return a text without what it wishes for and excludes, which is added to the two; None without a cue."""
    words = words_of(text)
    lows = {word.text for word in words}
    if lows & english.FOREIGN and not lows & english.COMMON:
        return None
    spans = [span for sentence in _sentences(words, text) for span in _spans(sentence)]
    if not spans:
        return None
    query = _remaining(text, words, spans)
    if query is None:
        return None
    if " same " in query and spans[0].first == 0:
        query = _name(text, words, spans[0]) + query
    for span in spans:
        for first, end in span.parts:
            named = _plain(text[words[first].start : words[end - 1].end])
            if span.strength is None:
                exclude.append(named)
            else:
                boost.setdefault(named, span.strength)
    return query


def _sentences(words: list[Word], text: str) -> list[Sentence]:
    shouted = text.isupper()
    made = []
    for first, end in sentences_of(words, text):
        # What opens a sentence, such as "apart from X", says nothing about its kind.
        sentence = Sentence(words, first, end, Kind.LIST, shouted)
        found = find_cue(sentence, first)
        behind = _end_of_opening(sentence, found) if found and found.cue.opens else None
        made.append(replace(sentence, kind=kind_of(words[behind or first : end])))
    return made


def _spans(sentence: Sentence) -> list[_Span]:
    """Return the spans of a sentence, in order."""
    spans: list[_Span] = []
    at = sentence.first
    while at < sentence.end:
        found = find_cue(sentence, at)
        span = _span(sentence, found) if found else None
        if span is None or (spans and span.first < spans[-1].end):
            at += 1
            continue
        spans.append(span)
        at = max(span.end, at + 1)
    audience = _audience(sentence)
    if audience and all(audience.first >= span.end for span in spans):
        spans.append(audience)
    return spans


def _span(sentence: Sentence, found: Found) -> _Span | None:
    """Return what a cue takes out of a sentence; None where nothing is named."""
    opening = found.first == sentence.first and found.cue.opens
    end = _end_of_opening(sentence, found) if opening else None
    if end is None:
        if opening and found.first == 0:
            return None
        end = _end(sentence, found)
    first, last = _trim(sentence.words, found.end, end, found)
    if first >= last:
        return None
    parts = _items(sentence.words, first, last, found)
    return _Span(found.first, end, parts, found.cue.strength)


def _end_of_opening(sentence: Sentence, found: Found) -> int | None:
    """Return where the clause ends that opens a sentence: at the comma before its question or request.

    A comma before `who` may begin a relative clause. So the question with `other` or `else` counts before the first.
    """
    words = sentence.words
    first: int | None = None
    for at in range(found.end + 1, sentence.end):
        if not _starts(words, at, sentence.end):
            continue
        if any(word.low in english.OTHER for word in words[at : at + 5]):
            return first if first is not None and words[first].low in english.AUXILIARIES | english.REQUESTS else at
        if words[at - 1].breaks and (
            first is None or (words[first].low in english.CLAUSES and words[at].low not in english.CLAUSES)
        ):
            first = at
    return first


def _starts(words: Sequence[Word], at: int, limit: int) -> bool:
    """Return whether a question or a request begins at a word."""
    low = words[at].low
    if low in english.GREETINGS | english.PREPOSITIONS and at + 1 < limit:
        low = words[at + 1].low
    if low in english.ASKING:
        return True
    return words[at - 1].breaks and low in english.AUXILIARIES | english.REQUESTS


def _end(sentence: Sentence, found: Found) -> int:
    """Return the index behind what a cue names."""
    words, depth = sentence.words, 0
    listed = _is_list(sentence, found)
    inside = found.first > sentence.first and words[found.first - 1].opens
    subject = (
        found.cue.compares
        and sentence.kind is not Kind.PHRASE
        and not any(word.low in english.AUXILIARIES for word in words[sentence.first : found.first])
    )
    relative = False
    for at in range(found.end, sentence.end):
        word = words[at]
        if word.opens:
            depth += 1
        elif word.closes:
            if depth == 0:
                return at
            depth -= 1
        elif depth:
            continue
        elif word.stops and words[min(at + 1, sentence.end - 1)].closes:
            continue
        elif word.stops and at + 1 == sentence.end:
            return at
        elif at > found.end:
            relative = relative or word.low in english.RELATIVES
            if (not inside and _begins_clause(sentence, at)) or _next_cue(sentence, at):
                return at
            again = word.low in english.CLASSES["WHICH"] and not words[at - 1].breaks
            if again and found.cue.pattern.startswith("WHICH"):
                return at
            if word.low == "but" and found.cue.strength is None:
                return at
            if word.breaks and word.low and not _goes_on(sentence, at, listed, inside, found):
                return at
            if found.cue.compares and _leaves(sentence, at, found):
                return at
            if subject and not relative and _is_verb(words, at):
                return at
    return sentence.end


def _next_cue(sentence: Sentence, at: int) -> bool:
    """Return whether another cue, with the words that join it, begins at a word."""
    words = sentence.words
    start = at
    while start < sentence.end and (words[start].breaks or words[start].low in english.JOINING):
        start += 1
    if start >= sentence.end:
        return False
    found = find_cue(sentence, start)
    return found is not None and found.first <= max(at, sentence.first) + (start > at)


def _begins_clause(sentence: Sentence, at: int) -> bool:
    """Return whether `and what ...`, `, how ...` or the like begins another question."""
    words = sentence.words
    low = words[at].low
    if low == "and" or words[at].breaks:
        rest = words[at + 1 : min(at + 5, sentence.end)]
        lows = [word.low for word in rest]
        if words[at].breaks and lows[:1] == ["and"]:
            lows = lows[1:]
            low = "and"
        if not lows or (words[at - 1].capital and words[at + 1].capital):
            return False
        if lows[0] in english.PREPOSITIONS and low == "and" and words[at].breaks:
            return True
        joins = low == "and" or lows[0] not in ("which", "who", "whose", "whom", "where", "when")
        verb = lows[0] in english.AUXILIARIES and len(lows) > 1
        return (lows[0] in english.ASKING and joins) or verb
    return False


def _is_list(sentence: Sentence, found: Found) -> bool:
    """Return whether `or`, `nor` or `and` joins the last of several things behind a cue: not A, B or C."""
    words = sentence.words
    for at in range(found.end, sentence.end):
        if words[at].closes or (at > found.end and _next_cue(sentence, at)):
            return False
        if words[at].low in ("or", "nor", "and"):
            return True
    return False


def _goes_on(sentence: Sentence, at: int, listed: bool, inside: bool, found: Found) -> bool:
    """Return whether what a cue names goes on behind a comma."""
    words = sentence.words
    if at + 1 >= sentence.end or words[at].text not in (",", "，", ":", "-", "–", "—"):
        return words[at].text == ":"
    behind = words[at + 1]
    between = found.first > sentence.first and words[found.first - 1].breaks
    if listed and not inside and between and found.cue.compares:
        return not any(word.low in ("and", "or", "nor") for word in words[found.end : at])
    if inside or listed:
        return True
    if words[at - 1].capital and (behind.capital or behind.low[:1].isdigit()):
        return True
    if words[at - 1].low[:1].isdigit() and behind.low[:1].isdigit():
        return True
    if sentence.kind is Kind.PHRASE or (sentence.kind is Kind.REQUEST and behind.low in english.PREPOSITIONS):
        return False
    if found.cue.strength is not None and sentence.kind not in english.NAMED:
        return False
    if between and found.cue.compares:
        return behind.low in english.DETERMINERS and words[at - 1].capital
    return True


def _leaves(sentence: Sentence, at: int, found: Found) -> bool:
    """Return whether a preposition behind a name goes on with the query: actors besides X in the film Y."""
    words = sentence.words
    name = found.end + (words[found.end].low in english.DETERMINERS)
    return (
        found.bare
        and words[name].capital
        and words[at - 1].capital
        and words[at].low in ("in", "by", "from", "on", "at", "during", "to", "that", "who", "when", "while")
    )


def _is_verb(words: Sequence[Word], at: int) -> bool:
    """Return whether a word is the verb of the question whose subject has the cue in it."""
    low = words[at].low
    return low in english.AUXILIARIES or (words[at - 1].capital and low.endswith("ed"))


def _trim(words: Sequence[Word], first: int, end: int, found: Found) -> tuple[int, int]:
    """Return (first, end) of what is named: without courtesies, `any information about`, prepositions."""
    moved = True
    while moved and first < end:
        moved = False
        while end > first and not words[end - 1].word and not words[end - 1].closes:
            end -= 1
        for phrase in english.ENDINGS:
            parts = phrase.split()
            if end - len(parts) > first and [word.low for word in words[end - len(parts) : end]] == parts:
                end, moved = end - len(parts), True
    if found.cue.strength is not None:
        for phrase in english.WISHED:
            parts = phrase.split()
            if [word.low for word in words[first : first + len(parts)]] == parts and first + len(parts) < end:
                first += len(parts)
        return first, end
    moved = True
    while moved and first < end - 1:
        moved = False
        news = first
        while news < end - 1 and words[news].low in english.BEFORE | english.DETERMINERS:
            news += 1
        if words[news].low in english.CLASSES["NEWS"] and words[news].low not in (
            "context",
            "data",
            "content",
            "facts",
        ):
            behind = news + 1
            while behind < end - 1 and words[behind].low in english.OF:
                behind += 1
            if behind > news + 1:
                first, moved = behind, True
                continue
        if words[first].low in english.LEADING | english.WEAK | {"any", "a", "an"} and end - first > 1:
            first, moved = first + 1, True
    return first, end


def _items(words: Sequence[Word], first: int, end: int, found: Found) -> tuple[tuple[int, int], ...]:
    """Return (first, end) of the things of a list. It is cut only where each is short and stands for itself.

    A list of names in capitals stays whole, for it may be a title: Pride and Prejudice.
    """
    if found.cue.strength is not None:
        return ((first, end),)
    items: list[tuple[int, int]] = []
    start = first
    for at in range(first, end):
        if words[at].text == "," or words[at].low in ("or", "nor", "and"):
            if at > start:
                items.append((start, at))
            start = at + 1
    if start < end:
        items.append((start, end))
    named = [words[a:b] for a, b in items]
    if (
        len(items) < 2
        or not any(word.low in ("or", "nor", "and") for word in words[first:end])
        or any(len(item) > 3 for item in named)
        or any(word.low in english.PREPOSITIONS | english.RELATIVES or not word.word for item in named for word in item)
        or all(item[0].capital for item in named)
        or len({item[-1].capital for item in named}) > 1
        or (named[0][0].low in english.DETERMINERS and named[-1][0].low not in english.DETERMINERS)
    ):
        return ((first, end),)
    return tuple(items)


def _audience(sentence: Sentence) -> _Span | None:
    """Return the wish for whom something should be, behind a comma at the end: pasta recipes, for children."""
    words, end = sentence.words, sentence.end
    while end > sentence.first and words[end - 1].stops:
        end -= 1
    for at in range(max(sentence.first + 1, end - 4), end - 1):
        if words[at].low == "for" and words[at - 1].breaks and words[end - 1].low in english.CLASSES["AUDIENCE"]:
            if sentence.kind in english.NAMED:
                return _Span(at, end, ((at, end),), 1.0)
    return None


def _remaining(text: str, words: Sequence[Word], spans: list[_Span]) -> str | None:
    """Return the query: the text without the spans, in one line; None where nothing is left of it."""
    kept: list[str] = []
    at = 0
    for first, end in _together(words, spans):
        # Brackets that would be empty, and the comma before what is gone.
        if first > at and end < len(words) and words[first - 1].opens and words[end].closes:
            first, end = first - 1, end + 1
        while first > at and words[first - 1].breaks and words[first - 1].low:
            first -= 1
        while (
            end < len(words)
            and words[end].breaks
            and words[end].low
            and ((not kept and first == 0) or not _needed(words, end))
        ):
            end += 1
        kept += [_cut(text, words, at, first)]
        at = end
    kept.append(_cut(text, words, at, len(words)))
    query = " ".join(part for part in kept if part)
    query = re.sub(r"\s+", " ", query)
    query = re.sub(r"\s+([,;:.!?？)\]])", r"\1", query)
    query = re.sub(r"\?(?:\s*[.!?])+$", "?", query).strip()
    if not query.endswith(("?", "？")):
        query = query.rstrip(" .,;:!-–—")
    query = query.lstrip(" ,;:.")
    for phrase in english.ENDINGS:
        if query.lower().endswith((f"? {phrase}", f". {phrase}")):
            query = query[: -len(phrase) - 1]
    left = [word.low for word in words_of(query) if word.word]
    empty = english.GREETINGS | english.JOINING | english.DETERMINERS | english.REQUESTS | {"me", "about"}
    return query if any(low not in empty for low in left) else None


def _name(text: str, words: Sequence[Word], span: _Span) -> str:
    """Return the last name in what is excluded, with a comma: what is left speaks of `the same name`."""
    last = span.parts[-1][1]
    while last > span.parts[0][0] and not words[last - 1].capital:
        last -= 1
    first = last
    while first > span.parts[0][0] and words[first - 1].capital:
        first -= 1
    name = _cut(text, words, first, last).strip(",")
    return f"{name}, " if name else ""


def _together(words: Sequence[Word], spans: list[_Span]) -> list[tuple[int, int]]:
    """Return (first, end) of spans; those that only marks or joining words part are one."""
    joined: list[tuple[int, int]] = []
    for span in spans:
        between = words[joined[-1][1] : span.first] if joined else []
        if joined and all(word.breaks or word.low in english.JOINING for word in between):
            joined[-1] = (joined[-1][0], span.end)
        else:
            joined.append((span.first, span.end))
    return joined


def _needed(words: Sequence[Word], at: int) -> bool:
    """Return whether a comma still parts two clauses, where what stood before it is gone."""
    return at + 1 < len(words) and (words[at + 1].low in ("and", "but", "or") or words[at].text not in ",，")


def _cut(text: str, words: Sequence[Word], first: int, end: int) -> str:
    return text[words[first].start : words[end - 1].end] if first < end else ""


def _plain(text: str) -> str:
    """Return words on one line, without the quotes around them."""
    return " ".join(text.split())
