"""Steering: move a query along chosen latents and leave everything else unchanged. Pure NumPy.

``z' = apply(boost, z);  q' = normalise(q + (z' - z) W_dec)``. The change of the code is added to the *original* query,
so that an empty boost gives exactly the dense ranking: the autoencoder's reconstruction error never enters.

References:
    O'Neill et al. 2024, "Disentangling Dense Embeddings with Sparse Autoencoders", arXiv:2408.00657 (adding decoder
    directions to a query); Kang, Wang, Xiong 2025, arXiv:2411.00786 (editing codes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ...arrays import FloatArray, IntArray, WideArray
from ...errors import ConfigError
from ...steering_warnings import warn
from ...text import shown

MAX_STRENGTH = 100.0
PROTECTED = 8
"""Number of latents of a query that `protect` leaves unchanged."""


@dataclass(frozen=True)
class Change:
    """The code of a query before and after steering, over the latents that are active or changed."""

    latents: IntArray
    """Latent ids, ascending, shape (m,)."""
    before: FloatArray
    """Activations of the original query, shape (m,), >= 0."""
    after: FloatArray
    """Activations after steering, shape (m,); negative where the query was pushed away."""

    @property
    def delta(self) -> FloatArray:
        """``after - before``, shape (m,)."""
        return self.after - self.before

    @property
    def unsteered(self) -> Change:
        """The same latents without the change."""
        return Change(self.latents, self.before, self.before)

    @property
    def empty(self) -> bool:
        """Whether steering changes nothing."""
        return not np.any(self.delta)


def check_strength(name: object, strength: object) -> float:
    """Return a strength, limited to 100 with a warning; a ConfigError if it is not finite."""
    if isinstance(strength, bool) or not isinstance(strength, int | float | np.number):
        number = math.nan
    else:
        try:
            number = float(strength)
        except OverflowError:  # an integer beyond every float
            number = math.nan
    if not math.isfinite(number):
        raise ConfigError(
            f"the strength of {shown(name)} is {shown(strength)}: it must be a finite number, for example 1.0, or in a "
            'boost "auto" or "-auto"'
        )
    if abs(number) > MAX_STRENGTH:
        cut = math.copysign(MAX_STRENGTH, number)
        warn(f"the strength of {shown(name)} is {number:g}: taken as {cut:g}, the bound; 1 is the default", "bound")
        return cut
    return number


def apply(
    indices: IntArray,
    values: FloatArray,
    typical: FloatArray,
    boost: Iterable[tuple[Mapping[int, float], float]] = (),
    clamp: Iterable[tuple[Mapping[int, float], float]] = (),
) -> Change:
    """Return the steered code: boosts add, clamps set, and a clamp overrides a boost of the same latent.

    Args:
        indices: Latents of the query, shape (k,), int64.
        values: Their activations, shape (k,), float32; 0 = not active.
        typical: Typical activation per latent, shape (n_latents,).
        boost: (weights, strength) pairs: adds ``strength * weight * typical`` to each latent of `weights`.
        clamp: (weights, value) pairs: sets each latent of `weights` to ``value * weight * typical``.
    """
    before, touched = np.zeros(len(typical)), np.zeros(len(typical), bool)  # (n_latents,): faster than dicts
    active = values > 0
    before[indices[active]], touched[indices[active]] = values[active], True
    after = before.copy()
    for weights, strength in boost:
        if strength and weights:
            latents, amounts = amounts_of(weights, typical)
            after[latents] += strength * amounts
            touched[latents] = True
    for weights, value in clamp:
        if weights:
            latents, amounts = amounts_of(weights, typical)
            after[latents] = value * amounts
            touched[latents] = True
    used = np.flatnonzero(touched)
    return Change(used, before[used].astype(np.float32), after[used].astype(np.float32))


def amounts_of(weights: Mapping[int, float], typical: FloatArray) -> tuple[IntArray, WideArray]:
    """Return the additions of a concept at strength 1: latent ids (m,), activations ``weight * typical`` (m,)."""
    latents = np.fromiter(weights, np.int64, len(weights))
    return latents, np.fromiter(weights.values(), np.float64, len(weights)) * typical[latents]


def add_step(query: FloatArray, step: WideArray) -> FloatArray:
    """Return ``normalise(query + step)``, float32; `query` itself, bit for bit, if the step is zero.

    Raises:
        ConfigError: Query and step cancel out.
    """
    if not step.any():
        return query
    sum_ = query.astype(np.float64) + step
    length = float(np.linalg.norm(sum_))
    if length < 1e-6:
        raise ConfigError("the boosts cancel the query out: use smaller strengths")
    steered: FloatArray = (sum_ / length).astype(np.float32)
    return steered


def shifted(query: FloatArray, change: Change, atoms: FloatArray) -> WideArray:
    """Return ``q + (z' - z) W_dec`` before normalisation, shape (d_in,), float64."""
    return query.astype(np.float64) + step_of(change, atoms)


def step_of(change: Change, atoms: FloatArray) -> WideArray:
    """Return ``(z' - z) W_dec``, shape (d_in,), float64."""
    delta = change.delta
    touched = np.flatnonzero(delta)
    step: WideArray = delta[touched].astype(np.float64) @ atoms[change.latents[touched]].astype(np.float64)
    return step


def strongest(indices: IntArray, values: FloatArray, typical: FloatArray, without: Iterable[int] = ()) -> IntArray:
    """Return the latents with the highest activation relative to their typical one, at most `PROTECTED`.

    Args:
        indices: Latents of the query, shape (k,), int64.
        values: Their activations, shape (k,), float32; 0 = not active.
        typical: Typical activation per latent, shape (n_latents,).
        without: Latents to exclude, because the user clamped them.
    """
    usable = (values > 0) & (typical[indices] > 0) & ~np.isin(indices, list(without))
    latents, share = indices[usable], values[usable] / typical[indices[usable]]
    return latents[np.argsort(-share, kind="stable")[:PROTECTED]]


def orthogonalise(change: Change, latents: IntArray, atoms: FloatArray) -> Change:
    """Return the change with its step made orthogonal to the atoms of some latents.

    The projection of the step on the span of those atoms is a combination of them, and is subtracted from their
    activations. ``q' = normalise(q + (z' - z) W_dec)`` therefore still holds, and explanations still add up.

    Args:
        change: Result of `apply`; none of `latents` is clamped in it.
        latents: Latents that are active in the query, from `strongest`, shape (m,).
        atoms: W_dec, unit rows, shape (n_latents, d_in).
    """
    if change.empty or not len(latents):
        return change
    basis = atoms[latents].astype(np.float64)  # (m, d_in)
    # Normal equations of a few unit rows in float64, by least squares, because two rows may be nearly equal.
    share = np.linalg.lstsq(basis @ basis.T, basis @ step_of(change, atoms), rcond=1e-10)[0]  # (m,)
    after = change.after.astype(np.float64)
    after[np.searchsorted(change.latents, latents)] -= share
    return Change(change.latents, change.before, after.astype(np.float32))
