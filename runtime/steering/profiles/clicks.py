"""Clicks: documents that a person liked or disliked, and the features that they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np

from ....arrays import FloatArray, IntArray, WideArray
from ....text import one_line
from ...bundle.bundle import Bundle
from ..concept_directions import MAX_ATOMS, sparse_direction

MAX_CLICKS = 2_000
"""Clicks that a profile keeps, the newest. Each takes 1 kB in a file, at 384 dimensions."""
DISLIKED = 0.2
"""Weight of the mean of the disliked documents beside that of the liked ones: there are many reasons to dislike one. On
newsgroups and news 0 to .2 work equally well, and .4 worse where clicks are wrong. Rocchio's usual share is .15/.75."""
DAY = 86_400.0
LONGEST_TEXT = 80
"""Characters of a text that are kept where texts are kept."""


@dataclass(frozen=True, eq=False)
class Click:
    """A document that was liked or disliked."""

    liked: bool
    time: float
    """Seconds since 1970."""
    document: str
    """A checksum of its vector, which tells whether two clicks are on the same document."""
    direction: FloatArray = field(repr=False)
    """What the documents nearest to it have in common, unit length, shape (d_in,)."""
    id: str | None = None
    """Its id in the index; None for a text."""
    text: str | None = None
    """Its beginning, only where the profile keeps texts."""

    def __str__(self) -> str:
        what = self.id if self.id is not None else "a text"
        when = datetime.fromtimestamp(self.time, timezone.utc).date()
        text = f": {self.text}" if self.text else ""
        return f"{'liked' if self.liked else 'disliked'} {one_line(what, 40)} ({when}){text}"


@dataclass(frozen=True, eq=False)
class Learned:
    """The content of a profile: immutable, so that a change is another object."""

    model: str | None = None
    """sha256 of the decoder whose latents `edits` name; None if nothing was clicked yet."""
    clicks: tuple[Click, ...] = ()
    """In the order of the clicks, also those that a later one on the same document replaces."""
    edits: Mapping[int, float] = field(default_factory=dict)
    """Latent -> weight that a person gave it; 0 = removed."""

    @property
    def standing(self) -> list[Click]:
        """The last click on each document."""
        return list({click.document: click for click in self.clicks}.values())


class ClickShares(list[tuple[Click, float]]):
    """(click, its share of a weight) pairs, the largest first, that print one per line; the shares add up to it."""

    def __str__(self) -> str:
        return "\n".join(f"{share:+.2f}  {click}" for click, share in self)

    __repr__ = __str__


class Weights(NamedTuple):
    """The features of a profile."""

    weights: Mapping[int, float]
    """Latent -> weight, largest share of the direction first; negative for what is disliked."""
    shares: Mapping[int, WideArray]
    """Latent -> the share of each standing click in its weight, before edits, shape (n,)."""
    fit: float
    """Cosine between the direction of the clicks and the one that their weights make."""


def weights_of(learned: Learned, bundle: Bundle, half_life: float) -> Weights:
    """Return the weighted features of clicks and edits, at most 32.

    Likes and dislikes are a non-negative combination of at most 32 atoms each, so that a feature of what is liked is
    positive and one of what is disliked negative. Each coefficient is a linear function of the clicks, and so a sum
    over them. The largest weight of clicks is 1 or -1, before edits: to remove a feature changes no other.
    """
    typical, clicks = bundle.features.typical.astype(np.float64), learned.standing
    parts = _factors(clicks, half_life)[:, None] * np.array([c.direction for c in clicks]).reshape(-1, bundle.d_in)
    liked = np.array([click.liked for click in clicks], bool)
    fitted = [(side, sign, *_fitted(sign * parts[side], bundle)) for side, sign in ((liked, 1.0), (~liked, -1.0))]
    used = np.unique(np.concatenate([latents for _, _, latents, _ in fitted]))
    made = np.zeros((len(used), len(clicks)))
    for side, sign, latents, shares in fitted:
        made[np.ix_(np.searchsorted(used, latents), side)] = sign * shares
    coefficients = made.sum(1)
    best = np.argsort(-np.abs(coefficients), kind="stable")[:MAX_ATOMS]
    best = best[np.abs(coefficients[best]) > 1e-9]
    used, coefficients = used[best], coefficients[best]
    made = made[best] / typical[used, None]  # in typical activations
    made /= np.abs(made.sum(1)).max(initial=0.0) or 1.0
    direction, built = parts.sum(0), coefficients @ bundle.atoms[used].astype(np.float64)
    fit = float(direction @ built) / max(float(np.linalg.norm(direction) * np.linalg.norm(built)), 1e-12)
    by_latent = dict(zip(used.tolist(), made, strict=True))
    edited = {latent: weight for latent, weight in learned.edits.items() if weight}
    kept = [latent for latent in by_latent if latent not in learned.edits][: max(MAX_ATOMS - len(edited), 0)]
    final = {latent: float(by_latent[latent].sum()) for latent in kept} | edited
    order = sorted(final, key=lambda latent: -abs(final[latent]) * typical[latent])[:MAX_ATOMS]
    return Weights({latent: final[latent] for latent in order}, by_latent, fit)


def _fitted(parts: WideArray, bundle: Bundle) -> tuple[IntArray, WideArray]:
    """Return atoms that fit the sum of parts, (n, d_in): latents (m,), and the shares of the parts in them, (m, n)."""
    direction = parts.sum(0)
    length = float(np.linalg.norm(direction))
    if length < 1e-6:  # none, or they cancel out
        return np.zeros(0, np.int64), np.zeros((0, len(parts)))
    target, usable = (direction / length).astype(np.float32), bundle.features.typical > 0
    latents = sparse_direction(target, bundle.atoms, MAX_ATOMS, usable)[0]
    found = np.linalg.lstsq(bundle.atoms[latents].astype(np.float64).T, parts.T, rcond=None)[0]
    shares: WideArray = np.asarray(found, np.float64)
    return latents, shares


def _factors(clicks: Sequence[Click], half_life: float) -> WideArray:
    """Return the factor of each click's direction in that of the profile, shape (n,).

    The mean of the likes less `DISLIKED` times the mean of the dislikes, each weighted by age; without likes, less the
    mean of the dislikes. Only differences of age count, so that a profile keeps its direction as time passes.
    """
    times, liked = np.array([click.time for click in clicks]), np.array([click.liked for click in clicks], bool)
    factors = np.zeros(len(clicks))
    for side, factor in ((liked, 1.0), (~liked, -DISLIKED if liked.any() else -1.0)):
        recent = 0.5 ** ((times[side].max(initial=0.0) - times[side]) / (half_life * DAY))
        factors[side] = factor * recent / max(float(recent.sum()), 1.0)
    return factors


def packed(direction: FloatArray) -> FloatArray:
    """Return a direction as a file keeps it, in 16 bits, so that it is the same before and after."""
    row: FloatArray = direction.astype("<f2").astype(np.float32)
    return row
