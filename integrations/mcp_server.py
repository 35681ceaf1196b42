"""An MCP server over one index: `find_concepts` and `search_documents` for any agent (extra ``mcp``).

Read-only unless started with `allow_write`. The server opens the index that it was started with and nothing else: no
tool takes a path, and arguments that a tool does not know are refused. Over HTTP every request needs a token.
"""

from __future__ import annotations

import functools
import hmac
import inspect
import json
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, TypeAlias, get_type_hints

import numpy as np

from .. import __version__
from ..errors import ConfigError, DataError, SteersearchError
from ..runtime import SteerableIndex
from ..text import one_line, shown
from .optional import needs

with needs("mcp", pip="'steersearch[mcp]'"):
    import anyio.from_thread
    import anyio.to_thread
    import uvicorn
    from pydantic import BeforeValidator, Field
    from typing_extensions import TypedDict

    from .agents import (
        LONGEST_TEXT,
        QUOTED,
        AgentTools,
        as_json_text,
        check_count,
        check_length,
        default,
        description_of,
        never_stop,
    )

# mcp 2 renamed the module and the class; all that is used here is the same in both.
MCP_2 = find_spec("mcp.server.mcpserver") is not None
_SDK = "mcp.server.mcpserver" if MCP_2 else "mcp.server.fastmcp"
MCPServer: Any = getattr(import_module(_SDK), "MCPServer" if MCP_2 else "FastMCP")
Tool: Any = import_module(f"{_SDK}.tools").Tool
ToolError: type[Exception] = import_module(f"{_SDK}.exceptions").ToolError
_security = import_module("mcp.server.transport_security")

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
"""The only address that is served."""
NAMES = (LOOPBACK, "localhost")
"""Names of this machine in a request. A web page whose own name leads here (DNS rebinding) sends another."""
SHORTEST_TOKEN = 16
MOST_TEXTS, LONGEST_DOCUMENT = 100, 200_000
"""Documents of one call, and the characters of each."""
MOST_IDS, LONGEST_ID = 1_000, 1_000
EMBEDDED_TOGETHER = 8
"""Documents after which a call that was cancelled ends."""

Texts = Annotated[
    list[str],
    Field(description=f"The documents, up to {MOST_TEXTS} of {LONGEST_DOCUMENT:,} characters each."),
]
Ids = Annotated[
    list[str],
    Field(description="One id per document; made up when left out. A known id is replaced."),
    default([]),
]
Metadata = Annotated[
    str,
    Field(description='Metadata of all of them as JSON text, like {"year": 2024}.'),
    BeforeValidator(as_json_text),
    default("{}"),
]
Known = Annotated[
    list[str], Field(description=f"Ids of documents, as search_documents gives them; up to {MOST_IDS:,}.")
]

# ASGI, the interface between web servers and applications.
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Added(TypedDict):
    """The answer of `add_documents`."""

    ids: list[str]
    replaced: int
    """How many of them were there already."""
    documents: int
    """How many the index holds now."""


class Deleted(TypedDict):
    """The answer of `delete_documents`."""

    deleted: int
    documents: int


class WritingTools:
    """The tools of an agent that may write, over an index that is not opened read-only; see `AgentTools`."""

    def __init__(self, index: SteerableIndex, go_on: Callable[[], None] = never_stop) -> None:
        self.index, self._go_on = index, go_on

    def add_documents(self, texts: Texts, ids: Ids = [], metadata: Metadata = "{}") -> Added:  # noqa: B006
        """Add documents to the collection, or replace those whose id is there.

        Raises:
            ConfigError: There are too many texts, or one argument is too long; nothing was added.
            DataError: Metadata is not a JSON object, or ids and texts do not fit; nothing was added.
        """
        check_count("texts", texts, MOST_TEXTS, "add the others with another call")
        check_count("ids", ids, MOST_TEXTS, "give one per text")
        for number, text in enumerate(texts):
            check_length(f"texts[{number}]", text, LONGEST_DOCUMENT, "split it into several documents")
        for number, id in enumerate(ids):
            check_length(f"ids[{number}]", id, LONGEST_ID, "give a short name")
        check_length("metadata", metadata, LONGEST_TEXT, "put long values into the texts")
        try:
            extra = json.loads(metadata.strip() or "{}")
        except (ValueError, RecursionError) as error:
            raise DataError(f'metadata is not JSON ({error}): write it like {{"year": 2024}}') from None
        if not isinstance(extra, dict):
            raise DataError(f'metadata is {shown(metadata)}: it must be a JSON object like {{"year": 2024}}')
        if ids and len(ids) != len(texts):
            raise DataError(f"{len(texts)} texts but {len(ids)} ids: give one per text")
        rows = []
        for start in range(0, len(texts), EMBEDDED_TOGETHER):
            self._go_on()
            rows.append(self.index.bundle.embed_documents(texts[start : start + EMBEDDED_TOGETHER]))
        self._go_on()
        vectors = np.concatenate(rows) if rows else None
        # In one commit, so that a call that was cancelled has added all or nothing.
        replaced = sum(record is not None for record in self.index.get(ids))
        names = self.index.add(texts, ids or None, [extra] * len(texts), embeddings=vectors)
        return {"ids": names, "replaced": replaced, "documents": self.index.count()}

    def delete_documents(self, ids: Known) -> Deleted:
        """Delete documents from the collection, for good. Ids that are not there are passed over.

        Raises:
            ConfigError: There are too many ids; nothing was deleted.
        """
        check_count("ids", ids, MOST_IDS, "delete the others with another call")
        return {"deleted": self.index.delete(ids), "documents": self.index.count()}


