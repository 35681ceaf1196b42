"""A plane on which vectors that are near each other lie near each other. NumPy alone.

Some thousand landmarks are laid out by their nearest neighbours, as UMAP does, with full steps in place of random ones;
every other vector goes between the landmarks that it is nearest to.

References:
    McInnes, Healy, Melville 2018, "UMAP: Uniform Manifold Approximation and Projection", arXiv:1802.03426.
"""

from __future__ import annotations

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray, unit_rows

LANDMARKS = 4_000
NEIGHBOURS, NEAREST = 12, 5
"""Of a landmark, and landmarks of every other vector."""
DIMENSIONS = 48
"""Principal components in which neighbours are looked for."""
STEPS, REPULSIONS = 160, 3
"""Of the layout, and random pairs that are pushed apart for each pair that is drawn together."""
A, B = 1.577, 0.895
"""UMAP's curve at its default minimal distance of .1."""
BLOCK = 1_000


def plane(rows: FloatArray, seed: int = 0) -> FloatArray:
    """Return a place for each vector, 0 to 1 in both directions; the same for the same rows.

    Args:
        rows: Vectors, shape (n, d).
        seed: Of what is random.
    """
    n = len(rows)
    if n < 3:
        return np.full((n, 2), 0.5, np.float32)
    reduced = _reduced(rows)
    chosen = np.unique(np.linspace(0, n - 1, min(n, LANDMARKS)).astype(np.int64))
    landmarks = reduced[chosen]
    start = 10 * reduced[chosen, :2] / max(float(np.abs(reduced[chosen, :2]).max()), 1e-9)
    near, cosines = _nearest(landmarks, landmarks, min(NEIGHBOURS + 1, len(landmarks)))
    placed = _laid_out(near[:, 1:], start.astype(np.float64), np.random.default_rng(seed))
    result = np.zeros((n, 2))
    result[chosen] = placed
    others = np.setdiff1d(np.arange(n), chosen)
    if len(others):
        near, cosines = _nearest(reduced[others], landmarks, min(NEAREST, len(landmarks)))
        weights = np.exp(12 * (cosines - cosines.max(1, keepdims=True)))
        weights /= weights.sum(1, keepdims=True)
        # Beside the nearest, so that many of them do not lie on one spot.
        jitter = np.random.default_rng(seed + 1).normal(0, 0.08, (len(others), 2))
        result[others] = (placed[near] * weights[:, :, None]).sum(1) + jitter
    return _scaled(result)


def _reduced(rows: FloatArray) -> FloatArray:
    """Return unit rows of the first principal components, shape (n, at most `DIMENSIONS`)."""
    centred = rows - rows.mean(0, dtype=np.float64).astype(np.float32)
    sample = centred[:: max(1, len(rows) // 5_000)].astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    first = directions[:, ::-1][:, :DIMENSIONS].astype(np.float32)
    # The sign of a component is arbitrary: its largest entry is positive, so that a map is the same everywhere.
    first = first * np.sign(first[np.abs(first).argmax(0), np.arange(first.shape[1])])
    return unit_rows(centred @ first)


def _nearest(rows: FloatArray, among: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """Return the places of the nearest of `among` to each row, nearest first, and their cosines, shape (n, count)."""
    places, cosines = [], []
    for start in range(0, len(rows), BLOCK):
        found = rows[start : start + BLOCK] @ among.T
        best = np.argpartition(-found, count - 1, axis=1)[:, :count] if count < len(among) else np.argsort(-found, 1)
        values = np.take_along_axis(found, best, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        places.append(np.take_along_axis(best, order, 1))
        cosines.append(np.take_along_axis(values, order, 1))
    return np.concatenate(places), np.concatenate(cosines)


def _laid_out(near: IntArray, at: WideArray, rng: np.random.Generator) -> WideArray:
    """Return places (m, 2) where neighbours attract and random others repel each other."""
    m = len(at)
    one = np.repeat(np.arange(m), near.shape[1])
    other = near.ravel()
    # Each pair once.
    pairs = np.unique(np.sort(np.stack([one, other], 1), 1), axis=0)
    one, other = pairs[:, 0], pairs[:, 1]
    degree = np.bincount(pairs.ravel(), minlength=m).clip(1)
    for step in range(STEPS):
        rate = 1.0 - step / STEPS
        away = at[one] - at[other]
        squared = (away**2).sum(1)
        pull = -2 * A * B * squared.clip(1e-6) ** (B - 1) / (1 + A * squared**B)
        move = _sum(one, other, away * np.clip(pull, -4, 0)[:, None], m)
        for _ in range(REPULSIONS):
            stranger = rng.integers(0, m, len(one))
            away = at[one] - at[stranger]
            squared = (away**2).sum(1)
            push = 2 * B / ((0.1 + squared) * (1 + A * squared**B))
            move += _sum(one, stranger, np.clip(away * push[:, None], -4, 4), m)
        # A whole step at once: of the mean over the pairs, so that points with many do not jump.
        at = at + 2.0 * rate * move / degree[:, None] ** 0.75
    return at


def _sum(one: IntArray, other: IntArray, forces: WideArray, m: int) -> WideArray:
    """Return the sum of forces on each point: as they are on the one of a pair, and opposite on the other."""
    return np.stack(
        [
            np.bincount(one, forces[:, axis], m) - np.bincount(other, forces[:, axis], m)
            for axis in range(forces.shape[1])
        ],
        1,
    )


def _scaled(places: WideArray) -> FloatArray:
    """Return places between 0 and 1, in one scale for both directions; far strays are drawn in."""
    low, high = np.percentile(places, 0.2, axis=0), np.percentile(places, 99.8, axis=0)
    middle, size = (low + high) / 2, max(float((high - low).max()), 1e-9)
    scaled: FloatArray = np.clip(0.5 + 0.96 * (places - middle) / size, 0, 1).astype(np.float32)
    return scaled
