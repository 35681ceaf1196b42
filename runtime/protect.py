"""`protect=True`: steering leaves alone how strongly a query expresses its own strongest features. Pure NumPy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .steering import Change, FloatArray, IntArray, step_of

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
