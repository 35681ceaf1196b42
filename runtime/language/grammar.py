"""`understand`: a text in plain words as a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ...errors import ConfigError
from ...text import one_line, shown
from . import english
from .cues import Sentence, find_cue
from .english import Kind
from .kinds import kind_of
from .request import Request
from .spans import Span, end_of_opening, spans_of
from .words import Word, sentences_of, words_of

MOST_CHARACTERS = 1000
"""A longer text is a document, not a request. The longest of 3,958 queries that exclude something has 445."""
_TIMES = 8
"""A query that remains is read again at most so often; each time takes at least a word away."""
_UNASKED = (
    english.GREETINGS
    | english.JOINING
    | english.DETERMINERS
    | english.REQUESTS
    | set("me about everything anything nothing all everyone".split())
)
"""Words that alone are no query."""


def understand(text: str) -> Request:
    """Return what a text asks for: the query, what there should be more of, and what should not be there.

    Args:
        text: In plain English. What it does not want stands behind cues such as `not`, `without`, `except`; what it
            wants more of behind `more`, `especially`. Titles in quotes or capitals, idioms (`no longer`), statements
            and questions about an absence (`why is X not working`, `how to cook without oil`) have no cue.

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
    for _ in range(_TIMES if len(text) <= MOST_CHARACTERS else 0):
        rest = _take(query, boost, exclude)
        if rest is None:
            break
        query = rest
    return Request(query, boost, tuple(dict.fromkeys(exclude)))


def _take(text: str, boost: dict[str, float], exclude: list[str]) -> str | None:
    """Return a text without what it wishes for and excludes, which is added to the two; None without a cue."""
    words = words_of(text)
    written = {word.text for word in words}
    if written & english.FOREIGN and not written & english.COMMON:
        return None
    spans = [span for sentence in _sentences(words, text) for span in spans_of(sentence)]
    query = _remaining(text, words, spans) if spans else ""
    if not any(word.word and word.low not in _UNASKED for word in words_of(query)):
        return None
    for span in spans:
        for first, end in span.parts:
            named = one_line(_cut(text, words, first, end))
            if span.strength is None:
                exclude.append(named)
            else:
                boost.setdefault(named, span.strength)
    return query


def _sentences(words: list[Word], text: str) -> list[Sentence]:
    """Return the sentences of a text, each with its kind."""
    made = []
    for first, end in sentences_of(words, text):
        # What opens a sentence, such as "apart from X", says nothing about its kind.
        sentence = Sentence(words, first, end, Kind.LIST, text.isupper())
        found = find_cue(sentence, first)
        behind = end_of_opening(sentence, found) if found and found.cue.opens else None
        made.append(replace(sentence, kind=kind_of(words[behind or first : end])))
    return made


def _remaining(text: str, words: Sequence[Word], spans: Sequence[Span]) -> str:
    """Return the query: the text without the spans, on one line."""
    kept: list[str] = []
    at = 0
    for first, end in _together(words, spans):
        # Brackets that would be empty, and the commas around what is gone.
        if first > at and end < len(words) and words[first - 1].opens and words[end].closes:
            first, end = first - 1, end + 1
        while first > at and _is_comma(words[first - 1]):
            first -= 1
        while end < len(words) and _is_comma(words[end]) and (first == 0 or not _still_parts(words, end)):
            end += 1
        kept.append(_cut(text, words, at, first))
        at = end
    kept.append(_cut(text, words, at, len(words)))
    query = one_line(" ".join(kept))
    query = re.sub(r"\s+([,;:.!?？)\]])", r"\1", query)
    query = re.sub(r"\?(?:\s*[.!?])+$", "?", query)
    query = (query if query.endswith(("?", "？")) else query.rstrip(" .,;:!-–—")).lstrip(" ,;:.")
    for phrase in english.ENDINGS:
        if query.lower().endswith((f"? {phrase}", f". {phrase}")):
            query = query[: -len(phrase) - 1].rstrip(".")
    if " same " in query and spans[0].first == 0:
        query = _name(text, words, spans[0]) + query
    return query


def _together(words: Sequence[Word], spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Return (first, end) of spans; those that only marks or joining words part are one."""
    joined: list[tuple[int, int]] = []
    for span in spans:
        between = words[joined[-1][1] : span.first] if joined else []
        if joined and all(word.breaks or word.low in english.JOINING for word in between):
            joined[-1] = (joined[-1][0], span.end)
        else:
            joined.append((span.first, span.end))
    return joined


def _is_comma(word: Word) -> bool:
    """Return whether a word is a mark between clauses, and not a title that ends in one."""
    return word.breaks and bool(word.low)


def _still_parts(words: Sequence[Word], at: int) -> bool:
    """Return whether a comma still parts two clauses, where what stood before it is gone."""
    return at + 1 < len(words) and (words[at + 1].low in ("and", "but", "or") or words[at].text not in ",，")


def _name(text: str, words: Sequence[Word], span: Span) -> str:
    """Return the last name in what is excluded, with a comma: the query speaks of `the same name`."""
    start, last = span.parts[-1]
    while last > start and not words[last - 1].capital:
        last -= 1
    first = last
    while first > start and words[first - 1].capital:
        first -= 1
    name = _cut(text, words, first, last).strip(",")
    return f"{name}, " if name else ""


def _cut(text: str, words: Sequence[Word], first: int, end: int) -> str:
    """Return the text of some words."""
    return text[words[first].start : words[end - 1].end] if first < end else ""
