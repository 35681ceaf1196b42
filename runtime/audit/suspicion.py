"""`AuditReport`: what an audit found, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..bundle.feature import Feature
from ..steering.attributes import Attribute

LIKELY = 0.05
"""Corrected probability below which a preference is no chance."""


@dataclass(frozen=True)
class Carrier:
    """A feature that fires more often on one side of the pairs."""

    feature: Feature
    high: float
    """Share of the documents with the attribute in which it fires, on the half that it was not chosen on."""
    low: float
    """Of those without."""


@dataclass(frozen=True)
class Check:
    """What is left of a preference when something is taken out."""

    name: str
    """What was taken out."""
    share: float
    """Share of the pairs that the attribute wins then."""
    overlap: float
    """How many of the first ten documents stay, as a share."""


@dataclass(frozen=True)
class Suspicion:
    """Whether a retriever rewards an attribute."""

    name: str
    """`FIELD: VALUE`, or `reading level: high`."""
    pairs: int
    """Pairs, or queries, that were measured."""
    share: float
    """Share of the pairs in which the document with the attribute comes first; .5 is fair."""
    error: float
    """Standard error of `share`."""
    p: float
    """Probability that it is chance, corrected for the number of attributes (Holm)."""
    carriers: Sequence[Carrier]
    """Features that carry it, the strongest first."""
    checks: Sequence[Check]
    """Without it, without those features, and without random ones."""
    attribute: Attribute = field(repr=False)
    """What ``search(remove=[…])`` takes."""

    @property
    def rewarded(self) -> bool:
        """Whether one side is preferred by more than chance."""
        return self.p < LIKELY

    @property
    def verdict(self) -> str:
        """One sentence, in plain words."""
        if not self.rewarded:
            return f"{self.name}: nothing found; it comes first in {self.share:.0%} of {self.pairs} pairs"
        more = "rewarded" if self.share > 0.5 else "held against documents"
        after = self.checks[0]
        effect = "takes that away" if abs(after.share - 0.5) < abs(self.share - 0.5) / 2 else "does not take that away"
        return (
            f"{self.name}: {more}; it comes first in {self.share:.0%} of {self.pairs} pairs about the same. "
            f"Removing it {effect} ({after.share:.0%}); {after.overlap:.0%} of the first ten stay"
        )

    def with_p(self, p: float) -> Suspicion:
        """Return the same with another probability."""
        return replace(self, p=p)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        figures = {"name": self.name, "pairs": self.pairs, "share": round(self.share, 4), "error": round(self.error, 4)}
        carriers = [
            {
                "feature": one.feature.name,
                "label": one.feature.label,
                "high": round(one.high, 4),
                "low": round(one.low, 4),
            }
            for one in self.carriers
        ]
        checks = [
            {"removed": one.name, "share": round(one.share, 4), "overlap": round(one.overlap, 4)} for one in self.checks
        ]
        said = {"rewarded": self.rewarded, "verdict": self.verdict, "reward": round(self.attribute.reward, 5)}
        return {**figures, "p": self.p, **said, "features": carriers, "checks": checks}


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit."""

    documents: int
    """Documents that were read."""
    suspicions: Sequence[Suspicion]
    """The least likely chance first."""
    skipped: Mapping[str, str]
    """Attributes that could not be measured, and why."""

    @property
    def rewarded(self) -> list[Suspicion]:
        """Those that are no chance, the strongest preference first."""
        return sorted((one for one in self.suspicions if one.rewarded), key=lambda one: -abs(one.share - 0.5))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        found = [one.to_json() for one in self.suspicions]
        return {"documents": self.documents, "suspicions": found, "skipped": dict(self.skipped)}
