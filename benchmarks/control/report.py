"""The figures as tables in control.md, the curves as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .oracle import DELTAS, SIDES
from .perspectives import perspective_recall
from .plot import draw
from .product import AWAY, HYBRIDS, STRENGTHS, VIEWS
from .ratios import (
    BOTH,
    DIFFMEAN,
    EXAMPLES,
    NOTHING,
    PHRASE,
    Tuning,
    mean,
    ratio,
    targets,
    topical,
)
from .report_exclusion import TUNINGS, excluded, requests
from .results import Results
from .rivals import SUMS
from .table import short, table

HEAD = """*Untuned* is what a person gets: the setting that the documentation gives, nothing chosen on any query.
*Tuned* is the setting with the best both@10 on other (dev) queries of the same corpus: the best a method can do."""
INTERVALS = "In brackets what holds 95 % of 2,000 paired bootstrap samples."
LEXICAL = """A document is about a term if it has the term, so on newsgroups, news and medical questions the words of a
query see what is judged. Ours counts them as evidence, and the sums of vectors do not. The rows *without the query's
words* (a vector is asked, no text) and *hybrid* (rivals with the words of the query, BM25) say how much that is."""
SPLIT = "Documents to learn from and documents that are searched are different ones."
ORDER = (NOTHING, "random", "the whole", "phrase", "8 examples", "labels", "ours, the", "ours", "formula", "metadata")
"""Beginnings of the names of methods, as they follow each other in tables."""
MANNERS = (PHRASE, EXAMPLES, BOTH, "ours, the query moves, phrase", *SUMS[:6], DIFFMEAN)


def write_report(results: Results, folder: Path) -> None:
    """Write control.md and control.svg, and print the tables."""
    tasks = [task for task in results.tasks if results.seeds(task, NOTHING)]
    topics = [task for task in topical(results) if task in tasks]
    stances = [task for task in tasks if results.tasks[task]["kind"] == "stances"]
    sides = [task for task in tasks if results.tasks[task]["kind"] == "perspectives"]
    seeds = max((len(results.seeds(task, PHRASE)) for task in tasks), default=0)
    parts = [f"Mean over {seeds} autoencoders, test pairs only. {HEAD}\n{SPLIT} {INTERVALS}", _targets(results)]
    if topics:
        parts += ["## both@10, untuned / tuned", _both(results, [*topics, *stances])]
        parts += ["## Ratios", LEXICAL, _ratios(results, topics)]
        parts += ["## attribute@10 / topic@10, untuned", _sides(results, [*topics, *stances])]
        parts += ["## What is left alone", _manners(results, topics)]
        parts += ["## attribute@10 / topic@10 by phrase, over the strength", _strengths(results, [*topics, *stances])]
        parts += ["## Other views: both@10, untuned, without and with the phrase", _views(results, topics)]
    if "candidates" in results.found:
        parts += ["## recall@10 of the candidates, against ranking every document", _candidates(results)]
    if sides:
        parts += ["## Perspectives (PIR): p-Recall@5, untuned / tuned", _perspectives(results, sides)]
    parts += ["## Exclusion", *excluded(results)] if any("exclude" in name for name in results.found) else []
    if "negconstraint" in results.found:
        parts += ["## Requests with an exception (negconstraint)", requests(results)]
    parts += ["## Constants that other corpora choose: both@10", table(results.choices)] if results.choices else []
    parts += ["## The paper's own experiment", _oracle(results)] if "scifact" in results.found else []
    text = "\n\n".join(parts)
    (folder / "control.md").write_text(text + "\n")
    print(text)
    if topics:
        draw(results, [*topics, *stances], folder / "control.svg")


def _targets(results: Results) -> str:
    lines = [["target", "wanted", "got", "", "95 %"]]
    for target in targets(results):
        word = "reached" if target.reached else "not reached"
        lines.append([target.name, f"{target.wanted:.2f}", f"{target.got:.3f}", word, target.interval])
    return table(lines)


def _methods(results: Results, tasks: Sequence[str]) -> list[str]:
    names = dict.fromkeys(method for task in tasks for method in results.found[task])
    shown = [name for name in names if not name.endswith(" view")]
    # What was measured again is last in the results.
    return sorted(shown, key=lambda name: next((at for at, each in enumerate(ORDER) if name.startswith(each)), 0))


def _both(results: Results, tasks: Sequence[str]) -> str:
    topics = [task for task in tasks if task in topical(results)]
    lines = [["", *tasks, "mean of topics"]]
    for method in _methods(results, tasks):
        cells = [_pair(results, task, method, "both") for task in tasks]
        means = [_mean_of(results, topics, method, tuning) for tuning in TUNINGS]
        lines.append([method, *cells, " / ".join(means)])
    return table([*lines, ["test pairs", *(str(results.tasks[task]["test"]) for task in tasks), ""]])


def _pair(results: Results, task: str, method: str, figure: str) -> str:
    return " / ".join(short(mean(results, task, method, tuning, figure)) for tuning in TUNINGS)


def _mean_of(results: Results, tasks: Sequence[str], method: str, tuning: Tuning) -> str:
    values = [mean(results, task, method, tuning, "both") for task in tasks]
    known = [value for value in values if value is not None]
    return short(float(np.mean(known))) if len(known) == len(tasks) else "-"


def _ratios(results: Results, tasks: Sequence[str]) -> str:
    groups = {task: [task] for task in tasks} | {"all": list(tasks)}
    lines = [["both@10, ours untuned / theirs tuned", *groups]]
    for ours, name, theirs in (
        (PHRASE, "best sum of vectors", SUMS),
        (EXAMPLES, DIFFMEAN, (DIFFMEAN,)),
        (BOTH, DIFFMEAN, (DIFFMEAN,)),
        ("ours, labels", "labels: DiffMean", ("labels: DiffMean",)),
        ("ours, phrase, without the query's words", "best sum of vectors", SUMS),
        (PHRASE, "best hybrid rival", HYBRIDS[1:]),
        ("ours, phrase, hybrid view", "best hybrid rival", HYBRIDS[1:]),
    ):
        cells = [str(ratio(results, members, ours, theirs) or "-") for members in groups.values()]
        lines.append([f"{ours} / {name}", *cells])
    untuned: tuple[Tuning, Tuning] = ("untuned", "untuned")
    for ours, theirs in (
        (PHRASE, NOTHING),
        ("ours, phrase, hybrid view", "no steering, hybrid view"),
    ):
        cells = [str(ratio(results, members, ours, (theirs,), untuned) or "-") for members in groups.values()]
        lines.append([f"{ours} / {theirs}, untuned", *cells])
    return table(lines)


def _sides(results: Results, tasks: Sequence[str]) -> str:
    lines = [["", *tasks]]
    for method in (NOTHING, *MANNERS):
        cells = [
            " / ".join(short(mean(results, task, method, "untuned", figure)) for figure in ("attribute", "topic"))
            for task in tasks
        ]
        lines.append([method, *cells])
    return table(lines)


def _manners(results: Results, tasks: Sequence[str]) -> str:
    lines = [["untuned", "topic@10 kept, mean", "lowest", "overlap@10 where there is nothing to bring"]]
    for method in MANNERS:
        kept = [
            (mean(results, task, method, "untuned", "topic") or 0.0)
            / (mean(results, task, NOTHING, "untuned", "topic") or 1.0)
            for task in tasks
            if results.seeds(task, method)
        ]
        stays = [found["overlap"] for task in tasks for found in results.seeds(task, method) if "overlap" in found]
        if kept:
            lines.append(
                [
                    method,
                    short(float(np.mean(kept))),
                    short(min(kept)),
                    short(float(np.mean(stays)) if stays else None),
                ]
            )
    return table(lines)


def _strengths(results: Results, tasks: Sequence[str]) -> str:
    settings = (f"{AWAY:g}", *(f"{strength:g}" for strength in STRENGTHS))
    lines = [["first autoencoder", *settings]]
    for task in tasks:
        curve = results.seeds(task, PHRASE)[0]["curve"] if results.seeds(task, PHRASE) else {}
        cells = [" / ".join(map(short, curve[each][:2])) if each in curve else "-" for each in settings]
        lines.append([task, *cells])
    return table(lines)


def _views(results: Results, tasks: Sequence[str]) -> str:
    lines = [["view", *tasks]]
    for view in ("dense", *VIEWS):
        names = (NOTHING, PHRASE) if view == "dense" else (f"{NOTHING}, {view} view", f"{PHRASE}, {view} view")
        cells = [" / ".join(short(mean(results, task, name, "untuned", "both")) for name in names) for task in tasks]
        lines.append([view, *cells])
    return table(lines)


def _candidates(results: Results) -> str:
    rows = {task: seeds["0"] for task, seeds in results.found["candidates"].items()}
    forms = list(dict.fromkeys(form for row in rows.values() for form in row))
    return table([["", *forms], *([task, *(short(row.get(form)) for form in forms)] for task, row in rows.items())])


def _perspectives(results: Results, tasks: Sequence[str]) -> str:
    lines = [["", *tasks, "mean"]]
    for method in _methods(results, tasks):
        rows = [[_recall(results, task, method, tuning) for tuning in TUNINGS] for task in tasks]
        cells = [" / ".join(map(short, row)) for row in rows]
        means = [np.mean(column) if None not in column else None for column in zip(*rows, strict=True)]
        lines.append([method, *cells, " / ".join(map(short, means))])
    return table(lines)


def _recall(results: Results, task: str, method: str, tuning: Tuning) -> float | None:
    values = results.values(task, method, tuning, "first five")
    roots = results.tasks[task]["queries"]
    seeds = [found for found in results.seeds(task, method) if tuning in found]
    if values is None:
        return None
    return float(np.mean([perspective_recall(roots, [d != "0" for d in f[tuning]["first five"]]) for f in seeds]))


def _oracle(results: Results) -> str:
    found = results.seeds("scifact", "oracle")
    lines = [["boosting what is relevant, by", *map(str, DELTAS)]]
    for side in SIDES:
        for name in ("MRR@10", "P@10", "R@10"):
            values = np.mean([rows[side][name] for rows in found], 0)
            lines.append([f"{side}, {name}", *(f"{value:.3f}" for value in values)])
    return table(lines)
