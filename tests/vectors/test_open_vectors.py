"""Vectors from files, arrays and columns: read, checked, made unit length, matched to their documents."""

import json
import logging

import numpy as np
import pytest

from steersearch.corpus import Corpus
from steersearch.errors import DataError
from steersearch.vectors import open_vectors

RAW = np.random.default_rng(0).standard_normal((30, 6)) * 3
UNIT = (RAW / np.linalg.norm(RAW, axis=1, keepdims=True)).astype(np.float32)
TEXTS = [f"text number {i}" for i in range(30)]


def lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_float_type_becomes_unit_rows(tmp_path, dtype, caplog):
    np.save(tmp_path / "v.npy", RAW.astype(dtype))
    held = open_vectors(tmp_path / "v.npy", TEXTS, folder=tmp_path)
    np.testing.assert_allclose(held.rows, UNIT, atol=2e-3 if dtype == "float16" else 1e-6)
    assert held.rows.dtype == np.float32
    assert list(held.documents.texts()) == TEXTS
    low, high = (f"{length:.3g}" for length in (f(np.linalg.norm(RAW, axis=1)) for f in (min, max)))
    assert f"rows have lengths from {low} to {high} and are divided by them" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"], "the file without a name is left behind"


def test_unit_rows_are_used_where_they_lie(tmp_path, caplog):
    np.save(tmp_path / "v.npy", UNIT)
    rows = open_vectors(tmp_path / "v.npy", TEXTS, folder=tmp_path).rows
    assert isinstance(rows, np.memmap)
    assert rows.filename == tmp_path / "v.npy"
    assert caplog.text == ""
    assert open_vectors(UNIT, TEXTS, folder=tmp_path).rows is UNIT


def test_large_and_tiny_numbers_keep_their_direction(tmp_path):
    scale = np.array([1e30, 1e-9, 1.0] * 10)[:, None]
    np.testing.assert_allclose(open_vectors(RAW * scale, TEXTS, folder=tmp_path).rows, UNIT, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({7: np.nan}, r"1 of 30 rows have no direction \(NaN or missing\): row 7, counted from 0"),
        ({3: 0.0, 9: 0.0}, r"2 of 30 rows have no direction \(zero\): rows 3, 9,"),
        ({5: np.inf}, r"1 of 30 rows have no direction \(infinite\)"),
        (
            dict.fromkeys(range(8), 0.0),
            r"rows 0, 1, 2, 3, 4, …, counted from 0; embed these texts again, or .*--skip-bad",
        ),
    ],
)
def test_rows_without_direction_are_named_or_left_out(tmp_path, change, said):
    rows = RAW.copy()
    for row, value in change.items():
        rows[row] = value
    with pytest.raises(DataError, match=said):
        open_vectors(rows, TEXTS, folder=tmp_path)
    held = open_vectors(rows, TEXTS, folder=tmp_path, skip_bad=True)
    kept = [i for i in range(30) if i not in change]
    np.testing.assert_allclose(held.rows, UNIT[kept], atol=1e-6)
    assert list(held.documents.texts()) == [TEXTS[i] for i in kept]
    assert held.left_out == len(change)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (UNIT[0], r"shape \(6,\)"),
        (np.ones((4, 3), np.int64), r"dtype int64: expected \(n, width\) of floats; turn whole numbers into floats"),
        (UNIT[:1], "at least 2 rows"),
        (np.ma.masked_invalid(np.where(RAW > 6, np.nan, RAW)), "is a masked array"),
        (np.ones((4, 3), np.complex64), "dtype complex64"),
    ],
)
def test_what_is_no_matrix_of_floats(tmp_path, array, said):
    with pytest.raises(DataError, match=said):
        open_vectors(array, folder=tmp_path)


def test_files_that_are_no_matrix(tmp_path):
    with (tmp_path / "z.npy").open("wb") as file:
        np.savez(file, a=UNIT)
    (tmp_path / "cut.npy").write_bytes((np.save(tmp_path / "v.npy", UNIT), (tmp_path / "v.npy").read_bytes())[1][:300])
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "v.npz").write_bytes(b"")
    for name, said in (
        ("z.npy", "several arrays"),
        ("cut.npy", "cannot be read as a NumPy array"),
        ("o.npy", "cannot be read as a NumPy array"),
        ("v.npz", r"no file of vectors: expected \.npy"),
        ("gone.npy", "does not exist"),
    ):
        with pytest.raises(DataError, match=said):
            open_vectors(tmp_path / name, folder=tmp_path)
    with pytest.raises(DataError, match="has no columns: leave out --vector-column x"):
        open_vectors(tmp_path / "v.npy", folder=tmp_path, column="x")


