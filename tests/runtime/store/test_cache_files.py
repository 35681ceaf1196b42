"""Caches: what is not exactly what was written is made again, in little time, and never an error."""

import json
import math
import os

import pytest

from steersearch.runtime.store import cache_files
from steersearch.runtime.store.cache_files import read_cache, read_sidecar, write_cache

needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs links and devices")


@pytest.fixture
def read(tmp_path):
    """Write a cache of one file, and return a function that reads it."""
    write_cache(tmp_path, "a.json", {"a.bin": lambda path: path.write_bytes(b"abc")}, {"generation": 1})

    def load(facts):
        return (tmp_path / "a.bin").read_bytes()

    return lambda load=load: read_cache(tmp_path, "a.json", ("a.bin",), {"generation": 1}, load)


def seal(folder, **changes):
    """Change values of the sidecar, and its checksum with them."""
    facts = json.loads((folder / "a.json").read_text()) | changes
    facts.pop("crc32")
    (folder / "a.json").write_text(json.dumps(facts | {"crc32": cache_files._crc32_of(facts)}))


def test_what_was_written_is_read(read, tmp_path):
    assert read() == b"abc"
    assert read_sidecar(tmp_path / "a.json")["sizes"] == {"a.bin": 3}


@needs_posix
def test_links_to_files_are_followed_as_model_hubs_have_them(read, tmp_path):
    (tmp_path / "blobs").mkdir()
    for name in ("a.json", "a.bin"):
        os.replace(tmp_path / name, tmp_path / "blobs" / name)
        (tmp_path / name).symlink_to(tmp_path / "blobs" / name)
    assert read() == b"abc"


@needs_posix
@pytest.mark.parametrize("name", ["a.json", "a.bin"])
def test_devices_pipes_and_folders_are_not_read(read, tmp_path, name):
    for make in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo, os.mkdir):
        (tmp_path / name).unlink()
        make(tmp_path / name)
        assert read() is None
        if (tmp_path / name).is_dir():
            (tmp_path / name).rmdir()
            (tmp_path / name).touch()


@pytest.mark.parametrize("name", ["a.json", "a.bin"])
def test_files_of_a_terabyte_are_not_read(read, tmp_path, name):
    with (tmp_path / name).open("r+b") as file:
        file.truncate(1 << 40)
    assert read() is None


def test_a_long_sidecar_is_not_read(read, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_files, "LONGEST_SIDECAR", len((tmp_path / "a.json").read_bytes()) - 1)
    assert read() is None


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 400, "9" * 5000, "null", "{}"])
def test_odd_sidecars(read, tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert read() is None


@pytest.mark.parametrize("sizes", [None, {}, {"a.bin": 4}, {"a.bin": math.nan}, {"a.bin": "3"}, [3]])
def test_sizes_that_are_wrong(read, tmp_path, sizes):
    seal(tmp_path, sizes=sizes)
    assert read() is None


@pytest.mark.parametrize("error", [OverflowError, MemoryError, RecursionError, ZeroDivisionError])
def test_what_a_reader_raises(read, error):
    def load(facts):
        raise error("odd")

    if error is ZeroDivisionError:  # a fault of ours
        with pytest.raises(error):
            read(load)
    else:
        assert read(load) is None
