"""Exact search: small cases by hand, a brute-force oracle, scores to the last bit, and the cache files."""

import json
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.errors import ConfigError, DataError, StorageError
from steersearch.runtime.search import exact
from steersearch.runtime.search.exact import ExactIndex


def unit(n, d_in, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, d_in)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def filled(rowids, vectors):
    index = ExactIndex(vectors.shape[1])
    index.add(rowids, vectors)
    return index


def listed(result):
    rowids, scores = result
    assert rowids.dtype == np.int64
    assert scores.dtype == np.float32
    return list(zip(rowids.tolist(), scores.tolist(), strict=True))


def test_by_hand():
    index = ExactIndex(2)
    assert len(index) == 0
    assert listed(index.search([1, 0], 3)) == []
    index.add([5, 7, 9, 12], [[1, 0], [0, 1], [0.6, 0.8], [0, 1]])
    assert listed(index.search([0, 1], 3)) == [(7, 1.0), (12, 1.0), (9, np.float32(0.8))]  # a tie goes to the older
    assert listed(index.search([0, 1], 99))[-1] == (5, 0.0)
    assert len(listed(index.search([0, 1], 99))) == 4  # k > n gives n
    assert [row for row, _ in listed(index.search([0, 1], 2, [9, 12, 12, 4, 100]))] == [12, 9]
    assert listed(index.search([0, 1], 2, [])) == []
    index.remove([7, 8, 7])
    assert index.rowids.tolist() == [5, 9, 12]
    assert [row for row, _ in listed(index.search([0, 1], 1))] == [12]
    assert listed(index.search([0, 1], 2, [7])) == []
    assert index.vectors_of([12, 5]).tolist() == [[0, 1], [1, 0]]
    assert index.scores_of([0, 1], [9, 5]).tolist() == [np.float32(0.8), 0]
    index.remove([5, 9, 12])
    assert len(index) == 0
    assert listed(index.search([0, 1], 1)) == []


