"""`sae mcp`."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import stderr
from .options import IndexPath, MovedBundle, ProfileOption


def mcp(
    index: IndexPath,
    bundle: MovedBundle = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve http://127.0.0.1:PORT/mcp in place of stdin and stdout.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port for --http, on this machine only.", min=1, max=65535)] = 8765,
    allow_write: Annotated[
        bool, typer.Option("--allow-write", help="Let agents add, replace and delete documents.")
    ] = False,
    profile: ProfileOption = "fast",
) -> None:
    """Serve an index to agents over MCP: `find_concepts` and `search_documents`. Read-only without --allow-write.

    The tools reach this index and no other file. For a client that starts servers itself, the command is
    `sae mcp --index my-index`.
    """
    from ..integrations.mcp_server import make_server, serve_http, serve_stdio
    from ..runtime import SteerableIndex

    with SteerableIndex.open(index, bundle=bundle, readonly=not allow_write, profile=profile) as opened:
        server = make_server(opened, allow_write=allow_write, port=port)
        if http:
            stderr.print(f"serving {index} at http://127.0.0.1:{port}/mcp; stop with Ctrl-C")
            serve_http(server, port)
        else:
            serve_stdio(server)
