"""Labels without a language model: the few phrases whose embeddings together point where the latent's atom points."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import FloatArray, unit_rows

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


LENGTH = 3
"""Phrases per label. One is easier to read but detects less, eight detect little more; see benchmarks/README.md."""
STEM, ENDING = 4, 3
"""Letters that two forms of a word share at least, and those in which they may differ at most."""
POOL = 300
"""Nearest phrases that are considered for one label."""


@dataclass(frozen=True)
class Label:
    """A label and the direction it stands for."""

    phrases: tuple[str, ...]
    direction: FloatArray
    """Sum of the phrases' centred embeddings, unit length, shape (d_in,): what a document is compared with."""

    @property
    def text(self) -> str:
        """What people see."""
        return ", ".join(self.phrases)


def label_direction(direction: FloatArray, phrases: Phrases, *, length: int = LENGTH) -> Label:
    """Greedy matching pursuit over phrases: each next one brings the sum of all nearest to the direction.

    Words that say the same as those chosen are passed over: `receptor` after `receptors`, or a part of a phrase.

    Args:
        direction: A latent's atom, shape (d_in,).
        phrases: Candidates.
        length: Phrases at most; fewer when no other brings the sum nearer.

    References:
        Mallat, Zhang 1993, "Matching pursuits with time-frequency dictionaries".
    """
    goal = direction / max(float(np.linalg.norm(direction)), 1e-12)
    near = phrases.centred @ goal
    pool = np.argpartition(-near, min(POOL, len(near) - 1))[:POOL]
    pool = pool[np.argsort(-near[pool], kind="stable")]
    rows = phrases.centred[pool]
    total: FloatArray = np.zeros_like(goal)
    chosen: list[str] = []
    reached = 0.0
    for _ in range(length):
        sums = total + rows
        fit = (sums @ goal) / np.linalg.norm(sums, axis=1)
        for at in np.argsort(-fit, kind="stable"):
            if not any(says_the_same(phrases.texts[pool[at]], other) for other in chosen):
                break
        else:
            break
        if fit[at] <= reached:
            break
        reached, total = float(fit[at]), sums[at]
        chosen.append(phrases.texts[pool[at]])
    return Label(tuple(chosen), unit_rows(total[None])[0])


def says_the_same(phrase: str, other: str) -> bool:
    """Whether two phrases share a word, up to its ending."""
    return any(a == b or inflected(a, b) for a in phrase.split() for b in other.split())


def inflected(word: str, other: str) -> bool:
    """Whether two words differ in their endings only: `cell` and `cells`, `histone` and `histones`."""
    shared = 0
    for a, b in zip(word, other, strict=False):
        if a != b:
            break
        shared += 1
    return shared >= STEM and max(len(word), len(other)) - shared <= ENDING


def make_unique(labels: Sequence[Label | None], keys: Iterable[int]) -> list[str | None]:
    """Label texts with no two the same: the later of two, in the order of `keys`, gets its latent's name.

    Args:
        labels: One per latent, None for a latent without one.
        keys: Latents by right of way, for example the most frequent first.
    """
    taken: set[str] = set()
    texts: list[str | None] = [None] * len(labels)
    for latent in keys:
        label = labels[latent]
        if label is None or not label.phrases:
            continue
        text = label.text if label.text not in taken else f"{label.text} (f{latent})"
        taken.add(text)
        texts[latent] = text
    return texts
