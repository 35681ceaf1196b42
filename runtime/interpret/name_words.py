"""Which documents have the words of a name, up to their endings."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from ...arrays import BoolArray, IntArray
from ...text import STEM, inflected

_WORD = re.compile(r"[^\W_]+")


class NameWords:
    """The words of documents, to find those that have a name's."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._n = len(texts)
        places: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            for word in set(_WORD.findall(text.casefold())):
                places.setdefault(word, []).append(i)
        self._known = sorted(places)
        self._places = {word: np.array(found, np.int64) for word, found in places.items()}
        self._found: dict[str, IntArray] = {}

    def in_documents(self, name: str) -> BoolArray:
        """Return whether each document has all words of a name, or of one of its parts between commas, shape (n,)."""
        found = np.zeros(self._n, np.bool_)
        for part in name.split(","):
            if words := _WORD.findall(part.casefold()):
                having = np.zeros(self._n, np.int64)
                for word in words:
                    if word not in self._found:
                        self._found[word] = self._find(word)
                    having[self._found[word]] += 1
                found |= having == len(words)
        return found

    def _find(self, word: str) -> IntArray:
        """Return the documents that have a word in any form."""
        beginning = word[:STEM]
        forms = [self._places[word]] if word in self._places else []
        at = bisect_left(self._known, beginning)
        while at < len(self._known) and self._known[at].startswith(beginning):
            if self._known[at] != word and inflected(word, self._known[at]):
                forms.append(self._places[self._known[at]])
            at += 1
        return np.unique(np.concatenate(forms)) if forms else np.zeros(0, np.int64)
