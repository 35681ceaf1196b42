"""Boosts on the command line: the options, reading them, and warnings on stderr."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..errors import ConfigError, SteeringWarning
from ..text import one_line

if TYPE_CHECKING:
    from ..runtime import Bundle, Concept
    from ..runtime.search.fusion import Fusion

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


Number = float | Literal["auto", "-auto"]

BoostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--boost",
        help="CONCEPT or CONCEPT=STRENGTH, may be repeated. A concept is a phrase, a feature's label, a latent like "
        "f412, or @FILE that --save-concept wrote. 1 is a typical activation, negative pushes away; auto and -auto are "
        "the largest that --keep allows.",
    ),
]
ClampOption = Annotated[
    list[str] | None,
    typer.Option("--clamp", help="CONCEPT=VALUE: set instead of adding; 0 removes the concept from the query."),
]
KeepOption = Annotated[
    float | None,
    typer.Option(
        "--keep",
        help="How much of the query `auto` keeps: its cosine to itself, above 0 and at most 1.  [default: 0.85]",
    ),
]
ProtectOption = Annotated[
    bool, typer.Option("--protect", help="Leave alone how strongly the query expresses its own strongest features.")
]


def parse_boost(options: list[str] | None) -> dict[int | str, Number]:
    """`["radio astronomy=1.5", "f7", "stars=auto"]` -> `{"radio astronomy": 1.5, "f7": 1.0, "stars": "auto"}`.

    Raises:
        ConfigError: A strength that is neither a number nor auto.
    """
    return {concept: 1.0 if strength is None else strength for concept, strength in _parse(options, "--boost", "1.5")}


def parse_clamp(options: list[str] | None) -> dict[int | str, float]:
    """`["radio astronomy=0"]` -> `{"radio astronomy": 0.0}`.

    Raises:
        ConfigError: A value that is not a number, or none.
    """
    clamp: dict[int | str, float] = {}
    for concept, value in _parse(options, "--clamp", "0"):
        if value is None:
            raise ConfigError(f"--clamp {concept!r} has no value: write it as {concept}=0")
        if isinstance(value, str):
            raise ConfigError(f"--clamp {concept}={value}: a clamp sets a number; {value} is for --boost")
        clamp[concept] = value
    return clamp


def read_files(boost: Mapping[int | str, Number], bundle: Bundle) -> dict[int | str | Concept, Number]:
    """The same boost with every key `@FILE` replaced by the concept in that file."""
    from ..runtime import Concept

    read: dict[int | str | Concept, Number] = {}
    for key, strength in boost.items():
        is_file = isinstance(key, str) and key.startswith("@")
        read[Concept.load(Path(str(key)[1:]), bundle) if is_file else key] = strength
    return read


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Every `SteeringWarning` is one line on stderr, once, whatever Python was told to do with warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("once", SteeringWarning)
        elsewhere = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, SteeringWarning):
                typer.echo("warning: " + " ".join(str(message).split()), err=True)
            else:
                elsewhere(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def _parse(options: list[str] | None, name: str, example: str) -> Iterator[tuple[str, Number | None]]:
    for option in options or []:
        concept, equals, strength = option.rpartition("=")
        word = strength.strip().casefold()
        if not equals:
            yield option.strip(), None
        elif word in ("auto", "-auto"):
            yield concept.strip(), cast(Number, word)
        else:
            try:
                yield concept.strip(), float(strength)
            except ValueError:
                raise ConfigError(
                    f"{name} {option!r}: {strength!r} is not a number; write it like jazz={example}"
                ) from None
