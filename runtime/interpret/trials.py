"""The documents on which the labels of a bundle are tested, chosen once, and the tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...metrics import FloatArray, IntArray
from .detection import Score, Trial, make_trial, score
from .reading import Reading

NEIGHBOURS = 64


@dataclass(frozen=True)
class Pair:
    """Documents of one latent on both sides."""

    held_out: Trial
    """Labels and patterns were not made from these: scores come from here."""
    seen: Trial
    """Thresholds are chosen on these. A rare latent may fire on none of them."""

    def along(self, rows: FloatArray, direction: FloatArray) -> FloatArray:
        """``rows @ direction`` for the documents of both trials, zero elsewhere, shape (n,).

        They are at most 600, where a corpus may have many thousands.
        """
        needed = np.concatenate([part for side in (self.held_out, self.seen) for part in vars(side).values()])
        values = np.zeros(len(rows), np.float32)
        values[needed] = rows[needed] @ direction
        return values


def choose_trials(reading: Reading, seed: int = 0) -> list[Pair | None]:
    """One pair of trials per latent; None for a latent that fires on no held-out document."""
    neighbours = nearest_of_the_same_side(reading)
    pairs: list[Pair | None] = []
    for latent in range(reading.n_latents):
        rng = np.random.default_rng((seed, latent))
        active = np.zeros(len(reading), bool)
        active[reading.active[latent][0]] = True
        fires = reading.firing[latent][0]
        held_out, seen = (
            make_trial(fires, active, side, neighbours, reading.embeddings, rng)
            for side in (reading.held_out, ~reading.held_out)
        )
        pairs.append(Pair(held_out, seen) if held_out and seen and len(held_out.positives) else None)
    return pairs


def nearest_of_the_same_side(reading: Reading, block: int = 512) -> IntArray:
    """Rows of the `NEIGHBOURS` nearest documents among those on the same side, nearest first, shape (n, at most that).

    One pass for all latents: the near miss of a document is the first of them without the feature.
    """
    sides = [np.flatnonzero(side) for side in (reading.held_out, ~reading.held_out)]
    count = max(1, min(NEIGHBOURS, *(len(rows) - 1 for rows in sides)))
    found = np.zeros((len(reading), count), np.int64)
    for rows in sides:
        candidates = np.ascontiguousarray(reading.embeddings[rows])
        for start in range(0, len(rows), block):
            mine = rows[start : start + block]
            closeness = reading.embeddings[mine] @ candidates.T
            closeness[np.arange(len(mine)), np.arange(start, start + len(mine))] = -np.inf
            best = np.argpartition(-closeness, count - 1, axis=1)[:, :count]
            order = np.argsort(-np.take_along_axis(closeness, best, 1), axis=1, kind="stable")
            found[mine] = rows[np.take_along_axis(best, order, 1)]
    return found


def score_directions(
    pairs: list[Pair | None], rows: FloatArray, directions: Sequence[FloatArray | None] | FloatArray
) -> list[Score | None]:
    """Score predictions of the form ``rows @ direction``.

    Args:
        pairs: One per latent.
        rows: What stands for each document, shape (n, d_in).
        directions: One per latent, shape (d_in,); None when there is nothing to score.
    """
    scores: list[Score | None] = []
    for pair, direction in zip(pairs, directions, strict=True):
        if pair is None or direction is None:
            scores.append(None)
        else:
            scores.append(score(pair.along(rows, direction), pair.held_out, pair.seen))
    return scores
