"""`sae embed` and `sae index merge` as a scheduler runs them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

CODE = "from steersearch.cli import main; main()"


def sae(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "120", "NO_COLOR": "1"},
        timeout=120,
    )


@pytest.fixture
def documents(tmp_path):
    path = tmp_path / "docs.jsonl"
    texts = (f"The number {i} is an integer; the name of module {i * 7} is class {i % 13}." for i in range(4000))
    path.write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_a_killed_shard_goes_on_and_all_of_them_are_one_index(documents, tiny_bundle, tmp_path):
    common = ("embed", documents, "--bundle", tiny_bundle, "--out", tmp_path / "shards")
    process = subprocess.Popen([sys.executable, "-c", CODE, *map(str, (*common, "--shard", "1/2"))])
    header = tmp_path / "shards" / "00001-of-00002" / "shard.json"
    try:
        while not header.exists() or not json.loads(header.read_text())["parts"]:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert json.loads(header.read_text())["positions"] is None
    other = sae(*common, "--shard", "2/2", "--json", "--threads", 1)
    body = json.loads(other.stdout)
    assert body == {"shard": str(tmp_path / "shards" / "00002-of-00002"), "documents": 4000 - 4 * 512, "problems": {}}
    refused = sae("index", "merge", tmp_path / "shards", "-i", tmp_path / "index", "-b", tiny_bundle)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is not finished: run `sae embed --shard 1/2 --resume`" in refused.stderr
    assert "add --resume" in sae(*common, "--shard", "1/2").stderr
    assert "4/2" not in sae(*common, "--shard", "1/2", "--resume").stderr
    merged = sae("index", "merge", tmp_path / "shards", "-i", tmp_path / "index", "-b", tiny_bundle, "--json")
    assert merged.returncode == 0, merged.stderr
    assert json.loads(merged.stdout)["documents"] == 4000
    assert sae("index", "verify", "-i", tmp_path / "index", "-b", tiny_bundle).returncode == 0
    again = json.loads(sae("index", documents, "-i", tmp_path / "index", "-b", tiny_bundle, "--json").stdout)
    assert (again["unchanged"], again["documents"]) == (4000, 4000)


def test_files_that_cannot_be_read_are_told_when_merging(tiny_bundle, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("A module is imported.")
    (notes / "b.txt").write_bytes(b"\xff")
    made = sae("embed", "--data", notes, "-b", tiny_bundle, "--out", tmp_path / "s")
    assert made.returncode == 0, made.stderr  # a scheduler would only try again
    assert "1 of 2 files could not be read" in made.stderr
    merged = sae("index", "merge", tmp_path / "s", "-i", tmp_path / "index", "-b", tiny_bundle)
    assert merged.returncode == 1
    assert "now 1 document" in merged.stderr
    assert "b.txt, line 1: byte 0xff is not UTF-8" in merged.stderr


@pytest.mark.parametrize("shard", ["3", "0/2", "3/2", "a/b", "-1/2"])
def test_shards_that_do_not_exist(documents, tiny_bundle, tmp_path, shard):
    result = sae("embed", documents, "-b", tiny_bundle, "--out", tmp_path / "s", f"--shard={shard}")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "s").exists()