class RequireToken:
    """An ASGI application that answers 401 to every HTTP request without the header ``Authorization: Bearer TOKEN``.

    Raises:
        ConfigError: The token is too short to be a secret, or cannot stand in a header.
    """

    def __init__(self, application: Callable[[Scope, Receive, Send], Awaitable[None]], token: str) -> None:
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError(
                f"the token has {len(token)} characters: expected at least {SHORTEST_TOKEN} letters, digits and signs "
                "without blanks; leave it out for a random one"
            )
        self._application, self._header = application, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        given = [value for name, value in scope.get("headers", ()) if name.lower() == b"authorization"]
        # The comparison takes equally long for every token.
        allowed = len(given) == 1 and hmac.compare_digest(given[0], self._header)
        if allowed or scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        why = b"send the header 'Authorization: Bearer TOKEN' with the token that `sae mcp --http` printed\n"
        headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": why})


def make_server(index: SteerableIndex, *, allow_write: bool = False, port: int = 0) -> Any:
    """Return an MCP server for an opened index; whoever opened it closes it, best with ``readonly=True`` for reading.

    `allow_write` offers `add_documents` and `delete_documents` too; `port` is for `serve_http`.
    """
    go_on = anyio.from_thread.check_cancelled
    reading = AgentTools(index, go_on)
    tools = [_tool(reading.find_concepts), _tool(reading.search_documents)]
    if allow_write:
        writing = WritingTools(index, go_on)
        tools += [_tool(writing.add_documents, writes=True), _tool(writing.delete_documents, writes=True)]
    instructions = (
        f"Search a collection of {index.count():,} documents by meaning, and steer what comes first. Ask find_concepts "
        "what it can be steered by, then give those names, or any phrases, to search_documents as more_of, less_of and "
        "exclude; or say it in the query, with understand. " + QUOTED
    )
    settings: dict[str, Any] = (
        {"version": __version__}
        if MCP_2
        else {
            "host": LOOPBACK,
            "port": port,
            "transport_security": _guard(),
        }
    )
    return MCPServer("steersearch", instructions=instructions, tools=tools, log_level="WARNING", **settings)


def serve_stdio(server: Any) -> None:
    """Serve on stdin and stdout until the client closes them."""
    server.run("stdio")


def serve_http(server: Any, port: int, token: str | None) -> None:
    """Serve streamable HTTP on this machine only, at ``http://127.0.0.1:PORT/mcp``.

    Args:
        server: What `make_server` returned.
        port: A free port.
        token: Every request has to bring it, see `RequireToken`. None serves every user of this machine.

    Raises:
        ConfigError: The port is taken, or the token cannot be one.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used ({error.strerror}): choose another --port") from error
    guard = {"transport_security": _guard()} if MCP_2 else {}
    application = server.streamable_http_app(**guard)
    if token is not None:
        application = RequireToken(application, token)
    uvicorn.Server(uvicorn.Config(application, host=LOOPBACK, port=port, log_level="warning")).run()


def _guard() -> Any:
    """Return the settings by which only requests for this machine, and from its pages, are answered."""
    return _security.TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[f"{name}:*" for name in NAMES],
        allowed_origins=[f"http://{name}:*" for name in NAMES],
    )


def _tool(method: Callable[..., Any], *, writes: bool = False) -> Any:
    """Return a method as a tool that runs in a thread, gives errors to the model, and refuses other arguments.

    A call that is cancelled is answered at once; its thread ends at its next step. One that writes is waited for, so
    that nothing is written after the answer.
    """
    hints = get_type_hints(method, include_extras=True)
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def call(**arguments: Any) -> Any:
        try:
            work = functools.partial(method, **arguments)
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=not writes)
        except SteersearchError as error:
            raise ToolError(str(error)) from error
        except Exception as error:  # a bug of ours; the SDK would tell the model nothing
            logger.exception("%s failed", method.__name__)
            what = one_line(str(error), 200) or "no message"
            raise ToolError(
                f"{method.__name__} failed ({type(error).__name__}: {what}): try other arguments"
            ) from error

    parameters = [parameter.replace(annotation=hints[name]) for name, parameter in signature.parameters.items()]
    typed: Any = call
    typed.__signature__ = signature.replace(parameters=parameters, return_annotation=hints["return"])
    typed.__annotations__ = hints
    # A mapping, because mcp 1 and 2 spell the fields of their class differently.
    hints_for_clients = {"readOnlyHint": not writes, "destructiveHint": writes}
    tool = Tool.from_function(
        call,
        name=method.__name__,
        description=description_of(method),
        annotations=hints_for_clients | {"idempotentHint": True, "openWorldHint": False},
        structured_output=True,
    )
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    tool.parameters["additionalProperties"] = False
    return tool
