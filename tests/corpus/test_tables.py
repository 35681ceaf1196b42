import datetime
import decimal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from steersearch.corpus import Corpus
from steersearch.corpus import parquet as reader
from steersearch.errors import DataError
from steersearch.json_values import json_values


def contents(corpus):
    return [(d.id, d.text, d.metadata) for d in corpus.documents()]


def test_the_text_column_can_be_chosen(tmp_path):
    (tmp_path / "a.csv").write_text("id,Body,note\n1,one,x\n2,two,y\n")
    with pytest.raises(DataError, match=r"has no text column, only id, Body, note: .*--text-column"):
        contents(Corpus.open(tmp_path / "a.csv"))
    expected = [("1", "one", {"note": "x"}), ("2", "two", {"note": "y"})]
    assert contents(Corpus.open(tmp_path / "a.csv", text_column="BODY")) == expected
    with pytest.raises(DataError, match="has no column 'boddy', only id, Body, note"):
        contents(Corpus.open(tmp_path / "a.csv", text_column="boddy"))
    (tmp_path / "a.jsonl").write_text('{"id": 1, "body": "one", "note": "x"}\n')
    assert contents(Corpus.open(tmp_path / "a.jsonl", text_column="body")) == expected[:1]


def test_a_binary_file_of_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\n\x00\x01\n")
    with pytest.raises(DataError, match="line 2 is binary"):
        contents(Corpus.open(tmp_path / "a.txt"))


@pytest.fixture
def parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow.parquet import write_table

    def write(**columns):
        write_table(pyarrow.table(columns), tmp_path / "a.parquet", row_group_size=100)
        return tmp_path / "a.parquet"

    return write


def test_parquet(parquet):
    path = parquet(
        Id=[7, 8, 9],
        title=["T", None, None],
        Text=["one", "two", None],
        day=[datetime.date(2024, 2, 29), None, None],
        price=[decimal.Decimal("1.50"), None, None],
        share=[float("nan"), 0.5, None],
        tags=[["a", "b"], [], None],
        query=["why?", None, None],
    )
    corpus = Corpus.open(path)
    nothing = {"day": None, "price": None}
    assert contents(corpus) == [
        ("7", "T. one", {"title": "T", "day": "2024-02-29", "price": 1.5, "share": None, "tags": ["a", "b"]}),
        ("8", "two", nothing | {"share": 0.5, "tags": []}),
    ]
    assert list(corpus.pairs()) == [("why?", "7")]


def test_values_of_parquet_are_those_of_documents_in_memory(parquet):
    """Times with a zone are in UTC, so that texts order as the instants do."""
    arrow = pytest.importorskip("pyarrow")
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    when = datetime.datetime(2024, 5, 1, 1, 30, tzinfo=zone)
    metadata = {
        "when": when,
        "plain": datetime.datetime(2024, 5, 1, 1, 30),
        "clock": datetime.time(1, 30),
        "price": decimal.Decimal("1.50"),
        "whole": decimal.Decimal("20"),
        "inside": [{"when": when}],
    }
    inside = arrow.list_(arrow.struct([("when", arrow.timestamp("us", "+05:30"))]))
    columns = {name: [value] for name, value in metadata.items()}
    columns["inside"] = arrow.array(columns["inside"], inside)
    # The year 10000, which Python does not have.
    late = arrow.array([253_402_300_800_000], arrow.timestamp("ms", "+05:30"))
    ((_, _, found),) = contents(Corpus.open(parquet(text=["one"], late=late, **columns)))
    assert found.pop("late") == "10000-01-01T00:00:00.000+00:00"
    assert found == json_values(metadata)
    assert found["when"] == "2024-04-30T20:00:00+00:00"
    assert (found["price"], found["whole"]) == (1.5, 20)


def test_ids_of_parquet_with_gaps(parquet):
    """Arrow and pandas make floats of them."""
    found = contents(Corpus.open(parquet(id=[1.0, None, float("nan"), 12.0], text=["a", "b", "c", "d"])))
    assert [id for id, _, _ in found] == ["1", "2", "3", "12"]


