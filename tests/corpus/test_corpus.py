import codecs
import csv
import gc
import gzip
import json
import logging
import os
import tracemalloc
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersearch.corpus import Corpus, Document, read_pairs, read_qrels, read_queries
from steersearch.errors import DataError


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(path: Path, *records: object) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


def contents(corpus: Corpus) -> list[tuple[str, str]]:
    return [(document.id, document.text) for document in corpus.documents()]


def message_of(read: object, *arguments: object) -> str:
    with pytest.raises(DataError) as caught:
        list(read(*arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["docs.jsonl", "docs.jsonl.gz", "DOCS.JSONL"])
def test_jsonl(tmp_path, name):
    path = jsonl(
        tmp_path / name,
        {"_id": "a", "title": "Sun", "text": "It shines."},
        {"id": 7, "title": "", "text": "No title.", "query": "what has none?"},
        {"text": "No id.", "title": None},
        {"_id": "t", "title": "Only a title", "text": ""},
    )
    corpus = Corpus.open(path)
    expected = [("a", "Sun. It shines."), ("7", "No title."), ("3", "No id."), ("t", "Only a title")]
    assert contents(corpus) == expected
    assert contents(corpus) == expected  # a second pass reads again
    assert [document.id for document in corpus] == ["a", "7", "3", "t"]
    assert len(corpus) == 4
    assert corpus.name.lower() == "docs"
    assert list(corpus.pairs()) == [("what has none?", "7")]
    assert Corpus.open(corpus) is corpus


def test_csv_with_header_quotes_and_large_fields(tmp_path):
    long = "word " * 40_000  # 200,000 characters, the csv module's own limit is 131,072
    table = f'\ufeffID,Title,Text,query\nx,"Sun, moon","two\nlines",why?\n,,"{long}",\n'
    for name in ("a.csv", "a.csv.gz"):
        corpus = Corpus.open(write(tmp_path / name, table))
        assert contents(corpus) == [("x", "Sun, moon. two\nlines"), ("4", long)]  # the record ends in line 4
        assert list(corpus.pairs()) == [("why?", "x")]
    assert csv.field_size_limit() > 131_072


def test_csv_with_one_column_and_blank_rows(tmp_path):
    corpus = Corpus.open(write(tmp_path / "a.csv", "abstract\r\nfirst\r\n\r\nsecond\r\n"))
    assert contents(corpus) == [("2", "first"), ("4", "second")]


def test_txt_has_one_document_per_line(tmp_path, caplog):
    corpus = Corpus.open(write(tmp_path / "a.txt.gz", codecs.BOM_UTF8 + "één\r\n\n  \nzwei\u2028\n".encode()))
    with caplog.at_level(logging.WARNING):
        assert contents(corpus) == [("1", "één"), ("4", "zwei")]
        assert len(corpus) == 2
    assert [record.getMessage() for record in caplog.records] == ["a: 2 blank documents are left out, 2 are used"]


def test_folder_has_one_document_per_file(tmp_path):
    write(tmp_path / "notes" / "b.md", "# B\n\ntext\n")
    write(tmp_path / "notes" / "a" / "z.TXT", codecs.BOM_UTF8 + b"zed")
    write(tmp_path / "notes" / "picture.png", b"\x89PNG")
    corpus = Corpus.open(tmp_path / "notes")
    assert contents(corpus) == [("a/z.TXT", "zed"), ("b.md", "# B\n\ntext")]
    assert corpus.name == "notes"


def test_sequence(tmp_path):
    corpus = Corpus.open(["one", " ", "two"])
    assert contents(corpus) == [("0", "one"), ("2", "two")]
    assert list(corpus.texts()) == ["one", "two"]
    assert list(corpus.pairs()) == []
    assert "item 1 of the texts is a int" in message_of(Corpus.open(["one", 2]).documents)


def test_made_up_ids_and_the_origin(tmp_path, monkeypatch):
    """Positions and paths are not the source's own ids; the origin is the same however the source is named."""

    def made_up(source: object) -> list[bool]:
        return [document.made_up for document in Corpus.open(source)]

    assert made_up(write(tmp_path / "lines.txt", "one\ntwo\n")) == [True, True]
    assert made_up(jsonl(tmp_path / "d.jsonl", {"text": "one"}, {"_id": "0", "text": "two"})) == [True, False]
    assert made_up(write(tmp_path / "d.csv", "id,text\n7,one\n,two\n")) == [False, True]
    assert made_up(write(tmp_path / "f" / "a.md", "one")) == [True]
    assert made_up(tmp_path / "f") == [True]
    assert made_up(["one"]) == [True]
    assert not Corpus.from_documents("m", [Document("a", "one")]).origin
    (tmp_path / "link").symlink_to(tmp_path / "f")
    monkeypatch.chdir(tmp_path)
    for name in ("f", "link", "./f/../f", tmp_path / "f"):
        assert Corpus.open(name).with_pairs([]).origin == str(tmp_path.resolve() / "f")


@pytest.fixture
def beir(tmp_path) -> Path:
    folder = tmp_path / "set"
    jsonl(folder / "corpus.jsonl.gz", {"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"})
    jsonl(folder / "queries.jsonl", {"_id": "q1", "text": "first?"}, {"_id": "q2", "text": "second?"})
    write(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td1\t0\nq2\td1\t2\n")
    write(folder / "qrels" / "test.tsv", b"\xff never opened")
    return folder


def test_beir_folder(beir):
    corpus = Corpus.open(beir)
    assert contents(corpus) == [("d1", "T. one"), ("d2", "two")]
    assert list(corpus.pairs()) == list(corpus.pairs()) == [("first?", "d2"), ("second?", "d1")]
    assert corpus.name == "set"
    assert read_queries(beir) == {"q1": "first?", "q2": "second?"}
    assert read_qrels(beir, "train") == {"q1": {"d2": 1, "d1": 0}, "q2": {"d1": 2}}


def test_beir_folder_with_test_judgments_only_has_no_pairs(beir):
    (beir / "qrels" / "train.tsv").unlink()
    assert list(Corpus.open(beir).pairs()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("q9\td1\t1", "names the query 'q9'"),
        ("q1\td1", "line 2 has 2 columns, expected 3"),
        ("q1\td1\tyes", "score 'yes' is not a whole number"),
        ("q1\tnowhere\t1", "1 pair(s) name a document that is missing or blank, first 'nowhere'"),
    ],
)
def test_bad_judgments(beir, line, expected):
    write(beir / "qrels" / "train.tsv", f"query-id\tcorpus-id\tscore\n{line}\n")
    assert expected in message_of(Corpus.open(beir).pairs)


def test_beir_folder_without_queries(beir):
    (beir / "queries.jsonl").unlink()
    assert "no queries.jsonl[.gz]" in message_of(Corpus.open(beir).pairs)
    assert "qrels/dev.tsv does not exist" in message_of(read_qrels, beir, "dev")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.jsonl.gz", '{"query": "a b", "id": 1}\n{"query": "c", "_id": "x"}\n'),
        ("p.csv", "id,query\n1,a b\nx,c\n"),
        ("p.tsv", "query\tid\na b\t1\nc\tx\n"),
        ("p.tsv", "a b\t1\nc\tx\n"),
    ],
)
def test_pairs_of_their_own(tmp_path, name, content):
    path = write(tmp_path / name, content)
    assert read_pairs(path) == [("a b", "1"), ("c", "x")]
    corpus = Corpus.from_documents("two", [Document("1", "one"), Document("x", "ex")])
    assert list(corpus.pairs()) == []
    assert list(corpus.with_pairs(path).pairs()) == [("a b", "1"), ("c", "x")]
    unknown = corpus.with_pairs([("q", "y"), ("q", "z"), ("q", "1")])
    assert "2 pair(s) name a document that is missing or blank, first 'y': the corpus has 2" in message_of(
        unknown.pairs
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.json", "{}", "expected .jsonl, .tsv or .csv"),
        ("p.csv", "question,id\na,1\n", "has the columns question, id: expected query and id"),
        ("p.tsv", "a\t1\nb\n", "line 2 has 1 fields, expected 2"),
        ("p.tsv", "", "is empty"),
        ("p.jsonl", '{"query": "a"}', "line 1 has no id"),
        ("p.jsonl", '{"id": "a", "query": " "}', "line 1 has no query"),
    ],
)
def test_bad_pairs(tmp_path, name, content, expected):
    assert expected in message_of(read_pairs, write(tmp_path / name, content))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text": \n', "line 2 is not JSON"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("a.jsonl", '["text"]\n', "line 1 is a JSON list: expected an object"),
        ("a.jsonl", '{"text": "x"}\n\n{"body": "y"}\n', "line 3 has no text: it has body"),
        ("a.jsonl", '{"text": ["x"]}\n', "line 1: text is a list, expected a string"),
        ("a.jsonl", '{"id": "k", "text": "x"}\n{"id": "k", "text": "y"}\n', "two documents have the id 'k'"),
        ("a.jsonl", '{"text": " "}\n', "is empty (1 blank documents)"),
        ("a.jsonl", "", "is empty"),
        ("a.txt", "\n\n", "is empty (2 blank documents)"),
        ("a.txt", b"fine\n\xff\xfe", "line 2: byte 0xff is not UTF-8"),
        ("a.csv", "", "is empty: expected a header"),
        ("a.csv", "id,body,note\n1,x,y\n", "has no text column, only id, body, note"),
        ("a.csv", "id;text\n1;x\n", "is not separated by commas"),
        ("a.csv", 'id,text\n1,"never closed\n2,x\n', "line 3: unexpected end of data"),
        ("a.csv", "id,text\n1,Hello, world\n", "line 2 has 3 fields, expected 2 (id, text)"),
    ],
)
def test_bad_documents(tmp_path, name, content, expected):
    corpus = Corpus.open(write(tmp_path / name, content))
    assert expected in message_of(corpus.documents)
    if content:
        assert expected in message_of(corpus.pairs)


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(b'{"text": "a document"}\n' * 1000)
    for content in (whole[:-20], b"no gzip at all", whole[:30] + b"\0\0\0\0" + whole[34:]):
        (tmp_path / "a.jsonl.gz").write_bytes(content)
        assert "the gzip stream is damaged" in message_of(Corpus.open(tmp_path / "a.jsonl.gz").documents)


