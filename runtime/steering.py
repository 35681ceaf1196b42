"""Steering: move a query along chosen latents and leave everything else where it was. Pure NumPy.

``z' = apply(boost, z);  q' = normalise(q + (z' - z) W_dec)``. The change of the code is added to the *original*
query, so an empty boost gives exactly the dense ranking: the autoencoder's reconstruction error never enters.

References:
    O'Neill et al. 2024, "Disentangling Dense Embeddings with Sparse Autoencoders", arXiv:2408.00657 (adding decoder
    directions to a query); Kang, Wang, Xiong 2025, arXiv:2411.00786 (editing codes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
MAX_STRENGTH = 100.0


@dataclass(frozen=True)
class Change:
    """The code of a query before and after steering, over the latents that are active or touched."""

    latents: IntArray
    """Latent ids, ascending, shape (m,)."""
    before: FloatArray
    """Activations of the query itself, shape (m,), >= 0."""
    after: FloatArray
    """Activations after steering, shape (m,); negative where the query was pushed away."""

    @property
    def delta(self) -> FloatArray:
        """``after - before``, shape (m,)."""
        return self.after - self.before

    @property
    def empty(self) -> bool:
        """Whether steering changes nothing."""
        return not np.any(self.delta)


def check_strength(name: object, strength: object) -> float:
    """A finite number of at most 100 typical activations.

    Raises:
        ConfigError: Anything else.
    """
    if isinstance(strength, bool) or not isinstance(strength, int | float | np.number):
        number = math.nan
    else:
        number = float(strength)
    if not math.isfinite(number):
        raise ConfigError(f"the strength of {name!r} is {strength!r}: it must be a finite number, for example 1.0")
    if abs(number) > MAX_STRENGTH:
        raise ConfigError(
            f"the strength of {name!r} is {number}: beyond +-{MAX_STRENGTH:.0f}; 1.0 is a typical activation"
        )
    return number


def apply(
    indices: IntArray,
    values: FloatArray,
    typical: FloatArray,
    boost: Iterable[tuple[Mapping[int, float], float]] = (),
    clamp: Iterable[tuple[Mapping[int, float], float]] = (),
) -> Change:
    """The new code: boosts add, clamps set, and a clamp wins over a boost of the same latent.

    Args:
        indices: Latents of the query, shape (k,), int64.
        values: Their activations, shape (k,), float32; 0 = not active.
        typical: Typical activation per latent, shape (n_latents,).
        boost: (weights, strength) pairs: adds ``strength * weight * typical`` to each latent of `weights`.
        clamp: (weights, value) pairs: sets each latent of `weights` to ``value * weight * typical``.
    """
    before = {int(i): float(v) for i, v in zip(indices, values, strict=True) if v > 0}
    after = dict(before)
    for weights, strength in boost:
        if strength:
            for latent, weight in weights.items():
                after[latent] = after.get(latent, 0.0) + strength * weight * float(typical[latent])
    for weights, value in clamp:
        for latent, weight in weights.items():
            after[latent] = value * weight * float(typical[latent])
    latents = sorted(set(before) | set(after))
    return Change(
        np.array(latents, np.int64),
        np.array([before.get(latent, 0.0) for latent in latents], np.float32),
        np.array([after.get(latent, 0.0) for latent in latents], np.float32),
    )


def steer(query: FloatArray, change: Change, atoms: FloatArray) -> FloatArray:
    """The steered query.

    Args:
        query: Unit vector, shape (d_in,), float32.
        change: From `apply`.
        atoms: Unit rows, shape (n_latents, d_in): W_dec.

    Returns:
        Unit vector, shape (d_in,), float32; `query` itself, bit for bit, when nothing changes.

    Raises:
        ConfigError: The boosts cancel the query out.
    """
    if change.empty:
        return query
    moved = shifted(query, change, atoms)
    length = float(np.linalg.norm(moved))
    if length < 1e-6:
        raise ConfigError("the boosts cancel the query out: use smaller strengths")
    steered: FloatArray = (moved / length).astype(np.float32)
    return steered


def shifted(query: FloatArray, change: Change, atoms: FloatArray) -> NDArray[np.float64]:
    """``q + (z' - z) W_dec`` before normalisation, shape (d_in,), float64."""
    touched = np.flatnonzero(change.delta)
    step = change.delta[touched].astype(np.float64) @ atoms[change.latents[touched]].astype(np.float64)
    return query.astype(np.float64) + step
