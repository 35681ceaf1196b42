"""A place on a map for every latent: near each other where their directions are near."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, IntArray

Places = NDArray[np.float64]

NEIGHBOURS = 12
EPOCHS = 200
PUSHED = 5
"""Random others that push each latent away, per epoch."""
PUSH = 30.0
"""How hard, where the nearest neighbour pulls with 1. On SciFact the 50 nearest on the map then hold .47 of a latent's
10 nearest; with 1 they hold .30, with 10 .44, with 60 .48, where the map begins to fall apart into islands."""
STEP = 4.0
"""Longest move of one epoch."""
WIDTH = 10.0
"""Of the layout at the start."""
BLOCK = 512


def map_positions(directions: FloatArray, *, neighbours: int = NEIGHBOURS, seed: int = 0) -> FloatArray:
    """Lay latents out in two dimensions, for looking at: what is near belongs together, distances mean nothing more.

    Starts from the two widest directions; then neighbours pull each other and random pairs push, as in UMAP with its
    output curve 1 / (1 + distance^2), with steps that shrink to nothing. The same input always gives the same map.

    Args:
        directions: Unit rows, shape (n, d), float32. Best the means of the documents on which each latent fires: the
            atoms of a good autoencoder are nearly at right angles, so a map of them shows next to nothing.
        neighbours: Nearest rows, by cosine, that pull.
        seed: Of the pairs that push.

    Returns:
        Shape (n, 2), float32, 0 to 1.

    References:
        McInnes, Healy, Melville 2018, "UMAP", arXiv:1802.03426.
    """
    n = len(directions)
    if n < 3:
        return np.linspace((0.25, 0.5), (0.75, 0.5), n, dtype=np.float32)
    rng = np.random.default_rng(seed)
    a, b, pull = _edges(directions, min(neighbours, n - 1))
    places = _widest(directions) + rng.normal(0.0, 0.01, (n, 2))  # equal rows would never come apart
    for epoch in range(EPOCHS):
        apart = places[b] - places[a]  # (edges, 2)
        force = apart * (pull / (1.0 + (apart**2).sum(1)))[:, None]
        move = _sums(a, force, n) - _sums(b, force, n)  # (n, 2)
        apart = places[:, None] - places[rng.integers(0, n, (n, PUSHED))]  # (n, PUSHED, 2)
        distance = (apart**2).sum(2, keepdims=True)
        move += PUSH * (apart / ((0.1 + distance) * (1.0 + distance))).sum(1)
        places += (1.0 - epoch / EPOCHS) * np.clip(move, -STEP, STEP)
    return _scaled(places)


def _edges(rows: FloatArray, neighbours: int) -> tuple[IntArray, IntArray, Places]:
    """Each row's nearest others, and how hard they pull: 1 for the nearest, less for those further away."""
    near = np.empty((len(rows), neighbours), np.int64)
    pull = np.empty((len(rows), neighbours), np.float64)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        cosine = rows[block] @ rows.T  # (BLOCK, n)
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = -np.inf
        near[block] = np.argsort(-cosine, axis=1, kind="stable")[:, :neighbours]
        farther = 1.0 - np.take_along_axis(cosine, near[block], axis=1)
        farther -= farther[:, :1].copy()
        pull[block] = np.exp(-farther / np.maximum(farther.mean(1, keepdims=True), 1e-6))
    return np.repeat(np.arange(len(rows)), neighbours), near.ravel(), pull.ravel()


def _widest(rows: FloatArray) -> Places:
    """Coordinates along the two directions of most variance, shape (n, 2)."""
    centred = (rows - rows.mean(0)).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)  # by variance, ascending
    axes = axes[:, -2:]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])  # an axis may come out either way
    places: Places = np.zeros((len(rows), 2))
    places[:, : axes.shape[1]] = centred @ axes
    return places * (WIDTH / max(float(np.abs(places).max()), 1e-9))


def _sums(at: IntArray, moves: Places, n: int) -> Places:
    """Sum of the moves of each latent, shape (n, 2)."""
    return np.stack([np.bincount(at, moves[:, axis], minlength=n) for axis in (0, 1)], axis=1)


def _scaled(places: Places) -> FloatArray:
    """Into 0 to 1; the outermost two in a thousand stand on the border, so that one of them cannot shrink the rest."""
    low, high = np.percentile(places, (0.1, 99.9), axis=0)
    scaled: FloatArray = np.clip((places - low) / np.maximum(high - low, 1e-9), 0.0, 1.0).astype(np.float32)
    return scaled