@pytest.mark.parametrize("name", ["a.json", "a.parquet.gz", "a.pdf.gz", "README", "jsonl"])
def test_unknown_kind_of_file(tmp_path, name):
    assert "expected .jsonl, .csv, .parquet, .txt" in message_of(Corpus.open, write(tmp_path / name, "x"))


def test_missing_path_and_folder_without_documents(tmp_path):
    assert "does not exist" in message_of(Corpus.open, tmp_path / "nowhere.jsonl")
    assert "holds no corpus" in message_of(Corpus.open, tmp_path)
    corpus = Corpus.open(write(tmp_path / "a.txt", "x"))
    (tmp_path / "a.txt").unlink()
    assert "does not exist" in message_of(corpus.documents)


def test_half_surrogates_are_replaced(tmp_path):
    corpus = Corpus.open(write(tmp_path / "a.jsonl", '{"text": "cut \\ud83d off", "query": "\\ud83d"}\n'))
    assert contents(corpus) == [("1", "cut ? off")]
    assert list(corpus.pairs()) == [("?", "1")]
    record = {"_id": "\ud83d", "title": "\ud83d", "text": "x", "\ud83d": ["\ude00"], "metadata": {"a": {"b": "\ud83d"}}}
    corpus = Corpus.open(jsonl(tmp_path / "a.jsonl", record, {"_id": "\ude00", "text": "y"}))
    first, second = corpus.documents()
    # Ids and keys are written out, so that different ones stay different.
    assert (first.id, second.id) == (r"\ud83d", r"\ude00")
    assert first.text == "?. x"
    assert first.metadata == {"title": "?", r"\ud83d": ["?"], "a": {"b": "?"}}
    assert list(corpus.with_pairs([("why", "\ud83d")]).pairs()) == [("why", r"\ud83d")]


