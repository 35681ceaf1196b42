"""Ratios of methods with intervals, and the targets that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from .exclusion import NEWS
from .method import ONE_DIGIT
from .results import Results
from .rivals import SUMS
from .scoring import Rows, ndcg

Tuning: TypeAlias = Literal["untuned", "tuned"]
DRAWS = 2000
PHRASE, EXAMPLES, BOTH = "ours, phrase", "ours, 8 examples", "ours, 8 examples and phrase"
DIFFMEAN = "8 examples: DiffMean"
NOTHING = "no steering"
EXCLUDE = "ours, exclude"
WHOLE, PARSED = "the whole request, dense view", "ours, understand, dense view"


class Ratio(NamedTuple):
    """A value and the interval that holds 95 % of paired bootstrap samples."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Target:
    """What is wanted, and what is there."""

    name: str
    wanted: float
    got: float
    interval: str = ""

    @property
    def reached(self) -> bool:
        """Whether it is, to the digits that are shown."""
        return round(self.got, 3) >= self.wanted


def topical(results: Results) -> list[str]:
    """Tasks whose documents have a topic and an attribute that people labelled."""
    return [name for name, facts in results.tasks.items() if facts["kind"] in ("topics", "articles")]


def ratio(
    results: Results,
    tasks: Sequence[str],
    ours: str,
    theirs: Sequence[str],
    tuning: tuple[Tuning, Tuning] = ("untuned", "tuned"),
    figure: str = "both",
) -> Ratio | None:
    """Mean over tasks of ours, divided by that of the best of theirs; pairs are drawn within each task.

    None where something is not measured.
    """
    rng = np.random.default_rng(0)
    up, down = np.zeros(DRAWS + 1), np.zeros((len(theirs), DRAWS + 1))
    for task in tasks:
        mine = results.values(task, ours, tuning[0], figure)
        others = [results.values(task, method, tuning[1], figure) for method in theirs]
        if mine is None:
            return None
        # The first row is the sample itself.
        rows = np.concatenate([np.arange(len(mine))[None], rng.integers(0, len(mine), (DRAWS, len(mine)))])
        up += mine[rows].mean(1)
        for at, other in enumerate(others):
            if other is None:
                return None
            down[at] += other[rows].mean(1)
    ratios = up / down[down[:, 0].argmax()]
    low, high = np.percentile(ratios[1:], [2.5, 97.5])
    return Ratio(float(ratios[0]), float(low), float(high))


def mean(results: Results, task: str, method: str, tuning: Tuning, figure: str) -> float | None:
    """A figure over the test pairs and seeds."""
    values = results.values(task, method, tuning, figure)
    return None if values is None else float(values.mean())


def at_strength(results: Results, task: str, method: str, setting: str) -> float:
    """both@10 at one setting of the curve."""
    curves = [found["curve"] for found in results.seeds(task, method)]
    return float(np.mean([curve[setting][2] for curve in curves if setting in curve]))


def targets(results: Results) -> list[Target]:
    """Those that the measured figures can be compared with."""
    tasks = [task for task in topical(results) if results.seeds(task, PHRASE)]
    untuned: tuple[Tuning, Tuning] = ("untuned", "untuned")

    def lowest(theirs: Sequence[str], tuning: tuple[Tuning, Tuning]) -> Ratio | None:
        found = [ratio(results, [task], PHRASE, theirs, tuning) for task in tasks]
        return min((each for each in found if each), default=None)

    plain = (NOTHING,)
    found = [
        _target("by phrase / best tuned sum of vectors, mean", 1.25, ratio(results, tasks, PHRASE, SUMS)),
        _target("by phrase / no steering, mean", 1.5, ratio(results, tasks, PHRASE, plain, untuned)),
        _target("by phrase / best tuned sum, lowest corpus", 1.1, lowest(SUMS, ("untuned", "tuned"))),
        _target("by phrase / no steering, lowest corpus", 1.2, lowest(plain, untuned)),
        _target("by 8 examples / tuned DiffMean, mean", 1.10, ratio(results, tasks, EXAMPLES, (DIFFMEAN,))),
        _target("by 8 examples and phrase / tuned DiffMean, mean", 1.25, ratio(results, tasks, BOTH, (DIFFMEAN,))),
        _target("topic@10 kept at the default", 0.80, ratio(results, tasks, PHRASE, plain, untuned, "topic")),
    ]
    if tasks:
        at = {each: np.mean([at_strength(results, task, PHRASE, each) for task in tasks]) for each in ("0.5", "1", "2")}
        worst = float(min(at["0.5"], at["2"]) / at["1"])
        found.append(Target("by phrase at half and at twice the default / at the default", 0.9, worst))
        stays = [each["overlap"] for task in tasks for each in results.seeds(task, PHRASE) if "overlap" in each]
        found.append(Target("overlap@10 where no document has the concept", 0.80, float(np.mean(stays or [0.0]))))
    return [target for target in [*found, *_exclusion(results)] if target]


def _target(name: str, wanted: float, got: Ratio | None) -> Target | None:
    return Target(name, wanted, got.value, str(got)) if got else None


def _exclusion(results: Results) -> list[Target]:
    found = []
    if results.seeds("negconstraint", PARSED):
        before, after = (ranks(results, method, "untuned") for method in (WHOLE, PARSED))
        gain = float(ndcg(after).mean() - ndcg(before).mean())
        found.append(Target("requests in words: nDCG@10 above the whole request", 0.10, gain))
        found.append(Target("requests in words: P@1", 0.52, float((after == 1).mean())))
    for task in (f"exclude, {name}" for name in NEWS):
        if results.seeds(task, EXCLUDE):
            rows = [[mean(results, task, m, "untuned", f) for f in ("attribute", "topic")] for m in (NOTHING, EXCLUDE)]
            (share, topic), (left, kept) = np.array(rows, np.float64).tolist()
            found.append(Target(f"{task}: its share of the ten falls by", 0.60, 1 - left / share))
            found.append(Target(f"{task}: topic@10 kept", 0.95, kept / topic))
    return found


def ranks(results: Results, method: str, tuning: Tuning) -> Rows:
    """Places of the answers to negconstraint's requests, shape (seeds x requests,)."""
    rows: list[Rows] = [
        np.array([ONE_DIGIT.index(digit) for digit in found[tuning]["rank"]])
        for found in results.seeds("negconstraint", method)
    ]
    return np.concatenate(rows)
