"""`NounPhrases`: the noun phrases of one to three words in texts, by word classes and what stands around the words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .english import WordClass, singular_of, word_class
from .stop_words import STOP_WORDS

MAX_WORDS = 3
LONGEST_WORD = 40
"""Letters; longer ones are encoded data."""
HEAD = 0.5
"""Share of its uses here that must be nouns for a word to end a phrase of several words, and one alone."""
PRIOR = 2.0
"""Uses that the list of words counts for beside those in the texts."""
NOUN_BEFORE = frozenset(
    "a an the this these those his her its our their your my some any no each every another both of".split()
)
"""After these a word is a noun or belongs to one."""
VERB_BEFORE = frozenset("to will would can could may might must shall should not they we he she you i who".split())
"""After these a word is a verb."""
_NOISE = re.compile(r"\S+@\S+|\w+://\S+|\b\w+(?:\.\w+){2,}|&(?:\w+|#\d+);")
"""Addresses and entities, which are no words of a language."""
_BREAK = re.compile(
    r"[.,;:!?()\[\]{}\"“”„«»\n\r\t|/\\<>=*#_`~^+&@$%]+|\s['‘’]|['‘’](?=\s|$)|(?<=\s)[-–—]+(?=\s)|--+|\d[\w.%-]*"
)
_WORD = re.compile(r"[^\W\d_](?:\w|['’-](?=\w))*")
_POSSESSIVE = re.compile(r"['’]s$")
_SHORTENED = re.compile(r"['’](?:ve|re|ll|d|m|t)$")


class Phrase(NamedTuple):
    """A noun phrase as it occurs in a text."""

    key: tuple[str, ...]
    """Its words in lower case, the last one in the singular: what tells it from others."""
    text: str
    """As it is written."""
    complete: bool
    """Whether no word beside it belongs to it."""


class Word(NamedTuple):
    """A word in a run of words that can make up a noun phrase."""

    text: str
    lower: str
    parts: frozenset[str]
    head: bool
    """Whether a phrase can end with it."""


class NounPhrases:
    """Finds noun phrases. Words that are nouns or verbs are what they mostly are in the texts that are learnt from."""

    def __init__(self, texts: Iterable[str]) -> None:
        nouns: Counter[str] = Counter()
        verbs: Counter[str] = Counter()
        self._cases: dict[str, Counter[str]] = {}
        for text in texts:
            self._learn(text, nouns, verbs)
        self._nouns, self._verbs = nouns, verbs
        self._words: dict[str, tuple[frozenset[str], bool]] = {}

    def of(self, text: str) -> Iterator[Phrase]:
        """Yield the noun phrases of a text, those within longer ones too."""
        for run in self._runs(text):
            for start in range(len(run)):
                for stop in range(start + 1, min(start + MAX_WORDS, len(run)) + 1):
                    words = run[start:stop]
                    if not _is_phrase(words):
                        continue
                    alone = start == 0 and (stop == len(run) or not run[stop].parts & {"n", "g"})
                    key = (*(word.lower for word in words[:-1]), singular_of(words[-1].lower))
                    yield Phrase(key, " ".join(word.text for word in words), alone)

    def written(self, text: str) -> str:
        """Return a phrase as within a sentence: `Stem cells` in lower case, `Serena Williams` as it is."""
        first, *others = text.split()
        if any(word[0].isupper() for word in others):
            return text
        return " ".join((self._written(first), *others))

    def _written(self, word: str) -> str:
        cases = self._cases.get(word.casefold())
        if cases is None:
            return word if word.isupper() and len(word) > 1 else word.casefold()
        (commonest, count), lower = cases.most_common(1)[0], cases[word.casefold()]
        return word.casefold() if 3 * lower >= count else commonest

    def _learn(self, text: str, nouns: Counter[str], verbs: Counter[str]) -> None:
        for part in _parts(text):
            before = ""
            for at, match in enumerate(_WORD.finditer(part)):
                word = _POSSESSIVE.sub("", match.group())
                lower = word.casefold()
                if before.endswith("ing"):
                    # `keeping the` is a verb, `the keeping of` is a noun.
                    verbs[before] += lower in NOUN_BEFORE and lower != "of"
                    nouns[before] += lower == "of"
                if before in NOUN_BEFORE:
                    nouns[lower] += before != "of" or not lower.endswith("ing")
                elif before in VERB_BEFORE:
                    verbs[lower] += 1
                # The first word of a part may be the first of a sentence.
                if at and len(word) <= LONGEST_WORD:
                    self._cases.setdefault(lower, Counter())[word] += 1
                before = "the" if word != match.group() else lower

    def _runs(self, text: str) -> Iterator[list[Word]]:
        """Yield the longest runs of words without a stop word, a verb, an adverb or a break."""
        for part in _parts(text):
            run: list[Word] = []
            for match in _WORD.finditer(part):
                word = _POSSESSIVE.sub("", match.group())
                lower = word.casefold()
                parts, head = self._class(lower)
                stops = lower in STOP_WORDS or not 1 < len(lower) <= LONGEST_WORD or bool(_SHORTENED.search(lower))
                if (stops or not parts & {"n", "a", "p", "g"}) and run:
                    yield run
                    run = []
                elif not stops and parts & {"n", "a", "p", "g"}:
                    run.append(Word(word, lower, parts, head))
                # What belongs to somebody is another thing: `Apple's share price` is about the share price.
                if word != match.group() and run:
                    yield run
                    run = []
            if run:
                yield run

    def _class(self, lower: str) -> tuple[frozenset[str], bool]:
        """Return the parts of speech of a word here, and whether it can end a phrase."""
        if lower not in self._words:
            known = word_class(lower)
            self._words[lower] = self._decide(lower, known)
        return self._words[lower]

    def _decide(self, lower: str, known: WordClass) -> tuple[frozenset[str], bool]:
        parts = known.parts
        if "a" in parts and "n" in parts and known.noun < HEAD:
            return parts - {"v"}, False
        if "g" not in parts and not {"v", "n"} <= parts:
            return parts - {"v"}, "n" in parts
        nouns, verbs = self._nouns[lower], self._verbs[lower]
        share = (nouns + PRIOR * known.noun) / (nouns + verbs + PRIOR)
        if share >= HEAD:
            return parts - {"v"}, True
        # A verb that is an adjective too, as in `an open question`, may begin a phrase, and so may `operating system`.
        return parts - {"v", "n"}, False


def _parts(text: str) -> list[str]:
    return _BREAK.split(_NOISE.sub("\n", text))


def _is_phrase(words: list[Word]) -> bool:
    """Return whether words are a noun phrase: adjectives and participles, then nouns; or a gerund alone."""
    *before, last = words
    if not last.head:
        return False
    if before and "n" not in last.parts:
        return False
    noun = False
    for word in before:
        if noun and not word.parts & {"n", "g"}:
            return False
        noun = noun or ("n" in word.parts and not word.parts & {"a", "p"})
    return True
