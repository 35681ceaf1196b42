"""The project itself: packaging, links, public names, and the promise that the runtime is torch-free."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 and newer")
ROOT = Path(__file__).parent.parent
FOLDERS = {"training", "export", "runtime", "integrations", "cli", "src/steersearch"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGE = "steersearch.integrations.studio.page"
DATA = {"steersearch.export.weights", "steersearch.runtime.interpret.page", PAGE}
DATA |= {f"{PAGE}.{folder}" for folder in ("core", "search", "style", "vendor", "views")}
"""Folders without modules."""
HEAVY = ("torch", "transformers", "sentence_transformers", "onnx", "optimum")


def packages_on_disk():
    found = set()
    for folder in FOLDERS:
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            if any((ROOT.joinpath(*parts[:i])).is_symlink() for i in range(1, len(parts) + 1)):
                continue  # src/steersearch/runtime and its like are links for type checkers
            found.add(".".join(parts[1:] if parts[0] == "src" else ("steersearch", *parts)))
    return found


def test_every_package_is_listed():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk() | DATA
    # The folders inside a room follow it.
    ground = {"steersearch.corpus", "steersearch.display", "steersearch.noun_phrases", "steersearch.vectors"}
    rooms = {name for name in packages_on_disk() if name.count(".") < 2} - ground
    assert set(PROJECT["tool"]["setuptools"]["package-dir"]) == rooms


def test_all_extra_holds_every_other_extra():
    extras = PROJECT["project"]["optional-dependencies"]
    named = set(re.search(r"\[(.*)\]", extras["all"][0]).group(1).split(","))
    assert named == set(extras) - {"all"}


@pytest.mark.slow
def test_the_wheel_holds_every_module(tmp_path):
    """And every file of data; and building says nothing that somebody should look at."""
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # setuptools would pack modules that are gone by now
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    told = [line for line in built.stdout.splitlines() if re.search(r"\bwarning\b|deprecat|is absent", line, re.I)]
    assert [line for line in told if "byte-compiling is disabled" not in line] == []
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            parts = path.relative_to(ROOT).parts
            if parts[0] == "src" and len(parts) > 2 and (ROOT / "src/steersearch" / parts[2]).is_symlink():
                continue
            if path.is_file() and "__pycache__" not in parts:
                expected.add("/".join(parts[1:] if parts[0] == "src" else ("steersearch", *parts)))
    assert held == expected
    assert {"steersearch/export/weights/minilm.safetensors", "steersearch/runtime/interpret/page/report.html"} < held


@pytest.mark.parametrize(
    "page",
    sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("benchmarks/*.md")) + sorted(ROOT.glob("docs/*.md")),
    ids=lambda p: p.name,
)
def test_relative_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_python_file_is_long():
    files = [path for folder in (*FOLDERS, "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
    long = {str(path.relative_to(ROOT)): n for path in files if (n := len(path.read_text().splitlines())) > 600}
    assert not long


@pytest.mark.parametrize(
    "package", ["steersearch", "steersearch.runtime", "steersearch.cli", "steersearch.corpus", "steersearch.vectors"]
)
def test_importing_brings_nothing_heavy(package):
    code = f"import sys, {package}; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_folders_are_never_imported_by_their_own_name():
    """`import runtime` works when the root is on sys.path, and would make a second copy of every class."""
    wrong = []
    for folder in (*FOLDERS, "tests", "benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            found = re.findall(
                r"^\s*(?:from|import) (?:training|export|runtime|integrations|cli)\b.*", path.read_text(), re.M
            )
            wrong += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in found]
    assert not wrong


def test_public_names():
    import steersearch.export
    import steersearch.runtime
    import steersearch.training

    assert set(steersearch.runtime.__all__) >= {"Bundle", "Concept", "Hit", "SteerableIndex"}
    assert set(steersearch.training.__all__) >= {"SaeConfig", "SparseAutoencoder", "TrainConfig", "train"}
    assert "export_bundle" in steersearch.export.__all__
    for module in (steersearch.runtime, steersearch.training, steersearch.export):
        assert all(hasattr(module, name) for name in module.__all__)
        assert sorted(module.__all__) == module.__all__
