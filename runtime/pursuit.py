"""A direction as a sparse, non-negative combination of atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def sparse_direction(
    target: FloatArray, atoms: FloatArray, max_atoms: int, usable: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], FloatArray, float]:
    """Orthogonal matching pursuit with non-negative coefficients.

    Greedy: the atom that points most along what is still missing comes in, then all coefficients are fitted again and
    those that would be negative leave for good.

    Args:
        target: Unit direction, shape (d_in,).
        atoms: Unit rows, shape (n_latents, d_in).
        max_atoms: Atoms to use at most.
        usable: Which atoms may be used, shape (n_latents,), bool; all by default.

    Returns:
        Latent ids (m,) int64, coefficients (m,) float32 > 0, and the cosine between target and combination; empty and
        0 when no atom points along the target.

    References:
        Pati, Rezaiifar, Krishnaprasad 1993 (orthogonal matching pursuit); Lawson and Hanson 1974 (non-negative least
        squares).
    """
    goal = target.astype(np.float64)
    free = np.ones(len(atoms), bool) if usable is None else usable.copy()
    chosen: list[int] = []
    coefficients: NDArray[np.float64] = np.zeros(0)
    residual: NDArray[np.float64] = goal
    while len(chosen) < max_atoms:
        gains = np.where(free, atoms @ residual.astype(np.float32), -np.inf)
        best = int(gains.argmax())
        if not gains[best] > 1e-4:
            break
        free[best] = False
        chosen.append(best)
        while True:
            basis = atoms[chosen].astype(np.float64)  # (m, d_in)
            coefficients = np.asarray(np.linalg.lstsq(basis.T, goal, rcond=None)[0], np.float64)
            negative = np.flatnonzero(coefficients <= 0)
            if not len(negative):
                break
            chosen = [latent for i, latent in enumerate(chosen) if i not in set(negative.tolist())]
        residual = goal - coefficients @ atoms[chosen].astype(np.float64)
    if not chosen:
        return np.zeros(0, np.int64), np.zeros(0, np.float32), 0.0
    made = coefficients @ atoms[chosen].astype(np.float64)
    fit = float(made @ goal) / max(float(np.linalg.norm(made)) * float(np.linalg.norm(goal)), 1e-12)
    return np.array(chosen, np.int64), coefficients.astype(np.float32), fit
