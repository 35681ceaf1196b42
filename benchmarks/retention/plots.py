"""Two plots: what is kept at each K, and what each part of the recipe is worth."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLOURS = {"ours": "#0b6e4f", "paper mse+kl": "#c8553d", "paper mse": "#e0a899", "ours, MSE only": "#888888"}


def _mean(figures: list[dict[str, float]], name: str) -> float:
    return statistics.fmean(f[name] for f in figures)


def draw_curves(rows: Mapping[Any, Any], paper: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Share of dense nDCG@10 against K, reconstructions and latents side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    names = dict.fromkeys(key[1] for key in rows if key[0] in ("headline", "paper"))
    for axis, view in zip(axes, ("reconstruction", "latent"), strict=True):
        for name in names:
            keys = sorted(key for key in rows if key[0] in ("headline", "paper") and key[1] == name)
            widths = [key[2] for key in keys]
            shares = [[100 * f[f"{view} share"] for f in rows[key]] for key in keys]
            low, high = [min(s) for s in shares], [max(s) for s in shares]
            colour = COLOURS.get(name)
            axis.plot(widths, [statistics.fmean(s) for s in shares], "o-", label=name, color=colour)
            axis.fill_between(widths, low, high, alpha=0.2, color=colour, linewidth=0)
        axis.plot(list(paper[view]), [100 * v for v in paper[view].values()], "k:", label="paper, MS MARCO MRR, BGE")
        axis.axhline(100, color="0.8", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.set_xticks([32, 64, 128, 256], ["32", "64", "128", "256"])
        axis.set_xlabel("K, active latents per text")
        axis.set_title("reconstructions" if view == "reconstruction" else "sparse latents", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("% of dense nDCG@10, SciFact test")
    axes[1].legend(frameon=False, fontsize=8)
    _save(figure, path)


def draw_ablation(rows: Mapping[Any, Any], path: Path) -> None:
    """What each change to the recipe costs, in points of retention."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    chosen = {key[1]: figures for key, figures in rows.items() if key[0] == "ablation"}
    if "ours" not in chosen:
        return
    views = ("reconstruction", "latent")
    base = {view: 100 * _mean(chosen["ours"], f"{view} share") for view in views}
    cost = {n: {v: 100 * _mean(f, f"{v} share") - base[v] for v in views} for n, f in chosen.items() if n != "ours"}
    names = sorted(cost, key=lambda name: sum(cost[name].values()))
    figure, axis = plt.subplots(figsize=(7, 0.32 * len(names) + 1))
    for offset, view, colour in ((0.2, "reconstruction", "#0b6e4f"), (-0.2, "latent", "#3d5a80")):
        places = [i + offset for i in range(len(names))]
        axis.barh(places, [cost[name][view] for name in names], 0.38, label=view, color=colour)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.axvline(0, color="0.3", linewidth=0.8)
    axis.set_xlabel("points of retention against our recipe (SciFact test, K = 32)")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    for ending in ("svg", "png"):
        figure.savefig(path.with_suffix(f".{ending}"), dpi=130, metadata={"Date": None} if ending == "svg" else None)