def test_batches_of_parquet_are_small_where_a_value_may_be_repeated(parquet, monkeypatch):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import ParquetFile

    def sizes(**columns):
        path = parquet(**columns)
        with ParquetFile(path) as file:
            return [len(batch) for batch in reader._batches(path, file)]

    monkeypatch.setattr(reader, "BATCH_BYTES", 250_000)
    # One value of 100 kB for all 150 rows in two row groups: two rows at a time; ten bytes are no limit.
    assert sizes(text=arrow.array(["x" * 100_000] * 150).dictionary_encode()) == [2] * 75
    assert sizes(text=["x" * 10] * 150) == [100, 50]
    assert sizes(text=["x" * 300_000] * 3) == [1] * 3


def test_parquet_is_read_in_batches(parquet):
    corpus = Corpus.open(parquet(body=[f"text {i}" for i in range(1000)]))
    assert [d.id for d in corpus.documents()] == [str(i) for i in range(1, 1001)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": ["x"], "b": ["y"]}, "has no text column, only a, b"),
        ({"text": [1, 2]}, "row 1: text is a int, expected a string"),
        ({"text": ["x", "y"], "raw": [None, b"bytes"]}, "row 2: the column raw holds bytes"),
        ({"id": ["k", "k"], "text": ["x", "y"]}, "two documents have the id 'k'"),
        ({"text": ["x"], "": ["y"], " ": ["z"]}, r"a\.parquet has 2 columns without a name \(text, , \): name them"),
        (
            {"text": ["x"], "n": [decimal.Decimal("0.12345678901234567890")]},
            r"row 1: the column n holds 0\.12345678901234567890, which no number of JSON is: make it text",
        ),
        ({"text": ["x"], "n": [decimal.Decimal(2**70)]}, "row 1: the column n holds 1180591620717411303424"),
    ],
)
def test_parquet_that_cannot_be_used(parquet, columns, message):
    with pytest.raises(DataError, match=message):
        contents(Corpus.open(parquet(**columns)))


def test_damaged_parquet(parquet):
    path = parquet(text=["x" * 100] * 100)
    whole = path.read_bytes()
    for data in (b"", b"PAR1", whole[:-20], whole[:10] + b"\xff" * 40 + whole[50:]):
        path.write_bytes(data)
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            contents(Corpus.open(path))


def test_parquet_with_any_one_byte_damaged(parquet, tmp_path):
    """In another process, which a C++ exception of the metadata would end."""
    whole = parquet(id=["a", "b"], text=["moon", "é"], n=[1, 2]).read_bytes()
    (tmp_path / "whole").write_bytes(whole)
    code = """
import pathlib, sys
from steersearch.corpus import Corpus
from steersearch.errors import DataError
folder = pathlib.Path(sys.argv[1])
whole, path, refused = (folder / "whole").read_bytes(), folder / "a.parquet", 0
for at in range(len(whole)):
    for bit in (1, 2, 64):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        try:
            list(Corpus.open(path).documents())
        except DataError:
            refused += 1
assert refused > len(whole), (refused, len(whole))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def loaded(text, id=None, **metadata):
    return SimpleNamespace(page_content=text, id=id, metadata=metadata)


def test_documents_of_langchain():
    documents = [
        loaded("one", source="a.pdf", page=0),
        loaded("two", "own"),
        loaded("three", source="a.pdf", page=1),
        loaded("four", source="b.md"),
        loaded("five", year=1),
    ]
    corpus = Corpus.open(documents)
    found = contents(corpus)
    assert found == contents(corpus)
    # Of the content, so that they are the same in every call: 16 digits behind the source, or 32 alone.
    assert [id.partition("#")[0] for id, _, _ in found[:4]] == ["a.pdf", "own", "a.pdf", "b.md"]
    assert [len(id) for id, _, _ in found] == [5 + 17, 3, 5 + 17, 4 + 17, 32]
    assert found[2][1:] == ("three", {"source": "a.pdf", "page": 1})
    with pytest.raises(DataError, match="item 1 of the texts is a int"):
        contents(Corpus.open([documents[0], 3]))
