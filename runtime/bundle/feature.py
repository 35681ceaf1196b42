"""One feature: a latent, its label and its statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import UnknownFeatureError
from ...text import described, one_line


@dataclass(frozen=True, repr=False)
class Feature:
    """A latent with its label, and its statistics on the bundle's reference corpus."""

    id: int
    """Latent id, 0 to n_latents - 1."""
    label: str | None
    """A few words, unique within the bundle; None when there are none, and for a feature that is unclear or hidden."""
    density: float
    """Share of the reference documents on which it is active, 0 to 1."""
    mean: float
    """Mean activation where it is active."""
    p95: float
    """95th percentile of the activation where it is active: the unit of a boost. 0 = it is never active."""
    max: float
    """Largest activation."""
    keywords: tuple[str, ...] = ()
    """Words that its strongest texts share and few others have, most specific first."""
    examples: tuple[str, ...] = ()
    """Beginnings of its strongest texts, strongest first."""
    score: float | None = None
    """AUC of the label as a predictor of where the feature fires, on held-out documents: 1 is perfect, 0.5 is chance.
    None when it was not measured, and for a label that a user gave."""
    pattern_score: float | None = None
    """The same for the prediction of Neuron-to-Graph from the words of a text."""
    steers: float | None = None
    """How well boosting it brings what the label says, 0 to 1; None when it was not measured."""
    inert: bool = False
    """Whether it was measured, and boosting it does not bring what the label says."""
    description: str = ""
    """One line: what it fires on, and what it does not."""
    unclear: bool = False
    """Whether no label was found that predicts where it fires."""
    guess: str | None = None
    """The best words for an unclear feature."""
    renamed: bool = False
    """Whether a user gave the label."""
    hidden: bool = False
    """Whether a user hid it: it is not listed or found, but its latent id still works as a key."""
    note: str = ""
    """A user's note."""
    family: str | None = None
    """The family that a user put it into."""

    @property
    def name(self) -> str:
        """The key that always works, for example `f412`."""
        return f"f{self.id}"

    @property
    def title(self) -> str | None:
        """The label with its scores, for example `stem cells, .83, steers .97`; without a label `unclear` or None."""
        if self.label is None:
            return "unclear" if self.unclear and not self.hidden else None
        scores = "" if self.score is None else f", {format_share(self.score)}"
        return self.label + scores + ("" if self.steers is None else f", steers {format_share(self.steers)}")

    def __str__(self) -> str:
        return f"{self.name} ({self.title})" if self.title else self.name

    def __repr__(self) -> str:
        words = f"words: {one_line(', '.join(self.keywords[:5]), 60)}" if self.keywords else ""
        return described("Feature", str(self), f"fires on {self.density:.2%}", words)

    def _repr_html_(self) -> str:
        from ...display.features import feature_html

        return feature_html(self)


MAX_DIGITS = 100
"""Of a latent's id as text. Python refuses to read numbers of some thousand digits."""


def latent_id(key: int | str) -> int | None:
    """Return the latent id of a key: 412 for `412`, `"f412"` and `"412"`; None for any other text.

    Raises:
        UnknownFeatureError: True or False, or a number that is too long for a latent.
    """
    if isinstance(key, bool):
        raise UnknownFeatureError(f"{key!r} is not a feature: give a latent id, a label or a phrase")
    if isinstance(key, int | np.integer):
        return int(key)
    digits = key.strip().casefold().removeprefix("f")
    if not (digits.isascii() and digits.isdigit()):
        return None
    if len(digits) > MAX_DIGITS:
        raise UnknownFeatureError(f"no bundle has a latent of {len(digits):,} digits, {key[:12]}…: see `sae features`")
    return int(digits)


def format_share(share: float) -> str:
    """Format a share of at most 1 with two decimals and no leading zero: `.83`."""
    return f"{share:.2f}".removeprefix("0")
