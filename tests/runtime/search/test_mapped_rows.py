"""Vectors that stay in their file: the same answers as from memory, whatever is added, removed or damaged."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.errors import DataError
from steersearch.runtime.search.exact import ExactIndex
from steersearch.runtime.search.graph import GraphIndex
from steersearch.runtime.search.hnsw import HnswIndex
from steersearch.runtime.search.mapped_rows import MappedRows, Rows, check_of, write_rows
from steersearch.runtime.search.usearch import UsearchI8Index

N, D = 60, 8


def unit(n, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS, QUERIES = unit(N), unit(5, 1)


class Originals:
    """A store, as far as an index asks it; counts what it is asked for."""

    def __init__(self):
        self.asked = []

    def vectors_of(self, rowids):
        self.asked += np.asarray(rowids).tolist()
        return VECTORS[np.asarray(rowids) - 1]

    def is_origin_of(self, facts):
        return True


def saved(folder, kind=ExactIndex):
    index = kind(D)
    index.add(np.arange(1, N + 1), VECTORS)
    index.save(folder, 1)
    return index


def answers(index):
    return [tuple(part.tolist() for part in index.search(q, k)) for q in QUERIES for k in (1, 10, N)]


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_matrix_in_two_parts(tmp_path):
    checks = write_rows(tmp_path / "v.npy", Rows(None, VECTORS), np.arange(40))
    assert np.load(tmp_path / "v.npy").tobytes() == VECTORS[:40].tobytes()
    assert checks.tolist() == [check_of(row) for row in VECTORS[:40]]
    rows = Rows(MappedRows(tmp_path / "v.npy", D, checks, lambda places: VECTORS[places]), VECTORS[40:])
    assert len(rows) == N
    for positions in ([3, 1, 3], [45, 2, 59, 40, 39], [], [50]):
        assert rows.take(np.array(positions, int)).tobytes() == VECTORS[positions].tobytes()
    np.testing.assert_allclose(rows.product(QUERIES[0]), VECTORS @ QUERIES[0], atol=1e-6)
    blocks = list(rows.blocks(np.arange(N)))
    assert np.concatenate([some for _, some in blocks]).tobytes() == VECTORS.tobytes()


def test_rows_are_compared_when_they_are_touched_and_once(tmp_path, monkeypatch):
    checks = write_rows(tmp_path / "v.npy", Rows(None, VECTORS), np.arange(N))
    compared = []
    monkeypatch.setattr(
        "steersearch.runtime.search.mapped_rows.check_of", lambda row: compared.append(1) or check_of(row)
    )
    rows = MappedRows(tmp_path / "v.npy", D, checks, lambda places: 1 / 0)
    assert compared == []
    rows.take(np.array([3, 7]))
    rows.take(np.array([7, 3, 9]))
    assert len(compared) == 3
    rows.all_rows()
    rows.all_rows()
    assert len(compared) == 3 + N


@pytest.mark.parametrize("place", [0, 31, 32, N * D * 4 - 1])  # the first and last byte of rows
def test_a_damaged_row_is_taken_from_the_originals(tmp_path, place, caplog):
    expected = answers(saved(tmp_path))
    flip(tmp_path / "vectors.npy", (tmp_path / "vectors.npy").stat().st_size - N * D * 4 + place)
    rowid = place // (D * 4) + 1
    source = Originals()
    index = ExactIndex.load(tmp_path, 1, d_in=D, originals=source)
    assert index.vectors_of([rowid % N + 1]).tobytes() == VECTORS[[rowid % N]].tobytes()
    assert (index.saved_generation, source.asked) == (1, [])
    for _ in range(2):
        assert index.vectors_of([rowid]).tobytes() == VECTORS[[rowid - 1]].tobytes()
    assert (index.saved_generation, source.asked) == (None, [rowid, rowid])  # so that the cache is written again
    assert answers(index) == expected
    assert caplog.text.count("is damaged") == 1
    index.save(tmp_path, 1)
    assert index.saved_generation == 1
    again = ExactIndex.load(tmp_path, 1, d_in=D, originals=source)
    assert answers(again) == expected
    assert again.saved_generation == 1


@pytest.mark.parametrize("kind", [HnswIndex, UsearchI8Index])
def test_a_graph_says_so_too(tmp_path, kind):
    pytest.importorskip(kind.module)
    expected = answers(saved(tmp_path, kind))
    content = bytearray((tmp_path / "vectors.npy").read_bytes())
    content[-N * D * 4 :: 64] = bytes(len(content[-N * D * 4 :: 64]))
    (tmp_path / "vectors.npy").write_bytes(content)
    index: GraphIndex = kind.load(tmp_path, 1, d_in=D, originals=Originals())
    assert answers(index) == expected
    assert index.saved_generation is None


@pytest.mark.parametrize("kind", [ExactIndex, HnswIndex])
@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize("what", ["cut", "emptied", "overwritten", "written in one place"])
def test_a_file_that_another_program_writes_to(tmp_path, kind, verified, what, caplog):
    """As rsync --inplace or a copy over an open index does: to touch a page that was cut off would end the process."""
    if kind is not ExactIndex:
        pytest.importorskip(kind.module)
    expected = answers(saved(tmp_path, kind))
    source = Originals()
    index = kind.load(tmp_path, 1, d_in=D, originals=source)
    if verified:
        assert answers(index) == expected
    path = tmp_path / "vectors.npy"
    good = path.read_bytes()
    if what == "cut":
        os.truncate(path, 130)
    elif what == "emptied":
        path.write_bytes(b"")
    elif what == "overwritten":
        path.write_bytes(good[:128] + VECTORS[::-1].tobytes())
    else:
        with path.open("r+b") as file:
            file.seek(300)
            file.write(b"\0\0\0\0")
    os.utime(path, (1, 1))  # within one tick of the clock the time would be the same
    assert answers(index) == expected
    assert index.saved_generation is None
    assert caplog.text.count("is damaged") == 1
    index.save(tmp_path, 1)
    assert answers(kind.load(tmp_path, 1, d_in=D, originals=source)) == expected


def test_a_cache_that_is_replaced_by_rename_stays_what_it_was(tmp_path):
    expected = answers(saved(tmp_path))
    source = Originals()
    index = ExactIndex.load(tmp_path, 1, d_in=D, originals=source)
    other = ExactIndex(D)
    other.add(np.arange(1, N + 1), VECTORS[::-1])
    other.save(tmp_path, 2)
    assert answers(index) == expected
    assert (index.saved_generation, source.asked) == (1, [])


def test_a_file_that_cannot_be_mapped_is_no_cache(tmp_path):
    saved(tmp_path)
    good = (tmp_path / "vectors.npy").read_bytes()
    for content in (b"", good[:-1], good[:50], good.replace(b"<f4", b">f4"), good.replace(b"(60, 8)", b"(30, 8)")):
        (tmp_path / "vectors.npy").write_bytes(content)
        assert ExactIndex.load(tmp_path, 1, d_in=D, originals=Originals()) is None
    (tmp_path / "vectors.npy").write_bytes(good)
    assert ExactIndex.load(tmp_path, 1, d_in=D, originals=Originals()) is not None


def test_what_is_added_stands_behind_the_file(tmp_path):
    saved(tmp_path)
    index = ExactIndex.load(tmp_path, 1, d_in=D, originals=Originals())
    more = unit(30, 2)
    for i in range(30):
        index.add([100 + i], more[i : i + 1])
    assert index._base is not None
    in_memory = ExactIndex(D)
    in_memory.add([*range(1, N + 1), *range(100, 130)], np.concatenate([VECTORS, more]))
    assert answers(index) == answers(in_memory)
    with pytest.raises(DataError, match="rowid 7 is in the index already"):
        index.add([7], more[:1])
    index.save(tmp_path, 2)
    assert answers(ExactIndex.load(tmp_path, 2, d_in=D, originals=Originals())) == answers(in_memory)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 20)),
        st.tuples(st.just("insert"), st.integers(-30, -1)),
        st.tuples(st.just("remove"), st.lists(st.integers(1, N + 40), max_size=25)),
        st.tuples(st.just("reopen"), st.just(0)),
        st.tuples(st.just("damage"), st.integers(0, N * D * 4 - 1)),
    ),
    max_size=8,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_a_mapped_index_answers_as_one_in_memory(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("rows")
    store = dict(zip(range(101, 101 + N), VECTORS, strict=True))

    class Store:
        def vectors_of(self, rowids):
            return np.array([store[r] for r in np.asarray(rowids).tolist()], np.float32).reshape(-1, D)

        def is_origin_of(self, facts):
            return True

    plain, mapped = ExactIndex(D), ExactIndex(D)
    for index in (plain, mapped):
        index.add(list(store), VECTORS)
    mapped.save(folder, 0)
    mapped, generation = ExactIndex.load(folder, 0, d_in=D, originals=Store()), 0
    for what, argument in steps:
        if what in ("add", "insert"):
            known = plain.rowids.tolist()
            first = (max(known, default=0) if what == "add" else 100 + argument) + 1
            new = {r: row for r, row in zip(range(first, first + abs(argument)), unit(30, first), strict=False)}
            new = {r: row for r, row in new.items() if r not in store}
            store |= new
            if new:
                for index in (plain, mapped):
                    index.add(list(new), np.array(list(new.values())))
        elif what == "remove":
            for index in (plain, mapped):
                index.remove([100 + r for r in argument])
        else:
            generation += 1
            mapped.save(folder, generation)
            size = (folder / "vectors.npy").stat().st_size
            if what == "damage" and size > 128:
                flip(folder / "vectors.npy", max(128, size - 1 - argument))
            mapped = ExactIndex.load(folder, generation, d_in=D, originals=Store())
        assert answers(plain) == answers(mapped)
