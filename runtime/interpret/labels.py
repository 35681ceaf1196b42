"""Labels without a language model: the few phrases whose embeddings together point where the latent's atom points."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import FloatArray, unit_rows
from ...text import inflected
from .encoded_documents import largest

MAX_WORDS = 3
"""Words of a phrase."""
MAX_PHRASES = 40_000
MAX_SHARE = 0.2
"""A phrase in a larger share of the documents distinguishes none of them."""
LABEL_PHRASES = 3
"""Phrases per label. One is easier to read but detects less, eight detect little more; see benchmarks/README.md."""
POOL = 300
"""Nearest phrases that are considered for one label."""
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
    """Phrases that labels may be made of, and their embeddings."""

    texts: list[str]
    centred: FloatArray
    """Embeddings minus their mean, as unit rows, shape (n, d_in)."""
    mean: FloatArray
    """That mean, shape (d_in,)."""


@dataclass(frozen=True)
class Label:
    """A label and its direction."""

    phrases: tuple[str, ...]
    direction: FloatArray
    """Sum of the phrases' centred embeddings, unit length, shape (d_in,); documents are compared with it."""

    @property
    def text(self) -> str:
        """The label as it is shown."""
        return ", ".join(self.phrases)


def phrases_of(text: str) -> Iterator[str]:
    """Yield the lower-cased phrases of one to three words in a text; none starts or ends with a stop word."""
    for part in _BREAK.split(text.casefold()):
        words = _WORD.findall(part)
        for start, word in enumerate(words):
            if word in STOP_WORDS:
                continue
            for stop in range(start + 1, min(start + MAX_WORDS, len(words)) + 1):
                if words[stop - 1] not in STOP_WORDS:
                    yield " ".join(words[start:stop])


def frequent_phrases(texts: Iterable[str], limit: int = MAX_PHRASES) -> list[str]:
    """Return the phrases that at least two documents have and at most a share `MAX_SHARE`, most frequent first."""
    frequency: Counter[str] = Counter()
    n = 0
    for text in texts:
        frequency.update(set(phrases_of(text)))
        n += 1
    most = max(2.0, MAX_SHARE * n)
    kept = [(count, phrase) for phrase, count in frequency.items() if 2 <= count <= most]
    kept.sort(key=lambda pair: (-pair[0], pair[1]))
    return [phrase for _, phrase in kept[:limit]]


def make_label(direction: FloatArray, phrases: Phrases, *, length: int = LABEL_PHRASES) -> Label:
    """Choose phrases by greedy matching pursuit: each one brings their sum nearest to the direction.

    A phrase that shares a word with a chosen one is skipped: `receptor` after `receptors`, or a part of a phrase. There
    are fewer than `length` when no other brings the sum nearer to the direction, a latent's atom of shape (d_in,).

    References:
        Mallat, Zhang 1993, "Matching pursuits with time-frequency dictionaries".
    """
    goal = direction / max(float(np.linalg.norm(direction)), 1e-12)
    pool = largest(phrases.centred @ goal, POOL)
    rows = phrases.centred[pool]
    total: FloatArray = np.zeros_like(goal)
    chosen: list[str] = []
    best = 0.0
    for _ in range(length):
        sums = total + rows
        fit = (sums @ goal) / np.linalg.norm(sums, axis=1)
        for at in np.argsort(-fit, kind="stable"):
            if not any(share_word(phrases.texts[pool[at]], other) for other in chosen):
                break
        else:
            break
        if fit[at] <= best:
            break
        best, total = float(fit[at]), sums[at]
        chosen.append(phrases.texts[pool[at]])
    return Label(tuple(chosen), unit_rows(total[None])[0])


def share_word(phrase: str, other: str) -> bool:
    """Return whether two phrases share a word, up to its ending."""
    return any(a == b or inflected(a, b) for a in phrase.split() for b in other.split())


def make_unique(labels: Sequence[Label | None], order: Iterable[int]) -> list[str | None]:
    """Return label texts that all differ: of two that are equal, the later one in `order` gets its latent's name."""
    taken: set[str] = set()
    texts: list[str | None] = [None] * len(labels)
    for latent in order:
        label = labels[latent]
        if label is None or not label.phrases:
            continue
        text = label.text if label.text not in taken else f"{label.text} (f{latent})"
        taken.add(text)
        texts[latent] = text
    return texts
