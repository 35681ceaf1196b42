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

from ...arrays import FloatArray, IntArray, WideArray
from ...errors import ConfigError
from ...steering_warnings import warn

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
    def undone(self) -> Change:
        """The same latents without the change."""
        return Change(self.latents, self.before, self.before)

    @property
    def empty(self) -> bool:
        """Whether steering changes nothing."""
        return not np.any(self.delta)


def check_strength(name: object, strength: object) -> float:
    """A number of at most 100 typical activations; beyond that it is cut, with a warning.

    Raises:
        ConfigError: Not a finite number.
    """
    if isinstance(strength, bool) or not isinstance(strength, int | float | np.number):
        number = math.nan
    else:
        number = float(strength)
    if not math.isfinite(number):
        raise ConfigError(
            f"the strength of {name!r} is {strength!r}: it must be a finite number, for example 1.0, or in a boost "
            '"auto" or "-auto"'
        )
    if abs(number) > MAX_STRENGTH:
        cut = math.copysign(MAX_STRENGTH, number)
        warn(f"the strength of {name!r} is {number:g}: taken as {cut:g}, the bound; 1 is a typical activation")
        return cut
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
    before, touched = np.zeros(len(typical)), np.zeros(len(typical), bool)  # (n_latents,): quicker than dicts
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
    """What a concept adds at strength 1: latent ids (m,) and activations ``weight * typical`` (m,)."""
    latents = np.fromiter(weights, np.int64, len(weights))
    return latents, np.fromiter(weights.values(), np.float64, len(weights)) * typical[latents]


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
    return query if change.empty else moved(query, step_of(change, atoms))


def moved(query: FloatArray, step: WideArray) -> FloatArray:
    """``normalise(query + step)``, float32; `query` itself, bit for bit, when the step is zero.

    Raises:
        ConfigError: They cancel each other out.
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
    """``q + (z' - z) W_dec`` before normalisation, shape (d_in,), float64."""
    return query.astype(np.float64) + step_of(change, atoms)


def step_of(change: Change, atoms: FloatArray) -> WideArray:
    """``(z' - z) W_dec``, shape (d_in,), float64."""
    delta = change.delta
    touched = np.flatnonzero(delta)
    step: WideArray = delta[touched].astype(np.float64) @ atoms[change.latents[touched]].astype(np.float64)
    return step


PROTECTED = 8


def strongest(indices: IntArray, values: FloatArray, typical: FloatArray, without: Iterable[int] = ()) -> IntArray:
    """The latents that a query is most about, by activation in units of what is typical: at most 8.

    Args:
        indices: Latents of the query, shape (k,), int64.
        values: Their activations, shape (k,), float32; 0 = not active.
        typical: Typical activation per latent, shape (n_latents,).
        without: Latents to leave out: the user set them, so they are not protected.
    """
    usable = (values > 0) & (typical[indices] > 0) & ~np.isin(indices, list(without))
    latents, share = indices[usable], values[usable] / typical[indices[usable]]
    return latents[np.argsort(-share, kind="stable")[:PROTECTED]]


def protected(change: Change, own: IntArray, atoms: FloatArray) -> Change:
    """The same change with its step made orthogonal to the atoms of `own`.

    ``step - P step``, where the projection ``P step`` on the span of those atoms is itself a combination of them. So
    taking its coefficients from their activations is the projection, ``q' = normalise(q + (z' - z) W_dec)`` still
    holds, and explanations still add up: what the boosted atoms have in common with the query's own is given back.

    Args:
        change: From `steering.apply`; nothing of `own` is clamped in it.
        own: Latents that are active in the query, from `strongest`, shape (m,).
        atoms: W_dec, unit rows, shape (n_latents, d_in).
    """
    if change.empty or not len(own):
        return change
    basis = atoms[own].astype(np.float64)  # (m, d_in)
    # The normal equations of a few unit rows in float64; by least squares, since two of them may be nearly the same.
    share = np.linalg.lstsq(basis @ basis.T, basis @ step_of(change, atoms), rcond=1e-10)[0]  # (m,)
    after = change.after.astype(np.float64)
    after[np.searchsorted(change.latents, own)] -= share
    return Change(change.latents, change.before, after.astype(np.float32))
