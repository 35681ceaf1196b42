"""Names and types of columns: nothing is renamed, nothing replaced, and a number is one that prints back the same."""

import datetime
import json
import time

import pytest

from steersearch.corpus import Corpus, read_pairs
from steersearch.errors import DataError


def documents(path, content, column=None):
    path.write_text(content)
    return [(d.id, d.text, d.metadata) for d in Corpus.open(path, text_column=column).documents()]


def refusal(path, content, column=None):
    with pytest.raises(DataError) as caught:
        documents(path, content, column)
    return str(caught.value)


def column(tmp_path, *cells, name="x"):
    lines = "".join(f'"word","{cell}"\n' for cell in cells)
    return [metadata.get(name, "left out") for _, _, metadata in documents(tmp_path / "a.csv", f"text,{name}\n{lines}")]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1", "2", "-3", ""), [1, 2, -3, "left out"]),
        (("1", "2.5"), [1, 2.5]),
        (("3.9", "3.10"), ["3.9", "3.10"]),
        (("01067", "10115"), ["01067", "10115"]),
        (("1", "two"), ["1", "two"]),
        (("1e5", "2"), ["1e5", "2"]),
        (("1", " 2"), ["1", " 2"]),
        (("0.1", "0.30000000000000004"), [0.1, 0.30000000000000004]),
        (("1", "9" * 18), [1, 10**18 - 1]),
        (("1", "9" * 19), ["1", "9" * 19]),
        (("1", "NaN", "-inf"), [1, None, None]),
        (("NaN", "nan"), ["NaN", "nan"]),
    ],
)
def test_a_column_has_one_type(tmp_path, cells, expected):
    found = column(tmp_path, *cells)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize("name", ["title", "Title", "query", "ID", "_id"])
def test_titles_ids_and_queries_are_never_numbers(tmp_path, name):
    (_, text, metadata), *_ = documents(tmp_path / "a.csv", f"text,{name}\nword,1984\n")
    assert metadata == ({name: "1984"} if name.lower() == "title" else {})
    assert text == ("1984. word" if name.lower() == "title" else "word")


def test_types_are_those_of_the_file_as_it_is_now(tmp_path):
    """They are remembered from pass to pass, and not beyond a change of the file."""
    assert column(tmp_path, "1", "2") == [1, 2]
    assert column(tmp_path, "1", "x") == ["1", "x"]


def test_names_are_kept(tmp_path):
    content = "ID,Text,Year,year, two words \n7,one,2024,x,y\n"
    expected = [("7", "one", {"Year": 2024, "year": "x", "two words": "y"})]
    assert documents(tmp_path / "a.csv", content) == expected
    assert documents(tmp_path / "a.csv", "\ufefftext,,note\none,0,x\n") == [("2", "one", {"": 0, "note": "x"})]
    assert documents(tmp_path / "a.csv", "text,,\none,,\n") == [("2", "one", {})]


def test_another_text_leaves_the_column_called_text(tmp_path):
    assert documents(tmp_path / "a.csv", "id,text,body\n1,5,one\n", "body") == [("1", "one", {"text": "5"})]
    record = {"id": 1, "text": "5", "body": "one", "title": "T"}
    assert documents(tmp_path / "a.jsonl", json.dumps(record), "body") == [("1", "T. one", {"text": "5", "title": "T"})]
    # A title that is the text is not joined to itself.
    assert documents(tmp_path / "a.csv", "id,text,title\n1,5,T\n", "Title") == [("1", "T", {"text": "5"})]


@pytest.mark.parametrize(
    ("header", "chosen", "message"),
    [
        ("id,text,Text", None, "has the columns text and Text, which are both its text: choose with --text-column"),
        ("text,tag,tag", None, "has two columns 'tag' (text, tag, tag): rename one"),
        ("text,tag, tag", None, "has two columns 'tag'"),
        ("text,id,ID", None, "has the columns id and ID, which are both its id: rename one"),
        ("text,Title,TITLE", None, "has the columns Title and TITLE, which are both its title"),
        ("a,Body,BODY", "body", "has the columns Body and BODY, which are both its body"),
        ("text,,", None, "line 2 has a cell in a column without a name (text, , )"),
    ],
)
def test_columns_that_would_become_one(tmp_path, header, chosen, message):
    assert message in refusal(tmp_path / "a.csv", f"{header}\none,two,three\n", chosen)


def test_a_chosen_column_may_have_a_twin(tmp_path):
    assert documents(tmp_path / "a.csv", "id,text,Text\n1,one,two\n", "Text") == [("1", "two", {"text": "one"})]
    assert documents(tmp_path / "a.csv", "id,text,Text\n1,one,two\n", "text") == [("1", "one", {"Text": "two"})]


def test_two_ids(tmp_path):
    """`_id` is the id where it is there; the other one is kept, unless it says the same."""
    assert documents(tmp_path / "a.jsonl", '{"_id": "a", "id": 7, "text": "x"}') == [("a", "x", {"id": 7})]
    assert documents(tmp_path / "a.jsonl", '{"_id": "7", "id": 7, "text": "x"}') == [("7", "x", {})]
    assert documents(tmp_path / "a.jsonl", '{"_id": null, "id": 7, "text": "x"}') == [("7", "x", {})]
    assert documents(tmp_path / "a.csv", "_id,id,text\na,7,x\n,8,y\n") == [("a", "x", {"id": "7"}), ("8", "y", {})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "x", "year": 1, "metadata": {"year": 2}}', "line 1 has 'year' twice, in its metadata and beside it"),
        ('{"text": "x", "year": 1, "year": 2}', "line 1 is not JSON (the key 'year' occurs twice)"),
        ('{"text": "x", "a": {"b": 1, "b": 2}}', "line 1 is not JSON (the key 'b' occurs twice)"),
        ('{"text": "x", "id": ["a"]}', "line 1: id is a list, expected a string or a number"),
        ('{"text": "x", "id": true}', "line 1: id is a bool, expected a string or a number"),
        ('{"text": "x", "title": ["a"]}', "line 1: title is a list, expected a string"),
    ],
)
def test_what_a_json_object_may_not_have(tmp_path, line, message):
    assert message in refusal(tmp_path / "a.jsonl", line)


