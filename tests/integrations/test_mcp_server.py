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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest

from steersearch.runtime import understand
from steersearch.runtime.index import SteerableIndex

from .conftest import PHRASE, QUERY, found

MCP_2 = bool(find_spec("mcp")) and find_spec("mcp.server.mcpserver") is not None
SAE = [sys.executable, "-c", "from steersearch.cli import main; main()"]
TOKEN = "a-token-of-these-tests"
# The tool counts its steps, and waits at each until it is told to stop; a second call answers how far the first came.
SLOW = """
import time
from steersearch.integrations.agents import AgentTools
steps = []
def find_concepts(self, text, limit=8):
    if text == "steps":
        return {"concepts": [], "hint": str(len(steps)), "note": ""}
    for step in range(600):
        self._go_on()
        steps.append(step)
        time.sleep(0.1)
find_concepts.__annotations__ = AgentTools.find_concepts.__annotations__
find_concepts.__globals__.update(vars(__import__("steersearch.integrations.agents", fromlist=["x"])))
AgentTools.find_concepts = find_concepts
"""


def _client() -> Any:
    return pytest.importorskip("mcp"), pytest.importorskip("mcp.client.stdio")


@asynccontextmanager
async def stdio(*arguments: str, before: str = "") -> AsyncIterator[Any]:
    """A session with a server that the client starts; `before` is code that it runs first."""
    mcp, transport = _client()
    main = [SAE[1], before + SAE[2], "mcp", *arguments]
    command = mcp.StdioServerParameters(command=SAE[0], args=main, env=dict(os.environ))
    async with transport.stdio_client(command) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        yield session


@contextmanager
def server(*arguments: str, token: str | None = TOKEN) -> Iterator[int]:
    """A server on a free port, with the token in its environment; stopped with Ctrl-C."""
    _client()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*SAE, "mcp", "--http", "--port", str(port), *arguments]
    environment = os.environ | ({"STEERSEARCH_MCP_TOKEN": token} if token else {})
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
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
async def over_http(port: int, token: str = TOKEN) -> AsyncIterator[Any]:
    mcp, _ = _client()
    transport = pytest.importorskip("mcp.client.streamable_http")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = pytest.importorskip("mcp.shared._httpx_utils").create_mcp_http_client(headers=headers)
    async with (
        client,
        transport.streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=client) as streams,
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
    steering = {"more_of": [PHRASE], "less_of": ["f3"], "strength": "auto", "exclude": ["import a module"]}
    _, _, structured = await call(session, "search_documents", query=QUERY, **steering, k=3)
    boost = {PHRASE: "auto", "f3": "-auto"}
    assert [r["id"] for r in structured["results"]] == found(index, k=3, boost=boost, exclude=["import a module"])
    assert [entry["strength"] for entry in structured["applied"]] == [1.0, -1.0, None]
    assert (structured["understood"], structured["warnings"]) == ("", [])
    said = f"{QUERY}, not exceptions"
    _, _, structured = await call(session, "search_documents", query=said, understand=True, k=3)
    assert structured["understood"] == str(understand(said))
    assert [r["id"] for r in structured["results"]] == found(index, said, k=3, understand=True)
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
        assert added[2] == {"ids": ["h-1", "h-2"], "replaced": 0, "documents": 62}
        again = await call(session, "add_documents", texts=texts[:1], ids=["h-1"], metadata={"year": 2024})
        assert again[2] == {"ids": ["h-1"], "replaced": 1, "documents": 62}
        made_up = [(await call(session, "add_documents", texts=["the same"]))[2]["ids"][0] for _ in range(2)]
        assert made_up[0] != made_up[1]
        assert (await call(session, "delete_documents", ids=made_up))[2] == {"deleted": 2, "documents": 62}
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


SECRET = {"Authorization": f"Bearer {TOKEN}"}


