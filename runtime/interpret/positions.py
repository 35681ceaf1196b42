"""Positions of the latents on a map: near each other where their directions are near."""

from __future__ import annotations

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray

NEIGHBOURS = 12
EPOCHS = 200
NEGATIVES = 5
"""Random other latents that repel each latent, per epoch."""
REPULSION = 30.0
"""Strength of the repulsion, where the nearest neighbour attracts with 1. On SciFact the 50 nearest on the map then
hold .47 of a latent's 10 nearest; with 1 they hold .30, with 10 .44, with 60 .48, where the map splits into islands."""
MAX_STEP = 4.0
"""Longest move in one epoch, per axis."""
WIDTH = 10.0
"""Largest coordinate of the layout at the start."""
BLOCK = 512


def map_positions(directions: FloatArray, *, neighbours: int = NEIGHBOURS, seed: int = 0) -> FloatArray:
    """Lay out the latents in two dimensions, to look at: near latents belong together, far distances mean nothing.

    Starts from the two principal components. Then neighbours attract and random pairs repel each other, as in UMAP with
    the output curve 1 / (1 + distance^2), with steps that shrink to 0. The same input always gives the same map.

    Args:
        directions: Unit rows, shape (n, d), float32. Means of the documents on which each latent fires work best: the
            atoms of a good autoencoder are nearly orthogonal, so a map of them shows little.
        neighbours: Nearest rows, by cosine, that attract.
        seed: Of the pairs that repel.

    Returns:
        Shape (n, 2), float32, 0 to 1.

    References:
        McInnes, Healy, Melville 2018, "UMAP", arXiv:1802.03426.
    """
    n = len(directions)
    if n < 3:
        return np.linspace((0.25, 0.5), (0.75, 0.5), n, dtype=np.float32)
    rng = np.random.default_rng(seed)
    a, b, attraction = _edges(directions, min(neighbours, n - 1))
    # Noise, since equal rows would never separate.
    positions = _principal_components(directions) + rng.normal(0.0, 0.01, (n, 2))
    for epoch in range(EPOCHS):
        difference = positions[b] - positions[a]  # (edges, 2)
        force = difference * (attraction / (1.0 + (difference**2).sum(1)))[:, None]
        move = _sums(a, force, n) - _sums(b, force, n)  # (n, 2)
        difference = positions[:, None] - positions[rng.integers(0, n, (n, NEGATIVES))]  # (n, NEGATIVES, 2)
        squared = (difference**2).sum(2, keepdims=True)
        move += REPULSION * (difference / ((0.1 + squared) * (1.0 + squared))).sum(1)
        positions += (1.0 - epoch / EPOCHS) * np.clip(move, -MAX_STEP, MAX_STEP)
    return _scaled(positions)


def _edges(rows: FloatArray, neighbours: int) -> tuple[IntArray, IntArray, WideArray]:
    """Return pairs of a row and one of its nearest rows, and their attraction: 1 for the nearest, less for others."""
    near = np.empty((len(rows), neighbours), np.int64)
    attraction = np.empty((len(rows), neighbours), np.float64)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        cosine = rows[block] @ rows.T  # (BLOCK, n)
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = -np.inf
        near[block] = np.argsort(-cosine, axis=1, kind="stable")[:, :neighbours]
        farther = 1.0 - np.take_along_axis(cosine, near[block], axis=1)
        farther -= farther[:, :1].copy()
        attraction[block] = np.exp(-farther / np.maximum(farther.mean(1, keepdims=True), 1e-6))
    return np.repeat(np.arange(len(rows)), neighbours), near.ravel(), attraction.ravel()


def _principal_components(rows: FloatArray) -> WideArray:
    """Return the coordinates along the two directions of largest variance, shape (n, 2)."""
    centred = (rows - rows.mean(0)).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)  # by variance, ascending
    axes = axes[:, -2:]
    # The sign of an axis is arbitrary.
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    positions: WideArray = np.zeros((len(rows), 2))
    positions[:, : axes.shape[1]] = centred @ axes
    return positions * (WIDTH / max(float(np.abs(positions).max()), 1e-9))


def _sums(at: IntArray, moves: WideArray, n: int) -> WideArray:
    return np.stack([np.bincount(at, moves[:, axis], minlength=n) for axis in (0, 1)], axis=1)


def _scaled(positions: WideArray) -> FloatArray:
    """Scale to 0 to 1 and clip the outermost two in a thousand, so that one outlier cannot shrink the rest."""
    low, high = np.percentile(positions, (0.1, 99.9), axis=0)
    scaled: FloatArray = np.clip((positions - low) / np.maximum(high - low, 1e-9), 0.0, 1.0).astype(np.float32)
    return scaled
