"""``from steersearch import SteerableIndex``: names from the top, imported when they are first asked for."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import steersearch

ROOT = Path(__file__).parent.parent
SOURCE = Path(steersearch.__file__)
NEEDS = {"training": "torch", "export": "onnx", "integrations.langchain": "langchain_core"}


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", steersearch._FROM)
def test_a_name_is_that_of_its_part(name):
    place = steersearch._FROM[name]
    if place in NEEDS:
        pytest.importorskip(NEEDS[place])
    module = importlib.import_module(f"steersearch.{place}")
    assert getattr(steersearch, name) is getattr(module, name)
    assert name in getattr(module, "__all__", [name])


def test_type_checkers_know_the_same_names():
    guarded = next(node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    assert ast.unparse(guarded.test) == "TYPE_CHECKING"
    seen = {alias.asname: node.module for node in guarded.body for alias in node.names if alias.asname == alias.name}
    assert seen == steersearch._FROM
    assert len(guarded.body) == len(seen)


def test_nothing_is_imported_before_it_is_used():
    wanted = "('steersearch', 'numpy', 'onnxruntime', 'torch')"
    ours = f"print(*[name for name in sorted(sys.modules) if name.startswith({wanted})])"
    assert python(f"import sys, steersearch; dir(steersearch); {ours}") == ["steersearch", "steersearch.telemetry"]
    loaded = python(f"import sys; from steersearch import SteerableIndex, Concept; {ours}")
    assert "steersearch.runtime.index" in loaded
    assert "steersearch.language.grammar" not in loaded
    assert "torch" not in loaded
    assert not any(name.startswith("steersearch.display") for name in loaded)


def test_completion_lists_them():
    assert set(steersearch._FROM) <= set(dir(steersearch))
    assert "__version__" in dir(steersearch)


def test_another_name_is_an_error():
    with pytest.raises(AttributeError, match="module 'steersearch' has no attribute 'SteerableIndx'"):
        _ = steersearch.SteerableIndx
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from steersearch import nothing")


@pytest.mark.slow
def test_type_checkers_take_what_is_right_and_refuse_what_is_not(tmp_path):
    """`typing_usage.py` says where errors are due; half a minute the first time, since mypy reads numpy too."""
    pytest.importorskip("mypy")
    usage = ROOT / "tests" / "typing_usage.py"
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path), "--no-pretty"]
    command = [sys.executable, "-m", "mypy", *options, "--follow-imports", "silent", str(usage)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    errors = [line.split(":") for line in done.stdout.splitlines() if "typing_usage.py" in line and ": error:" in line]
    due = [i for i, line in enumerate(usage.read_text().splitlines(), 1) if line.endswith("# error")]
    assert sorted({int(line) for _, line, *_ in errors}) == due, done.stdout
    assert len(due) > 5
