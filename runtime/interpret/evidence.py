"""What is seen of each latent in the documents: how often, how strongly, where, where not quite, and beside what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...metrics import FloatArray, IntArray
from .reading import Reading

TOP = 20
NEAR_MISSES = 3
COMPANIONS = 8
QUANTILES = (0.5, 0.75, 0.9, 0.95, 1.0)
BLOCK = 128
COMPANION_DOCUMENTS = 256
"""Strongest documents of a latent whose other latents are counted."""


@dataclass(frozen=True)
class Evidence:
    """One latent in one set of documents."""

    latent: int
    fires: int
    """Documents on which it fires."""
    active: int
    """Documents on which it is active at all."""
    quantiles: tuple[float, ...]
    """Of its activation where it is active, at `QUANTILES`; zeros when it never is."""
    top: IntArray
    """Rows of its strongest documents, strongest first."""
    near_misses: IntArray
    """Rows of the documents nearest to the mean of those on which it fires, on which it is not active."""
    companions: tuple[tuple[int, float], ...]
    """Latents that fire with it more often than by chance, and their lift: how many times more often."""


def gather(reading: Reading) -> Iterator[Evidence]:
    """Evidence of every latent, in the order of their ids, a block of latents at a time."""
    share = np.array([len(rows) for rows, _ in reading.active], np.float32) / np.float32(len(reading))
    for start in range(0, reading.n_latents, BLOCK):
        latents = range(start, min(start + BLOCK, reading.n_latents))
        closeness = mean_documents(reading, latents) @ reading.centred.T  # (latents, n)
        for latent, near in zip(latents, closeness, strict=True):
            (fires, _), (active, values) = reading.firing[latent], reading.active[latent]
            near[active] = -np.inf
            near[reading.held_out] = -np.inf  # who labels by what is shown must not see what labels are tested on
            yield Evidence(
                latent=latent,
                fires=len(fires),
                active=len(active),
                quantiles=tuple(float(q) for q in np.quantile(values, QUANTILES)) if len(values) else (0.0,) * 5,
                top=fires[:TOP],
                near_misses=_largest(near, NEAR_MISSES) if len(fires) else fires,
                companions=_companions(reading, latent, fires, share) if len(fires) else (),
            )


def mean_documents(reading: Reading, latents: range) -> FloatArray:
    """Where the documents lie on which each latent fires: their sum by activation, shape (latents, d_in)."""
    return np.stack([reading.firing[latent][1] @ reading.centred[reading.firing[latent][0]] for latent in latents])


def _largest(values: FloatArray, count: int) -> IntArray:
    rows = np.argpartition(-values, min(count, len(values) - 1))[:count]
    rows = rows[np.argsort(-values[rows], kind="stable")]
    return rows[np.isfinite(values[rows])]


def _companions(reading: Reading, latent: int, rows: IntArray, share: FloatArray) -> tuple[tuple[int, float], ...]:
    rows = rows[:COMPANION_DOCUMENTS]
    with_it = reading.indices[rows][reading.values[rows] > 0]
    together = np.bincount(with_it, minlength=reading.n_latents)
    together[latent] = 0
    lift = together / (len(rows) * np.maximum(share, 1 / len(reading)))
    lift[together < 3] = 0.0
    best = np.argsort(-lift * np.sqrt(together), kind="stable")[:COMPANIONS]
    return tuple((int(other), float(lift[other])) for other in best if lift[other] > 1)
