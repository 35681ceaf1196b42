"""Choices on the command line are the names in the library's tables."""

import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from steersearch.cli import app
from steersearch.cli.choices import TABLES
from steersearch.cli.export import export
from steersearch.cli.train import train
from steersearch.runtime.search.backends import BACKENDS
from steersearch.runtime.search.dense import DenseView
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.views import VIEWS


@pytest.fixture
def sae(monkeypatch):
    # Wide enough that no list is broken.
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 300)
    monkeypatch.setenv("COLUMNS", "300")
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_a_view_of_the_table_is_a_choice(sae, monkeypatch, tiny_index):
    tiny_index.close()
    search = ("search", "a metaclass", "--index", tiny_index.path, "--view", "mine", "--json")
    refused = sae(*search)
    assert refused.exit_code == 2
    assert "Invalid value for '--view'" in refused.output
    assert "'mine' is not one of 'dense'" in refused.output
    monkeypatch.setitem(VIEWS, "mine", DenseView)
    assert "|hybrid|mine>" in sae("search", "--help").output
    found = sae(*search)
    assert found.exit_code == 0, found.output
    assert found.output == sae(*search[:-2], "dense", "--json").output


def test_a_backend_of_the_table_is_a_choice(sae, monkeypatch, tiny_bundle, tmp_path):
    class Mine(ExactIndex):
        """Exact under another name."""

    documents = tmp_path / "docs.jsonl"
    documents.write_text('{"id": "a", "text": "A metaclass."}\n')
    build = ("index", documents, "--bundle", tiny_bundle, "--index", tmp_path / "index", "--backend", "mine")
    refused = sae(*build)
    assert refused.exit_code == 2
    assert "'mine' is not one of 'auto', 'exact'" in refused.output
    monkeypatch.setitem(BACKENDS, "mine", Mine)
    for command in ("build", "merge"):
        assert "|usearch-i8|mine>" in sae("index", command, "--help").output
    assert sae(*build).exit_code == 0
    assert "mine;" in sae("index", "info", "--index", tmp_path / "index").output


@pytest.mark.parametrize(
    "command", [["search"], ["explain"], ["index", "build"], ["index", "merge"], ["mcp"]], ids=" ".join
)
def test_no_help_page_shows_a_placeholder(sae, command):
    words = sae(*command, "--help").output.split()
    assert not set(TABLES) & set(words)


def test_choices_of_train_and_export_are_the_librarys():
    """They are written twice: importing torch to show a help page would take seconds."""
    from steersearch.export.embedder import Via
    from steersearch.export.quantize import Precision
    from steersearch.training.config import Loss

    for command, name, library in ((export, "precision", Precision), (export, "via", Via), (train, "loss", Loss)):
        assert get_args(get_type_hints(command)[name]) == get_args(library)


def test_help_imports_neither_the_runtime_nor_numpy():
    code = (
        "import sys; from steersearch.cli import app; app(['--help'], standalone_mode=False); "
        "print([name for name in ('steersearch.runtime', 'numpy', 'onnxruntime') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
