"""What `sae train` shows: bars for the stages, and one line of figures per measurement on the held-out queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.table import Table

from ._common import make_bars, stderr

COLUMNS = {  # heading -> name of the figure
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
"""The first are those of the training step, the others are measured on held-out queries."""
MAX_ROWS = 12

Show = Callable[..., None]


@contextmanager
def training_table() -> Iterator[Show]:
    """A function ``show(stage, done, total, figures)``, for `train(progress=…)`.

    On a terminal: a bar per stage with the time left, and a table whose last row is the step of this moment. Elsewhere,
    as in a log file: one line per measurement.
    """
    rows: list[list[str]] = []
    bars = make_bars(stderr)
    tasks: dict[str, object] = {}

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
        bars.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]
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

    if live is None:
        yield show
    else:
        with live:
            yield show
