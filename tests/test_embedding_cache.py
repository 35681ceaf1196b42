import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch import block_file as blocks
from steersearch.embedding_cache import default_cache_dir, embed_cached
from steersearch.errors import DataError, StorageError


class HashEmbedder:
    """Four numbers out of a hash of the text: real vectors that can be told apart, without a model."""

    fingerprint = "hash"
    d_in = 4
    max_length = 16
    query_prefix = document_prefix = ""

    def __init__(self) -> None:
        self.embedded = 0

    def embed_queries(self, texts: Sequence[str]) -> np.ndarray:
        return self.embed_documents([self.query_prefix + text for text in texts])

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded += len(texts)
        if not texts:
            return np.empty((0, 4), np.float32)
        digests = b"".join(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4] for text in texts)
        rows = np.frombuffer(digests, np.uint8).reshape(-1, 4).astype(np.float32) + 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "MIN_BLOCK", 8)


TEXTS = [f"text {i}" for i in range(30)]  # blocks of 8, 8, 8 and 6
EXPECTED = HashEmbedder().embed_documents(TEXTS)


def files(folder: Path) -> tuple[Path, Path]:
    return next(folder.glob("*.f32")), next(folder.glob("*.json"))


def test_made_once_and_read_afterwards(tmp_path):
    embedder, calls = HashEmbedder(), []
    rows = embed_cached(
        embedder, TEXTS, cache_dir=tmp_path / "new" / "folder", progress=lambda *done: calls.append(done)
    )
    np.testing.assert_array_equal(rows, EXPECTED)
    assert isinstance(rows, np.memmap)
    assert rows.dtype == np.float32
    assert not rows.flags.writeable
    assert calls == [(0, 30), (8, 30), (16, 30), (24, 30), (30, 30)]
    calls.clear()
    again = embed_cached(
        embedder, lambda: iter(TEXTS), cache_dir=tmp_path / "new" / "folder", progress=lambda *d: calls.append(d)
    )
    np.testing.assert_array_equal(again, EXPECTED)
    assert embedder.embedded == 30
    assert calls == [(30, 30)]


def test_files(tmp_path):
    embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path)
    data, meta = files(tmp_path)
    assert data.stem == meta.stem
    assert len(data.stem) == 64
    assert data.read_bytes() == EXPECTED.astype("<f4").tobytes()
    about = json.loads(meta.read_text())
    assert about["rows_done"] == about["rows"] == 30
    assert about["d_in"] == 4
    assert about["fingerprint"] == "hash"
    assert not list(tmp_path.glob("*.tmp"))


def test_key_depends_on_everything(tmp_path):
    def key(texts: Sequence[str], fingerprint: str = "hash", max_length: int = 16) -> str:
        embedder = HashEmbedder()
        embedder.fingerprint, embedder.max_length = fingerprint, max_length
        before = set(tmp_path.glob("*.f32"))
        embed_cached(embedder, texts, cache_dir=tmp_path)
        return next(iter(set(tmp_path.glob("*.f32")) - before)).stem

    keys = [key(["a", "b"]), key(["ab"]), key(["b", "a"]), key(["a", "b"], "other"), key(["a", "b"], "hash", 17)]
    keys += [key(["a", "b", ""]), key(["", "a", "b"]), key(["\ud83d"])]
    assert len(set(keys)) == len(keys)


