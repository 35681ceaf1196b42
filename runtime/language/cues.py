"""Finds a cue at a place of a sentence, and tells whether it counts there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from . import english
from .english import Cue, Kind
from .words import Word


class Found(NamedTuple):
    """A cue in a text."""

    cue: Cue
    first: int
    """Index of its first word, the words that join it included."""
    end: int
    """Index behind its last word."""
    bare: bool
    """Whether it stands in the middle of a clause."""


@dataclass(frozen=True)
class Sentence:
    """A sentence, with what decides whether a cue counts in it."""

    words: Sequence[Word]
    """Of the whole text."""
    first: int
    """Index of its first word."""
    end: int
    """Index behind its last word."""
    kind: Kind
    shouted: bool
    """Whether the text is in capitals, so that a capital marks no title."""

    def has(self, words: frozenset[str]) -> bool:
        """Return whether it has one of the words."""
        return any(word.low in words for word in self.words[self.first : self.end])


_PATTERNS: dict[str, list[tuple[Cue, tuple[tuple[str, bool], ...]]]] = {}
"""First word -> the cues that begin with it, each with its words and whether one may be missing."""
for _cue in english.CUES:
    _parts = tuple((part.rstrip("?"), part.endswith("?")) for part in _cue.pattern.split())
    # A first word that may be missing stands for the second too.
    for _part, _optional in _parts:
        for _word in english.CLASSES.get(_part, frozenset((_part,))):
            _PATTERNS.setdefault(_word, []).append((_cue, _parts))
        if not _optional:
            break
_IDIOMS: dict[str, list[tuple[str, ...]]] = {}
"""First word -> idioms that begin with it."""
for _idiom in english.IDIOMS:
    _IDIOMS.setdefault(_idiom.split()[0], []).append(tuple(_idiom.split()))


def find_cue(sentence: Sentence, at: int) -> Found | None:
    """Return the longest cue that begins at a word of a sentence and counts there; None without one.

    Args:
        sentence: Where it is looked for.
        at: Index of the word in `sentence.words`.
    """
    words = sentence.words
    candidates = _PATTERNS.get(words[at].low)
    if not candidates or _in_title(sentence, at):
        return None
    idiom = _idiom_end(sentence, at)
    best: Found | None = None
    for cue, parts in candidates:
        end = _match(words, at, sentence.end, parts)
        if end is None or end >= sentence.end or end <= idiom or (best is not None and end <= best.end):
            continue
        first = _joined(sentence, at)
        bare = first == at and not _breaks(sentence, at)
        if _counts(sentence, cue, first, end, bare, at):
            best = Found(cue, first, end, bare)
    return best


def _match(words: Sequence[Word], at: int, limit: int, parts: tuple[tuple[str, bool], ...]) -> int | None:
    """Return the index behind a pattern that begins at a word; None where the words differ."""
    for part, optional in parts:
        group = english.CLASSES.get(part)
        if at < limit and (words[at].low in group if group else words[at].low == part):
            at += 1
        elif not optional:
            return None
    return at


def _in_title(sentence: Sentence, at: int) -> bool:
    """Return whether a capital makes the word part of a title; a word in capitals throughout is stressed instead."""
    word, words = sentence.words[at], sentence.words
    if sentence.shouted or not word.capital or (word.text.isupper() and len(word.text) > 1):
        return False
    if at == sentence.first or words[at - 1].stops:
        behind = words[at + 1] if at + 1 < sentence.end else word
        # "Gone. Without a Trace" has a full stop of its own; "Not Without My Daughter" opens the text.
        return behind.capital and behind.low in english.CLASSES["NOT"]
    if _breaks(sentence, at) and word.low not in english.SMALL:
        return False
    near = [words[at - 1], *words[at + 1 : at + 2]]
    return any(other.capital for other in near) or words[at - 1].low in english.ABBREVIATIONS


def _idiom_end(sentence: Sentence, at: int) -> int:
    """Return the index behind the idiom that a word belongs to, which begins at most two words before; 0 without one.

    A cue that reaches beyond it counts: `life without` is an idiom, `his life without mentioning X` is none.
    """
    words = sentence.words
    for start in range(max(sentence.first, at - 2), at + 1):
        for idiom in _IDIOMS.get(words[start].low, ()):
            end = start + len(idiom)
            if at < end <= sentence.end and tuple(word.low for word in words[start:end]) == idiom:
                return end
    return 0


def _breaks(sentence: Sentence, at: int) -> bool:
    """Return whether a clause begins at a word."""
    if at == sentence.first:
        return True
    before = sentence.words[at - 1]
    return before.breaks or before.opens


def _joined(sentence: Sentence, at: int) -> int:
    """Return the first of the words before a cue that belong to it: `, but please` in `, but please do not mention X`."""
    words = sentence.words
    moved = True
    first = at
    while moved and first > sentence.first:
        moved = False
        before = words[first - 1]
        if before.low in english.JOINING and (before.low != "only" or first < at):
            first, moved = first - 1, True
            continue
        for phrase in english.JOINING_PHRASES:
            parts = phrase.split()
            start = first - len(parts)
            if start < sentence.first or not (_breaks(sentence, start) or words[start - 1].low in english.JOINING):
                continue
            if [word.low for word in words[start:first]] == parts:
                first, moved = start, True
                break
    return first


def _counts(sentence: Sentence, cue: Cue, first: int, end: int, bare: bool, at: int) -> bool:
    """Return whether a cue counts where it stands; see the fields of `Cue`."""
    words = sentence.words
    if sentence.kind not in cue.kinds or not (words[end].word or words[end].opens):
        return False
    opening = first == 0 and at == 0
    if opening and not cue.opens:
        return False
    # "Besides X, she also plays Y" adds; "which Y does she play besides X" excludes.
    adds = sentence.kind is not Kind.LIST and sentence.has(english.ALSO)
    if (cue.other or (cue.compares and adds)) and not sentence.has(english.OTHER):
        return False
    low = words[end].low
    if cue.strength is not None and (low[:1].isdigit() or low in ("than", "and", "or", "to", "of")):
        return False
    if cue.pattern in ("no", "not", "but not", "minus") and low[:1].isdigit() and cue.pattern != "but not":
        return False
    if low in english.ASKING | {"that", "as", "if"} and (cue.compares or cue.strength is not None):
        return False
    if cue.wants and not any(word.low in cue.wants for word in words[sentence.first : at]):
        return False
    # "While not cheap, it is good" concedes; "no pain, no gain" is a saying.
    opened = sentence.first < at and words[sentence.first].low in ("no", "not")
    if cue.pattern in ("no", "not") and (opened or words[first].low == "while"):
        return False
    if cue.strength is not None and (low in english.UNWISHED or low.endswith("ly")):
        return False
    if cue.pattern in ("not", "but not") and not _names(sentence, first, at, end, bare):
        return False
    if cue.pattern == "not" and first < at and words[at - 1].low == "but" and words[at - 2].word:
        return False  # the cue is "but not"
    if not bare:
        # "cheap and not touristy" describes one thing; "cheap, and not touristy" is a wish of its own.
        joined = first < at and words[first].low in ("and", "or") and not _breaks(sentence, first)
        return not (joined and (cue.strength is not None or cue.kinds in (english.NAMED, english.LISTS)))
    return sentence.kind in cue.bare


def _names(sentence: Sentence, first: int, at: int, end: int, bare: bool) -> bool:
    """Return whether something that can be excluded stands behind `not`, and not the report of a fault."""
    words = sentence.words
    low = words[end].low
    before = words[first - 1].low if first > sentence.first else ""
    if low in english.FAULTS or low in english.ASKING or before in english.AUXILIARIES | {"need", "ought"}:
        return False
    if before in ("and", "or") and not sentence.has(english.CLASSES["FOCUSING"]):
        return False
    if low.endswith("ing") and low not in english.PREPOSITIONS | english.CLASSES["NEWS"] and not words[end].capital:
        return False
    if not bare:
        return True
    if words[sentence.end - 1].text == "." and sentence.end - sentence.first > 10:
        return False
    described = low in english.PREPOSITIONS or words[end].capital or words[at].low == "but"
    return described or not low.endswith("ed")
