"""A base install, without any extra, in an environment of its own: what an edge device gets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent

SEARCH = """
import json, sys
from steersearch.runtime import SteerableIndex
bundle, folder = sys.argv[1:]
with SteerableIndex.create(folder, bundle) as index:
    index.add(["an exception is raised", "a module is imported", "two numbers are added"], ids=["e", "m", "n"])
    plain = index.search("raise an exception", 2)
    index.search("a name", 2, boost={"an exception is raised": 2.0}, view="latent")
    index.explain("a name", "m")
with SteerableIndex.open(folder) as again:
    assert [(h.id, h.score) for h in again.search("raise an exception", 2)] == [(h.id, h.score) for h in plain]
heavy = ["torch", "transformers", "sentence_transformers", "onnx", "optimum", "langchain_core", "hnswlib", "usearch"]
print(json.dumps({"first": plain[0].id, "heavy": [m for m in heavy if m in sys.modules]}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a fresh environment that holds the built wheel and nothing else."""
    folder = tmp_path_factory.mktemp("base")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], check=True, capture_output=True
    )
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    wheel = next(folder.glob("*.whl"))
    install = [str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return python


def test_index_and_search_with_nothing_but_the_base(python, tiny_bundle, tmp_path):
    command = [str(python), "-I", "-W", "error", "-c", SEARCH, str(tiny_bundle), str(tmp_path / "index")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"first": "e", "heavy": []}


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train", "--data", "x.jsonl"], "train"),
        (["export", "--ckpt", "x.pt"], "export"),
        (["demo"], "export"),
        (["eval", "--data", "x"], "eval"),
        (["mcp", "--index", "x"], "mcp"),
    ],
)
def test_what_needs_an_extra_says_so(python, arguments, extra, tmp_path):
    (tmp_path / "x" / "qrels").mkdir(parents=True)
    command = [str(python.parent / "sae"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"pip install 'steersearch[{extra}]'" in result.stderr


def test_hnsw_by_name_says_so(python, tiny_bundle, tmp_path):
    (tmp_path / "docs.txt").write_text("one text\nanother text\n")
    command = [
        str(python.parent / "sae"),
        "index",
        "--data",
        "docs.txt",
        "--bundle",
        str(tiny_bundle),
        "--backend",
        "hnsw",
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "pip install 'steersearch[hnsw]'" in result.stderr