@given(done=st.integers(0, 29))
@settings(max_examples=15)
def test_goes_on_where_it_was_stopped(tmp_path_factory, done):
    folder = tmp_path_factory.mktemp("cache")

    class Stopping(HashEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
            if self.embedded + len(texts) > done:
                raise KeyboardInterrupt
            return super().embed_documents(texts)

    with pytest.raises(KeyboardInterrupt):
        embed_cached(Stopping(), TEXTS, cache_dir=folder)
    embedder, calls = HashEmbedder(), []
    rows = embed_cached(embedder, TEXTS, cache_dir=folder, progress=lambda *d: calls.append(d))
    np.testing.assert_array_equal(rows, EXPECTED)
    assert embedder.embedded == 30 - done // 8 * 8
    assert calls[0] == (done // 8 * 8, 30)


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_embedding_cache import HashEmbedder, TEXTS, blocks, embed_cached
blocks.MIN_BLOCK = 8
class Slow(HashEmbedder):
    def embed_documents(self, texts):
        time.sleep(0.2)
        return super().embed_documents(texts)
embed_cached(Slow(), TEXTS, cache_dir=Path(sys.argv[2]), progress=lambda done, rows: print(done, flush=True))
"""


def child(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(folder)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_process(tmp_path):
    with child(tmp_path) as process:
        for line in process.stdout:
            if int(line) >= 8:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    embedder = HashEmbedder()
    np.testing.assert_array_equal(embed_cached(embedder, TEXTS, cache_dir=tmp_path), EXPECTED)
    assert embedder.embedded in (22, 14)  # one block was counted, perhaps two


def test_second_process_waits_and_reads(tmp_path, caplog):
    with child(tmp_path) as process:
        assert process.stdout.readline() == "0\n"
        embedder = HashEmbedder()
        with caplog.at_level(logging.INFO):
            np.testing.assert_array_equal(embed_cached(embedder, TEXTS, cache_dir=tmp_path), EXPECTED)
    assert process.returncode == 0
    assert embedder.embedded == 0
    assert "waiting for another process" in caplog.text


def damage(kind: str, data: Path, meta: Path) -> int:
    """Damage the files in some way; return how many rows of the first blocks stay good."""
    whole = data.read_bytes()
    about = json.loads(meta.read_text())
    if kind == "cut inside block 3":
        data.write_bytes(whole[: 20 * 16])
        return 16
    if kind == "bit flipped in block 2":
        data.write_bytes(whole[: 9 * 16] + bytes([whole[9 * 16] ^ 1]) + whole[9 * 16 + 1 :])
        return 8
    if kind == "no rows":
        data.unlink()
    elif kind == "no json":
        meta.unlink()
    elif kind == "half a json":
        meta.write_text(meta.read_text()[:40])
    elif kind == "json of other rows":
        meta.write_text(json.dumps(about | {"rows": 31}))
    elif kind == "json that claims too much":
        meta.write_text(json.dumps(about | {"crc32": about["crc32"] * 2}))
    elif kind == "newer format":
        meta.write_text(json.dumps(about | {"format_version": 99}))
    else:
        meta.write_text("[]")
    return 0


KINDS = [
    "cut inside block 3",
    "bit flipped in block 2",
    "no rows",
    "no json",
    "half a json",
    "json of other rows",
    "json that claims too much",
    "newer format",
    "a list",
]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_made_again_from_the_last_good_block(tmp_path, kind, caplog):
    embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path)
    good = damage(kind, *files(tmp_path))
    embedder = HashEmbedder()
    np.testing.assert_array_equal(embed_cached(embedder, TEXTS, cache_dir=tmp_path), EXPECTED)
    assert embedder.embedded == 30 - good
    assert bool(caplog.records) == (kind != "no json")
    assert embed_cached(embedder, TEXTS, cache_dir=tmp_path).shape == (30, 4)
    assert embedder.embedded == 30 - good


def test_block_size_may_change_between_versions(tmp_path, monkeypatch):
    embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path)
    meta = files(tmp_path)[1]
    about = json.loads(meta.read_text())
    meta.write_text(json.dumps(about | {"rows_done": 16, "crc32": about["crc32"][:2]}))
    monkeypatch.setattr(blocks, "MIN_BLOCK", 5)
    embedder = HashEmbedder()
    np.testing.assert_array_equal(embed_cached(embedder, TEXTS, cache_dir=tmp_path), EXPECTED)
    assert embedder.embedded == 14


def test_mapped_file_never_gets_shorter(tmp_path):
    """A reader of a file that is made again would be killed (SIGBUS) if the file were cut first."""
    rows = embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path)
    data, meta = files(tmp_path)
    meta.unlink()
    sizes = []
    embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path, progress=lambda *_: sizes.append(data.stat().st_size))
    assert set(sizes) == {30 * 16}
    np.testing.assert_array_equal(rows, EXPECTED)


def test_rows_that_were_not_counted_are_dropped(tmp_path):
    embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path)
    data, meta = files(tmp_path)
    about = json.loads(meta.read_text())
    meta.write_text(json.dumps(about | {"rows_done": 16, "crc32": about["crc32"][:2]}))
    data.write_bytes(data.read_bytes()[: 16 * 16] + b"half a row and more of it " * 100)
    np.testing.assert_array_equal(embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path), EXPECTED)
    assert data.stat().st_size == 30 * 16


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_and_what_was_made_before_stays(tmp_path, value):
    class Broken(HashEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
            rows = super().embed_documents(texts)
            if "text 19" in texts:
                rows[texts.index("text 19"), 2] = value
            return rows

    with pytest.raises(DataError, match="embedding of text 19 has NaN or infinite"):
        embed_cached(Broken(), TEXTS, cache_dir=tmp_path)
    embedder = HashEmbedder()
    embed_cached(embedder, TEXTS, cache_dir=tmp_path)
    assert embedder.embedded == 14


def test_embedder_that_gives_another_number_of_rows(tmp_path):
    class Short(HashEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
            return super().embed_documents(texts)[:-1]

    with pytest.raises(DataError, match=r"gave \(7, 4\) for a block of \(8, 4\)"):
        embed_cached(Short(), TEXTS, cache_dir=tmp_path)


@pytest.mark.parametrize("second", [TEXTS[:20], [*TEXTS, "more"], [*TEXTS[:29], "other"], TEXTS[:8]])
def test_texts_that_change_while_they_are_read(tmp_path, second):
    passes = iter([TEXTS, second])
    with pytest.raises(DataError, match="the texts changed"):
        embed_cached(HashEmbedder(), lambda: next(passes), cache_dir=tmp_path)
    assert not list(tmp_path.glob("*.f32"))
    assert not list(tmp_path.glob("*.json"))


def test_no_texts_and_wrong_texts(tmp_path):
    assert embed_cached(HashEmbedder(), [], cache_dir=tmp_path).shape == (0, 4)
    with pytest.raises(DataError, match="got one string"):
        embed_cached(HashEmbedder(), "text", cache_dir=tmp_path)
    with pytest.raises(DataError, match="item 1 of the texts is a int"):
        embed_cached(HashEmbedder(), ["a", 1], cache_dir=tmp_path)


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"embeddings cannot be kept in .*file"):
        embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk(tmp_path):
    embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path)
    data, meta = files(tmp_path)
    meta.unlink()
    data.unlink()
    data.symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"(No space left|Invalid argument).*free space, or choose another"):
        embed_cached(HashEmbedder(), TEXTS, cache_dir=tmp_path)


def test_threads_share_the_work(tmp_path):
    embedders = [HashEmbedder() for _ in range(4)]
    results: dict[int, np.ndarray] = {}

    def run(number: int) -> None:
        results[number] = embed_cached(embedders[number], TEXTS, cache_dir=tmp_path)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(embedder.embedded for embedder in embedders) == 30
    for rows in results.values():
        np.testing.assert_array_equal(rows, EXPECTED)


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("STEERSEARCH_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("STEERSEARCH_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_dir() == tmp_path / "xdg" / "steersearch"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_cache_dir() == tmp_path / ".cache" / "steersearch"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_cache_dir() == tmp_path / "Library" / "Caches" / "steersearch"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert default_cache_dir() == tmp_path / "Local" / "steersearch" / "Cache"


def test_with_a_real_embedder(tmp_path, tiny_embedder_folder, topic_texts):
    from steersearch.training.embedding import Embedder

    embedder = Embedder(tiny_embedder_folder, device="cpu")
    rows = embed_cached(embedder, topic_texts.texts, cache_dir=tmp_path)
    np.testing.assert_allclose(rows, embedder.embed(topic_texts.texts), atol=1e-5)


def test_keys_without_a_prefix_are_those_of_older_versions(tmp_path):
    embed_cached(HashEmbedder(), ["text 0", "text 1"], cache_dir=tmp_path)
    assert (tmp_path / "1dec33e410fc4364fb0928aefe71516928f2705110eafe922abb56b4a49e2679.f32").is_file()


def test_sides_with_the_same_prefix_share_their_embeddings_and_others_do_not(tmp_path):
    embedder = HashEmbedder()
    documents = embed_cached(embedder, TEXTS, cache_dir=tmp_path)
    np.testing.assert_array_equal(embed_cached(embedder, TEXTS, side="queries", cache_dir=tmp_path), documents)
    assert embedder.embedded == len(TEXTS)
    embedder.query_prefix = "query: "
    queries = embed_cached(embedder, TEXTS, side="queries", cache_dir=tmp_path)
    np.testing.assert_array_equal(queries, HashEmbedder().embed_documents([f"query: {text}" for text in TEXTS]))
    assert embedder.embedded == 2 * len(TEXTS)
    np.testing.assert_array_equal(embed_cached(embedder, TEXTS, cache_dir=tmp_path), documents)
    assert embedder.embedded == 2 * len(TEXTS)
