"""`Namer`: which of the candidates says best what some documents have and others have not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....arrays import FloatArray, IntArray, unit_rows
from ....text import share_word
from ..encoded_documents import largest
from .candidates import Candidates
from .label import Label
from .word_table import WordTable

POOL = 500
"""Nearest candidates that are compared."""
ATOM = 4.0
"""Weight of the latent's atom in the direction that candidates are looked for, where its documents count 1."""
FEW = 4.0
"""Positives at which what they say counts half."""
FIT = 0.6
"""Weight of the cosine of a candidate and the direction, where the AUC counts 1."""
WORDS = 0.5
"""Weight of how much more of the strongest documents than of the negatives have the candidate's words. It is what
readers go by: of names whose words half of the strongest documents have, they accept four in five, and of the others
one in six (benchmarks/README.md)."""
LONG, RARE, ABSENT, UNSAID = 0.015, 0.01, 0.06, 0.02
"""What a candidate of three words loses, one that fewer than three documents have, a common noun that no document has,
and one whose words the positives do not have more than the negatives."""
SAID, PART = 0.03, 0.4
"""From how much more of the strongest than of the negatives on a candidate's words are said, and a second part's."""
GAIN, EACH = 0.03, 0.015
"""AUC that a second part must add, and that it must add in each half of the positives: the best of many candidates
always adds something where it was chosen."""
ENOUGH = 8
"""Positives without which a second part is not looked for."""
EQUAL = 0.92
"""Cosine of two names from which on they mean the same."""
ALTERNATIVES = 30
"""Candidates that are tried where the best is another feature's name."""


class Evidence(NamedTuple):
    """What one feature's name is chosen by: training documents only."""

    direction: FloatArray
    """Unit length, shape (d_in,): where the feature points."""
    positives: IntArray
    """Documents that have it."""
    strongest: IntArray
    """Those that have most of it, at most ten, strongest first."""
    negatives: IntArray
    """Near misses and random documents."""


class Ranking(NamedTuple):
    """Candidates for one name, best first."""

    numbers: IntArray
    scores: FloatArray
    aucs: FloatArray
    covered: FloatArray
    """How much more of the strongest than of the negatives have the candidate's words, -1 to 1."""


class Namer:
    """Names features one after another; a name is given once."""

    def __init__(self, candidates: Candidates, words: WordTable, centred: FloatArray) -> None:
        self.candidates, self._words, self._centred = candidates, words, centred
        self._taken: set[str] = set()
        self._directions = np.empty((64, centred.shape[1]), np.float32)
        self._count = 0

    def rank(self, evidence: Evidence) -> Ranking:
        """Compare the nearest candidates."""
        found = self.candidates
        fit = found.centred @ evidence.direction
        pool = largest(fit, POOL)
        rows = np.concatenate([evidence.positives, evidence.negatives])
        n = len(evidence.positives)
        aucs = areas(self._centred[rows] @ found.centred[pool].T, n)
        said = np.concatenate([evidence.strongest, evidence.negatives])
        present = self._words.presence([found.keys[number] for number in pool], said)
        m = len(evidence.strongest)
        covered = present[:m].mean(0) - present[m:].mean(0)
        scores = (aucs - 0.5 + WORDS * covered) * (n / (n + FEW)) + FIT * fit[pool]
        scores -= LONG * np.array([len(found.keys[number]) > 2 for number in pool])
        frequency = found.frequency[pool]
        scores -= RARE * ((frequency > 0) & (frequency < 3)) + ABSENT * (frequency == 0) + UNSAID * (covered < SAID)
        order = np.argsort(-scores, kind="stable")
        return Ranking(pool[order], scores[order], aucs[order], covered[order])

    def label(self, evidence: Evidence, ranking: Ranking) -> Label | None:
        """Return the best name that no other feature has; None where all near ones are taken or there are none."""
        first = next(
            (at for at in range(min(ALTERNATIVES, len(ranking.numbers))) if self._free(ranking.numbers[at])), None
        )
        if first is None:
            return None
        number = int(ranking.numbers[first])
        second = self._second(evidence, ranking, first)
        parts = [number] if second is None else [number, second]
        direction = unit_rows(self.candidates.centred[parts].sum(0)[None])[0]
        self._take(number)
        texts = tuple(self.candidates.texts[part] for part in parts)
        return Label(texts, tuple(self.candidates.keys[part] for part in parts), direction)

    def _second(self, evidence: Evidence, ranking: Ranking, first: int) -> int | None:
        """Return the candidate that beside the first tells best where the feature fires, if it adds enough."""
        n = len(evidence.positives)
        if n < ENOUGH:
            return None
        found, number = self.candidates, int(ranking.numbers[first])
        sums = unit_rows(found.centred[number] + found.centred[ranking.numbers])
        alone = found.centred[number][None]
        positives, negatives = (self._centred[rows] for rows in (evidence.positives, evidence.negatives))
        gains = np.stack([_gain(positives[half::2], negatives, sums, alone) for half in (0, 1)])
        gain = _gain(positives, negatives, sums, alone)
        enough = (gain >= GAIN) & (gains.min(0) >= EACH) & (ranking.covered >= PART)
        for at in np.argsort(-gain - FIT * (sums @ evidence.direction), kind="stable"):
            if enough[at] and not share_word(_folded(found, number), _folded(found, int(ranking.numbers[at]))):
                return int(ranking.numbers[at])
        return None

    def _free(self, number: int) -> bool:
        if self.candidates.texts[number].casefold() in self._taken:
            return False
        alike = self._directions[: self._count] @ self.candidates.centred[number]
        return not (alike >= EQUAL).any()

    def _take(self, number: int) -> None:
        self._taken.add(self.candidates.texts[number].casefold())
        if self._count == len(self._directions):
            self._directions = np.concatenate([self._directions, np.empty_like(self._directions)])
        self._directions[self._count] = self.candidates.centred[number]
        self._count += 1


def _gain(positives: FloatArray, negatives: FloatArray, sums: FloatArray, alone: FloatArray) -> FloatArray:
    """Return how much more AUC each row of `sums` has than `alone`, shape (rows of sums,)."""
    found = areas(np.concatenate([positives, negatives]) @ np.concatenate([alone, sums]).T, len(positives))
    gain: FloatArray = found[1:] - found[0]
    return gain


def _folded(candidates: Candidates, number: int) -> str:
    return " ".join(candidates.keys[number])


def areas(values: FloatArray, positives: int) -> FloatArray:
    """Return the area under the ROC curve of each column, shape (columns,).

    Args:
        values: Shape (rows, columns); the first `positives` rows are those that should be higher.
        positives: How many.
    """
    order = np.argsort(values, axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(values))[:, None], 0)
    below = ranks[:positives].sum(0) - positives * (positives - 1) / 2
    area: FloatArray = (below / max(positives * (len(values) - positives), 1)).astype(np.float32)
    return area
