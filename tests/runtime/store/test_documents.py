"""The document store: what is put comes back, against a model, and every refusal."""

import datetime as dt
import threading
from decimal import Decimal
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steersearch.errors import DataError, FilterError, IndexFolderError, IndexLockedError, StorageError
from steersearch.runtime.store.documents import DocumentStore
from steersearch.runtime.store.row_encoding import Record

D_IN, K = 4, 2


@pytest.fixture
def store(tmp_path):
    with DocumentStore.create(tmp_path / "documents.sqlite", d_in=D_IN, meta={"bundle": "b"}) as opened:
        yield opened


def arrays(n, seed=0, k=K):
    rng = np.random.default_rng(seed)
    vectors, values = rng.standard_normal((n, D_IN)), rng.random((n, k))
    return vectors.astype(np.float32), rng.integers(0, 99, (n, k)), values.astype(np.float32)


def put(store, *ids, seed=0, **metadata):
    return store.put(ids, [f"text of {id}" for id in ids], [dict(metadata)] * len(ids), *arrays(len(ids), seed))


def test_what_is_put_comes_back(store):
    vectors, latents, values = arrays(3)
    metadata = [{"a": [1, {"b": None}], "é": 1.5}, {}, {"z\x00\x01": "a\x00b\\u0000\\\x01", "big": 10**30, "x": True}]
    rowids = store.put(["x", "ü\x00", "z"], ["", "two\x00\n", "three 🎈"], metadata, vectors, latents, values)
    assert rowids.dtype == np.int64
    assert rowids.tolist() == [1, 2, 3]
    assert store.get(["z", "?", "x", "z", "\ud800"]) == [
        Record(3, "z", "three 🎈", metadata[2]),
        None,
        Record(1, "x", "", metadata[0]),
        Record(3, "z", "three 🎈", metadata[2]),
        None,
    ]
    assert store.get(["ü\x00"]) == [Record(2, "ü\x00", "two\x00\n", {})]
    assert [record.id for record in store.by_rowid(np.array([3, 77, 1]))] == ["z", "x"]
    assert store.vectors_of([3, 1]).tobytes() == vectors[[2, 0]].tobytes()
    indices, got = store.codes_of([2, 2, 1])
    assert indices.dtype == np.int64
    assert indices.tolist() == latents[[1, 1, 0]].tolist()
    assert got.tobytes() == values[[1, 1, 0]].tobytes()
    assert len(store) == 3
    assert store.rowids().tolist() == [1, 2, 3]


def test_replacing_gives_a_new_rowid_and_rowids_are_never_used_again(store):
    put(store, "a", "b", "c")
    assert put(store, "b", seed=1, version=2).tolist() == [4]
    assert store.rowids().tolist() == [1, 3, 4]
    assert store.get(["b"])[0].metadata == {"version": 2}
    assert store.delete(["b", "nobody", "b"]) == 1
    assert put(store, "d").tolist() == [5]
    path = store.path
    assert store.delete(["a", "c", "d"]) == 3
    store.close()
    with DocumentStore.open(path) as again:
        assert len(again) == 0
        assert put(again, "a").tolist() == [6]


def test_generation_counts_changes_of_documents(store):
    assert store.generation == 0
    put(store, "a")
    put(store, "b")
    assert store.generation == 2
    assert store.delete(["nobody"]) == 0
    put(store)
    store.set_meta("note", "1")
    assert store.generation == 2
    with DocumentStore.open(store.path) as other:
        assert other.generation == 2
        other.delete(["a"])
        assert store.generation == 3  # read afresh: another process may have committed
    assert store.meta == {"bundle": "b", "note": "1", "format_version": "2", "d_in": "4", "generation": "3"}


