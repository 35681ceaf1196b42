"""The runtime calls nobody: seen from outside of a live process, since no block inside Python sees a C++ thread."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

import steersearch
from steersearch.telemetry import SWITCHES, switch_off

ROOT = Path(__file__).parent.parent
ONNXRUNTIME = tuple(map(int, version("onnxruntime").split(".")[:2]))
SECONDS = 30
"""onnxruntime 1.32 first looks its collector up 9 seconds after it is imported."""
LONG_LIVED = """
import sys, time
from steersearch.runtime import SteerableIndex
with SteerableIndex.open(sys.argv[1]) as index:
    assert index.search("a star", 2, boost={"moon": 1.0})
    print("searched", flush=True)
    time.sleep(60)
"""
# onnxruntime sends nothing where these are set.
SILENT = ("CI", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY")


def imports(path: Path) -> set[str]:
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return {name for name in found if name.split(".")[0] == "onnxruntime"}


def test_one_module_imports_onnxruntime():
    rooms = [ROOT / name for name in ("runtime", "export", "training", "integrations", "cli", "src/steersearch")]
    found = {
        str(path.relative_to(ROOT)): imports(path)
        for room in rooms
        for path in room.rglob("*.py")
        if imports(path) and not any(parent.is_symlink() for parent in path.parents)
    }
    session = found.pop("runtime/bundle/onnx_session.py")
    assert session == {"onnxruntime"}
    # Its tools, which export uses when the runtime has been imported.
    # A training runs somebody's graph; it cannot import the runtime.
    assert found.pop("training/embedders/graph.py") == {"onnxruntime"}
    assert set(found) == {"export/attention.py", "export/quantize.py"}
    found["export/attention.py"].discard("onnxruntime")
    assert all(name.split(".")[1:2] in (["transformers"], ["quantization"]) for each in found.values() for name in each)


def test_what_the_user_has_set_stays(monkeypatch):
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    switch_off()
    expected = {"ORT_DISABLE_TELEMETRY": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    assert {name: os.environ[name] for name in SWITCHES} == expected


def test_it_is_off_before_any_module_of_ours_is_imported():
    code = "import os, steersearch.errors; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name not in SILENT}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert steersearch.__version__


def calls_of(command: list[str], folder: Path, *, stop_early: bool, **variables: str) -> tuple[list[str], list[str]]:
    """Run a long-lived process; return its calls to the network and the files that it made in its home."""
    home, log = folder / "home", folder / "calls.log"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in SILENT}
    environment |= {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    environment.pop("XDG_CACHE_HOME", None)
    trace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(log)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*trace, *command], cwd=home, env=environment, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        if LONG_LIVED in command:
            assert process.stdout.readline() == "searched\n"
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and process.poll() is None:
            lines = log.read_text().splitlines() if log.exists() else []
            seen = [line for line in lines if re.search(r"AF_INET6?\b", line)]
            if seen and stop_early:
                break
            time.sleep(0.5)
        assert process.poll() is None, "the process must live until it is stopped"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return seen, sorted(str(path.relative_to(home)) for path in home.rglob("*"))


@pytest.fixture
def index(tmp_path):
    from steersearch.runtime import SteerableIndex

    with SteerableIndex.create(tmp_path / "index", ROOT / "tests" / "data" / "tiny_bundle") as index:
        index.add(["the moon", "a ship"])
    return str(tmp_path / "index")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
class TestFromOutside:
    def test_a_search_that_stays_open(self, index, tmp_path):
        assert calls_of([sys.executable, "-c", LONG_LIVED, index], tmp_path, stop_early=False) == ([], [])

    def test_an_mcp_server(self, index, tmp_path):
        command = [sys.executable, "-c", "from steersearch.cli import main; main()", "mcp", "--index", index]
        assert calls_of(command, tmp_path, stop_early=False) == ([], [])

    @pytest.mark.skipif(ONNXRUNTIME < (1, 29), reason="onnxruntime before 1.29 has no telemetry")
    def test_it_would_be_seen(self, index, tmp_path):
        """Without the switch, onnxruntime makes its files and looks its collector up."""
        command = [sys.executable, "-c", LONG_LIVED, index]
        calls, files = calls_of(command, tmp_path, stop_early=True, ORT_DISABLE_TELEMETRY="0")
        assert any(file.endswith("deviceid") for file in files)
        assert calls


@pytest.mark.parametrize(
    ("before", "setting", "told"),
    [("onnxruntime", {}, True), ("onnxruntime", {"ORT_DISABLE_TELEMETRY": "1"}, False), ("json", {}, False)],
)
def test_importing_onnxruntime_first_is_told(before, setting, told):
    """A module of that name stands for the library, which would send."""
    code = f"import sys, json; sys.modules.setdefault({before!r}, json); import steersearch"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | setting
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert ("onnxruntime was imported before steersearch" in done.stderr) == told
