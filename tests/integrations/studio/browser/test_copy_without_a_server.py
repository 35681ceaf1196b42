"""`sae studio --export`: the same page over files."""

import functools
import http.server
import subprocess
import sys
import threading

import pytest

from .conftest import PHRASE, Tab, asking, concept

QUERY = "an exception is raised"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def copied(studio_index, tmp_path):
    """Export with one query and serve the folder."""
    (tmp_path / "queries.txt").write_text(f"{QUERY}\n")
    sae = [sys.executable, "-c", "from steersearch.cli import main; main()"]
    where = ["--index", str(studio_index), "--export", str(tmp_path / "copy"), "--ask"]
    subprocess.run([*sae, "studio", *where, str(tmp_path / "queries.txt")], check=True, capture_output=True)
    handler = functools.partial(Quiet, directory=tmp_path / "copy")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_copy_shows_what_it_holds_and_says_what_it_does_not(browser, copied):
    tab = Tab(browser, copied)
    page = tab.open()
    page.get_by_role("button", name=QUERY).click()
    page.wait_for_selector(".list.only .hit mark")
    assert len(tab.ids("only")) == 10
    page.fill("#query", "something else")
    page.wait_for_selector(".failure:has-text('still copy')")
    page = tab.open(asking(QUERY, concept(PHRASE)))
    page.wait_for_selector(".failure:has-text('still copy')")
    page = tab.open(at="features")
    page.wait_for_selector("tbody tr")
    page.fill("#feature-query", "f11")
    tab.until("document.querySelectorAll('tbody tr').length === 1")
    page = tab.open(at="feature/1")
    page.wait_for_selector(".passages li")
    page = tab.open(at="map")
    page.wait_for_selector(".plane canvas")
    tab.close()
