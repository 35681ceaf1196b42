"""`Words`: a score as a sum over the words of a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray

SHARE, MOST = 0.3, 12
"""Highlighted are words that stand above the average word of their text by at least this share of how far the strongest
does, at most so many: in a short text every word has a part of what the whole says, "of" and "the" too."""


LENGTH = 0.75
"""Power of a sentence's length that its value is divided by to compare it with others: a sum prefers the longest, a
mean a heading of one word. Of 80 abstracts of SciFact the chosen sentence alone has .895 of the cosine of the sentence
that is nearest to the query; .845 with a sum, .848 with a mean, .732 by chance."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a document."""

    start: int
    """Its first character in the text of the document."""
    end: int
    """Its last character plus one."""
    value: float
    """What its words add to the score."""
    words: int
    """How many of its words were read."""


@dataclass(frozen=True)
class WordPart:
    """What one word of a document adds to its score."""

    start: int
    """Its first character in the text of the document."""
    end: int
    """Its last character plus one."""
    value: float
    """What it adds to the score; negative if the score would be higher without it."""
    terms: tuple[float, ...] = ()
    """What of it each condition has, in the order of `Explanation.terms`; they add up to `value`."""
    features: dict[int, float] = field(default_factory=dict, repr=False)
    """Latent -> what of it the feature has, of the features of the query and the concepts. What no active feature
    expresses is missing."""


@dataclass(frozen=True, eq=False)
class Words(Sequence[WordPart]):
    """The words of a document that its embedder read, in reading order, with what each adds to the score.

    ``score = sum(word.value) + rest``, and so for each condition: ``value = sum(word.terms[i]) + rests[i]``.
    """

    text: str = field(repr=False)
    """Text of the document."""
    exact: bool
    """Whether the embedding is a sum over its tokens and these are the words' parts of it. Otherwise a word's part is
    what the embedding loses without it, and `rest` is large."""
    spans: IntArray = field(repr=False)
    """First character of each word, and last plus one, shape (n, 2)."""
    values: WideArray = field(repr=False)
    """What each word adds to the score, shape (n,)."""
    by_term: WideArray = field(repr=False)
    """What of it each condition has, shape (n, number of conditions)."""
    latents: IntArray = field(repr=False)
    """Features of the query and the concepts, shape (m,)."""
    by_feature: FloatArray = field(repr=False)
    """What each of them has of what each word adds, shape (n, m)."""
    rest: float
    """What is in no word: punctuation and special tokens, the prompt of documents, with conditions the score of the
    average document."""
    rests: tuple[float, ...]
    """The rest of each condition, in the order of `Explanation.terms`."""
    sentences: tuple[Sentence, ...] = field(repr=False)
    """The sentences that were read, in reading order; what their words add makes the same sum as the words."""

    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, place: int) -> WordPart: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[WordPart, ...]: ...
    def __getitem__(self, place: int | slice) -> WordPart | tuple[WordPart, ...]:
        if isinstance(place, slice):
            return tuple(self._part(i) for i in range(len(self))[place])
        return self._part(range(len(self))[place])

    def text_of(self, part: WordPart | Sentence) -> str:
        """Return the word or sentence itself."""
        return self.text[part.start : part.end]

    def strongest(self, limit: int | None = None) -> tuple[WordPart, ...]:
        """Return the words that add most to the score, largest first; all that add something by default."""
        order = np.argsort(-self.values, kind="stable")[:limit]
        return tuple(self._part(i) for i in order.tolist() if self.values[i] > 0)

    @cached_property
    def highlights(self) -> tuple[WordPart, ...]:
        """The words to mark in the text, in reading order: the strongest, see `SHARE`."""
        if not len(self) or self.values.max() <= 0:
            return ()
        above = self.values - self.values.mean()
        order = np.argsort(-above, kind="stable")[:MOST]
        marked = order[(above[order] >= SHARE * above.max()) & (self.values[order] > 0)]
        return tuple(self._part(i) for i in sorted(marked.tolist()))

    @property
    def sentence(self) -> Sentence | None:
        """The sentence that says best why the document was found; None for a text without words."""
        return max(self.sentences, key=lambda one: one.value / one.words**LENGTH, default=None)

    def _part(self, i: int) -> WordPart:
        start, end = self.spans[i].tolist()
        features = dict(zip(self.latents.tolist(), self.by_feature[i].tolist(), strict=True))
        return WordPart(start, end, float(self.values[i]), tuple(self.by_term[i].tolist()), features)