def test_a_pass_does_not_hold_the_documents(tmp_path):
    path = tmp_path / "big.jsonl.gz"
    with gzip.open(path, "wt") as file:
        for number in range(2000):
            file.write(json.dumps({"id": number, "text": f"{number} " * 2000}) + "\n")  # about 20 MB
    corpus = Corpus.open(path)
    tracemalloc.start()
    assert sum(1 for _ in corpus.documents()) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


@given(st.lists(st.tuples(st.text(max_size=5), st.text()), max_size=5))
def test_jsonl_keeps_every_text(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    jsonl(path, *({"_id": f"d{number}", "title": title, "text": text} for number, (title, text) in enumerate(rows)))
    expected = [
        f"{title}. {text}" if title.strip() and text.strip() else text if text.strip() else title
        for title, text in rows
    ]
    if any(text.strip() for text in expected):
        assert [text for _, text in contents(Corpus.open(path))] == [text for text in expected if text.strip()]
    else:
        assert "is empty" in message_of(Corpus.open(path).documents)


def test_other_fields_are_metadata(tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_text(
        '{"_id": "a", "title": "T", "text": "one", "year": 2024, "metadata": {"tags": ["x"]}, "query": "q"}\n'
        '{"id": "b", "text": "two"}\n'
    )
    first, second = Corpus.open(path).documents()
    assert first.metadata == {"title": "T", "year": 2024, "tags": ["x"]}
    assert second.metadata == {}


def test_numbers_in_a_table_become_numbers_where_nothing_is_lost(tmp_path):
    path = tmp_path / "docs.csv"
    path.write_text("id,text,year,price,code,empty\n1,one,2024,-1.5,007,\n")
    assert next(Corpus.open(path).documents()).metadata == {"year": 2024, "price": -1.5, "code": "007"}


def test_a_pass_that_is_given_up_leaves_no_open_file(tmp_path):
    """Also when the garbage collector finds the pass in a cycle, as it does after an exception."""
    path = tmp_path / "docs.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two"}\n')
    for _ in range(20):
        documents = Corpus.open(path).documents()
        next(documents)
        cycle = [documents]
        cycle.append(cycle)
        del documents, cycle
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert not caught
    folder = Path("/proc/self/fd")
    if folder.exists():
        assert str(path) not in [os.path.realpath(entry) for entry in folder.iterdir()]
