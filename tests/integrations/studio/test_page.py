"""The files of the page: what they hold and what they must not."""

import hashlib
import re
from pathlib import Path

import pytest

import steersearch.integrations

PAGE = Path(steersearch.integrations.__file__).parent / "studio" / "page"
OWN = sorted(
    path for path in PAGE.rglob("*") if path.suffix in {".js", ".css", ".html"} and path.parent.name != "vendor"
)


def test_parts_of_others_are_what_their_list_says():
    listed = dict(re.findall(r"\| `([\w.-]+)` \|.*\| `([0-9a-f]{64})` \|", (PAGE / "vendor" / "README.md").read_text()))
    files = {path.name for path in (PAGE / "vendor").iterdir()}
    assert {name for name in files if name.endswith((".js", ".css"))} == set(listed)
    for name, checksum in listed.items():
        assert hashlib.sha256((PAGE / "vendor" / name).read_bytes()).hexdigest() == checksum
    assert len([name for name in files if name.endswith(".LICENSE")]) == 3


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_a_file_of_ours(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    # Texts of documents are text nodes; the policy of the server allows no code and no style in the markup.
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|\beval\(|new Function", text
    )
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", text)
    # Nothing is asked of another address.
    assert not re.search(r"""["'(]\s*(?:https?:)?//""", text.replace("http://www.w3.org/2000/svg", ""))


def test_every_module_that_is_imported_is_there():
    for path in OWN:
        for target in re.findall(r"""(?:from|import)\s*\(?\s*"(\.[^"]+)\"""", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} imports {target}"


def test_the_files_that_the_page_asks_for_are_there():
    for target in re.findall(r'(?:href|src)="([^"#:]+)"', (PAGE / "index.html").read_text()):
        assert (PAGE / target).exists()
