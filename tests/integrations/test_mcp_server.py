"""`sae mcp` with a real client, over stdio and HTTP, with mcp 1 or 2, whichever is installed."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from steersearch.runtime.index import SteerableIndex

from .conftest import PHRASE, QUERY, found

SAE = [sys.executable, "-c", "from steersearch.cli import main; main()"]


def _client() -> Any:
    return pytest.importorskip("mcp"), pytest.importorskip("mcp.client.stdio")


@asynccontextmanager
async def stdio(*arguments: str) -> AsyncIterator[Any]:
    """A session with a server that the client starts."""
    mcp, transport = _client()
    command = mcp.StdioServerParameters(command=SAE[0], args=[*SAE[1:], "mcp", *arguments], env=dict(os.environ))
    async with transport.stdio_client(command) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        yield session


@contextmanager
def server(*arguments: str) -> Iterator[int]:
    """A server on a free port; stopped with Ctrl-C."""
    _client()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([*SAE, "mcp", "--http", "--port", str(port), *arguments], stderr=subprocess.PIPE) as process:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        assert process.returncode in (0, 130, -signal.SIGINT)


@asynccontextmanager
async def over_http(port: int) -> AsyncIterator[Any]:
    mcp, _ = _client()
    transport = pytest.importorskip("mcp.client.streamable_http")
    async with (
        transport.streamable_http_client(f"http://127.0.0.1:{port}/mcp") as streams,
        mcp.ClientSession(*streams[:2]) as session,
    ):
        await session.initialize()
        yield session


async def call(session: Any, tool: str, **arguments: Any) -> tuple[bool, str, Any]:
    """Whether it is an error, the text, the structured content."""
    result = (await session.call_tool(tool, arguments)).model_dump(by_alias=True)
    return bool(result.get("isError")), result["content"][0]["text"], result.get("structuredContent")


async def names(session: Any) -> dict[str, dict[str, Any]]:
    return {tool.name: tool.model_dump(by_alias=True) for tool in (await session.list_tools()).tools}


def digest(folder: Path) -> dict[str, str]:
    """All files but SQLite's shared memory, where readers note that they read."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def folder(tiny_index: SteerableIndex) -> Path:
    tiny_index.save()
    return tiny_index.path


async def check_reading(session: Any, index: SteerableIndex) -> None:
    """What both transports have to answer."""
    wrong, text, structured = await call(
        session,
        "search_documents",
        query=QUERY,
        more_of=[PHRASE],
        strength="strong",
        where='{"number": {"$lt": 9}}',
        k=3,
    )
    assert (wrong, json.loads(text)) == (False, structured)
    where = {"number": {"$lt": 9}}
    assert [r["id"] for r in structured["results"]] == found(index, k=3, boost={PHRASE: 2.0}, filter=where)
    plain = found(index, k=60, filter=where)
    assert [r["rank_without_steering"] for r in structured["results"]] == [
        plain.index(r["id"]) + 1 for r in structured["results"]
    ]
    steering = {"more_of": [PHRASE], "less_of": ["f3"], "strength": "auto", "keep": 0.9}
    _, _, structured = await call(session, "search_documents", query=QUERY, **steering, k=3)
    boost = {PHRASE: "auto", "f3": "-auto"}
    assert [r["id"] for r in structured["results"]] == found(index, k=3, boost=boost, keep=0.9)
    assert (structured["kept"], structured["warnings"]) == (0.9, [])
    _, _, structured = await call(session, "search_documents", query=QUERY, more_of=["zzzz qqqq"])
    assert "nothing about 'zzzz qqqq'" in structured["warnings"][0]
    wrong, text, structured = await call(session, "find_concepts", text=PHRASE, limit=2)
    assert (wrong, len(structured["concepts"])) == (False, 2)


async def test_over_stdio(tiny_index: SteerableIndex, folder: Path) -> None:
    before = digest(folder)
    async with stdio("--index", str(folder)) as session:
        tools = await names(session)
        assert set(tools) == {"find_concepts", "search_documents"}
        for tool in tools.values():
            assert tool["annotations"]["readOnlyHint"] is True
            assert tool["annotations"]["openWorldHint"] is False
            assert tool["outputSchema"]["properties"]
            assert "Raises" not in tool["description"]
        await check_reading(session, tiny_index)
        assert (await call(session, "add_documents", texts=["mine"]))[0]
        assert (await call(session, "delete_documents", ids=["numbers-0"]))[0]
    assert digest(folder) == before


