import datetime
import decimal
from types import SimpleNamespace

import pytest

from steersearch.corpus import Corpus
from steersearch.errors import DataError


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