def test_a_filter_that_was_asked_before_reads_nothing_and_sees_every_commit(store, monkeypatch):
    put(store, "a", "b", n=1)
    asked, rows = [], store._database.rows
    monkeypatch.setattr(store._database, "rows", lambda sql, *args: asked.append(sql) or rows(sql, *args))
    assert store.rowids_where({"n": 1}).tolist() == [1, 2]
    asked.clear()
    assert store.rowids_where({"n": 1}).tolist() == [1, 2]
    assert not [sql for sql in asked if "documents d" in sql]
    assert store.rowids_where({"n": True}).tolist() == []  # equal in Python, not in JSON
    assert store.rowids_where({"n": 1.0}).tolist() == [1, 2]
    with DocumentStore.open(store.path) as other:
        other.update_metadata(["a"], [{"n": 2}], replace=False)
    assert store.rowids_where({"n": 1}).tolist() == [2]
    with pytest.raises(ValueError, match="read-only"):
        store.rowids_where({"n": 1})[0] = 5
    for i in range(40):
        store.rowids_where({"n": i})
    assert len(store._filtered) <= 16


def test_metadata_is_merged_or_replaced_and_nothing_else_changes(store):
    put(store, "a", "b", "c", year=2024, lang="en")
    before = [store.vectors_of([1, 2, 3]).tobytes(), store.generation, store.rowids().tolist()]
    store.update_metadata(["c", "a"], [{"year": 2025, "z\x00\x01": "\x00"}, {"year": None}], replace=False)
    store.update_metadata(["b"], [{"only": [1]}], replace=True)
    assert [record.metadata for record in store.get(["a", "b", "c"])] == [
        {"year": None, "lang": "en"},
        {"only": [1]},
        {"year": 2025, "lang": "en", "z\x00\x01": "\x00"},
    ]
    assert [store.vectors_of([1, 2, 3]).tobytes(), store.generation, store.rowids().tolist()] == before
    assert store.rowids_where({"year": 2025}).tolist() == [3]
    with DocumentStore.open(store.path, readonly=True) as other:
        assert other.rowids_where({"only": 1}).tolist() == [2]
    for ids, metadata, message in (
        (["a", "nobody"], [{"x": 1}, {"x": 1}], "there is no document 'nobody' in .*: add it first"),
        (["a"], [{"x": object}], "expected what JSON can hold"),
        (["a", "a"], [{}, {}], "occurs twice"),
        (["a"], [], "metadata has 0 items and ids has 1"),
        ("a", [{}], "expected a list"),
    ):
        with pytest.raises(DataError, match=message):
            store.update_metadata(ids, metadata, replace=False)
    assert store.get(["a"])[0].metadata == {"year": None, "lang": "en"}
    store.update_metadata([], [], replace=True)


def test_compacting_gives_space_back_and_keeps_everything(store):
    n = 2000
    vectors, latents, values = arrays(n)
    names = [str(i) for i in range(n)]
    store.put(names, ["x" * 1000] * n, [{}] * n, vectors, latents, values)
    store.delete(names[100:])
    before, kept = store.path.stat().st_size, store.rowids()
    assert store.free_bytes > 1_000_000
    store.compact()
    assert store.path.stat().st_size < before / 5
    assert store.free_bytes == 0
    assert store.rowids().tolist() == kept.tolist()
    assert store.vectors_of(kept).tobytes() == vectors[:100].tobytes()
    assert put(store, "new").tolist() == [n + 1]
    assert store.problems() == []


def test_iteration_in_blocks(store):
    n = 25
    vectors, latents, values = arrays(n)
    store.put([str(i) for i in range(n)], [""] * n, [{}] * n, vectors, latents, values)
    store.delete(["3", "20"])
    kept = [i for i in range(n) if i not in (3, 20)]
    blocks = list(store.iter_vectors(batch=10))
    assert [len(rowids) for rowids, _ in blocks] == [10, 10, 3]
    assert np.concatenate([r for r, _ in blocks]).tolist() == [i + 1 for i in kept]
    assert np.concatenate([v for _, v in blocks]).tobytes() == vectors[kept].tobytes()
    codes = list(store.iter_codes(after_rowid=5, batch=7))
    assert np.concatenate([i for _, i, _ in codes]).tolist() == latents[[i for i in kept if i >= 5]].tolist()
    assert list(store.iter_vectors(after_rowid=25)) == []


