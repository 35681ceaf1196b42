"""`sae index` as a user meets it: the short form, looking after a folder, and going on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from steersearch.runtime.index import SteerableIndex
from steersearch.runtime.store import cache_files
from steersearch.runtime.store.documents import DocumentStore

CODE = "from steersearch.cli import main; main()"


def sae(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "120", "NO_COLOR": "1"} | env,
        timeout=120,
    )


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "docs.jsonl"
    texts = (f"The number {i} is an integer; the name of module {i * 7} is class {i % 13}." for i in range(6000))
    path.write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    return path


@pytest.fixture(scope="module")
def made(documents, tiny_bundle):
    path = documents.parent / "index"
    few = documents.parent / "few.jsonl"
    few.write_text("".join(documents.read_text().splitlines(keepends=True)[:100]))
    result = sae("index", "--data", few, "-b", tiny_bundle, "-i", path)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "added 100, now 100 documents" in result.stderr
    return path


@pytest.fixture
def index(made, tmp_path):
    """A copy that may be damaged; the bundle is said by its absolute path."""
    return shutil.copytree(made, tmp_path / "index")


def test_help_names_everything():
    page = sae("index", "--help").stdout
    for word in ("build", "verify", "compact", "info", "--data"):
        assert word in page
    assert "--backend" in sae("index", "build", "--help").stdout
    missing = sae("index", "--bundle", "x")
    assert missing.returncode == 2
    assert "--data" in missing.stderr


def test_info(index, tiny_bundle):
    body = json.loads(sae("index", "info", "-i", index, "-b", tiny_bundle, "--json").stdout)
    assert (body["documents"], body["d_in"], body["backend"], body["writer"]) == (100, 32, "exact", None)
    shown = sae("index", "info", "-i", index, "-b", tiny_bundle).stdout
    assert "100 documents, generation 1" in shown
    assert "8 of 64 latents" in shown


def test_info_has_the_recall_of_a_graph(tmp_path):
    pytest.importorskip("usearch", reason="needs the extra usearch")
    with SteerableIndex.create(tmp_path / "index", None, d_in=4, backend="usearch") as index:
        index.add(["a", "b"], embeddings=np.eye(4, dtype=np.float32)[:2])
        index.save()
    assert "recall" not in sae("index", "info", "-i", tmp_path / "index").stdout
    sidecar = tmp_path / "index" / "cache" / "usearch.json"
    facts = json.loads(sidecar.read_text()) | {"recall": 0.98765, "effort": 2}
    del facts["crc32"]
    sidecar.write_text(json.dumps(facts | {"crc32": cache_files._crc32_of(facts)}))
    shown = sae("index", "info", "-i", tmp_path / "index").stdout
    assert "0.988 of the ten nearest in its own test; more effort for nearly equal documents: more links" in shown


def test_verify_ends_with_0_or_1(index, tiny_bundle):
    options = ("--index", index, "--bundle", tiny_bundle)
    well = sae("index", "verify", *options, "--json")
    assert (well.returncode, json.loads(well.stdout)["problems"]) == (0, [])
    assert (
        "all is well; 100 documents read, 10 of them embedded"
        in sae("index", "verify", *options, "--sample", 10).stdout
    )
    path = index / "documents.sqlite"
    content = bytearray(path.read_bytes())
    content[content.index(b"The number 42 ") + 4] ^= 1
    path.write_bytes(content)
    bad = sae("index", "verify", *options, "--json")
    body = json.loads(bad.stdout)
    assert (bad.returncode, body["ok"]) == (1, False)
    assert body["problems"] == ["document 'd42': the text of row 43 is not what was stored"]
    assert "1 problem; 100 documents read" in sae("index", "verify", *options).stdout
    path.write_bytes(b"x" * 5000)
    gone = sae("index", "verify", *options, "--json")
    assert gone.returncode == 1
    assert "is damaged" in json.loads(gone.stdout)["problems"][0]
    assert sae("index", "verify", *options, "--sample", -1).returncode == 2


def test_compact(index, tiny_bundle):
    (index / "cache").mkdir(exist_ok=True)
    result = sae("index", "compact", "-i", index, "-b", tiny_bundle, "--json")
    assert json.loads(result.stdout)["documents"] == 100
    assert (index / "cache" / "cache.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_a_killed_run_goes_on_where_it_was(documents, tiny_bundle, tmp_path):
    path = tmp_path / "index"
    arguments = ("index", "--data", documents, "--bundle", tiny_bundle, "--out", path, "--json")
    process = subprocess.Popen([sys.executable, "-c", CODE, *map(str, arguments)], stdout=subprocess.DEVNULL)
    try:
        while committed(path) < 512:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = committed(path)
    assert 0 < before < 6000
    assert before % 512 == 0
    again = sae(*arguments)
    counts = {"added": 6000, "unchanged": before, "replaced": 0, "dropped": 0, "documents": 6000}
    counts |= {"pieces": 6000, "added_documents": 6000, "cut": 0}
    assert json.loads(again.stdout) == {"index": str(path), **counts, "problems": {}}
    assert sae("index", "verify", "-i", path).returncode == 0
    assert json.loads(sae(*arguments).stdout)["unchanged"] == 6000


def committed(path):
    if not (path / "documents.sqlite").exists():
        return 0
    with DocumentStore.open(path / "documents.sqlite", readonly=True) as store:
        return len(store)


def test_a_second_run_is_refused_in_one_line(index, tiny_bundle, documents):
    with DocumentStore.open(index / "documents.sqlite") as store, store.writing():
        refused = sae("index", "--data", documents, "-b", tiny_bundle, "-i", index)
        assert refused.returncode == 1
        lines = refused.stderr.strip().splitlines()
        assert len(lines) == 1
        assert f"another process is writing to {index} (process {os.getpid()} on " in lines[0]
