"""Tables (Markdown), figures of every run (JSON) and plots (SVG and PNG)."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from steersearch.metrics import NAMES

from .plots import draw_ablation, draw_curves

VIEWS = ("reconstruction", "latent")
PAPER = {
    # K -> share of dense MRR on MS MARCO with BGE-base, from the figures in the paper's own code
    "reconstruction": {32: 0.827, 64: 0.886, 128: 0.958, 256: 0.989},
    "latent": {32: 0.754, 64: 0.849, 128: 0.917, 256: 0.959},
}
TARGET = {
    "reconstruction": {32: 0.94, 64: 0.965, 128: 0.986, 256: 0.996},
    "latent": {32: 0.94, 64: 0.96, 128: 0.98, 256: 0.99},
}
Rows = dict[tuple[str, str, int, str], list[dict[str, float]]]
"""(group, name, k, set) -> figures of each seed."""


def write_report(found: list[dict[str, Any]], folder: Path) -> None:
    """Write retention.json, retention.md and the plots."""
    folder.mkdir(exist_ok=True)
    (folder / "retention.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    rows: Rows = defaultdict(list)
    for run in found:
        for name, figures in run["sets"].items():
            rows[run["group"], run["name"], run["k"], name].append({**figures, "seconds": run["seconds"]})
    sections = [
        _dense(found),
        _table("Headline: SciFact test, all-MiniLM-L6-v2", rows, "headline", targets=True),
        _table("Transfer: one general model, sets it has never seen", rows, "transfer", sets=True),
        _table("A second embedder: SciFact test, all-mpnet-base-v2", rows, "mpnet"),
        _table("Other embedders: SciFact test", rows, "embedders"),
        _table("The paper's recipe on the same data", rows, "paper"),
        _table("Ablation: one thing changed, K = 32", rows, "ablation"),
    ]
    (folder / "retention.md").write_text("\n\n".join(section for section in sections if section) + "\n")
    draw_curves(rows, PAPER, folder / "retention")
    draw_ablation(rows, folder / "ablation")


def _dense(found: list[dict[str, Any]]) -> str:
    """Dense search on the same vectors: what everything is a share of."""
    seen = {(_model(run), name): f for run in found for name, f in run["sets"].items()}
    lines = ["### Dense search", "", "| set | embedder | nDCG@10 | MRR@10 | R@100 |", "|---|---|---|---|---|"]
    for (model, name), figures in sorted(seen.items()):
        values = " | ".join(f"{figures[f'dense {metric}']:.4f}".lstrip("0") for metric in NAMES)
        lines.append(f"| {name} | {model} | {values} |")
    return "\n".join(lines)


def _model(run: dict[str, Any]) -> str:
    """Name the embedder of a run."""
    if run["group"] == "embedders":
        return str(run["name"])
    return "all-mpnet-base-v2" if run["group"] == "mpnet" else "all-MiniLM-L6-v2"


def mean(figures: list[dict[str, float]], name: str) -> float:
    """Mean over the seeds."""
    return statistics.fmean(f[name] for f in figures)


def spread(figures: list[dict[str, float]], name: str) -> float:
    """Standard deviation over the seeds, 0 for one."""
    return statistics.stdev(f[name] for f in figures) if len(figures) > 1 else 0.0


def _table(title: str, rows: Rows, group: str, *, sets: bool = False, targets: bool = False) -> str:
    chosen = {key: figures for key, figures in rows.items() if key[0] == group}
    if not chosen:
        return ""
    order = sorted(chosen, key=lambda key: (key[3], key[2], key[1]) if not sets else (key[2], key[3]))
    if group == "ablation":
        order.sort(key=lambda key: -sum(mean(chosen[key], f"{view} share") for view in VIEWS))
    head = ["set"] * sets + ["model", "K", "reconstruction, % of dense", "latents, % of dense"]
    head += ["fvu docs / queries", "alive", "Jaccard", "seeds"]
    lines = [f"### {title}", "", " | ".join(["", *head, ""]).strip(), "|" + "---|" * len(head)]
    for key in order:
        figures = chosen[key]
        cells = [key[3]] * sets + [key[1], str(key[2])]
        for view in VIEWS:
            cell = f"{100 * mean(figures, f'{view} share'):.1f}"
            cell += f" ± {100 * spread(figures, f'{view} share'):.1f}" if len(figures) > 1 else ""
            cells.append(cell + (f" (target {100 * TARGET[view][key[2]]:.1f})" if targets else ""))
        cells.append(f"{mean(figures, 'fvu'):.3f} / {mean(figures, 'fvu queries'):.3f}")
        cells += [f"{100 * mean(figures, 'alive'):.1f} %", f"{mean(figures, 'jaccard'):.3f}", str(len(figures))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
