"""One feature: a latent, its label and its statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import UnknownFeatureError
from ...text import described, one_line

CHANCE_TO_STEER = 0.5
"""What boosting any other feature does."""
PAGE = 10
"""Documents on a page of results. A feature that fires on as many counts half of one that fires on thousands."""
NARROW = 0.02
"""A feature that fires on a fiftieth of the documents, or fewer, tells them from the others as well as can be wanted.
What it tells is worth less the more it fires on, by the logarithm: .59 at a tenth of the documents, .18 at half of
them."""
USUAL_SUPPORT = 10
"""Held-out documents of a score in a bundle that was labelled before they were counted."""
ONE_SIDED = 1.645
"""Standard errors to the lower end of a one-sided interval of 95 %."""


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
    support: int | None = None
    """Held-out documents on which it fires: the fewer, the less its score means. None where that is not known."""
    fires: int | None = None
    """Documents of the labelled corpus on which it fires; None in a bundle that was not labelled."""
    share: float | None = None
    """Share of the labelled corpus on which it is active, 0 to 1; None in a bundle that was not labelled."""
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
    def frequency(self) -> float:
        """Share of the documents on which it is active: of the labelled ones, else of the reference corpus."""
        return self.density if self.share is None else self.share

    @property
    def reads(self) -> float:
        """How surely its label tells where it fires: the lower bound of its score above chance, 0 to 1.

        1 for a label that a person gave. 0 for one that is unclear or was not measured.
        """
        if self.renamed:
            return 1.0
        if self.label is None or self.score is None:
            return 0.0
        return max(0.0, 2 * lower_bound(self.score, USUAL_SUPPORT if self.support is None else self.support) - 1)

    @property
    def usefulness(self) -> float:
        """Whether it is worth a person's look, 0 to 1: what lists are sorted by.

        How surely its label reads, times how well boosting it brings what the label says (as another feature's would,
        where that was not measured), times how often it fires: on enough documents to fill a page, and on few enough to
        tell them from the others.
        """
        reach = 1.0 if self.fires is None else self.fires / (self.fires + PAGE)
        narrow = min(1.0, math.log(max(self.frequency, 1e-9)) / math.log(NARROW))
        return self.reads * (CHANCE_TO_STEER if self.steers is None else self.steers) * reach * narrow

    @property
    def title(self) -> str | None:
        """The label with its scores, for example `stem cells, .83, steers .97`.

        Without a label the best guess with a question mark, `unclear` or None.
        """
        if self.label is None:
            guess = f"{self.guess}?" if self.guess else "unclear"
            return guess if self.unclear and not self.hidden else None
        scores = "" if self.score is None else f", {format_share(self.score)}"
        return self.label + scores + ("" if self.steers is None else f", steers {format_share(self.steers)}")

    def __str__(self) -> str:
        return f"{self.name} ({self.title})" if self.title else self.name

    def __repr__(self) -> str:
        words = f"words: {one_line(', '.join(self.keywords[:5]), 60)}" if self.keywords else ""
        return described("Feature", str(self), f"fires on {self.frequency:.2%}", words)

    def _repr_html_(self) -> str:
        from ...display.features import feature_html

        return feature_html(self)


def lower_bound(score: float, support: int) -> float:
    """Return what an AUC from so many documents is at least, with 95 % confidence.

    The variance of an AUC is at most that of a share of as many trials as the smaller class has documents, for which
    Wilson's interval holds with one trial too: 1.00 from 1, 10 and 50 documents is at least .27, .79 and .95.

    References:
        Birnbaum, Klose 1957, "Bounds for the variance of the Mann-Whitney statistic".
        Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if support < 1:
        return 0.0
    z = ONE_SIDED**2 / support
    return (score + z / 2 - math.sqrt(z * (score * (1 - score) + z / 4))) / (1 + z)


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
    """Format a share of at most 1 with two decimals and no leading zero: `.83`. The pages round alike."""
    return f"{share:.2f}".removeprefix("0")
