"""both@10 over the strength, a panel per corpus, the default marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .product import STRENGTHS
from .ratios import BOTH, EXAMPLES, NOTHING, PHRASE, mean
from .results import Results
from .rivals import FORCE, FORCES, SUMS, WEIGHTS

CURVES = {
    PHRASE: (STRENGTHS, 1.0),
    EXAMPLES: (STRENGTHS, 1.0),
    BOTH: (STRENGTHS, 1.0),
    "phrase: Weaviate moveTo": (FORCES, FORCE),
    "phrase: Marqo weights": (WEIGHTS, 1.0),
}
"""Method -> its strengths, and which of them is its default, drawn at 1."""
COLUMNS = 4
LEGEND = 0.6
"""Inches below the panels."""
TICKS = {0.25: "¼", 0.5: "½", 1.0: "1", 2.0: "2", 4.0: "4"}


def draw(results: Results, tasks: Sequence[str], path: Path) -> None:
    """Write the plot as SVG and PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines = -(-len(tasks) // COLUMNS)
    height = 2.6 * lines + LEGEND
    figure, axes = plt.subplots(lines, COLUMNS, figsize=(3.4 * COLUMNS, height), sharex=True, squeeze=False)
    for axis in axes.flat[len(tasks) :]:
        axis.set_visible(False)
    for axis, task in zip(axes.flat, tasks, strict=False):
        for method, (strengths, default) in CURVES.items():
            if not results.seeds(task, method):
                continue
            # Of seed 0, which alone has them all.
            values = [results.seeds(task, method)[0]["curve"][f"{each:g}"][2] for each in strengths]
            ours = method.startswith("ours")
            style = {"linewidth": 2.2} if ours else {"linewidth": 1.2, "linestyle": "--"}
            drawn = axis.plot(np.array(strengths) / default, values, label=method, **style)[0]
            axis.plot(1, values[strengths.index(default)], "o", markersize=6, color=drawn.get_color())
        plain = mean(results, task, NOTHING, "untuned", "both")
        sums = [mean(results, task, method, "tuned", "both") or 0.0 for method in SUMS]
        axis.axhline(max(sums), color="black", linewidth=1, label="best tuned sum of vectors")
        axis.axhline(plain or 0.0, color="grey", linewidth=1, linestyle=":", label=NOTHING)
        axis.set_xscale("log")
        axis.set_xticks(list(TICKS), list(TICKS.values()))
        axis.minorticks_off()
        axis.set_title(task, fontsize=10)
    for axis in axes.flat[max(0, len(tasks) - COLUMNS) : len(tasks)]:
        axis.set_xlabel("strength / default")
        axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("both@10")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, LEGEND / height, 1, 1))
    figure.savefig(path)
    figure.savefig(path.with_suffix(".png"), dpi=110)
    plt.close(figure)