def test_json_keeps_its_types(tmp_path):
    lines = '{"text": "x", "a": 1, "title": 1984}\n{"text": "y", "a": "1", "b": NaN, "c": [1e999]}\n{"text": null}\n'
    assert documents(tmp_path / "a.jsonl", lines) == [
        ("1", "1984. x", {"a": 1, "title": "1984"}),
        ("2", "y", {"a": "1", "b": None, "c": [None]}),
    ]


def test_pairs_name_their_columns_in_any_case(tmp_path):
    (tmp_path / "p.csv").write_text("Query,_ID,Year,year\nwhy?,a,1,2\n")
    assert read_pairs(tmp_path / "p.csv") == [("why?", "a")]
    (tmp_path / "p.csv").write_text("query,Query,id\nwhy?,who?,a\n")
    with pytest.raises(DataError, match="has the columns query and Query, which are both its query"):
        read_pairs(tmp_path / "p.csv")


def test_times_that_python_does_not_have(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow.parquet import write_table

    late, day = 253_402_300_800_000, datetime.date(2024, 2, 29)
    table = arrow.table(
        {
            "text": ["one", "two"],
            "Seen": arrow.array([late, 0], arrow.timestamp("ms")),
            "day": arrow.array([day, None], arrow.date32()),
            "inside": arrow.array([[{"a": late}], []], arrow.list_(arrow.struct([("a", arrow.timestamp("ms"))]))),
        }
    )
    write_table(table, tmp_path / "a.parquet")
    first, second = Corpus.open(tmp_path / "a.parquet").documents()
    assert first.metadata == {
        "Seen": "10000-01-01T00:00:00.000",
        "day": "2024-02-29",
        "inside": [{"a": "10000-01-01T00:00:00.000"}],
    }
    assert second.metadata == {"Seen": "1970-01-01T00:00:00", "day": None, "inside": []}
    write_table(table.rename_columns(["text", "a", "a", "b"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has two columns 'a' \(text, a, a, b\)"):
        list(Corpus.open(tmp_path / "a.parquet").documents())


def test_100_000_columns_take_no_time(tmp_path):
    names = [f"c{number}" for number in range(100_000)]
    header, cells = ",".join(["text", *names]), ",".join(["one"] * 100_001)
    start = time.process_time()
    ((_, _, metadata),) = documents(tmp_path / "a.csv", f"{header}\n{cells}\n")
    assert len(metadata) == 100_000
    assert len(refusal(tmp_path / "a.csv", f"{header},c99999\n{cells},two\n")) < 1000
    record = ", ".join(f'"{name}": 1' for name in [*names, "c99999"])
    assert "the key 'c99999' occurs twice" in refusal(tmp_path / "a.jsonl", f'{{"text": "x", {record}}}')
    # 0.5 s; with a search among the names before each it was 100 s.
    assert time.process_time() - start < 5


def test_a_message_names_the_first_columns(tmp_path):
    header = ",".join(f"c{number}" for number in range(25))
    said = refusal(tmp_path / "a.csv", f"{header}\n{header}\n")
    assert "c18, c19, and 5 more: name one text" in said


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_the_line_of_excel_that_names_the_separator(tmp_path, separator, quote):
    header = separator.join(["id", "text", "n"])
    row = separator.join(["a", '"one, two; three"', "5"])
    content = f"\ufeff{quote}sep={separator}{quote}\r\n{header}\r\n{row}\r\n"
    assert documents(tmp_path / "a.csv", content) == [("a", "one, two; three", {"n": 5})]
    # Lines keep their numbers.
    said = refusal(tmp_path / "a.csv", f"{content}b{separator}two\n")
    assert "a.csv, line 4 has 2 fields, expected 3 (id, text, n)" in said


def test_other_first_lines_are_headers(tmp_path):
    assert documents(tmp_path / "a.csv", "sep=x\nsep=;\n") == [("2", "sep=;", {})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\ra,one\rb,two\r", "line 1: a cell without quotes holds a carriage return: save the table with LF"),
        ('id,text\na,"one\n', "line 2: unexpected end of data: close the quotes of its last cell"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_in_our_words(tmp_path, content, message):
    assert message in refusal(tmp_path / "a.csv", content)


@pytest.mark.parametrize(("id", "text"), [("1.0", "1"), ("-0.0", "0"), ("1.5", "1.5"), ("1e300", "1e+300")])
def test_an_id_that_is_a_whole_float_is_an_integer(tmp_path, id, text):
    assert [found for found, _, _ in documents(tmp_path / "a.jsonl", f'{{"id": {id}, "text": "x"}}')] == [text]


def test_an_id_that_no_float_holds(tmp_path):
    said = refusal(tmp_path / "a.jsonl", '{"id": 1e400, "text": "x"}')
    assert said.endswith("line 1: id is a number that no float holds: write it as a string")


def test_lines_of_a_text_file_end_with_cr_lf_or_both(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\rtwo\r\nthree\r\r\nfour\n\rsix")
    found = [(d.id, d.text) for d in Corpus.open(tmp_path / "a.txt").documents()]
    assert found == [("1", "one"), ("2", "two"), ("3", "three"), ("4", "four"), ("6", "six")]