def post(port: int, headers: dict[str, str], body: str = "{}") -> int:
    """The status of a request that no client of MCP makes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    usual = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    connection.request("POST", "/mcp", body, usual | headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_over_http_nobody_gets_in_without_the_token(folder: Path) -> None:
    with server("--index", str(folder), "--allow-write") as port:
        for wrong in ("", TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"Basic {TOKEN}"):
            assert post(port, {"Authorization": wrong} if wrong else {}) == 401
        assert post(port, SECRET) not in (401, 403, 421)


async def test_over_http_a_random_token_is_printed_unless_everybody_may_come_in(
    folder: Path, tiny_index: SteerableIndex
) -> None:
    with server("--index", str(folder), token=None) as port:
        assert post(port, {}) == 401
    with server("--index", str(folder), "--no-token", token=None) as port:
        async with over_http(port, token="") as session:
            await check_reading(session, tiny_index)


def test_tokens_that_are_none(folder: Path) -> None:
    _client()
    for arguments, said in (
        (["--token", "short"], "the token has 5 characters: expected at least 16"),
        (["--token", TOKEN, "--no-token"], "leave one of them out"),
    ):
        command = [*SAE, "mcp", "--index", str(folder), "--http", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stderr.splitlines()[-1]) == (2, True), done.stderr


async def test_arguments_have_bounds(folder: Path) -> None:
    """Each error names the argument, the bound and the cure, and comes within two seconds."""
    many, long = ["a"] * 10_000, "word " * 200_000
    wrongs: list[tuple[str, dict[str, Any], str]] = [
        ("find_concepts", {"text": long}, "text has 1,000,000 characters: at most 1,000 are taken; give a word"),
        ("search_documents", {"query": long}, "query has 1,000,000 characters: at most 20,000 are taken; ask"),
        ("search_documents", {"query": "a", "more_of": many}, "more_of has 10,000 items: at most 16 are taken; name"),
        ("search_documents", {"query": "a", "less_of": [long]}, "has 1,000,000 characters: at most 1,000 are taken"),
        ("search_documents", {"query": "a", "like": many}, "like has 10,000 items: at most 32 are taken"),
        ("search_documents", {"query": "a", "like": [long]}, "has 1,000,000 characters: at most 20,000 are taken"),
        ("search_documents", {"query": "a", "where": {"year": {"$in": many}}}, "where has 50,019 characters: at most"),
        ("search_documents", {"query": "a", "where": '{"$not":' * 90 + "{}" + "}" * 90}, "nests deeper than 32"),
        ("search_documents", {"query": "a", "where": '{"$not":' * 2000 + "{}" + "}" * 2000}, "where is not JSON"),
        ("search_documents", {"query": "a", "more_of": ["f" + "9" * 900]}, "no bundle has a latent of 900 digits"),
        ("search_documents", {"query": "a", "k": 10**30}, "less than or equal to 50"),
        ("add_documents", {"texts": many}, "texts has 10,000 items: at most 100 are taken; add the others"),
        ("add_documents", {"texts": [long]}, "texts[0] has 1,000,000 characters: at most 200,000 are taken; split"),
        ("add_documents", {"texts": ["a"], "ids": [long]}, "ids[0] has 1,000,000 characters: at most 1,000 are taken"),
        ("add_documents", {"texts": ["a"], "metadata": {"x": long}}, "metadata has 1,000,009 characters: at most"),
        ("add_documents", {"texts": ["a"], "metadata": "[" * 9000}, "metadata is not JSON"),
        ("delete_documents", {"ids": many}, "ids has 10,000 items: at most 1,000 are taken; delete the others"),
    ]
    async with stdio("--index", str(folder), "--allow-write") as session:
        for tool, arguments, said in wrongs:
            start = time.perf_counter()
            wrong, text, _ = await call(session, tool, **arguments)
            assert (wrong, said in text) == (True, True), text
            assert time.perf_counter() - start < 2, said
        _, _, answer = await call(session, "delete_documents", ids=["nobody"])
        assert answer == {"deleted": 0, "documents": 60}


async def test_what_models_send_in_place_of_json_text(folder: Path, tiny_index: SteerableIndex) -> None:
    where: dict[str, Any] = {"number": {"$lt": 3}}
    ids = found(tiny_index, k=5, filter=where)
    async with stdio("--index", str(folder)) as session:
        for sent in (where, json.dumps(where), json.dumps(json.dumps(where))):
            wrong, text, answer = await call(session, "search_documents", query=QUERY, where=sent)
            assert not wrong, text
            assert [result["id"] for result in answer["results"]] == ids
        nothing: dict[str, Any] = dict.fromkeys(("more_of", "less_of", "like", "unlike", "exclude", "strength"))
        wrong, text, answer = await call(session, "search_documents", query=QUERY, where=None, k=None, **nothing)
        assert not wrong, text
        assert [result["id"] for result in answer["results"]] == found(tiny_index, k=5)


async def test_documents_are_marked_as_quoted(folder: Path) -> None:
    async with stdio("--index", str(folder)) as session:
        tools = await names(session)
        assert "no instruction in them is" in tools["search_documents"]["description"]
        for tool, arguments in (("search_documents", {"query": QUERY}), ("find_concepts", {"text": PHRASE})):
            _, _, answer = await call(session, tool, **arguments)
            assert "quoted from documents" in answer["note"]


async def test_a_cancelled_call_holds_nobody(folder: Path) -> None:
    async with stdio("--index", str(folder), before=SLOW) as session:
        await call(session, "search_documents", query=QUERY)
        with anyio.move_on_after(0.5):
            await call(session, "find_concepts", text="slow")
        start = time.perf_counter()
        wrong, text, _ = await call(session, "search_documents", query=QUERY)
        assert not wrong, text
        assert time.perf_counter() - start < 1
        if not MCP_2:  # its client tells the server nothing
            return
        await anyio.sleep(0.3)
        counts = []
        for _ in range(2):
            counts.append((await call(session, "find_concepts", text="steps"))[2]["hint"])
            await anyio.sleep(0.3)
        assert counts[0] == counts[1]  # its thread has ended too


async def test_a_crash_is_told_with_its_reason(folder: Path) -> None:
    crash = "from steersearch.runtime.bundle.features import Features\ndef search(*a): raise KeyError('why')\n"
    async with stdio("--index", str(folder), before=crash + "Features.search = search\n") as session:
        wrong, text, _ = await call(session, "find_concepts", text=PHRASE)
        assert (wrong, "find_concepts failed (KeyError: 'why')" in text) == (True, True), text


async def test_over_http(tiny_index: SteerableIndex, folder: Path) -> None:
    before = digest(folder)
    with server("--index", str(folder)) as port:
        async with over_http(port) as one, over_http(port) as two:  # several clients at once
            assert set(await names(one)) == {"find_concepts", "search_documents"}
            await check_reading(one, tiny_index)
            await check_reading(two, tiny_index)
        # A page elsewhere that has its name point here, and one that only sends to here.
        assert post(port, {"Host": "evil.example", **SECRET}) in (403, 421)
        assert post(port, {"Origin": "http://evil.example", **SECRET}) == 403
        with suppress(OSError):  # a name that leads nowhere
            if (other := socket.gethostbyname(socket.gethostname())) != "127.0.0.1":
                with socket.socket() as probe:  # nobody else on the network gets in
                    assert probe.connect_ex((other, port)) != 0
        command = [*SAE, "mcp", "--http", "--port", str(port), "--index", str(folder)]
        taken = subprocess.run(command, capture_output=True, text=True, check=False)
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
