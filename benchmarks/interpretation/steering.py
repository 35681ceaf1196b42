"""Which features read, steer, do both or neither, and what another feature's boost would score in the same test."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

import numpy as np

from steersearch.runtime.bundle.interpretation import STEERS, SteeringScore
from steersearch.runtime.interpret.pipeline import InterpretationResult


def steering_figures(found: InterpretationResult, latents: Sequence[int], seed: int) -> dict[str, float]:
    """Figures of `latents`, without those of which nothing could be measured."""
    entries = [found.interpretation.entries[f] for f in latents]
    measured = [(entry, entry.steers, entry.score) for entry in entries if entry.steers and entry.score]
    figures = {"steers, measured": len(measured) / max(len(entries), 1)}
    if len(measured) < 2:
        return figures
    scores = [steers.score for _, steers, _ in measured]
    figures["steers"] = statistics.median(scores)
    figures["steers, by words of the name"] = _median([s.words for _, s, _ in measured])
    figures["steers, by words of the text"] = _median([s.predicted for _, s, _ in measured])
    brought = [s.predicted >= STEERS[False] for _, s, _ in measured if s.predicted is not None]
    figures["boost brings texts whose words predict it"] = _mean(brought)
    for name in ("plain", "boosted", "random", "text", "before", "after", "after_other"):
        figures[f"first ten with it: {name}"] = _mean([getattr(s, name) for _, s, _ in measured])
    figures["steers no worse than its name added to the query"] = _mean([s.boosted >= s.text for _, s, _ in measured])
    clamped = [s for _, s, _ in measured if s.before and s.after is not None and s.after_other is not None]
    figures["clamp takes some out"] = _mean([s.after < s.before for s in clamped])
    figures["clamp of another takes some out"] = _mean([s.after_other < s.before for s in clamped])
    figures["Spearman of steers and AUC"] = spearman(scores, [score.auc for _, _, score in measured])
    reads = np.array([not entry.unclear for entry, _, _ in measured])
    steers = np.array([s.holds for _, s, _ in measured])
    for name, kept in (
        ("both", reads & steers),
        ("read only", reads & ~steers),
        ("steer only", ~reads & steers),
        ("neither", ~reads & ~steers),
    ):
        figures[f"share: {name}"] = float(kept.mean())
    strangers = of_strangers(found, [entry.latent for entry, _, _ in measured], seed)
    figures["steers, with the boost of another feature"] = _median([score.score for score in strangers])
    figures["share that would steer, with what another feature does"] = _mean([score.holds for score in strangers])
    return figures


def of_strangers(found: InterpretationResult, latents: Sequence[int], seed: int) -> list[SteeringScore]:
    """Scores of names where a boost and a clamp do what they do for another of the latents."""
    test, names = found.steering, [entry.label for entry in found.interpretation.entries]
    order = np.random.default_rng(seed).permutation(latents)
    boosted, clamped = test.boosted.copy(), test.clamped.copy()
    boosted[order], clamped[order] = test.boosted[np.roll(order, 1)], test.clamped_other[order]
    kept = set(latents)
    wanted = [name if latent in kept else None for latent, name in enumerate(names)]
    vectors = np.zeros((len(names), test.vectors.shape[1]), np.float32)
    changed = dataclasses.replace(test, boosted=boosted, clamped=clamped)
    return [score for score in changed.scores(wanted, vectors) if score is not None]


def spearman(some: Sequence[float], others: Sequence[float]) -> float:
    """Spearman's correlation, equal values sharing their rank; 0 if one side is constant."""
    ranks = [_ranks(np.asarray(side)) for side in (some, others)]
    if any(np.ptp(side) == 0 for side in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def _median(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else 0.0


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else 0.0
