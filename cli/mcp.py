"""`sae mcp`."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .console import stderr
from .embedders import EmbedderDimensions, EmbedderModel, EmbedderUrl, brought
from .options import IndexPath, MovedBundle, ProfileOption

TOKEN_VARIABLE = "STEERSEARCH_MCP_TOKEN"


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
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN_VARIABLE,
            help="With --http: what every request must bring; a random one by default. Other users of this machine "
            "see arguments, but not the variable.",
            show_default=False,
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="With --http: let every user of this machine in.")
    ] = False,
    profile: ProfileOption = "fast",
    embedder_url: EmbedderUrl = None,
    embedder_model: EmbedderModel = None,
    embedder_dimensions: EmbedderDimensions = None,
) -> None:
    """Serve an index to agents over MCP: `find_concepts` and `search_documents`. Read-only without --allow-write.

    The tools reach this index and no other file. For a client that starts servers itself, the command is
    `sae mcp --index my-index`. With --http, clients send the header `Authorization: Bearer TOKEN`.
    """
    from ..integrations.mcp_server import make_server, serve_http, serve_stdio
    from ..runtime import SteerableIndex

    if no_token and token is not None:
        raise ConfigError(f"--no-token and a token (--token or {TOKEN_VARIABLE}) are both given: leave one of them out")
    embedder = brought(embedder_url, embedder_model, embedder_dimensions)
    how: dict[str, Any] = {"readonly": not allow_write, "profile": profile, "embedder": embedder}
    with SteerableIndex.open(index, bundle=bundle, **how) as opened:
        server = make_server(opened, allow_write=allow_write, port=port)
        if http:
            _announce(f"serving {index} at http://127.0.0.1:{port}/mcp; stop with Ctrl-C")
            if no_token:
                _announce("every user of this machine gets in" + (", and may write" if allow_write else ""))
            elif token is None:
                token = secrets.token_urlsafe(24)
                _announce(f"clients send the header: Authorization: Bearer {token}")
            serve_http(server, port, token)
        else:
            serve_stdio(server)


def _announce(line: str) -> None:
    # Not wrapped: somebody copies it.
    stderr.print(line, soft_wrap=True)
