"""The figures as tables, the curves as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scoring import DEGREES, KEPT

PHRASE_BASELINES = ("phrase: text embedding", "phrase: text embedding, corpus mean removed")
STANCES = ("debates", "perspectrum")
SENTENCES = ", sentences"
TARGETS = (
    ("ours, phrase", PHRASE_BASELINES, 1.15),
    ("ours, 8 examples", ("8 examples: DiffMean",), 1.05),
    ("ours, 8 examples and phrase", ("8 examples: DiffMean",), 1.15),
)
SHOWN = (*PHRASE_BASELINES, "phrase: appended to the query", "ours, phrase", "8 examples: DiffMean", "ours, 8 examples")
Rows = dict[str, Any]


def write_report(results: Rows, sets: Sequence[str], folder: Path) -> None:
    """Write control.md and control.svg, and print the table."""
    names = [name for name in sets if f"{name}-seed0" in results]
    seeds = sum(f"{names[0]}-seed{seed}" in results for seed in range(100))
    text = "\n\n".join([_methods(results, names), _ratios(results, names), _manners(results, names), _oracle(results)])
    head = f"Mean over {seeds} autoencoders, test pairs, strengths chosen on dev pairs."
    (folder / "control.md").write_text(f"{head}\n\n{text}\n")
    print(f"{head}\n\n{text}")
    draw(results, names, folder / "control.svg")


def pairs_of(results: Rows, name: str, method: str, figure: str) -> NDArray[np.float64]:
    """A figure of each test pair, mean over the seeds."""
    rows = [found["methods"][method][figure] for key, found in results.items() if key.startswith(f"{name}-seed")]
    return np.asarray(rows, np.float64).mean(0)


def ratio(
    results: Rows, names: Sequence[str], ours: str, theirs: Sequence[str], figure: str, draws: int = 2000
) -> tuple[float, float, float]:
    """Mean over corpora of ours, divided by that of the best of theirs; a paired bootstrap over pairs gives 95 %."""
    rng = np.random.default_rng(0)
    up, down = np.zeros(draws + 1), np.zeros((len(theirs), draws + 1))
    for name in names:
        mine = pairs_of(results, name, ours, figure)
        # The first column is the sample itself.
        rows = np.concatenate([np.arange(len(mine))[None], rng.integers(0, len(mine), (draws, len(mine)))])
        up += mine[rows].mean(1)
        for at, method in enumerate(theirs):
            down[at] += pairs_of(results, name, method, figure)[rows].mean(1)
    ratios = up / down[down[:, 0].argmax()]
    low, high = np.percentile(ratios[1:], [2.5, 97.5])
    return float(ratios[0]), float(low), float(high)


def _methods(results: Rows, names: Sequence[str]) -> str:
    head = ["both@10 (attribute@10 where topics keep 97 %)", *names]
    lines = [head, ["---"] * len(head)]
    for method in results[f"{names[0]}-seed0"]["methods"]:
        cells = [method]
        for name in names:
            both, kept = (pairs_of(results, name, method, figure).mean() for figure in ("both", "attribute"))
            cells.append(f"{both:.3f} ({kept:.3f})".replace("0.", "."))
        lines.append(cells)
    counts = [f"{results[f'{name}-seed0']['pairs']} pairs" for name in names]
    lines.append(["", *counts])
    return _table(lines)


def _ratios(results: Rows, names: Sequence[str]) -> str:
    groups = {name: [name] for name in names} | {
        "terms": [name for name in names if name not in STANCES and not name.endswith(SENTENCES)],
        "sentences": [name for name in names if name.endswith(SENTENCES)],
        "all": list(names),
    }
    head = ["ratio (95 %)", "target", *groups]
    lines = [head, ["---"] * len(head)]
    for what, figure in (("both@10", "both"), (f"attribute@10 at {KEPT:.0%} of topic", "attribute")):
        for ours, theirs, target in TARGETS:
            cells = [f"{ours} / {' or '.join(theirs)}, {what}", f"{target}"]
            for members in groups.values():
                value, low, high = ratio(results, members, ours, theirs, figure) if members else (0.0, 0.0, 0.0)
                cells.append(f"{value:.2f} ({low:.2f} to {high:.2f})")
            lines.append(cells)
    return _table(lines)


def _manners(results: Rows, names: Sequence[str]) -> str:
    figures = ("monotone", "reversible", "overlap", "others", "kept degrees", "gentle", "gentle degrees")
    lines = [["at the strength that keeps 97 % of topic", *figures], ["---"] * (len(figures) + 1)]
    first = results[f"{names[0]}-seed0"]["methods"]
    for method in (method for method, found in first.items() if "monotone" in found):
        for name in names:
            found = [f["methods"][method] for key, f in results.items() if key.startswith(f"{name}-seed")]
            known = [[row[figure] for row in found if figure in row] for figure in figures]
            lines.append([f"{method}, {name}", *(f"{np.mean(values):.3f}" if values else "-" for values in known)])
    return _table(lines)


def _oracle(results: Rows) -> str:
    from .oracle import DELTAS, SIDES

    found = [rows for key, rows in results.items() if key.startswith("oracle-")]
    lines = [["the paper's oracle, SciFact", *map(str, DELTAS)], ["---"] * (len(DELTAS) + 1)]
    for side in SIDES:
        for name in ("MRR@10", "P@10", "R@10") if found else ():
            values = np.mean([rows[side][name] for rows in found], 0)
            lines.append([f"{side}, {name}", *(f"{value:.3f}" for value in values)])
    return _table(lines)


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def draw(results: Rows, names: Sequence[str], path: Path) -> None:
    """Both at once, the attribute and the topic against the angle, a column per corpus."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, len(names), figsize=(3 * len(names), 7), sharex=True, squeeze=False)
    for column, name in enumerate(names):
        rows = [found for key, found in results.items() if key.startswith(f"{name}-seed")]
        for method in SHOWN:
            curve = np.mean([row["methods"][method]["curve"] for row in rows], 0)  # (3, strengths)
            style = {"linewidth": 2.2} if method.startswith("ours") else {"linewidth": 1.2, "linestyle": "--"}
            for line, at in enumerate((2, 0, 1)):
                axes[line][column].plot(DEGREES, curve[at], label=method, **style)
        axes[0][column].set_title(name, fontsize=10)
        axes[2][column].set_xlabel("degrees from the query")
    for line, title in enumerate(("both@10", "attribute@10", "about the query@10")):
        axes[line][0].set_ylabel(title)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path)
    figure.savefig(path.with_suffix(".png"), dpi=110)
    plt.close(figure)
