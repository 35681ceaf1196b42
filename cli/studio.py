"""`sae studio`."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .console import stderr
from .embedders import EmbedderDimensions, EmbedderModel, EmbedderUrl, brought
from .live import progress_bars
from .options import IndexPath, MovedBundle, ProfileOption, QueriesOption

TOKEN_VARIABLE = "STEERSEARCH_STUDIO_TOKEN"


def studio(
    index: IndexPath = Path("index"),
    bundle: MovedBundle = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port; 0 is a free one. [default: 8766, or a free one where that is taken]",
            min=0,
            max=65535,
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but this machine's own makes a token necessary.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN_VARIABLE,
            help="What every request must bring; a random one with --host. Other users of this machine see arguments, "
            "but not the variable.",
            show_default=False,
        ),
    ] = None,
    allow_write: Annotated[
        bool,
        typer.Option("--allow-write", help="Let the page save concepts, steerings and judgments, and edit features."),
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write what needs no server into this new folder, texts of documents too, and stop."),
    ] = None,
    ask: Annotated[
        Path | None, typer.Option(help="With --export: a file of queries, one a line, that can be asked there.")
    ] = None,
    profile: ProfileOption = "fast",
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
    queries: QueriesOption = "transformer",
) -> None:
    """Open a page on which you search, steer with sliders, and see why.

    It runs on this machine, offline, until Ctrl-C. Documents are never changed; what `--allow-write` lets the page save
    lies beside the index, in `INDEX.studio`, and edits of features beside the bundle.

    Examples: `sae studio --index my-index`, `sae studio --index my-index --export site --ask queries.txt`
    """
    from ..integrations.studio import export as exporting
    from ..integrations.studio.app import make_app
    from ..integrations.studio.serve import address_of, bind, hosts_of, run
    from ..integrations.studio.studio import Studio
    from ..runtime import SteerableIndex

    embedder = brought(embedder_url, embedder_model, embedder_dimensions)
    how: dict[str, Any] = {"readonly": not allow_write, "profile": profile, "embedder": embedder, "queries": queries}
    with SteerableIndex.open(index, bundle=bundle, **how) as opened:
        made = Studio(opened, allow_write=allow_write, bundle=bundle)
        if export is not None:
            queries_there = [] if ask is None else exporting.read_queries_file(ask)
            with progress_bars() as show:
                files = exporting.export(made, export, queries_there, show)
            stderr.print(f"{export}: {files:,} files; any web server can send them")
            return
        if ask is not None:
            raise ConfigError("--ask is for --export: give --export FOLDER, or type queries on the page")
        hosts = hosts_of(host)
        if hosts is None and token is None:
            token = secrets.token_urlsafe(24)
        application = make_app(made, hosts=hosts, token=token)
        with bind(host, port) as bound:
            address = address_of(bound, token)
            # Not wrapped: somebody copies it.
            stderr.print(f"{made.name} at {address} (Ctrl-C ends it)", soft_wrap=True)
            if not no_browser and sys.stdout.isatty():
                _open(address)
            run(application, bound)


def _open(address: str) -> None:
    """Open a browser; where there is none, the address was printed."""
    import webbrowser

    # A browser of the terminal would take the terminal.
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if os.name == "posix" and sys.platform != "darwin" and not shown:
        return
    with suppress(webbrowser.Error):
        webbrowser.open(address)
