"""A real Chromium on the page of a real server: `studio` is its address, `tab` must end without an error."""

from __future__ import annotations

import base64
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steersearch.runtime.bundle.bundle import Bundle
from steersearch.runtime.index import SteerableIndex

sync_api = pytest.importorskip("playwright.sync_api", reason="the driver of the browser: pip install playwright")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

HOSTILE = (
    "<script>window.owned = 1</script> <img src=x onerror='window.owned = 1'> \x07 bell \u202e turned 😀 exceptions"
)
"""A text that would run, ring and turn round if anything but a text node showed it; its emoji shifts UTF-16 offsets."""


SETTLED = """async () => {
  const { model } = await import(new URL("core/store.js", document.baseURI).href);
  return !model.busy && (model.answered === model.state || !model.state.query.trim());
}"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


class Server:
    """`sae studio` in a process of its own; `address` ends without a slash."""

    def __init__(self, index: Path, *options: str) -> None:
        sae = [sys.executable, "-c", "from steersearch.cli import main; main()"]
        command = [*sae, "studio", "--index", str(index), "--port", "0", "--no-browser"]
        self._process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines: queue.Queue[str] = queue.Queue()
        output = self._process.stdout
        assert output is not None
        self._reader = threading.Thread(target=lambda: [lines.put(line) for line in output], daemon=True)
        self._reader.start()
        said = ""
        while (found := re.search(r"http://[\w.:\[\]]+", said)) is None:
            said += lines.get(timeout=60)
        self.address = found[0]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._reader.join(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def studio_index(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, topic_texts: Any) -> Path:
    """The sixty sentences, and one document that is hostile; features 1 to 3 have labels."""
    folder = tmp_path_factory.mktemp("studio")
    bundle = folder / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    with SteerableIndex.create(folder / "notes", Bundle.load(bundle, threads=1)) as index:
        index.add(topic_texts.texts, topic_texts.ids, topic_texts.metadata)
        hostile = {"topic": "<b>bold</b>", "number": -1}
        index.add([HOSTILE], ["<i>hostile</i>"], [hostile])
    return folder / "notes"


@pytest.fixture(scope="session")
def studio(studio_index: Path) -> Iterator[str]:
    server = Server(studio_index, "--allow-write")
    yield server.address
    server.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: install it from the distribution, or set CHROMIUM to its path")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Tab:
    """A tab of the studio. `close` fails where the console held an error or anything was asked of another address."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.address = address
        self.errors: list[str] = []
        self.expected: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("request", self._watch)

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in self.expected):
            self.errors.append(f"{message.type}: {message.text} {message.location}")

    def _watch(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.errors.append(f"asked elsewhere: {request.url}")

    def open(self, state: dict[str, Any] | None = None, at: str = "") -> Any:
        """Open the page at a state, by a link; return Playwright's page."""
        held = base64.urlsafe_b64encode(json.dumps(state).encode()).decode().rstrip("=") if state else ""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/#{held}{'&' if held and at else ''}{f'at={at}' if at else ''}")
        self.page.wait_for_selector("#main :is(.search, .sheet, .map-view, .state-box)")
        return self.page

    def state(self) -> dict[str, Any]:
        """Return the state that the address holds."""
        self.page.wait_for_timeout(350)  # the address follows a quarter of a second later
        held = self.page.url.partition("#")[2].split("&")[0]
        read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(held + "=" * (-len(held) % 4)))
        return read

    def ids(self, which: str) -> list[str]:
        """Return the ids of a list: "plain", "steered" or "only"."""
        read: list[str] = self.page.eval_on_selector_all(
            f".list.{which} .hit", "hits => hits.map(hit => hit.dataset.id)"
        )
        return read

    def ids_of_map(self) -> list[str]:
        """Return the ids of the list beside the map."""
        read: list[str] = self.page.eval_on_selector_all(".map-hits li", "rows => rows.map(row => row.dataset.id)")
        return read

    def answer(self, act: Any, path: str = "/api/search") -> dict[str, Any]:
        """Do something and return what the server answers; before and after it, nothing is under way."""
        self.until(SETTLED)
        with self.page.expect_response(lambda response: path in response.url) as waited:
            act()
        read: dict[str, Any] = waited.value.json()
        self.until(SETTLED)
        return read

    def until(self, condition: str, arg: Any = None) -> None:
        """Wait until an expression is true; Playwright's own way evaluates text, which the policy forbids."""
        for _ in range(300):
            if self.page.evaluate(condition, arg):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {condition}")

    def close(self) -> None:
        self.context.close()
        assert self.errors == []


@pytest.fixture
def tab(browser: Any, studio: str) -> Iterator[Tab]:
    opened = Tab(browser, studio)
    yield opened
    opened.close()


def concept(key: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"key": key, "strength": 1, "on": True, "off": [], "exclude": False, **more}


def asking(query: str = "an exception is raised", *concepts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "query": query,
        "k": 10,
        "view": "dense",
        "filter": None,
        "concepts": list(concepts),
        "understand": False,
        **more,
    }


PHRASE = {"phrase": "numbers and floats"}