def test_codes_of_different_length_are_padded_with_nothing(store):
    store.put(["plain"], ["t"], [{}], *arrays(1, k=0))
    store.put(["coded"], ["t"], [{}], np.ones((1, D_IN)), np.array([[7, 8]]), np.array([[1.0, 2.0]]))
    indices, values = store.codes_of([1, 2])
    assert indices.tolist() == [[0, 0], [7, 8]]
    assert values.tolist() == [[0.0, 0.0], [1.0, 2.0]]
    assert [part.shape for part in store.codes_of([1])] == [(1, 0), (1, 0)]
    assert [part.shape for part in store.codes_of([])] == [(0, 0), (0, 0)]
    assert store.vectors_of([]).shape == (0, D_IN)


def test_filters_and_many_ids(store):
    n = 2500
    ids = [f"id{i}" for i in range(n)]
    store.put(ids, ids, [{"i": i, "odd": i % 2 == 1} for i in range(n)], np.ones((n, D_IN)), *arrays(n)[1:])
    assert store.rowids_where({"odd": True, "i": {"$lt": 6}}).tolist() == [2, 4, 6]
    assert store.rowids_where(None).tolist() == list(range(1, n + 1))
    assert store.rowids_where({"none": 1}).tolist() == []
    with pytest.raises(FilterError, match="did you mean"):
        store.rowids_where({"i": {"$gtt": 1}})
    assert [record.id for record in store.get(ids)] == ids
    assert store.vectors_of(np.arange(n, 0, -1)).shape == (n, D_IN)
    assert store.delete(ids[:2400]) == 2400
    assert len(store) == 100


