"""Progress on the terminal: a bar per stage, and the table of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeAlias

from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from .console import stderr

Show: TypeAlias = Callable[..., None]
"""``show(stage, done, total, figures)``; `total` and `figures` may be None."""

BAR_FIGURES = ("loss", "mse", "kl", "latent_kl", "alive")
"""Figures that are printed beside a bar."""
COLUMNS = {
    "loss": "loss",
    "mse": "mse",
    "kl": "kl",
    "latent kl": "latent_kl",
    "l0": "l0",
    "fvu": "dev_fvu",
    "fvu queries": "dev_fvu_queries",
    "alive": "dev_alive",
    "retention": "dev_retention",
}
"""Heading -> name of the figure. The `dev_` figures are measured on held-out queries, the others are of the step."""
MAX_ROWS = 12
"""Measurements that the table shows, the newest."""


@contextmanager
def progress_bars(quiet: bool = False) -> Iterator[Show]:
    """Yield a function that shows a bar per stage with the time left; it shows nothing where there is no terminal."""
    with _make_bars(disable=quiet or not stderr.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int | None, figures: dict[str, float] | None = None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, figures="")
            shown = " ".join(f"{name} {value:.3g}" for name, value in (figures or {}).items() if name in BAR_FIGURES)
            bars.update(tasks[stage], completed=done, total=total, figures=shown)

        yield show


@contextmanager
def training_table() -> Iterator[Show]:
    """Yield a function for `train(progress=…)`.

    On a terminal it shows a bar per stage with the time left, and a table whose last row is the current step.
    Elsewhere, as in a log file, it prints one line per measurement.
    """
    rows: list[list[str]] = []
    bars = _make_bars()
    tasks: dict[str, TaskID] = {}

    def cells(step: int, figures: dict[str, float]) -> list[str]:
        values = (figures.get(name) for name in COLUMNS.values())
        return [str(step), *("" if value is None else f"{value:.4g}" for value in values)]

    def table(current: list[str] | None) -> Table:
        out = Table("step", *COLUMNS, box=None, pad_edge=False, header_style="bold")
        for row in [*rows[-MAX_ROWS:], *([current] if current else [])]:
            out.add_row(*row)
        return out

    live = Live(bars, console=stderr, transient=False, refresh_per_second=4) if stderr.is_terminal else None

    def show(stage: str, done: int, total: int, figures: dict[str, float] | None = None) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total, figures="")
        bars.update(tasks[stage], completed=done, total=total)
        current = None
        if stage == "train" and figures:
            row = cells(done, figures)
            if "dev_retention" in figures:
                rows.append(row)
                if live is None:
                    shown = zip(COLUMNS, row[1:], strict=True)
                    stderr.print(f"step {done} of {total}: " + ", ".join(f"{n} {v}" for n, v in shown if v))
            else:
                current = row
        if live:
            live.update(Group(table(current), bars) if rows or current else bars)

    with live or nullcontext():
        yield show


def _make_bars(*, disable: bool = False) -> Progress:
    """Return bars with the number of things done, the time since the start and the time left."""
    return Progress(
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=stderr,
        disable=disable,
    )