async def test_errors_teach_and_no_path_leads_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret word is hippopotamus")
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"query": QUERY, "more_of": ["f99999"]}, "this bundle has 64, f0 to f63"),
        ({"query": " "}, "query is empty"),
        ({"query": QUERY, "where": "recent"}, 'write it like {"year": {"$gte": 2024}}'),
        ({"query": QUERY, "strength": "huge"}, "'light', 'medium', 'strong' or 'auto'"),
        ({"query": QUERY, "more_of": {"a": 1}}, "valid list"),
        ({"query": QUERY, "k": "many"}, "valid integer"),
        ({"query": QUERY, "k": 10**6}, "less than or equal to 50"),
        ({"query": QUERY, "index": str(tmp_path)}, "Extra inputs are not permitted"),
        ({"query": QUERY, "path": str(tmp_path / "secret.txt")}, "Extra inputs are not permitted"),
        ({}, "Field required"),
    ]
    async with stdio("--index", str(folder)) as session:
        for arguments, said in wrongs:
            wrong, text, _ = await call(session, "search_documents", **arguments)
            assert (wrong, said in text) == (True, True), text
        for path in (str(tmp_path / "secret.txt"), "../secret.txt", "file:///etc/passwd"):  # words, like any others
            for arguments in ({"query": path}, {"query": QUERY, "more_of": [path]}, {"query": QUERY, "like": [path]}):
                _, text, _ = await call(session, "search_documents", **arguments)
                assert "hippopotamus" not in text
                assert "root:" not in text


async def test_writing_when_allowed(folder: Path, tiny_index: SteerableIndex) -> None:
    async with stdio("--index", str(folder), "--allow-write") as session:
        tools = await names(session)
        assert set(tools) == {"find_concepts", "search_documents", "add_documents", "delete_documents"}
        assert tools["delete_documents"]["annotations"]["readOnlyHint"] is False
        assert tools["delete_documents"]["annotations"]["destructiveHint"] is True
        texts = ["a hippopotamus swims", "a hippopotamus sleeps"]
        added = await call(session, "add_documents", texts=texts, ids=["h-1", "h-2"], metadata='{"year": 2024}')
        assert added[2] == {"ids": ["h-1", "h-2"], "documents": 62}
        _, _, answer = await call(session, "search_documents", query=texts[1], where='{"year": 2024}')
        assert [(r["id"], r["metadata"]) for r in answer["results"]] == [
            ("h-2", {"year": 2024}),
            ("h-1", {"year": 2024}),
        ]
        for arguments, said in (
            ({"texts": ["a"], "ids": ["x", "y"]}, "1 texts but 2 ids"),
            ({"texts": ["a"], "metadata": "2024"}, "must be a JSON object"),
            ({"texts": ["a"], "metadata": "{year}"}, "metadata is not JSON"),
        ):
            wrong, text, _ = await call(session, "add_documents", **arguments)
            assert (wrong, said in text) == (True, True), text
        assert (await call(session, "delete_documents", ids=["h-1", "nobody"]))[2] == {"deleted": 1, "documents": 61}
    assert [record is not None for record in tiny_index.get(["h-1", "h-2"])] == [False, True]


async def test_over_http(tiny_index: SteerableIndex, folder: Path) -> None:
    before = digest(folder)
    with server("--index", str(folder)) as port:
        async with over_http(port) as one, over_http(port) as two:  # several clients at once
            assert set(await names(one)) == {"find_concepts", "search_documents"}
            await check_reading(one, tiny_index)
            await check_reading(two, tiny_index)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        headers = {
            "Host": "evil.example",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        connection.request("POST", "/mcp", "{}", headers)  # a page elsewhere that has its name point here
        assert connection.getresponse().status in (403, 421)
        connection.close()
        with suppress(OSError):  # a name that leads nowhere
            if (other := socket.gethostbyname(socket.gethostname())) != "127.0.0.1":
                with socket.socket() as probe:  # nobody else on the network gets in
                    assert probe.connect_ex((other, port)) != 0
        taken = subprocess.run(
            [*SAE, "mcp", "--http", "--port", str(port), "--index", folder], capture_output=True, text=True, check=False
        )
        assert (taken.returncode, "cannot be used" in taken.stderr.splitlines()[-1]) == (2, True), taken.stderr
    assert digest(folder) == before


def test_wrong_use(tmp_path: Path) -> None:
    _client()
    gone = subprocess.run([*SAE, "mcp", "--index", tmp_path], capture_output=True, text=True, check=False)
    assert (gone.returncode, "is not an index" in gone.stderr, gone.stdout) == (1, True, "")


def test_missing_extra(tmp_path: Path) -> None:
    code = "import sys; sys.modules['mcp'] = None; sys.argv[1:] = ['mcp', '--index', 'x']; " + SAE[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: mcp is not installed: pip install 'steersearch[mcp]'\n",
    )
