"""Ground floor: arguments with one item per document are taken by position, or refused with the cure."""

import sys
from types import ModuleType

import numpy as np
import pytest

from steersearch.arrays import check_unit_rows
from steersearch.corpus import Corpus, Document
from steersearch.errors import DataError
from steersearch.sequences import as_list, in_order, unmasked


class Column:
    """Indexed by label, as a Series of pandas is after a sort: `column[0]` is not the first item."""

    def __init__(self, items, labels):
        self.items, self.labels = items, labels

    def __getitem__(self, label):
        return self.items[self.labels.index(label)]

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)


class Labelled:
    """Without `__iter__`: Python would read it by label."""

    def __getitem__(self, label):
        return {0: "b", 1: "a"}[label]


def column(items):
    return Column(items, list(reversed(range(len(items)))))


def series(items):
    pandas = pytest.importorskip("pandas")
    return pandas.Series(items, index=list(reversed(range(len(items)))))


def pandas_index(items):
    return pytest.importorskip("pandas").Index(items)


def polars_series(items):
    return pytest.importorskip("polars").Series(items)


def arrow(items):
    return pytest.importorskip("pyarrow").array(items)


KINDS = [
    list,
    tuple,
    iter,
    lambda items: (item for item in items),
    lambda items: dict.fromkeys(items).keys(),
    lambda items: dict(enumerate(items)).values(),
    np.array,
    lambda items: np.array(items, object),
    np.ma.array,
    column,
    series,
    pandas_index,
    polars_series,
    arrow,
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_sequence_is_taken_by_position(kind):
    items = as_list(kind(["c", "a", "b"]), "texts")
    assert items == ["c", "a", "b"]
    assert [type(item) for item in items] == [str, str, str] or kind is column


def test_a_generator_stays_one():
    made = iter(["a"])
    assert in_order(made, "documents") is made


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("one text", "texts is a single string: give a list of texts"),
        (b"bytes", "texts is a single bytes: give a list of texts"),
        ({"a": 1}, r"texts is a dict, a mapping: give a list of texts, such as list\(x.values\(\)\)"),
        ({"a"}, r"texts is a set, which has no order: give a list of texts, such as sorted\(x\)"),
        (frozenset("a"), "texts is a frozenset, which has no order"),
        (3, "texts is a int, which cannot be read item by item"),
        (None, "texts is a NoneType"),
        (Labelled(), "texts is a Labelled, which cannot be read item by item"),
        (np.array([["a"]]), r"texts is a ndarray of shape \(1, 1\): give one column or a list"),
        (np.array("a"), r"of shape \(\)"),
        (np.ma.array(["a", "b"], mask=[False, True]), r"texts\[1\] is masked: fill or leave out"),
    ],
)
def test_what_has_no_items_or_no_order(values, message):
    with pytest.raises(DataError, match=message):
        as_list(values, "texts")


def test_tables_and_single_documents():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="texts is a DataFrame of shape"):
        as_list(pandas.DataFrame({"a": ["x"]}), "texts")
    core = pytest.importorskip("langchain_core.documents")
    with pytest.raises(DataError, match="texts is a single Document: put it in a list"):
        as_list(core.Document(page_content="a"), "texts")


ROWS = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)


@pytest.mark.parametrize("kind", [list, tuple, iter, column, series])
def test_embeddings_go_by_position_too(kind):
    for rows in (list(ROWS), ROWS.tolist()):
        assert check_unit_rows(kind(rows), "embeddings", 2).tolist() == ROWS.tolist()
    assert check_unit_rows(ROWS, "embeddings", 2) is ROWS
    objects = np.empty(3, object)
    objects[:] = list(ROWS)
    assert check_unit_rows(objects, "embeddings", 2).tolist() == ROWS.tolist()


def test_a_table_of_numbers():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(ROWS).sort_values(0)
    assert check_unit_rows(table, "embeddings", 2).tolist() == ROWS[[1, 2, 0]].tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("text", "embeddings is a single string"),
        ([["a", "b"]], "embeddings has dtype <U1: expected float32"),
        (np.array([["0.6", "0.8"]], object), "embeddings has dtype object"),
        ([[1, 0], [1]], "embeddings cannot be read as numbers"),
        ([[1, None]], "row 0 has length nan"),
        ([[1j, 0]], "dtype complex128"),
        ([[10**400, 0]], "embeddings cannot be read as numbers"),
        (np.ma.array(ROWS, mask=np.eye(3, 2)), r"embeddings\[0, 0\] is masked"),
        ([np.ma.array([1, 0], mask=[0, 1])], r"embeddings\[0\] is a masked array"),
        ({0: [1, 0]}, "embeddings is a dict, a mapping"),
        ({(1, 0)}, "embeddings is a set, which has no order"),
        (5, "embeddings is a int"),
    ],
)
def test_what_is_no_matrix(values, message):
    with pytest.raises(DataError, match=message):
        check_unit_rows(values, "embeddings", 2)


def test_rows_that_are_nearly_of_length_1_become_so():
    """So that no score exceeds 1; rows that are exact keep every bit."""
    rows = np.vstack([ROWS, ROWS[2:] * np.float32(1.0009), ROWS[2:] * np.float32(0.9991)])
    checked = check_unit_rows(rows, "rows", 2)
    assert checked[:3].tobytes() == ROWS.tobytes()
    assert np.abs(np.linalg.norm(checked, axis=1) - 1).max() < 2e-6
    assert check_unit_rows(checked, "rows", 2).tobytes() == checked.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_is_read_again_and_again(kind):
    corpus = Corpus.open(kind(["c", "a", "b"]))
    for _ in range(2):
        assert [document.text for document in corpus] == ["c", "a", "b"]
    made = Corpus.from_documents("m", (Document(id, id) for id in "ab"), pairs=((id, id) for id in "ab"))
    assert len(made) == 2
    assert list(made.pairs()) == list(made.pairs()) == [("a", "a"), ("b", "b")]


@pytest.mark.parametrize(
    ("indices", "values", "message"),
    [
        ([["x"]], [[1]], "indices have dtype <U1"),
        ([[1], [1, 2]], [[1]], "indices cannot be read as numbers"),
        ([[1.5]], [[1]], "indices have dtype float64: expected integers"),
        ([[1]], [["x"]], "values have dtype <U1"),
        ([[1]], [[10**400]], "values cannot be read as numbers"),
        (np.ma.array([[1]], mask=[[True]]), [[1]], r"indices\[0, 0\] is masked"),
    ],
)
def test_codes_that_are_no_numbers(opened_bundle, indices, values, message):
    with pytest.raises(DataError, match=message):
        opened_bundle.decode(indices, values)


def test_a_module_that_another_thread_is_importing(monkeypatch):
    """numpy.ma is in sys.modules before it has its classes."""
    monkeypatch.setitem(sys.modules, "numpy.ma", ModuleType("numpy.ma"))
    rows = np.eye(2)
    assert unmasked(rows, "rows") is rows
