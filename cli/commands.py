"""The typer apps `sae` and `sae-export`, with all their commands."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from .audit import audit
from .choices import Commands
from .demo import demo
from .documents import delete, get, update
from .embed import embed
from .evaluate import evaluate
from .export import export
from .fast_queries import fast_queries
from .features import features_app
from .index import index_app
from .mcp import mcp
from .pretrained import pretrained_app
from .search import explain, search
from .studio import studio
from .train import train

app = Commands(
    name="sae",
    no_args_is_help=True,
    add_completion=True,
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
app.command("get")(get)
app.command("update")(update)
app.command("delete")(delete)
app.command("fast-queries")(fast_queries)
app.add_typer(features_app, name="features")
app.add_typer(pretrained_app, name="pretrained")
app.command("eval")(evaluate)
app.command("audit")(audit)
app.command("studio")(studio)
app.command("mcp")(mcp)

export_app = Commands()
export_app.command()(export)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        typer.echo(f"steersearch {__version__}")
        raise typer.Exit