class TestMatching:
    def test_by_order_and_number(self, tmp_path):
        with pytest.raises(
            DataError, match="vectors has 30 rows, and texts has 29 documents: there must be one row per"
        ):
            open_vectors(UNIT, TEXTS[1:], folder=tmp_path)

    def test_blank_documents_have_a_row_or_none(self, tmp_path):
        texts = [*TEXTS[:4], " ", *TEXTS[5:]]
        kept = [i for i in range(30) if i != 4]
        for rows in (UNIT, UNIT[kept]):
            held = open_vectors(rows, texts, folder=tmp_path)
            np.testing.assert_array_equal(held.rows, UNIT[kept])
            assert len(held.documents) == 29
        with pytest.raises(DataError, match=r"29 documents \(1 more are blank\)"):
            open_vectors(UNIT[:28], texts, folder=tmp_path)

    def test_by_id_in_any_order(self, tmp_path, caplog):
        vectors = lines(tmp_path / "v.jsonl", [{"id": f"d{i}", "vector": RAW[i].tolist()} for i in range(30)])
        order = [4, 29, 0, 17]
        docs = lines(tmp_path / "docs.jsonl", [{"id": f"d{i}", "text": TEXTS[i]} for i in order])
        held = open_vectors(vectors, docs, folder=tmp_path)
        np.testing.assert_allclose(held.rows, UNIT[order], atol=1e-6)
        assert [document.id for document in held.documents] == ["d4", "d29", "d0", "d17"]
        assert "26 vectors belong to no document" in caplog.text

    def test_ids_that_do_not_fit(self, tmp_path):
        vectors = lines(tmp_path / "v.jsonl", [{"id": f"d{i}", "vector": RAW[i].tolist()} for i in range(30)])
        docs = lines(tmp_path / "docs.jsonl", [{"id": f"d{i}", "text": f"text {i}"} for i in (3, 40, 5, 41)])
        with pytest.raises(DataError, match="2 documents have no vector, first 'd40': embed them too, or leave"):
            open_vectors(vectors, docs, folder=tmp_path)
        held = open_vectors(vectors, docs, folder=tmp_path, skip_bad=True)
        np.testing.assert_allclose(held.rows, UNIT[[3, 5]], atol=1e-6)
        assert [document.id for document in held.documents] == ["d3", "d5"]
        lines(docs, [{"id": f"x{i}", "text": "a"} for i in range(30)])
        with pytest.raises(DataError, match="no id in common"):
            open_vectors(vectors, docs, folder=tmp_path)
        lines(vectors, [{"id": "d3", "vector": row.tolist()} for row in RAW])
        lines(docs, [{"id": f"d{i}", "text": "a"} for i in range(30)])
        with pytest.raises(DataError, match="two vectors have the id 'd3'"):
            open_vectors(vectors, docs, folder=tmp_path)

    def test_pairs_of_documents_that_are_left_out_go(self):
        corpus = Corpus.open(TEXTS[:3]).with_pairs([("a", "0"), ("b", "1"), ("c", "2")]).without({1})
        assert list(corpus.pairs()) == [("a", "0"), ("c", "2")]


