"""An MCP server over one index: `find_concepts` and `search_documents` for any agent (extra ``mcp``).

Read-only unless started with `allow_write`. The server opens the index that it was started with and nothing else: no
tool takes a path, and arguments that a tool does not know are refused.
"""

from __future__ import annotations

import functools
import inspect
import json
import socket
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, get_type_hints

from .. import __version__
from ..errors import ConfigError, DataError, SteersearchError
from ..runtime import SteerableIndex
from .optional import needs

with needs("mcp", pip="'steersearch[mcp]'"):
    import anyio.to_thread
    from pydantic import Field
    from typing_extensions import TypedDict

    from .agents import AgentTools, description_of

# mcp 2 renamed the module and the class; all that is used here is the same in both.
MCP_2 = find_spec("mcp.server.mcpserver") is not None
_SDK = "mcp.server.mcpserver" if MCP_2 else "mcp.server.fastmcp"
MCPServer: Any = getattr(import_module(_SDK), "MCPServer" if MCP_2 else "FastMCP")
Tool: Any = import_module(f"{_SDK}.tools").Tool
ToolError: type[Exception] = import_module(f"{_SDK}.exceptions").ToolError

LOOPBACK = "127.0.0.1"
"""The only address that is served: whoever reaches the port may read the index."""

Texts = Annotated[list[str], Field(description="The documents.")]
Ids = Annotated[list[str], Field(description="One id per document; made up when left out. A known id is replaced.")]
Metadata = Annotated[str, Field(description='Metadata of all of them as JSON text, like {"year": 2024}.')]
Known = Annotated[list[str], Field(description="Ids of documents, as search_documents gives them.")]


class Added(TypedDict):
    """The answer of `add_documents`."""

    ids: list[str]
    documents: int
    """How many the index holds now."""


class Deleted(TypedDict):
    """The answer of `delete_documents`."""

    deleted: int
    documents: int


class WritingTools:
    """The tools of an agent that may write, over an index that is not opened read-only."""

    def __init__(self, index: SteerableIndex) -> None:
        self.index = index

    def add_documents(self, texts: Texts, ids: Ids = [], metadata: Metadata = "{}") -> Added:  # noqa: B006
        """Add documents to the collection, or replace those whose id is there.

        Raises:
            DataError: Metadata is not a JSON object, or ids and texts do not fit; nothing was added.
        """
        try:
            extra = json.loads(metadata or "{}")
        except ValueError as error:
            raise DataError(f'metadata is not JSON ({error}): write it like {{"year": 2024}}') from None
        if not isinstance(extra, dict):
            raise DataError(f'metadata is {metadata!r:.80}: it must be a JSON object like {{"year": 2024}}')
        names = self.index.add(texts, ids or None, [extra] * len(texts))
        return {"ids": names, "documents": len(self.index)}

    def delete_documents(self, ids: Known) -> Deleted:
        """Delete documents from the collection, for good. Ids that are not there are passed over."""
        return {"deleted": self.index.delete(ids), "documents": len(self.index)}


def make_server(index: SteerableIndex, *, allow_write: bool = False, port: int = 0) -> Any:
    """Return an MCP server for an opened index; whoever opened it closes it, best with ``readonly=True`` for reading.

    `allow_write` offers `add_documents` and `delete_documents` too; `port` is for `serve_http`.
    """
    reading = AgentTools(index)
    tools = [_tool(reading.find_concepts), _tool(reading.search_documents)]
    if allow_write:
        writing = WritingTools(index)
        tools += [_tool(writing.add_documents, writes=True), _tool(writing.delete_documents, writes=True)]
    instructions = (
        f"Search a collection of {len(index):,} documents by meaning, and steer what comes first. Ask find_concepts "
        "what it can be steered by, then give those names, or any phrases, to search_documents as more_of and less_of."
    )
    settings: dict[str, Any] = {"version": __version__} if MCP_2 else {"host": LOOPBACK, "port": port}
    return MCPServer("steersearch", instructions=instructions, tools=tools, log_level="WARNING", **settings)


def serve_stdio(server: Any) -> None:
    """Serve on stdin and stdout until the client closes them."""
    server.run("stdio")


def serve_http(server: Any, port: int) -> None:
    """Serve streamable HTTP on this machine only, at ``http://127.0.0.1:PORT/mcp``; a taken port is a `ConfigError`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used ({error.strerror}): choose another --port") from error
    server.run("streamable-http", **({"host": LOOPBACK, "port": port} if MCP_2 else {}))


def _tool(method: Callable[..., Any], *, writes: bool = False) -> Any:
    """Return a method as a tool that runs in a thread, gives errors to the model, and refuses other arguments."""
    hints = get_type_hints(method, include_extras=True)
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def call(**arguments: Any) -> Any:
        try:
            return await anyio.to_thread.run_sync(functools.partial(method, **arguments))
        except SteersearchError as error:
            raise ToolError(str(error)) from error

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
