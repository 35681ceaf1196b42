"""A still copy: the same page over files, without a server of ours."""

import functools
import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest

import steersearch.integrations.studio as studio_room

from .conftest import PHRASE, Tab, asking, concept

PAGE = Path(studio_room.__file__).parent / "page"
QUERY = "an exception is raised"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def still(tab, tmp_path):
    """Write what `sae studio --export` writes, from the answers of the server, and serve the folder."""
    shutil.copytree(PAGE, tmp_path, dirs_exist_ok=True)
    index = tmp_path / "index.html"
    index.write_text(index.read_text().replace("<html ", "<html data-still ", 1))
    page = tab.open()

    def ask(path, body=None):
        return page.evaluate(
            "([path, body]) => fetch(path, body && {method: 'POST', headers: {'Content-Type': 'application/json'},"
            " body: JSON.stringify(body)}).then(answer => answer.json())",
            [path, body],
        )

    answer = ask("/api/search", asking(QUERY))
    files = {
        "info": {**ask("/api/info"), "write": False, "queries": [QUERY]},
        "searches": {QUERY: answer},
        "words": {QUERY: ask("/api/words", {"state": asking(QUERY), "ids": [hit["id"] for hit in answer["plain"]]})},
        "features": ask("/api/features?limit=1000"),
        "features/1": ask("/api/features/1"),
        "map-documents": ask("/api/map", {"kind": "documents", "limit": 1000}),
        "map-features": ask("/api/map", {"kind": "features", "limit": 1000}),
    }
    (tmp_path / "still" / "features").mkdir(parents=True)
    for name, value in files.items():
        (tmp_path / "still" / f"{name}.json").write_text(json.dumps(value))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_still_copy_shows_what_it_holds_and_says_what_it_does_not(browser, still):
    tab = Tab(browser, still)
    page = tab.open()
    page.get_by_role("button", name=QUERY).click()
    page.wait_for_selector(".list.only .hit mark")
    assert len(tab.ids("only")) == 10
    page.fill("#query", "something else")
    page.wait_for_selector(".failure:has-text('still copy')")
    page = tab.open(asking(QUERY, concept(PHRASE)))
    page.wait_for_selector(".failure:has-text('Steering needs the studio')")
    page = tab.open(at="features")
    page.wait_for_selector("tbody tr")
    page.fill("#feature-query", "f1")
    tab.until("document.querySelectorAll('tbody tr').length === 1")
    page = tab.open(at="feature/1")
    page.wait_for_selector(".passages li")
    page = tab.open(at="map")
    page.wait_for_selector(".plane canvas")
    tab.close()
