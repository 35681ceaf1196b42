"""The command line: one typer app, `sae`, thin over the API.

Commands import what they need when they run, so that `sae search` works where torch is not installed and `--help` is
instant everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .. import __version__
from ..errors import SteersearchError
from .demo import demo
from .embed import embed
from .evaluate import evaluate
from .export import export
from .features import features_app
from .index import index_app
from .mcp import mcp
from .search import explain, search
from .train import train

app = typer.Typer(
    name="sae",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Dense retrieval that you can read and steer.\n\n"
    "Start with `sae demo`. With your own documents: `sae train`, `sae export`, `sae index`, `sae search`.",
)
app.command("demo")(demo)
app.command("train")(train)
app.command("export")(export)
app.add_typer(index_app, name="index")
app.command("embed")(embed)
app.command("search")(search)
app.command("explain")(explain)
app.add_typer(features_app, name="features")
app.command("eval")(evaluate)
app.command("mcp")(mcp)

export_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
export_app.command()(export)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(f"steersearch {__version__}")
        raise typer.Exit


def main() -> None:
    """Run ``sae``."""
    _run(app)


def main_export() -> None:
    """Run ``sae-export``."""
    _run(export_app)


def _run(command: Callable[[], object]) -> None:
    """Errors of ours are one line on stderr and an exit code: 2 for wrong use, 1 for work that failed."""
    try:
        command()
    except SteersearchError as error:
        typer.echo("error: " + " ".join(str(error).split()), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `sae search ... | head`
        sys.stderr.close()
        sys.exit(0)
