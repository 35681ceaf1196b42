"""What the commands share: options, progress bars, JSON output."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..errors import ConfigError
from ..texts import one_line

if TYPE_CHECKING:
    from steersearch.runtime.fusion import Fusion

console = Console(highlight=False)
# Under torchrun the first process speaks for all.
stderr = Console(stderr=True, highlight=False, quiet=os.environ.get("RANK", "0") != "0")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
BundlePath = Annotated[Path, typer.Option("--bundle", "-b", help="The folder that `sae export` wrote.")]
IndexPath = Annotated[Path, typer.Option("--index", "-i", help="The folder that `sae index` wrote.")]
ProfileOption = Annotated[
    Literal["fast", "lean"],
    typer.Option("--profile", help="`lean` takes the least memory and one CPU; answers are the same."),
]


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def parse_fusion(text: str) -> Fusion:
    """`"rrf"` as it is, `"dense=.4,words=.6"` as weights.

    Raises:
        ConfigError: A weight that is not a number.
    """
    if text == "rrf":
        return "rrf"
    try:
        return {view.strip(): float(weight) for view, weight in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise ConfigError(f"--fusion is {text!r}: write rrf, or weights like dense=.4,latent=.2,words=.4") from None


def make_bars(console: Console, *, disable: bool = False) -> Progress:
    """Bars with the number of things done, the time since the start and the time left."""
    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
        disable=disable,
    )


@contextmanager
def progress_bars(quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A function ``show(stage, done, total, figures)``: one bar per stage with the time left, on a terminal."""
    with make_bars(stderr, disable=quiet or not stderr.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int | None, figures: dict[str, float] | None = None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, figures="")
            shown = " ".join(f"{name} {value:.3g}" for name, value in (figures or {}).items() if name in SHOWN)
            bars.update(tasks[stage], completed=done, total=total, figures=shown)

        yield show


SHOWN = ("loss", "mse", "kl", "latent_kl", "alive")


def first_line(text: str, width: int = 78) -> str:
    """The beginning of a text on one line."""
    return one_line(text, width)
