"""What a filter compares: values as the source has them, of one type per column in a table."""

import pytest

from steersearch.corpus import Corpus

from .test_filters import select

CSV = """text,zip,version,year,price
a,01067,3.9,1984,1.5
b,10115,3.10,2024,
c,20095,3.9,2001,NaN
"""
JSONL = """{"text": "a", "n": 1, "mixed": 1, "share": NaN}
{"text": "b", "n": 2, "mixed": "1", "share": null}
{"text": "c", "n": 10, "mixed": [1, "1"], "share": 0.5}
"""


def found(path, filter):
    documents = list(Corpus.open(path).documents())
    return "".join(documents[at].text for at in select(filter, *(document.metadata for document in documents)))


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        # Every zip and version is a string, so that one rule finds all of them.
        ({"zip": "01067"}, "a"),
        ({"zip": "10115"}, "b"),
        ({"zip": 10115}, ""),
        ({"version": "3.10"}, "b"),
        ({"version": "3.1"}, ""),
        ({"zip": {"$gte": "1"}}, "bc"),
        # Every year is a number.
        ({"year": 1984}, "a"),
        ({"year": "1984"}, ""),
        ({"year": {"$gt": 1999}}, "bc"),
        # An empty cell is a field that is missing, NaN one that is null.
        ({"price": {"$lt": 2}}, "a"),
        ({"price": {"$exists": True}}, "ac"),
        ({"price": None}, "c"),
    ],
)
def test_csv(tmp_path, filter, expected):
    (tmp_path / "a.csv").write_text(CSV)
    assert found(tmp_path / "a.csv", filter) == expected


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"n": {"$gt": 1}}, "bc"),
        # JSON has types of its own: 1 is not "1", and a list matches by its elements.
        ({"mixed": 1}, "ac"),
        ({"mixed": "1"}, "bc"),
        ({"mixed": {"$in": [1, "1"]}}, "abc"),
        ({"share": None}, "ab"),
        ({"share": {"$gt": 0}}, "c"),
    ],
)
def test_jsonl(tmp_path, filter, expected):
    (tmp_path / "a.jsonl").write_text(JSONL)
    assert found(tmp_path / "a.jsonl", filter) == expected


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"n": 1}, "a"),
        ({"n": "1"}, ""),
        ({"share": None}, "ab"),
        ({"day": {"$gte": "2024-02"}}, "a"),
        ({"yes": True}, "a"),
    ],
)
def test_parquet(tmp_path, filter, expected):
    arrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    import datetime

    from pyarrow.parquet import write_table

    days = [datetime.date(2024, 2, 29), datetime.date(1999, 1, 1), None]
    columns = {"n": [1, 2, 10], "share": [float("nan"), None, 0.5], "day": days, "yes": [True, False, None]}
    write_table(arrow.table({"text": ["a", "b", "c"], **columns}), tmp_path / "a.parquet")
    assert found(tmp_path / "a.parquet", filter) == expected