def test_very_many_equal_scores_break_by_rowid():
    index = filled(np.arange(10_000), np.tile(unit(1, 48), (10_000, 1)))
    assert index.search(unit(1, 48, 3)[0], 7)[0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    allowed = np.arange(9_999, 5_000, -3)
    assert index.search(unit(1, 48, 3)[0], 3, allowed)[0].tolist() == sorted(allowed.tolist())[:3]


steps = st.lists(
    st.tuples(st.just("add"), st.lists(st.integers(0, 40), unique=True, max_size=12))
    | st.tuples(st.just("remove"), st.lists(st.integers(0, 40), max_size=10)),
    max_size=10,
)


@given(steps, st.integers(1, 12), st.none() | st.lists(st.integers(0, 40), max_size=30))
@settings(deadline=None)
def test_any_sequence_against_brute_force(steps, k, allowed):
    vectors, query = np.round(unit(41, 3) * 4) / 4, np.round(unit(1, 3, 9)[0] * 4) / 4  # few values, so many ties
    index, live = ExactIndex(3), set()
    for step, rowids in steps:
        if step == "add":
            new = [rowid for rowid in rowids if rowid not in live]
            index.add(np.array(new, np.int64), vectors[new].reshape(-1, 3))
            live |= set(new)
        else:
            index.remove(np.array(rowids, np.int64))
            live -= set(rowids)
        assert index.rowids.tolist() == sorted(live)
        assert len(index) == len(live)
    candidates = live if allowed is None else live & set(allowed)
    scores = {rowid: float(vectors[rowid].astype(np.float64) @ query) for rowid in candidates}
    expected = sorted(candidates, key=lambda rowid: (-scores[rowid], rowid))[:k]
    assert listed(index.search(query, k, allowed)) == [(rowid, scores[rowid]) for rowid in expected]


@pytest.mark.parametrize("d_in", [1, 6, 100, 384, 768])
def test_scores_are_the_same_to_the_last_bit_in_any_company(d_in, tmp_path):
    n = 1500
    vectors, queries = unit(n, d_in), unit(3, d_in, 1)
    rowids = np.arange(10, 10 + n)
    full = filled(rowids, vectors)
    rng = np.random.default_rng(2)
    full.save(tmp_path, 1)
    thinned = filled(rowids, vectors)
    thinned.remove(rng.choice(rowids, 300, replace=False))
    grown = ExactIndex(d_in)
    for start in range(0, n, 7):
        grown.add(rowids[start : start + 7], vectors[start : start + 7])
    for query in queries:
        reference = dict(listed(full.search(query, n)))
        others = [
            grown.search(query, n),
            ExactIndex.load(tmp_path, 1, d_in=d_in).search(query, 50),
            thinned.search(query, 50),
            full.search(query, 10),
            full.search(query, 10, rng.choice(rowids, 40)),
            full.search(query, 10, rng.choice(rowids, 1000)),
            *(filled(rowids[i : i + 1], vectors[i : i + 1]).search(query, 1) for i in range(40)),
        ]
        for result in others:
            assert all(reference[rowid] == score for rowid, score in listed(result))
        assert grown.search(query, n)[0].tolist() == list(reference)
        true = vectors.astype(np.float64) @ query
        assert np.abs(full.scores_of(query, rowids) - true).max() < 1e-7


def test_the_best_are_found_where_float32_products_are_wrong():
    """Rows that differ by less than the rounding error of a float32 product are still in the right order."""
    base = unit(1, 384)[0]
    rows = np.tile(base, (3000, 1))
    rows[np.arange(3000), np.arange(3000) % 384] += np.float32(1e-7) * np.arange(3000, dtype=np.float32) / 300
    index = filled(np.arange(3000), rows)
    exactly = (rows.astype(np.float64) @ base.astype(np.float64)).astype(np.float32)
    order = np.lexsort((np.arange(3000), -exactly))
    for k in (1, 10, 500):
        assert index.search(base, k)[0].tolist() == order[:k].tolist()


@pytest.mark.parametrize(
    ("rowids", "vectors", "message"),
    [
        ([1], [[1, 0, 0]], r"vectors has shape \(1, 3\): expected \(1, 2\)"),
        ([1, 2], [[1, 0]], r"vectors has shape \(1, 2\): expected \(2, 2\)"),
        ([1], [[np.nan, 0]], r"vectors\[0\] holds nan"),
        ([1], [[1e7, 0]], "length 1e.07: expected unit vectors"),
        ([1], [[1e30, 0]], "expected unit vectors"),
        ([3, 3], [[1, 0], [1, 0]], "rowid 3 is in the index already"),
        ([5], [[1, 0]], "rowid 5 is in the index already"),
        ([-1], [[1, 0]], "rowids holds -1"),
        ([1.5], [[1, 0]], "dtype float64"),
        ([[1]], [[1, 0]], r"rowids has shape \(1, 1\)"),
    ],
)
def test_refusals(rowids, vectors, message):
    index = filled([5], np.array([[0, 1]]))
    with pytest.raises(DataError, match=message):
        index.add(rowids, vectors)
    assert index.rowids.tolist() == [5]


def test_refused_queries():
    index = filled([5], np.array([[0, 1]]))
    for query, message in (([1, 0, 0], "shape"), ([[1, 0]], "shape"), ([np.inf, 0], "holds inf"), ([1e9, 0], "unit")):
        with pytest.raises(DataError, match=message):
            index.search(query, 1)
    for value, message in ((1e30, "unit"), (np.nan, "holds nan"), (-np.inf, "holds -inf"), (1e7, "unit")):
        with pytest.raises(DataError, match=message):
            index.search(np.array([value, 0], np.float32), 1)
    for k in (0, -1):
        with pytest.raises(ConfigError, match=f"k is {k}: it must be at least 1"):
            index.search([0, 1], k)
    with pytest.raises(DataError, match="rowid 6 is not in the index"):
        index.vectors_of([5, 6])
    with pytest.raises(DataError, match="rowid 4 is not in the index"):
        index.scores_of([0, 1], [4])


@pytest.mark.parametrize("longest", [float("nan"), float("inf"), -1.0, 1e7, 10**400, "x", None])
def test_a_length_that_is_none_is_not_believed(tmp_path, longest):
    """With NaN every comparison is false, and a search finds nothing."""
    index = ExactIndex(2)
    index.add([1], np.eye(2, dtype=np.float32)[:1])
    index._longest = longest
    index.save(tmp_path, 1)
    assert ExactIndex.load(tmp_path, 1, d_in=2) is None


def test_save_and_load(tmp_path):
    folder = tmp_path / "cache"
    index = filled(np.arange(1, 101), unit(100, 8))
    index.remove([3, 50])
    assert ExactIndex.load(folder, 7, d_in=8) is None
    index.save(folder, 7)
    assert {path.name for path in folder.iterdir()} == {"vectors.npy", "checks.npy", "rowids.npy", "cache.json"}
    facts = json.loads((folder / "cache.json").read_text())
    assert (facts["generation"], facts["count"], facts["d_in"]) == (7, 98, 8)
    for generation in (7, None):
        again = ExactIndex.load(folder, generation, d_in=8)
        assert again.rowids.tolist() == index.rowids.tolist()
        assert again.vectors_of(index.rowids).tobytes() == index.vectors_of(index.rowids).tobytes()
    assert ExactIndex.load(folder, 8, d_in=8) is None
    assert ExactIndex.load(folder, 7, d_in=9) is None
    again.add([200], unit(1, 8, 5))  # a loaded index can grow
    assert len(again) == 99
    empty = ExactIndex(8)
    empty.save(folder, 9)
    assert len(ExactIndex.load(folder, 9, d_in=8)) == 0


def test_damaged_caches_are_refused(tmp_path):
    filled(np.arange(100), unit(100, 8)).save(tmp_path, 1)
    for name in ("vectors.npy", "checks.npy", "rowids.npy", "cache.json"):
        path = tmp_path / name
        good = path.read_bytes()
        for position in (0, len(good) // 2, len(good) - 1):
            path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
            assert ExactIndex.load(tmp_path, 1, d_in=8) is None
        for content in (b"", good[: len(good) // 2], b"[]", b'{"sha256": {}}', b"\xff"):
            path.write_bytes(content)
            assert ExactIndex.load(tmp_path, 1, d_in=8) is None
        path.unlink()
        assert ExactIndex.load(tmp_path, 1, d_in=8) is None
        path.write_bytes(good)
    assert len(ExactIndex.load(tmp_path, 1, d_in=8)) == 100


def test_a_cache_of_two_writers_is_refused(tmp_path):
    filled(np.arange(100), unit(100, 8)).save(tmp_path, 1)
    old = (tmp_path / "vectors.npy").read_bytes()
    filled(np.arange(100), unit(100, 8, 1)).save(tmp_path, 2)
    (tmp_path / "vectors.npy").write_bytes(old)
    assert ExactIndex.load(tmp_path, 2, d_in=8) is None


def test_a_cache_that_is_replaced_while_it_is_read_is_refused(tmp_path, monkeypatch):
    filled(np.arange(100), unit(100, 8)).save(tmp_path, 1)
    load = np.load

    def replaced_meanwhile(path, **options):
        monkeypatch.setattr(exact.np, "load", load)
        filled(np.arange(100), unit(100, 8, 1)).save(tmp_path, 2)
        return load(path, **options)

    monkeypatch.setattr(exact.np, "load", replaced_meanwhile)
    assert ExactIndex.load(tmp_path, 1, d_in=8) is None
    assert ExactIndex.load(tmp_path, 2, d_in=8) is not None


def test_temporary_files_of_killed_writers_are_swept(tmp_path):
    old, future = tmp_path / ".vectors.npy.99999999.tmp", tmp_path / ".rowids.npy.99999999.tmp"
    for path, time in ((old, 1), (future, 2**33)):  # whatever the clock says: the caller is the only writer
        path.write_bytes(b"x")
        os.utime(path, (time, time))
    filled([1], unit(1, 8)).save(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache.json",
        "checks.npy",
        "rowids.npy",
        "vectors.npy",
    ]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write the search cache"):
        filled([1], unit(1, 8)).save(tmp_path / "file" / "cache", 1)


def test_searching_while_others_add_and_remove():
    vectors, query = unit(4000, 16), unit(1, 16, 1)[0]
    index = filled(np.arange(1000), vectors[:1000])
    reference = dict(listed(filled(np.arange(4000), vectors).search(query, 4000)))
    errors, done = [], threading.Event()

    def search():
        try:
            while not done.is_set():
                found = listed(index.search(query, 20))
                assert len(found) == 20
                assert all(reference[rowid] == score for rowid, score in found)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(1000, 4000, 50):
        index.add(np.arange(start, start + 50), vectors[start : start + 50])
        index.remove(np.arange(start - 1000, start - 980))
    done.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
