"""Rows of the table: documents, files of rows, ids, and documents in memory."""

from __future__ import annotations

import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .hostile import SLOW, anything, error, gives, gives_or_error, holds, row
from .hostile_inputs import (
    GOOD,
    gzip_bomb,
    index_folder,
    indexed,
    metadata_of,
    named,
    new_index,
    parquet,
    read_or_named,
    rows_of,
    with_files,
    with_index,
)

MB = 10**6

# Documents. A file in a folder is read in time, or it is named at the end; the file beside it is always there.


def document(name: str, file: str, content: bytes | str, *marks: str, **limits: Any) -> None:
    row(f"document: {name}", indexed(file, content), holds(read_or_named(file)), *marks, **limits)


document("one word of 20 MB", "a.txt", "x" * 20 * MB, SLOW, seconds=4)
document("5 MB of dots", "a.txt", "." * 5 * MB, SLOW, seconds=8)
document("5 MB of spaces and a word", "a.txt", " " * MB + "moon", SLOW)
document("400 KB of one character per line", "a.txt", "a\n" * (MB // 5), SLOW, seconds=8)
document("1 MB of combining marks", "a.txt", "e" + "\u0301" * (MB // 8), SLOW)
document("50,000 soft hyphens", "a.txt", "mo\u00adon " * 50_000, SLOW, seconds=8)
document("open brackets in Markdown", "a.md", "[" * (MB // 4), SLOW)
document("brackets of links in Markdown", "a.md", "[a](" * (MB // 8), SLOW, seconds=8)
document("nested lists in Markdown", "a.md", "".join("  " * n + "- a\n" for n in range(600)), SLOW)
document("nested quotes in Markdown", "a.md", ">" * (MB // 4) + " a", SLOW)
document("stars in Markdown", "a.md", "*a **b " * (MB // 14), SLOW, seconds=8)
document("backticks in Markdown", "a.md", "".join("`" * n + " " for n in range(700)), SLOW)
document("a heading of hashes in Markdown", "a.md", "# " * (MB // 10), SLOW, seconds=6)
document("100,000 headings in Markdown", "a.md", "# a\n" * 100_000, SLOW, seconds=6)
document("a table of bars in Markdown", "a.md", "|" * (MB // 4), SLOW)
document("a heading that ends in blanks and hashes", "a.md", "# a" + " #" * 100_000 + "x", SLOW, seconds=6)
document("a heading that ends in 200,000 blanks", "a.md", "# a" + " " * 200_000 + "x", seconds=4)
document("an endless front matter", "a.md", "---\n" + "a: b\n" * 100_000, SLOW, seconds=6)
document("a million siblings in HTML", "a.html", "<p>moon" + "<p>" * MB, SLOW, seconds=8)
document("a million empty elements in HTML", "a.html", "<p>moon" + "<br>" * MB, SLOW, seconds=8)
document("deep nesting in HTML", "a.html", "<div>" * 100_000 + "a", seconds=4)
document("nested inline elements in HTML", "a.html", "<b>" * 5_000 + "a", seconds=4)
document("unclosed comments in HTML", "a.html", "<p>moon" + "<!--" * 250_000, seconds=4)
document("an unclosed comment in HTML", "a.html", "<p>moon<!--" + "a" * (MB // 4))
document("half comments in HTML", "a.html", "<p>moon" + "<!-" * 300_000, seconds=4)
document("unclosed scripts in HTML", "a.html", "<p>moon" + "<script>" * 100_000, seconds=4)
document("an unclosed script of 2 MB in HTML", "a.html", "<p>moon<script>" + "a<b" * (2 * MB // 3), seconds=4)
document("half closed scripts in HTML", "a.html", "<p>moon<script>" + "</" * 200_000, seconds=4)
document("an unclosed marked section in HTML", "a.html", "a<![", seconds=2)
document("many unclosed marked sections in HTML", "a.html", "<p>moon" + "<![x" * 100_000, seconds=4)
document("unclosed processing instructions in HTML", "a.html", "<p>moon" + "<?" * 200_000, seconds=4)
document("an unclosed attribute in HTML", "a.html", "<p>moon" + "<a b='" * 100_000, seconds=4)
document("an element with 100,000 attributes in HTML", "a.html", "<a" + " b" * 100_000 + ">moon", seconds=4)
document("200,000 open brackets in HTML", "a.html", "<" * (MB // 5), SLOW)
document("entities beyond Unicode in HTML", "a.html", "<p>&#99999999999;&#xD800;&#0;" + "&#" * 1000, seconds=2)
document("an entity of 5,000 digits in HTML", "a.html", "<p>moon &#" + "9" * 5_000 + ";", seconds=2)
document("200,000 ampersands in HTML", "a.html", "<p>" + "&" * (MB // 5), SLOW)
document("an unknown encoding in HTML", "a.html", b"<meta charset='\xff\xfe'><p>moon", seconds=2)
document("an encoding that is no text in HTML", "a.html", b"<meta charset='base64'><p>moon", seconds=2)
document("an encoding of codecs in HTML", "a.html", b"<meta charset='unicode_escape'><p>moon \\ud800", seconds=2)
document("a JSON bomb as text", "a.txt", "[" * 100_000)
document("half an emoji", "a.txt", "a \ud83d b", seconds=2)
document("UTF-16 of an odd length", "a.txt", b"\xff\xfea\x00b", seconds=2)
document("UTF-16 with half a pair", "a.txt", b"\xff\xfe\x3d\xd8a\x00", seconds=2)
document("text with zeros", "a.txt", "moon\0star", seconds=2)
document("a PDF of nonsense", "a.pdf", b"%PDF-1.7\n" + random.Random(0).randbytes(20_000), seconds=4)
document(
    "a PDF with a loop of pages",
    "a.pdf",
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages"
    b"/Kids[2 0 R]/Count 1>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    seconds=4,
)
row(
    "document: a name that is not UTF-8",
    lambda folder: index_folder(with_files(folder, {b"\xff.txt": b"moon"})),
    holds(lambda found: "good.txt" in found["ids"]),
)
row("document: a name with control characters", indexed("a\x1b[2J\n.txt", GOOD), holds(lambda f: len(f["ids"]) == 2))
row(
    "document: a link out of the folder",
    lambda folder: index_folder(with_link(folder)),
    holds(lambda found: found["ids"] == ["good.txt"]),
)
row(
    "document: a FIFO in a folder",
    lambda folder: index_folder(with_fifo(folder)),
    holds(lambda found: "good.txt" in found["ids"]),
)
row(
    "document: a file of 3 GB that is a hole",
    lambda folder: index_folder(with_hole(folder, "a.txt")),
    holds(named("a.txt")),
    SLOW,
)
row(
    "document: a page of 3 GB that is a hole",
    lambda folder: index_folder(with_hole(folder, "a.html")),
    holds(named("a.html")),
    SLOW,
)
row(
    "document: front matter is metadata",
    lambda folder: markdown_with_front_matter(folder),
    gives([("2024-05-01", None), ("2024-05-01", None)]),
)


def with_link(folder: Path) -> Path:
    (folder / "secret.txt").write_text("the password is rose")
    data = with_files(folder, {})
    (data / "link.txt").symlink_to(folder / "secret.txt")
    return data


def with_fifo(folder: Path) -> Path:
    data = with_files(folder, {})
    os.mkfifo(data / "fifo.txt")
    return data


def with_hole(folder: Path, name: str) -> Path:
    data = with_files(folder, {})
    with (data / name).open("wb") as file:
        file.truncate(3 * 2**30)
    return data


def markdown_with_front_matter(folder: Path) -> Any:
    text = "---\ndate: 2024-05-01\ntags: [a]\n---\n" + "moon and star in the garden " * 12 + "\n"
    data = with_files(folder, {b"a.md": text.encode()})
    with new_index(folder / "index") as index:
        index.add_from(data)
        ids = [id for id in index.documents()[0] if id.startswith("a.md")][:2]
        return [(str(r.metadata.get("date")), r.metadata.get("heading")) for r in index.get(ids)]


# Files of rows.

row(
    "rows: a version stays a version",
    metadata_of("a.csv", "id,text,version\na,moon,3.10\nb,star,3.9\n"),
    gives([{"version": "3.10"}, {"version": "3.9"}]),
)
row(
    "rows: a column of zip codes has one type",
    metadata_of("a.csv", "id,text,zip\na,moon,01067\nb,star,10115\n"),
    gives([{"zip": "01067"}, {"zip": "10115"}]),
)
row(
    "rows: a title is text",
    metadata_of("a.csv", "id,title,text\na,1984,moon\nb,Emma,star\n"),
    gives([{"title": "1984"}, {"title": "Emma"}]),
)
row(
    "rows: a column of numbers is numbers",
    metadata_of("a.csv", "id,text,n\na,moon,1\nb,star,-20\n"),
    gives([{"n": 1}, {"n": -20}]),
)
row(
    "rows: the ids of a table stay as they are",
    rows_of("a.csv", "id,text\n007,moon\n1.50,star\n"),
    holds(lambda rows: [id for id, *_ in rows] == ["007", "1.50"]),
)
row(
    "rows: 1 and '1' of JSON stay apart",
    metadata_of("a.jsonl", '{"text": "a", "n": 1}\n{"text": "b", "n": "1"}\n'),
    gives([{"n": 1}, {"n": "1"}]),
)
row(
    "rows: capitals of column names are kept",
    metadata_of("a.csv", "id,text,Year\na,moon,x\n"),
    gives([{"Year": "x"}]),
)
row(
    "rows: text beside Text",
    rows_of("a.csv", "id,text,Text\na,right,wrong\n"),
    gives_or_error(lambda rows: rows[0][1] == "right"),
)
row(
    "rows: two columns of one name",
    rows_of("a.csv", "id,text,tag,tag\na,moon,x,y\n"),
    error("DataError", "tag"),
)
row(
    "rows: another text column keeps the field text",
    metadata_of("a.csv", "id,body,text\na,moon,field\n", "body"),
    gives([{"text": "field"}]),
)
row(
    "rows: another text column of JSON keeps the field text",
    metadata_of("a.jsonl", '{"id": "a", "body": "moon", "text": "field"}', "body"),
    gives([{"text": "field"}]),
)
row(
    "rows: half an emoji in a title",
    lambda folder: added_rows(folder, '{"id": "a", "text": "t", "title": "x \\ud83d"}'),
    holds(lambda rows: len(rows) == 1),
)
row(
    "rows: half an emoji in an id",
    lambda folder: added_rows(folder, '{"id": "a\\ud83d", "text": "t"}'),
    gives_or_error(lambda rows: len(rows) == 1),
)
row(
    "rows: half an emoji in metadata",
    lambda folder: added_rows(folder, '{"id": "a", "text": "t", "x": ["\\ud83d"]}'),
    holds(lambda rows: len(rows) == 1),
)
row(
    "rows: half an emoji in a key",
    lambda folder: added_rows(folder, '{"id": "a", "text": "t", "\\ud83d": 1}'),
    gives_or_error(lambda rows: len(rows) == 1),
)
row(
    "rows: a text that is null is left out",
    rows_of("a.jsonl", '{"id": "a", "text": null}\n{"id": "b", "text": "moon"}\n'),
    holds(lambda rows: [id for id, *_ in rows] == ["b"]),
)
row(
    "rows: NaN in JSON",
    lambda folder: added_rows(folder, '{"id": "a", "text": "t", "x": NaN}'),
    gives_or_error(lambda rows: rows[0][2].get("x") is None),
)
row(
    "rows: a Parquet time beyond the year 9999",
    parquet(lambda: {"text": ["moon"], "when": far_timestamp()}),
    gives_or_error(anything),
    SLOW,
)
row(
    "rows: a number of 5,000 digits",
    lambda folder: added_rows(folder, '{"id": "a", "text": "t", "x": ' + "9" * 5000 + "}"),
    error("DataError"),
)
row("rows: 1e999", lambda folder: added_rows(folder, '{"id": "a", "text": "t", "x": 1e999}'), gives_or_error(anything))
row("rows: JSON nested 100,000 deep", rows_of("a.jsonl", '{"text": ' + "[" * 100_000), error("DataError", "line 1"))
row(
    "rows: metadata nested 100,000 deep",
    lambda folder: added_rows(folder, '{"id": "a", "text": "t", "x": ' + "[" * 900 + "]" * 900 + "}"),
    gives_or_error(anything),
)
row(
    "rows: a cell of 50 MB",
    lambda folder: added_file(folder, "a.csv", "id,text\na," + "x" * 50 * MB),
    gives_or_error(anything),
    SLOW,
    seconds=4,
    megabytes=500,
)
row(
    "rows: a line of JSON of 50 MB",
    lambda folder: added_file(folder, "a.jsonl", '{"text": "' + "x" * 50 * MB + '"}'),
    gives_or_error(anything),
    SLOW,
    seconds=4,
)
row(
    "rows: a packed cell of 500 MB",
    rows_of("a.csv.gz", gzip_bomb(0.5, b"x", b"id,text\na,")),
    error("DataError"),
    SLOW,
    seconds=15,
)
row(
    "rows: a packed line of 4 GB",
    rows_of("a.jsonl.gz", gzip_bomb(4, b"x", b'{"text": "')),
    error("DataError"),
    SLOW,
    seconds=20,
)
row(
    "rows: 2 GB of packed blank lines",
    rows_of("a.txt.gz", gzip_bomb(2, b"\n" * 2**14)),
    error("DataError"),
    SLOW,
    seconds=4,
)
row("rows: an unclosed quote", rows_of("a.csv", 'id,text\na,"moon\n' + "b,star\n" * 100_000), error("DataError"))
row(
    "rows: 100,000 columns",
    rows_of("a.csv", "text" + ",c" * 100_000 + "\nmoon" + ",1" * 100_000),
    gives_or_error(anything),
)
row(
    "rows: a gzip file that is cut",
    rows_of("a.jsonl.gz", gzip_bomb(0.1, b'{"text": "moon"}\n\n\n')[:2000]),
    error("DataError", "gzip"),
    SLOW,
)
row("rows: a gzip file that is none", rows_of("a.jsonl.gz", b"{}"), error("DataError", "gzip"))
row(
    "rows: a FIFO named .jsonl",
    lambda folder: (os.mkfifo(folder / "a.jsonl"), corpus_of(folder / "a.jsonl")),
    error("DataError", "a.jsonl"),
    seconds=0.5,
)
row(
    "rows: a folder named .jsonl",
    lambda folder: ((folder / "a.jsonl").mkdir(), corpus_of(folder / "a.jsonl")),
    error("DataError", "a.jsonl"),
)
row(
    "rows: /dev/zero",
    lambda folder: ((folder / "a.txt").symlink_to("/dev/zero"), corpus_of(folder / "a.txt")),
    error("DataError"),
)
row(
    "rows: a Parquet file of nonsense",
    lambda folder: added_file(folder, "a.parquet", b"PAR1" + b"\xff" * 500 + b"PAR1"),
    error("DataError", "a.parquet"),
)


def far_timestamp() -> Any:
    import pyarrow as pa

    return pa.array([2**60], pa.timestamp("us"))


def corpus_of(path: Path) -> list[Any]:
    from steersearch.corpus import Corpus

    return list(Corpus.open(path).documents())


def added_rows(folder: Path, line: str) -> list[Any]:
    return added_file(folder, "rows.jsonl", line)


def added_file(folder: Path, name: str, content: bytes | str) -> list[Any]:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with new_index(folder / "index") as index:
        index.add_from(folder / name)
        return [(record.id, record.text, record.metadata) for record in index.get(index.documents()[0])]


# Ids, and documents in memory.

row(
    "ids: texts of two calls are all kept",
    with_index(lambda index: (index.add_from(["x"]), index.add_from(["y"]), len(index))[2]),
    gives(14),
)
row(
    "ids: chunks of one source in two calls are all kept",
    with_index(lambda index: [index.add_from(sourced(some)) for some in ("ab", "cd")] and len(index)),
    gives(16),
)
row(
    "ids: equal texts without a source",
    with_index(lambda index: (index.add(sourced("aa", source=None)), len(index))[1]),
    holds(lambda count: count in (13, 14)),
)
row("ids: two folders that both hold readme.txt", lambda folder: two_folders(folder), gives(2))
row("ids: two files of lines", lambda folder: two_files(folder), gives(2))
row(
    "ids: a long document does not replace the user's own",
    with_index(lambda index: own_chunk(index)),
    gives_or_error(lambda text: text == "my own"),
)
row(
    "memory: a column that was sorted",
    with_index(lambda index: add_series(index)),
    gives_or_error(lambda texts: texts == ["b", "a"]),
)
row(
    "memory: a generator of texts",
    with_index(lambda index: index.add((text for text in "ab"), ["x", "y"])),
    gives_or_error(lambda ids: ids == ["x", "y"]),
)
row(
    "memory: the values of a dict",
    with_index(lambda index: index.add({"x": "a", "y": "b"}.values(), ["x", "y"])),
    gives_or_error(lambda ids: ids == ["x", "y"]),
)
row(
    "memory: an array of objects",
    with_index(lambda index: index.add(np.array(["a", "b"], object), ["x", "y"])),
    gives_or_error(lambda ids: ids == ["x", "y"]),
)
row("memory: a set of texts", with_index(lambda index: index.add({"a", "b"}, ["x", "y"])), error("DataError"))
row("memory: a dict of texts", with_index(lambda index: index.add({"a": 1}, ["x"])), error("DataError"))
row("memory: bytes as texts", with_index(lambda index: index.add([b"a"], ["x"])), error("DataError"))
row(
    "memory: embeddings with a mask",
    with_index(lambda index: index.add(["a"], ["x"], embeddings=np.ma.masked_all((1, 16)))),
    error("DataError"),
)
row(
    "memory: strings as embeddings",
    with_index(lambda index: index.add(["a"], ["x"], embeddings=[["1"] * 16])),
    error("DataError"),
)
row(
    "memory: complex embeddings",
    with_index(lambda index: index.add(["a"], ["x"], embeddings=np.ones((1, 16), complex))),
    error("DataError"),
)
row(
    "memory: embeddings of lists of other lengths",
    with_index(lambda index: index.add(["a", "b"], ["x", "y"], embeddings=[[1], [1, 2]])),
    error("DataError"),
)
row(
    "memory: a vector of length 1.001 scores at most 1",
    with_index(lambda index: long_vector(index)),
    gives_or_error(lambda score: score <= 1.0),
)
row(
    "memory: metadata that holds itself",
    with_index(lambda index: index.add(["a"], ["x"], [looped()])),
    error("DataError"),
)
row(
    "memory: metadata nested 10,000 deep",
    with_index(lambda index: index.add(["a"], ["x"], [{"a": nested(10_000)}])),
    error("DataError"),
)


def sourced(texts: str, source: str | None = "s.txt") -> list[Any]:
    return [
        SimpleNamespace(page_content=text, metadata={"source": source} if source else {}, id=None) for text in texts
    ]


def two_folders(folder: Path) -> int:
    with new_index(folder / "index") as index:
        for name in ("one", "two"):
            (folder / name).mkdir()
            (folder / name / "readme.txt").write_text(f"{name} {GOOD}")
            index.add_from(folder / name)
        return len(index)


def two_files(folder: Path) -> int:
    with new_index(folder / "index") as index:
        for name in ("one", "two"):
            (folder / f"{name}.txt").write_text(f"{name} {GOOD}\n")
            index.add_from(folder / f"{name}.txt")
        return len(index)


def own_chunk(index: Any) -> str:
    index.add(["my own"], ["a#2"])
    index.add_from([("a", "moon star " * 60, {})], chunk_tokens=16)
    return str(index.get(["a#2"])[0].text)


def add_series(index: Any) -> list[str]:
    """Do what a sorted column of pandas does: what [0] gives is not what comes first."""

    class Column:
        labels, values = [1, 0], ["b", "a"]

        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Any:
            return iter(self.values)

        def __getitem__(self, key: Any) -> Any:
            if isinstance(key, slice):
                part = Column()
                part.labels, part.values = self.labels[key], self.values[key]
                return part
            return self.values[self.labels.index(key)]

    index.add(Column(), ["x", "y"])
    return [record.text for record in index.get(["x", "y"])]


def long_vector(index: Any) -> float:
    vector = np.zeros((1, 16), np.float32)
    vector[0, 0] = 1.0009
    index.add(["a"], ["x"], embeddings=vector)
    return float(index.search(vector[0] / vector[0, 0], 1)[0].score)


def looped() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["self"] = made
    return made


def nested(depth: int) -> Any:
    made: Any = 1
    for _ in range(depth):
        made = [made]
    return made
