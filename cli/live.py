"""Progress: on a terminal a bar per stage, and the table of a training; elsewhere a line now and then, on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
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
LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal; of a stage that is shorter there is none."""


@contextmanager
def progress_bars(quiet: bool = False) -> Iterator[Show]:
    """Yield a function that shows each stage with the time left: a bar, or lines where there is no terminal."""
    if quiet or not stderr.is_terminal:
        lines = ProgressLines()
        yield _nothing if quiet else lines.show
        return
    with _make_bars() as bars:
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
    Elsewhere, as in a log file, it prints one line per measurement, and the lines of `ProgressLines`.
    """
    rows: list[list[str]] = []
    lines = ProgressLines()
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
                    lines.put_off(stage)
            else:
                current = row
        if live:
            live.update(Group(table(current), bars) if rows or current else bars)
        else:
            lines.show(stage, done, total)

    with live or nullcontext():
        yield show


@dataclass
class _Stage:
    """A stage that is under way."""

    started: float
    """Seconds on the clock, as `told`."""
    first: int
    """What was done when it was first seen: a run that goes on does not begin at 0."""
    told: float
    """When the last line came, or would have."""
    done: int


class ProgressLines:
    """Prints a line every `LINE_EVERY` seconds, and one at the end of a stage that took longer.

    ``embed documents 12,288/24,751, 50 %, 3 min left``. Where nobody watches a bar, a log must tell a long stage from
    one that hangs.

    Args:
        clock: Gives seconds; that of the system by default.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.monotonic
        self._stages: dict[str, _Stage] = {}

    def show(self, stage: str, done: int, total: int | None, figures: dict[str, float] | None = None) -> None:
        """Take notice of a stage; `figures` are not printed."""
        now = self._clock()
        known = self._stages.get(stage)
        # The same stage may come twice, for other texts.
        if known is None or done < known.done:
            known = self._stages[stage] = _Stage(now, done, now, done)
        ended = total is not None and done >= total
        news = done > known.done
        known.done = done
        if ended:
            if news and now - known.started >= LINE_EVERY:
                self._print(f"{stage} {done:,}/{total:,}, took {_duration(now - known.started)}")
        elif now - known.told >= LINE_EVERY:
            known.told = now
            self._print(f"{stage} {_so_far(known, total, now)}")

    def put_off(self, stage: str) -> None:
        """Count the time to the next line of a stage from now, since something else was printed of it."""
        if stage in self._stages:
            self._stages[stage].told = self._clock()

    def _print(self, line: str) -> None:
        stderr.print(line, soft_wrap=True)


def _so_far(stage: _Stage, total: int | None, now: float) -> str:
    if total is None:
        return f"{stage.done:,} after {_duration(now - stage.started)}"
    line = f"{stage.done:,}/{total:,}, {100 * stage.done // max(total, 1)} %"
    made = stage.done - stage.first
    return f"{line}, {_duration((now - stage.started) * (total - stage.done) / made)} left" if made else line


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def _nothing(stage: str, done: int, total: int | None, figures: dict[str, float] | None = None) -> None:
    """Show nothing."""


def _make_bars() -> Progress:
    """Return bars with the number of things done, the time since the start and the time left."""
    return Progress(
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=stderr,
    )
