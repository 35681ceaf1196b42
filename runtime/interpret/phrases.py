"""Words and short phrases of a corpus, with their embeddings: what labels are made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...metrics import FloatArray

MAX_WORDS = 3
MAX_PHRASES = 40_000
MAX_SHARE = 0.2
"""A phrase in more documents than this tells none apart."""
_WORD = re.compile(r"[^\W\d_][\w'-]+")
_BREAK = re.compile(r"[.,;:!?()\[\]{}\"“”\n|/]+")
STOP_WORDS = frozenset(
    """a about above after again against all almost along already also although always among an and another any are as
    at be because been before being below between both but by can cannot could did do does doing done down during each
    either else especially et etc every few first for from further given had has have having he hence her here him his
    how however i if in indeed instead into is it its itself just last least less like made main mainly make makes many
    may me might more moreover most much must my near nearly neither never no nor not now of off often on once one only
    onto or other others our out over own per perhaps quite rather really same second see seem seems several she should
    show showed shown shows since so some such than that the their them then there thereby therefore these they this
    those though three through throughout thus to together too toward towards two under until up upon us use used uses
    using various very via was we well were what when whereas where whether which while who whom whose why will with
    within without would yet you your""".split()
)


@dataclass(frozen=True)
class Phrases:
    """Candidate phrases."""

    texts: list[str]
    centred: FloatArray
    """Unit rows after the mean of all phrases is taken away, shape (n, d_in)."""
    mean: FloatArray
    """That mean, shape (d_in,)."""


def phrases_of(text: str) -> Iterator[str]:
    """Phrases of one to three words in a text, lower-cased; none starts or ends with a stop word."""
    for part in _BREAK.split(text.casefold()):
        words = _WORD.findall(part)
        for start, word in enumerate(words):
            if word in STOP_WORDS:
                continue
            for stop in range(start + 1, min(start + MAX_WORDS, len(words)) + 1):
                if words[stop - 1] not in STOP_WORDS:
                    yield " ".join(words[start:stop])


def frequent_phrases(texts: Iterable[str], limit: int = MAX_PHRASES) -> list[str]:
    """Phrases that more than one document has, and not too many; the most frequent first where there are too many.

    Args:
        texts: One pass is made.
        limit: Phrases to return at most.
    """
    frequency: Counter[str] = Counter()
    n = 0
    for text in texts:
        frequency.update(set(phrases_of(text)))
        n += 1
    most = max(2.0, MAX_SHARE * n)
    kept = [(count, phrase) for phrase, count in frequency.items() if 2 <= count <= most]
    kept.sort(key=lambda pair: (-pair[0], pair[1]))
    return [phrase for _, phrase in kept[:limit]]
