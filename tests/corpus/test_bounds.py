"""What is too large is named and left out; the rest of its source is read, in bounded memory."""

import gzip
import json
import os
import tracemalloc
from collections import deque
from itertools import islice

import pytest

from steersearch.corpus import Corpus, documents, lines, tables
from steersearch.errors import DataError

from .making import pdf


@pytest.fixture
def small(monkeypatch):
    """The bounds of a document, a line and a file, small enough for a test."""
    monkeypatch.setattr(documents, "MAX_TEXT", 100)
    monkeypatch.setattr(lines, "MAX_FILE", 1000)
    for module in (lines, tables):
        monkeypatch.setattr(module, "MAX_LINE", 500)
    monkeypatch.setattr(lines, "_PIECE", 7)
    monkeypatch.setattr(lines, "_LEAST_LINE", 1)


def read(path, content):
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    corpus = Corpus.open(path)
    found = [(document.id, document.text) for document in corpus.documents()]
    assert corpus.positions == len(found) + len(corpus.problems)
    return found, corpus.problems


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_long_lines(tmp_path, small, suffix):
    rows = [{"id": "a", "text": "one"}, {"id": "b", "text": "é" * 101}, {"id": "c", "text": "é" * 900}]
    jsonl = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*rows, {"id": "d", "text": "two"}])
    found, problems = read(tmp_path / f"a.jsonl{suffix}", jsonl)
    assert found == [("a", "one"), ("d", "two")]
    assert problems["b"] == "b has 101 characters, more than 100: cut it into several documents"
    assert "line 3 is longer than" in problems["3"]
    assert read(tmp_path / f"a.txt{suffix}", "one\n" + "x" * 900 + "\ntwo")[0] == [("1", "one"), ("3", "two")]
    assert read(tmp_path / f"a.txt{suffix}", "one\n" + "x" * 900)[0] == [("1", "one")]


@pytest.mark.parametrize(
    "cell",
    [
        "x" * 900,
        '"' + "x" * 900 + '"',
        '"' + "x, y\n" * 200 + '"',
        '"' + 'x""y, ' * 200 + '"',
        '"' + "x" * 600 + '\n\n"",' + "y" * 600 + '"',
        '"' + 'x""y, \n' * 200 + '"',
        "x" * 400 + "," + "y" * 400,
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_long_records_of_a_table_end_where_they_end(tmp_path, small, cell, suffix):
    """Their quotes and line ends count, although their text is not held."""
    found, problems = read(tmp_path / f"a.csv{suffix}", f'id,text\n1,one\n2,{cell}\n3,"two\nlines"\n')
    assert found == [("1", "one"), ("3", "two\nlines")]
    (problem,) = problems.values()
    assert "is longer than" in problem


def test_a_quote_that_is_never_closed(tmp_path, small):
    with pytest.raises(DataError, match="unexpected end of data"):
        read(tmp_path / "a.csv", 'id,text\n1,one\n2,"' + "x,y\n" * 2000)


def test_large_files(tmp_path, small):
    pytest.importorskip("selectolax", reason="needs the extra files")
    for name, content in {"a.txt": "x" * 101, "b.md": "x" * 1001, "c.html": "<p>" * 300 + "x", "d.txt": "fine"}.items():
        (tmp_path / name).write_text(content)
    corpus = Corpus.open(tmp_path)
    assert [document.id for document in corpus.documents()] == ["c.html", "d.txt"]
    assert corpus.problems["a.txt"].startswith("a.txt has 101 characters, more than 100")
    assert "b.md is larger than" in corpus.problems["b.md"]


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz", "a.csv.gz"])
def test_gzip_bombs(tmp_path, small, name):
    (tmp_path / name).write_bytes(gzip.compress(b'text\n"x"\n' + b"\n" * 1_000_000))
    with pytest.raises(DataError, match=r"unpacks to more than 200 times its size|is not JSON"):
        list(Corpus.open(tmp_path / name).documents())


def test_packed_blank_lines_are_refused_while_they_are_unpacked(tmp_path, monkeypatch):
    """Each line takes time, so 4 MB of blank ones count as 256 MB, and what comes behind them is not reached."""
    path = tmp_path / "a.txt.gz"
    noise = os.urandom(1 << 20).hex().encode()
    path.write_bytes(gzip.compress(b"\n" * (4 << 20)) + gzip.compress(noise))
    with pytest.raises(DataError, match=r"a\.txt\.gz unpacks to more than 200 times its size: unpack it first"):
        deque(lines.read_lines(path), maxlen=0)
    assert len(list(islice(lines.read_lines(path), 1 << 20))) == 1 << 20
    # Short lines of text are no bomb.
    monkeypatch.setattr(lines, "MAX_LINE", 500)
    path.write_bytes(gzip.compress(b"".join(b"%d\n" % (n * n % 7919) for n in range(5000))))
    assert len(list(lines.read_lines(path))) == 5000


def test_parquet_bombs(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow.parquet import write_table

    path = tmp_path / "a.parquet"
    write_table(arrow.table({"text": ["x" * 70_000_000]}), path, compression="zstd")
    with pytest.raises(DataError, match=r"a\.parquet unpacks to more than 200 times its size: write it without"):
        list(Corpus.open(path).documents())


def test_the_text_of_a_pdf_is_bounded(tmp_path, monkeypatch):
    pytest.importorskip("pypdf", reason="needs the extra files")
    from steersearch.corpus import pdf as reader

    monkeypatch.setattr(reader, "MAX_TEXT", 20)
    (tmp_path / "a.pdf").write_bytes(pdf("twelve chars", "twelve chars", "not read"))
    with pytest.raises(DataError, match=r"a\.pdf has more than 20 characters on its first 2 pages: cut it"):
        list(Corpus.open(tmp_path / "a.pdf").documents())


def test_a_long_line_is_not_held(tmp_path, monkeypatch):
    for module in (lines, tables):
        monkeypatch.setattr(module, "MAX_LINE", 1 << 16)
    path = tmp_path / "a.csv"
    # 1.5 MB, which takes twice as much as a string with its record.
    path.write_text('id,text\n1,"' + "word, and word\n" * 100_000 + '"\n2,two\n')
    list(Corpus.open(path).documents())
    tracemalloc.start()
    try:
        assert [document.id for document in Corpus.open(path).documents()] == ["2"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_bytes_of_a_long_line_that_are_not_utf8(tmp_path, small):
    for tail in (b"\xff", "é".encode()[:1]):
        with pytest.raises(DataError, match=r"line 2: byte 0x.. is not UTF-8"):
            read(tmp_path / "a.txt", b"one\n" + b"x" * 900 + tail)