ids = st.sampled_from("abcdef")
steps = st.lists(
    st.tuples(st.just("put"), st.lists(ids, unique=True, max_size=4), st.integers(0, 9))
    | st.tuples(st.just("delete"), st.lists(ids, max_size=3), st.just(0))
    | st.tuples(st.just("reopen"), st.just([]), st.just(0)),
    max_size=12,
)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_writes_against_a_dict(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("model") / "documents.sqlite"
    model, writes, seen = {}, 0, set()
    store = DocumentStore.create(path, d_in=D_IN, meta={})
    try:
        for step, names, seed in steps:
            if step == "put":
                vectors, latents, values = arrays(len(names), seed)
                rowids = store.put(names, [f"{n}{seed}" for n in names], [{"seed": seed}] * len(names),
                                   vectors, latents, values)  # fmt: skip
                assert seen.isdisjoint(rowids.tolist())
                seen |= set(rowids.tolist())
                model |= {
                    n: (r, f"{n}{seed}", seed, v.tobytes()) for n, r, v in zip(names, rowids, vectors, strict=True)
                }
                writes += bool(names)
            elif step == "delete":
                gone = set(names) & set(model)
                assert store.delete(names) == len(gone)
                model = {name: value for name, value in model.items() if name not in gone}
                writes += bool(gone)
            else:
                store.close()
                store = DocumentStore.open(path)
            assert len(store) == len(model)
            assert store.generation == writes
            assert store.rowids().tolist() == sorted(value[0] for value in model.values())
            for name, record in zip("abcdef", store.get(list("abcdef")), strict=True):
                if name not in model:
                    assert record is None
                else:
                    rowid, text, seed_, vector = model[name]
                    assert record == Record(rowid, name, text, {"seed": seed_})
                    assert store.vectors_of([rowid]).tobytes() == vector
    finally:
        store.close()


def nest(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": "ab"}, "ids is the string 'ab': expected a list"),
        ({"ids": ["a", "a"]}, "id 'a' occurs twice"),
        ({"ids": ["a", ""]}, "an id is the empty string"),
        ({"ids": ["a", 5]}, r"ids\[1\] is 5 \(int\): expected a string"),
        ({"ids": ["a", "x\ud800"]}, r"ids\[1\] is 'x\\ud800', which holds a lone surrogate"),
        ({"texts": ["a"]}, "texts has 1 items and ids has 2"),
        ({"texts": ["a", None]}, r"texts\[1\] is None \(NoneType\)"),
        ({"texts": ["a", "\udfff"]}, r"texts\[1\] is '\\udfff', which holds a lone surrogate"),
        ({"metadata": [{}]}, "metadata has 1 items and ids has 2"),
        ({"metadata": [{}, None]}, "the metadata of 'b' is None: expected a mapping"),
        ({"metadata": [{}, {1: 2}]}, r"the metadata of 'b' has the key 1 \(int\)"),
        ({"metadata": [{}, {"k": {2: 3}}]}, r"the metadata of 'b', key 'k', has the key 2"),
        ({"metadata": [{"n": float("nan")}, {}]}, "the metadata of 'a', key 'n', holds nan"),
        ({"metadata": [{"n": [float("-inf")]}, {}]}, "holds -inf"),
        ({"metadata": [{"n": object}, {}]}, r"the metadata of 'a', key 'n', holds <class 'object'> \(type\)"),
        ({"metadata": [{"n": np.complex64(3)}, {}]}, r"\(complex64\): expected what JSON can hold"),
        ({"metadata": [{"n": "\ud800"}, {}]}, r"holds '\\ud800', a string with a lone surrogate"),
        ({"metadata": [{"\ud800": 1}, {}]}, "lone surrogate"),
        ({"metadata": [{"n": nest(101)}, {}]}, "nests deeper than 100 levels"),
        ({"metadata": [{"n": nest(100_000)}, {}]}, "nests deeper than 100 levels"),
        ({"metadata": [{"n": 10**5000}, {}]}, "the metadata of 'a' cannot be written as JSON"),
        ({"vectors": np.ones((2, 5))}, r"vectors has shape \(2, 5\): expected \(2, 4\)"),
        ({"vectors": np.ones((3, 4))}, r"vectors has shape \(3, 4\): expected \(2, 4\)"),
        ({"vectors": np.ones(4)}, r"vectors has shape \(4,\)"),
        ({"vectors": np.array([["x"] * 4] * 2)}, "vectors has dtype <U1"),
        ({"vectors": np.array([[1, 1, 1, 1], [1, np.nan, 1, 1]])}, r"vectors\[1\] holds nan"),
        ({"vectors": np.array([[1, 1, 1, 1e39], [1, 1, 1, 1]])}, r"vectors\[0\] holds 1e\+39: .*finite in float32"),
        ({"latents": np.zeros((1, 2), int)}, r"latents has shape \(1, 2\): expected \(2, k\)"),
        ({"latents": np.zeros((2, 2))}, "latents has dtype float64"),
        ({"latents": np.array([[0, -1], [0, 0]])}, "latents reach from -1 to 0"),
        ({"latents": np.array([[0, 2**31], [0, 0]])}, "latents reach from 0 to 2147483648"),
        ({"values": np.zeros((2, 3))}, r"values has shape \(2, 3\): expected \(2, 2\)"),
        ({"values": np.full((2, 2), np.inf)}, r"values\[0\] holds inf"),
    ],
)  # fmt: skip
def test_put_refuses_and_changes_nothing(store, change, message):
    put(store, "a", "old")
    vectors, latents, values = arrays(2)
    good = {"ids": ["a", "b"], "texts": ["1", "2"], "metadata": [{}, {}], "vectors": vectors, "latents": latents}
    with pytest.raises(DataError, match=message):
        store.put(**{**good, "values": values, **change})
    assert store.generation == 1
    assert store.rowids().tolist() == [1, 2]


def test_other_refusals(store):
    for call in (lambda: store.get("abc"), lambda: store.delete("abc"), lambda: store.delete([1])):
        with pytest.raises(DataError, match="expected a list of strings"):
            call()
    with pytest.raises(DataError, match="no document with rowid 9"):
        store.vectors_of([9])
    with pytest.raises(DataError, match="no document with rowid 9"):
        store.codes_of(np.array([9]))
    with pytest.raises(DataError, match="rowids has shape"):
        store.by_rowid([[1]])
    with pytest.raises(DataError, match="rowids has shape"):
        store.by_rowid([0.5])
    assert store.by_rowid(np.array([2**63 + 5], np.uint64)) == []
    for key in ("generation", "d_in", "format_version", "state"):
        with pytest.raises(DataError, match="which the store keeps itself"):
            store.set_meta(key, "1")
    with pytest.raises(DataError, match="meta"):
        store.set_meta("a", 5)
    with pytest.raises(DataError, match="d_in is 0"):
        DocumentStore.create(store.path.with_name("other.sqlite"), d_in=0, meta={})
    with pytest.raises(IndexFolderError, match="exists already"):
        DocumentStore.create(store.path, d_in=4, meta={})