class TestColumns:
    def test_json_lines_with_texts(self, tmp_path):
        records = [{"id": f"d{i}", "text": TEXTS[i], "year": i, "embedding": RAW[i].tolist()} for i in range(30)]
        # As pgvector writes it, and a line without one.
        records[2]["embedding"], records[3]["embedding"] = str(RAW[2].tolist()), None
        held = open_vectors(lines(tmp_path / "v.jsonl", records), folder=tmp_path, skip_bad=True)
        kept = [i for i in range(30) if i != 3]
        np.testing.assert_allclose(held.rows, UNIT[kept], atol=1e-6)
        assert next(iter(held.documents)).metadata == {"year": 0}

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"embedding": [1.0, 2.0]}, "line 9: embedding has 2 numbers, the rows before have 6"),
            ({"embedding": [[1.0]] * 6}, r"line 9: embedding has shape \(6, 1\)"),
            ({"embedding": ["a"] * 6}, "line 9: embedding is no list of numbers"),
            ({"embedding": {"a": 1}}, "line 9: embedding is no list of numbers"),
            ({}, "line 9 has no embedding: it has text"),
        ],
    )
    def test_a_line_that_is_no_vector(self, tmp_path, change, said):
        records = [{"text": TEXTS[i], "embedding": RAW[i].tolist()} for i in range(30)]
        records[8] = {"text": "x"} | change
        with pytest.raises(DataError, match=said):
            open_vectors(lines(tmp_path / "v.jsonl", records), folder=tmp_path)

    def test_the_column_is_found_or_asked_for(self, tmp_path):
        both = [{"text": "a", "left": [0.5, 1.0], "right": [1.0, 0.5]} for _ in range(3)]
        path = lines(tmp_path / "v.jsonl", both)
        with pytest.raises(
            DataError, match=r"several columns of vectors \(left, right\): choose one with --vector-col"
        ):
            open_vectors(path, folder=tmp_path)
        with pytest.raises(DataError, match="no column 'up', only text, left, right"):
            open_vectors(path, folder=tmp_path, column="up")
        np.testing.assert_allclose(open_vectors(path, folder=tmp_path, column="Left").rows[0], [0.4472136, 0.8944272])
        lines(path, [{"text": "a", "n": 3}] * 3)
        with pytest.raises(DataError, match="no column of vectors, only text, n"):
            open_vectors(path, folder=tmp_path)

    @pytest.mark.parametrize("kind", ["float", "double", "halffloat", "fixed"])
    def test_parquet(self, tmp_path, kind):
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        numbers = {"float": pa.float32(), "double": pa.float64(), "halffloat": pa.float16(), "fixed": pa.float32()}[
            kind
        ]
        cells = [None if i in (0, 11) else [np.float16(x) for x in RAW[i]] for i in range(30)]
        column = pa.array(cells, pa.list_(numbers, 6) if kind == "fixed" else pa.list_(numbers))
        table = pa.table({"id": [f"d{i}" for i in range(30)], "body": TEXTS, "year": [1] * 30, "emb": column})
        pq.write_table(table, tmp_path / "v.parquet", row_group_size=7)
        held = open_vectors(tmp_path / "v.parquet", text_column="body", folder=tmp_path, skip_bad=True)
        kept = [i for i in range(30) if i not in (0, 11)]
        np.testing.assert_allclose(held.rows, UNIT[kept], atol=2e-3)
        first = next(iter(held.documents))
        assert (first.id, first.text, first.metadata) == ("d1", TEXTS[1], {"year": 1})
        # Ids and vectors alone, texts from elsewhere.
        pq.write_table(table.select(["id", "emb"]), tmp_path / "v.parquet")
        assert open_vectors(tmp_path / "v.parquet", folder=tmp_path, skip_bad=True).documents is None
        docs = lines(tmp_path / "docs.jsonl", [{"id": f"d{i}", "text": TEXTS[i]} for i in (5, 2)])
        rows = open_vectors(tmp_path / "v.parquet", docs, folder=tmp_path).rows
        np.testing.assert_allclose(rows, UNIT[[5, 2]], atol=2e-3)

    def test_parquet_with_rows_of_two_widths(self, tmp_path):
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({"text": TEXTS[:3], "v": [[1.0, 2.0], [1.0], [3.0, 4.0]]}), tmp_path / "v.parquet")
        with pytest.raises(DataError, match=r"rows 1 to 3: v has 2 numbers, the rows before have 1"):
            open_vectors(tmp_path / "v.parquet", folder=tmp_path)


def test_nothing_is_said_of_good_vectors(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        open_vectors(UNIT.astype(np.float16), TEXTS, folder=tmp_path)
    assert caplog.text == ""


def test_parquet_with_vectors_as_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    cells = ["[3, 4]", None, "[1.0, 0.0]"]
    pq.write_table(pa.table({"text": TEXTS[:3], "v": cells}), tmp_path / "v.parquet")
    held = open_vectors(tmp_path / "v.parquet", column="v", folder=tmp_path, skip_bad=True)
    np.testing.assert_allclose(held.rows, [[0.6, 0.8], [1.0, 0.0]], atol=1e-6)
    assert list(held.documents.texts()) == [TEXTS[0], TEXTS[2]]
    pq.write_table(pa.table({"text": TEXTS[:2], "v": ["[3, 4]", "[1]"]}), tmp_path / "v.parquet")
    with pytest.raises(DataError, match="v has 2 numbers, the rows before have 1"):
        open_vectors(tmp_path / "v.parquet", column="v", folder=tmp_path)
