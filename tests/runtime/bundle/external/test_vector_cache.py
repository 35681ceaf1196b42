import logging
import os
import subprocess
import sys

import numpy as np
import pytest

from steersearch.runtime.bundle.external import vector_cache
from steersearch.runtime.bundle.external.vector_cache import VectorCache, key_of

WIDTH = 8


def rows(start, stop):
    return {key_of("space", "", str(i)): np.full(WIDTH, i, np.float32) for i in range(start, stop)}


def test_rows_come_back_in_another_object(tmp_path):
    VectorCache(tmp_path / "a" / "b").put(rows(0, 1200))
    found = VectorCache(tmp_path / "a" / "b").get(list(rows(0, 1300)), WIDTH)
    assert len(found) == 1200
    np.testing.assert_array_equal(found[key_of("space", "", "7")], np.full(WIDTH, 7))


def test_a_key_depends_on_every_part():
    keys = {key_of("a", "b", "c"), key_of("ab", "", "c"), key_of("a", "bc", ""), key_of("a", "", "bc")}
    assert len(keys) == 4


def test_a_row_that_is_damaged_or_of_another_width_is_missing(tmp_path):
    cache = VectorCache(tmp_path)
    cache.put(rows(0, 3))
    keys = list(rows(0, 3))
    assert cache.get(keys, WIDTH + 1) == {}
    [db] = cache._open
    with db:
        (data,) = db.execute("SELECT row FROM vectors WHERE key = ?", (keys[1],)).fetchone()
        db.execute("UPDATE vectors SET row = ? WHERE key = ?", (b"\1" + data[1:], keys[1]))
    assert list(cache.get(keys, WIDTH)) == [keys[0], keys[2]] or set(cache.get(keys, WIDTH)) == {keys[0], keys[2]}


def test_a_file_that_is_no_database_is_made_again(tmp_path, caplog):
    (tmp_path / vector_cache.NAME).write_bytes(b"no database at all, " * 400)
    cache = VectorCache(tmp_path)
    with caplog.at_level(logging.WARNING):
        cache.put(rows(0, 3))
    assert "is damaged" in caplog.text
    assert len(cache.get(list(rows(0, 3)), WIDTH)) == 3
    assert len(VectorCache(tmp_path).get(list(rows(0, 3)), WIDTH)) == 3


def test_a_place_that_cannot_be_written_is_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = VectorCache(tmp_path / "file" / "folder")
    with caplog.at_level(logging.WARNING):
        cache.put(rows(0, 3))
        cache.put(rows(0, 3))
    assert caplog.text.count("every text is embedded anew") == 1
    assert cache.get(list(rows(0, 3)), WIDTH) == {}
    assert not cache.checked(b"key", 10)


def test_the_longest_unused_go_first(tmp_path, monkeypatch):
    now = [1_000_000.0]
    monkeypatch.setattr(vector_cache.time, "time", lambda: now[0])
    cache = VectorCache(tmp_path, limit=200_000)
    for start in range(0, 3000, 100):
        cache.put(rows(start, start + 100))
        now[0] += 2 * vector_cache.DAY
        cache.get(list(rows(0, 10)), WIDTH)
    left = cache.get(list(rows(0, 3000)), WIDTH)
    kept = sorted(int(row[0]) for row in left.values())
    assert set(range(10)) <= set(kept)
    assert 2999 in kept
    assert 10 not in kept
    assert (tmp_path / vector_cache.NAME).stat().st_size < 260_000


def test_a_check_is_remembered_for_a_while(tmp_path, monkeypatch):
    now = [1_000_000.0]
    monkeypatch.setattr(vector_cache.time, "time", lambda: now[0])
    cache = VectorCache(tmp_path)
    assert not cache.checked(b"key", 10)
    cache.check(b"key")
    assert VectorCache(tmp_path).checked(b"key", 10)
    assert not cache.checked(b"other", 10)
    now[0] += 11
    assert not cache.checked(b"key", 10)
    now[0] -= 20  # the clock was set back
    assert not cache.checked(b"key", 10)


@pytest.mark.parametrize("processes", [3])
def test_processes_share_a_file(tmp_path, processes):
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from steersearch.runtime.bundle.external.vector_cache import VectorCache, key_of\n"
        "cache, me = VectorCache(Path(sys.argv[1])), int(sys.argv[2])\n"
        "for i in range(20):\n"
        "    cache.put({key_of('space', '', str(100 * me + i)): np.full(8, 100 * me + i, np.float32)})\n"
        "    cache.put({key_of('space', '', 'shared'): np.full(8, 7, np.float32)})\n"
        "assert not cache._broken\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen([*command, str(me)], env=os.environ) for me in range(processes)]
    assert [process.wait() for process in running] == [0] * processes
    wanted = {key_of("space", "", str(100 * me + i)) for me in range(processes) for i in range(20)}
    assert set(VectorCache(tmp_path).get(list(wanted), 8)) == wanted
