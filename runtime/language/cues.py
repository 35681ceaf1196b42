"""Finds a cue at a place of a sentence, and tells whether it counts there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from . import english
from .english import Cue, Kind
from .words import Word, phrase_at


class Found(NamedTuple):
    """A cue in a text."""

    cue: Cue
    first: int
    """Index of its first word, the words that join it included."""
    at: int
    """Index of the first word of the cue itself."""
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

    @cached_property
    def cues(self) -> dict[int, Found]:
        """The cues that count: index of the first word of the cue itself -> cue."""
        found = {at: find_cue(self, at) for at in range(self.first, self.end)}
        return {at: cue for at, cue in found.items() if cue is not None}

    def has(self, words: frozenset[str]) -> bool:
        """Return whether it has one of the words."""
        return any(word.low in words for word in self.words[self.first : self.end])


_NEGATIONS = ("no", "not", "but not", "minus")
"""Patterns of single words that are often part of something else."""
_JOINED = 8
"""Words and phrases before a cue that belong to it, at most."""
_SHORT = 10
"""A sentence with a full stop and more words and marks states something, rather than to name what is looked for."""
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
    first = _joined(sentence, at)
    idiom = _idiom_end(sentence, at)
    best: Found | None = None
    for cue, parts in candidates:
        end = _match(words, at, sentence.end, parts)
        if end is None or end >= sentence.end or end <= idiom or (best is not None and end <= best.end):
            continue
        found = Found(cue, first, at, end, first == at and not _breaks(sentence, at))
        if _counts(sentence, found):
            best = found
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
    # ":not" is a name.
    return before.opens or (before.breaks and (before.text != ":" or before.end < sentence.words[at].start))


def _joined(sentence: Sentence, at: int) -> int:
    """Return the first of the words before a cue that belong to it, such as `but please` in `but please no X`."""
    words, first = sentence.words, at
    for _ in range(min(_JOINED, at - sentence.first)):
        before = _joining(sentence, first)
        if (
            before is None
            and words[first - 1].low in english.JOINING
            and (words[first - 1].low != "only" or first < at)
        ):
            before = first - 1
        if before is None:
            break
        first = before
    return first


def _joining(sentence: Sentence, end: int) -> int | None:
    """Return the start of a phrase that ends before a cue, opens its clause and belongs to it; None without one."""
    for phrase in english.JOINING_PHRASES:
        start = end - 1 - phrase.count(" ")
        if start < sentence.first or phrase_at(sentence.words, start, phrase) is None:
            continue
        if _breaks(sentence, start) or sentence.words[start - 1].low in english.JOINING:
            return start
    return None


def _counts(sentence: Sentence, found: Found) -> bool:
    """Return whether a cue counts where it stands; see the fields of `Cue`."""
    cue, words = found.cue, sentence.words
    behind = words[found.end]
    if sentence.kind not in cue.kinds or not (behind.word or behind.opens) or (found.at == 0 and not cue.opens):
        return False
    if behind.low in english.LINKS or (found.bare and words[found.at - 1].text == ":"):
        return False
    if cue.wants and not any(word.low in cue.wants for word in words[sentence.first : found.at]):
        return False
    if cue.other and not sentence.has(english.OTHER):
        return False
    if cue.strength is not None:
        counts = _wishes(behind)
    elif cue.compares:
        counts = _compares(sentence, behind)
    else:
        counts = cue.pattern not in _NEGATIONS or _negates(sentence, found)
    if found.bare or not counts:
        return counts and sentence.kind in cue.bare
    # "Cheap and not touristy" describes one thing; "cheap, and not touristy" has a wish of its own.
    joined = found.first < found.at and words[found.first].low in ("and", "or") and not _breaks(sentence, found.first)
    return not joined or (cue.strength is None and cue.kinds not in (english.NAMED, english.LISTS))


def _wishes(behind: Word) -> bool:
    """Return whether the word behind `more` or `especially` can be wished for, and does not compare or explain."""
    return not (behind.low in english.UNWISHED or behind.low[:1].isdigit() or behind.low.endswith("ly"))


def _compares(sentence: Sentence, behind: Word) -> bool:
    """Return whether `besides` and its like exclude: `besides X, she also plays Y` adds."""
    adds = sentence.kind is not Kind.LIST and sentence.has(english.ALSO) and not sentence.has(english.OTHER)
    return not adds and behind.low not in english.EXPLAINING


def _negates(sentence: Sentence, found: Found) -> bool:
    """Return whether `no` or `not` is about something that can be excluded, and reports no fault."""
    words, pattern = sentence.words, found.cue.pattern
    behind = words[found.end]
    # "While not cheap, it is good" concedes; "no pain, no gain" is a saying; "not 5" is a number.
    opened = sentence.first < found.at and words[sentence.first].low in ("no", "not")
    if pattern != "but not" and (opened or words[found.first].low == "while" or behind.low[:1].isdigit()):
        return False
    if pattern == "no":
        return True
    if pattern == "not" and words[found.at - 1].low == "but" and words[found.at - 2].word:
        return False  # the cue is "but not"
    before = words[found.first - 1].low if found.first > sentence.first else ""
    if before in english.AUXILIARIES or (before in ("and", "or") and not sentence.has(english.CLASSES["FOCUSING"])):
        return False
    if behind.low in english.FAULTS | english.EXPLAINING or (found.bare and before in english.PEOPLE):
        return False
    # A participle is what somebody does or what is done: baby not sleeping, command not recognized.
    named = behind.capital or behind.low in english.PREPOSITIONS | english.CLASSES["NEWS"]
    if behind.low.endswith("ing") and not named:
        return False
    if not found.bare or pattern == "but not":
        return True
    stated = words[sentence.end - 1].text == "." and sentence.end - sentence.first > _SHORT
    return not stated and (named or not behind.low.endswith("ed"))
