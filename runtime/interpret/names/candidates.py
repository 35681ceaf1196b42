"""`Candidates`: the phrases that a feature may be called by, and where they occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ....arrays import BoolArray, FloatArray, IntArray, unit_rows
from ....noun_phrases import NounPhrases
from ....noun_phrases.english import singular_of
from ....noun_phrases.nouns import common_nouns
from ....noun_phrases.stop_words import STOP_WORDS
from ....text import WORD

MOST = 40_000
"""Phrases of the documents; the most frequent are kept."""
LEAST_DOCUMENTS = 2
MAX_SHARE = 0.2
"""A phrase in a larger share of the documents distinguishes none of them."""
FRAGMENT = 0.6
"""A phrase that is mostly met inside one longer phrase is a piece of it: `renal cell` of `renal cell carcinoma`."""
COMPLETE = 0.25
"""Share of the documents with a phrase of several words in which it must stand alone at least once."""
ENGLISH = 0.2
"""Share of the words of an English text, at least, that are stop words; it is .35 to .5 of prose and .2 of titles."""
VAGUE = frozenset(
    """amount april august bit case cent day december end evening example fact february form friday group item january
    july june kind level line lot man march may monday month morning name night november number october part people
    percent person piece place point reason result saturday sept september set side sort sunday thing thursday time
    tuesday type way wednesday week word year""".split()
)
"""Words that say little alone."""


@dataclass(frozen=True)
class Candidates:
    """Phrases that names are chosen from: those of the documents, then common nouns that they do not have."""

    texts: list[str]
    """As they are shown."""
    keys: list[tuple[str, ...]]
    """Their words in lower case, the last one in the singular; no two are equal."""
    frequency: IntArray
    """Training documents that have each; 0 for a common noun."""
    centred: FloatArray
    """Embeddings minus their mean, as unit rows, shape (n, d_in)."""
    mean: FloatArray
    """Mean embedding of the phrases, shape (d_in,)."""
    phrases: IntArray
    """The phrases of each document, one document after the other."""
    starts: IntArray
    """Where those of each document start, shape (documents + 1,). Held-out documents have none."""

    def of(self, row: int) -> IntArray:
        """Return the phrases of a training document."""
        return self.phrases[self.starts[row] : self.starts[row + 1]]


def find_candidates(texts: Sequence[str], training: BoolArray, embed: Callable[[list[str]], FloatArray]) -> Candidates:
    """Find the noun phrases of the training documents, shape of `training` (n,); `embed` embeds phrases.

    Documents that are not English have only single words: nothing here knows the grammar of other languages.
    """
    read = [text for text, on in zip(texts, training, strict=True) if on]
    english = is_english(read)
    grammar = NounPhrases(read)
    found: dict[tuple[str, ...], list[int]] = {}
    complete: Counter[tuple[str, ...]] = Counter()
    written: dict[tuple[str, ...], Counter[str]] = {}
    for row, text in zip(np.flatnonzero(training).tolist(), read, strict=True):
        seen: dict[tuple[str, ...], bool] = {}
        for phrase in grammar.of(text):
            if english or len(phrase.key) == 1:
                seen[phrase.key] = seen.get(phrase.key, False) or phrase.complete
                written.setdefault(phrase.key, Counter())[phrase.text] += 1
        for key, alone in seen.items():
            found.setdefault(key, []).append(row)
            complete[key] += alone
    kept = _kept(found, complete, len(read))
    shown = [grammar.written(written[key].most_common(1)[0][0]) for key in kept]
    further = {key: noun for key, noun in _nouns().items() if key not in found} if english else {}
    keys, shown = [*kept, *further], [*shown, *further.values()]
    rows = embed(shown)
    mean = rows.mean(0, dtype=np.float32) if len(rows) else rows.sum(0)
    by_document: list[list[int]] = [[] for _ in texts]
    for number, key in enumerate(kept):
        for row in found[key]:
            by_document[row].append(number)
    return Candidates(
        texts=shown,
        keys=keys,
        frequency=np.array([len(found.get(key, ())) for key in keys], np.int64),
        centred=unit_rows(rows - mean),
        mean=mean,
        phrases=np.fromiter((number for numbers in by_document for number in numbers), np.int32),
        starts=np.concatenate([[0], np.cumsum([len(numbers) for numbers in by_document])]),
    )


def is_english(texts: Sequence[str], most: int = 500) -> bool:
    """Return whether texts are in English, by how many of their words are its stop words."""
    words = [word.casefold() for text in texts[:: max(1, len(texts) // most)] for word in WORD.findall(text)[:200]]
    return sum(word in STOP_WORDS for word in words) >= ENGLISH * len(words) and bool(words)


def _nouns() -> dict[tuple[str, ...], str]:
    """Return the common nouns by their keys."""
    nouns = {}
    for noun in common_nouns():
        *words, last = noun.split()
        if words or last not in VAGUE:
            nouns[(*words, singular_of(last))] = noun
    return nouns


def _kept(
    found: dict[tuple[str, ...], list[int]], complete: Counter[tuple[str, ...]], documents: int
) -> list[tuple[str, ...]]:
    """Return the phrases that can be names, most frequent first."""
    longer: Counter[tuple[str, ...]] = Counter()
    for key, rows in found.items():
        if len(key) > 1:
            for part in (key[1:], (*key[:-2], singular_of(key[-2]))):
                longer[part] = max(longer[part], len(rows))
    most = max(LEAST_DOCUMENTS, MAX_SHARE * documents)
    kept = [
        key
        for key, rows in found.items()
        if LEAST_DOCUMENTS <= len(rows) <= most
        and longer[key] < FRAGMENT * len(rows)
        and (complete[key] >= COMPLETE * len(rows) if len(key) > 1 else key[0] not in VAGUE)
    ]
    return sorted(kept, key=lambda key: (-len(found[key]), key))[:MOST]