def test_create_leaves_only_the_database_and_the_lock(tmp_path):
    DocumentStore.create(tmp_path / "new" / "deep" / "documents.sqlite", d_in=2, meta={}).close()
    assert {path.name for path in (tmp_path / "new" / "deep").iterdir()} <= {"documents.sqlite", "write.lock"}
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the folder"):
        DocumentStore.create(tmp_path / "file" / "documents.sqlite", d_in=2, meta={})


def test_a_new_store_is_not_measured_by_the_one_that_was_there_before(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        put(store, "a")
    assert (tmp_path / "commits").exists()
    path.unlink()
    with DocumentStore.create(path, d_in=4, meta={}) as store:
        assert len(store) == 0


def test_settings_of_the_file(store):
    assert store._database.rows("PRAGMA journal_mode") == [("wal",)]
    assert store._database.rows("PRAGMA synchronous") == [(2,)]  # FULL


def test_closed_store_and_missing_file(tmp_path):
    store = DocumentStore.create(tmp_path / "documents.sqlite", d_in=2, meta={})
    store.close()
    store.close()
    with pytest.raises(IndexFolderError, match="closed"):
        len(store)
    with pytest.raises(IndexFolderError, match="does not exist"):
        DocumentStore.open(tmp_path / "nothing.sqlite")


def test_ids_are_located_with_their_vectors(store):
    put(store, "a", "b", "c")
    ids, rowids, vectors = store.located(["c", "none", "a", "c"])
    assert (ids, rowids.tolist()) == (["c", "a"], [3, 1])
    assert vectors.tobytes() == store.vectors_of([3, 1]).tobytes()
    assert store.located([])[2].shape == (0, store.d_in)


def test_a_snapshot_is_one_state(tmp_path):
    path = tmp_path / "documents.sqlite"
    with DocumentStore.create(path, d_in=4, meta={}) as store, DocumentStore.open(path) as writer:
        put(store, "a")
        with store.snapshot():
            assert store.generation == 1
            put(writer, "b")
            with store.snapshot():  # nests
                assert (store.generation, len(store), store.rowids().tolist()) == (1, 1, [1])
            assert store.get(["b"]) == [None]
            with pytest.raises(IndexLockedError, match="inside snapshot"):
                put(store, "c")
        assert (store.generation, len(store)) == (2, 2)
        put(store, "c")


def test_threads_share_a_store(store):
    errors = []

    def work(name):
        try:
            for i in range(15):
                put(store, f"{name}{i}", "shared", seed=i)
                records = store.get([f"{name}{i}", "shared"])
                assert all(records)
                with store.snapshot():
                    assert len(store) == len(store.rowids())
                store.delete([f"{name}{i - 5}"])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(store) == 4 * 5 + 1


def test_values_that_json_lacks_are_stored_and_compared_in_one_way(store):
    early, late = (dt.datetime(2024, 5, 1, hour, tzinfo=dt.timezone.utc) for hour in (9, 17))
    put(store, "a", when=early, n=np.int64(3), path=PurePosixPath("a/b"))
    put(store, "b", when=late.astimezone(dt.timezone(dt.timedelta(hours=-11))), n=Decimal("3.0"))
    assert [record.metadata for record in store.get(["a", "b"])] == [
        {"when": "2024-05-01T09:00:00+00:00", "n": 3, "path": "a/b"},
        {"when": "2024-05-01T17:00:00+00:00", "n": 3},
    ]
    for filter, rows in (
        ({"when": {"$gt": early}}, [2]),
        ({"when": late}, [2]),
        ({"n": {"$in": np.array([3]).tolist()}}, [1, 2]),
        ({"n": np.float32(3)}, [1, 2]),
        ({"path": PurePosixPath("a/b")}, [1]),
        ({"when": {"$gt": dt.date(2024, 5, 2)}}, []),
    ):
        assert store.rowids_where(filter).tolist() == rows
    with pytest.raises(FilterError, match="\\$gt of field 'when': a time is NaT"):
        store.rowids_where({"when": {"$gt": np.datetime64("NaT")}})
    with pytest.raises(DataError, match="the metadata of 'c': a time is NaT"):
        put(store, "c", when=np.datetime64("NaT"))
