"""A method as everybody meets it: settings, one of which is what its documentation says, and what each finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .perspectives import SOME
from .scoring import Bench, Pairs, Rows

Search: TypeAlias = Callable[[Pairs], Rows]
"""Rows of the ten best searched documents for each pair, best first."""
FIGURES = ("attribute", "topic", "both")
ONE_DIGIT = "0123456789a"


@dataclass(frozen=True)
class Method:
    """One way to steer.

    *Untuned* is the setting that its documentation gives or that its formula has without a choice. *Tuned* is the one
    with the best both@10 on the dev queries of the corpus that is reported: the best that a method can do.
    """

    name: str
    settings: Mapping[str, Search]
    """Name of a setting -> its search."""
    default: str | None = None
    """The untuned setting; None where nobody says which."""
    shown: Mapping[str, Search] = field(default_factory=dict)
    """Further settings for the curve, which tuning does not choose from."""
    collateral: bool = False
    """Whether to measure what is left of the ten results where an attribute has nothing to bring."""
    seeded: bool = True
    """Whether another autoencoder or draw of examples finds something else."""


def measure(bench: Bench, method: Method, plain: Search) -> dict[str, Any]:
    """All figures of a method on one task.

    Returns:
        `untuned`, and `tuned` where there is a choice: per figure one digit a test pair, of ten results so many (`a` is
        ten); `first five` likewise, of the first five those with both. `setting`: what tuning chose. `curve`: setting
        -> means of the figures over the test pairs. `dev`: setting -> both@10 over the dev pairs. `overlap`: of the ten
        results without steering so many stay where an attribute has nothing to bring, as a share. `seconds`.
    """
    started = time.perf_counter()
    test = bench.asked(~bench.dev)
    alone = len(method.settings) == 1
    dev_both = {} if alone else {name: _both(bench, search) for name, search in method.settings.items()}
    setting = next(iter(method.settings)) if alone else max(dev_both, key=lambda name: dev_both[name])
    judged = {name: bench.judge(search(test), test) for name, search in {**method.settings, **method.shown}.items()}
    found: dict[str, Any] = {
        "setting": setting,
        "curve": {name: np.round(hits.mean((1, 2)), 4).tolist() for name, hits in judged.items()},
        "dev": {name: round(value, 4) for name, value in dev_both.items()},
    }
    if not (alone and method.seeded):
        found["tuned"] = digits(judged[setting])
    if method.default is not None:
        found["untuned"] = digits(judged[method.default])
        pairs = bench.untouched
        if method.collateral and len(pairs.query):
            search = {**method.settings, **method.shown}[method.default]
            found["overlap"] = round(overlap(plain(pairs), search(pairs)), 4)
    return found | {"seconds": round(time.perf_counter() - started, 1)}


def overlap(before: Rows, after: Rows) -> float:
    """How many of the results stay, as a share."""
    return float(np.mean([len(np.intersect1d(b, a)) / max(len(b), 1) for b, a in zip(before, after, strict=True)]))


def _both(bench: Bench, search: Search) -> float:
    pairs = bench.asked(bench.dev)
    return float(bench.judge(search(pairs), pairs)[2].mean()) if len(pairs.query) else 0.0


def digits(hits: NDArray[np.bool_]) -> dict[str, str]:
    """Per figure one digit a pair, of ten results so many; hits of shape (3, pairs, 10)."""
    counts = dict(zip(FIGURES, hits.sum(2), strict=True)) | {"first five": hits[2, :, :SOME].sum(1)}
    return {name: "".join(ONE_DIGIT[count] for count in values) for name, values in counts.items()}


def read_digits(text: str) -> NDArray[np.float64]:
    """What `digits` wrote, as shares of ten."""
    return np.array([ONE_DIGIT.index(digit) for digit in text], np.float64) / 10
