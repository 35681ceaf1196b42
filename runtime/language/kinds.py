"""What a sentence does: it names, asks for, or states something. That decides which cues count in it."""

from __future__ import annotations

from collections.abc import Sequence

from . import english
from .english import Kind
from .words import Word


def kind_of(words: Sequence[Word]) -> Kind:
    """Return what a sentence does, by its first words and its verbs."""
    lows = _opened([word.low for word in words if word.word])
    if not lows:
        return Kind.PHRASE
    asked = lows[:2] in (["can", "you"], ["could", "you"], ["would", "you"], ["will", "you"])
    if asked and len(lows) > 2:
        lows = lows[3:] if lows[2] in english.GREETINGS and len(lows) > 3 else lows[2:]
        if not _requests(lows):
            return Kind.QUESTION if lows[0] in english.ASKING else Kind.DOING
    if _requests(lows):
        return _request(lows)
    if lows[0] in english.ASKING | english.AUXILIARIES:
        return _question(lows)
    if any(low in english.OPERATIONS for low in lows[:3]):
        return Kind.DOING
    question = words[-1].text[0] in "?？"
    if _states(lows, words[-1].text == "."):
        return Kind.QUESTION if question else Kind.STATEMENT
    for at in range(1, len(words) - 1) if question else ():
        if words[at - 1].breaks and words[at].low in english.ASKING:
            return kind_of(words[at:])
    return Kind.PHRASE


def _opened(lows: list[str]) -> list[str]:
    """Return words without greetings at their start, and without the preposition of `in which`."""
    first = 0
    while first < len(lows) - 1 and lows[first] in english.GREETINGS:
        first += 1
    if lows[first : first + 1] and lows[first] in english.PREPOSITIONS and lows[first + 1 : first + 2]:
        first += lows[first + 1] in english.ASKING
    return lows[first:]


def _requests(lows: list[str]) -> bool:
    """Return whether words begin with a verb that asks for something."""
    return lows[0] in english.REQUESTS or lows[1:2] in (["me"], ["us"]) or " ".join(lows[:2]) in english.REQUEST_PHRASES


def _request(lows: list[str]) -> Kind:
    """Return the kind of a sentence that begins with a verb of requests; `tell me how to` is a question of how to."""
    for at, low in enumerate(lows[1:6], 1):
        if low in ("how", "why", "whether", "if"):
            if _does(lows[at:]):
                return Kind.DOING
            return Kind.REQUEST if low == "how" else Kind.QUESTION
    return Kind.REQUEST


def _question(lows: list[str]) -> Kind:
    """Return the kind of a sentence that begins with a word or verb of questions."""
    if _does(lows):
        return Kind.DOING
    if lows[:2] == ["do", "you"]:
        return Kind.REQUEST
    listing = lows[0] in english.LISTING or (lows[0] in english.AUXILIARIES and lows[1:2] == ["there"])
    return Kind.LIST if listing else Kind.QUESTION


def _does(lows: list[str]) -> bool:
    """Return whether somebody does something: how to, how do I, can one, is it possible, is there a way."""
    if lows[:2] == ["how", "to"] or lows[:3] == ["is", "it", "possible"] or "way" in lows[2:4]:
        return True
    rest = lows[1:] if lows[0] == "how" else lows
    if rest[:2] == ["do", "you"] and rest[2:3] and rest[2] in english.HAVING:
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
